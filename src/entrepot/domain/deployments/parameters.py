"""A template's parameters: defaults, types, bounds, and which of them are secret. Pure."""

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.deployments.language.expressions import Evaluator

Json = Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "securestring": str,
    "int": int,
    "bool": bool,
    "object": (dict, type(None)),
    "secureobject": (dict, type(None)),
    "array": (list, type(None)),
}
_HIDDEN = "*" * 7
_SHORTEST_PART = 4  # of a longer text that a secret is looked for in


def hidden(value: Json, specs: Json, given: Json) -> Json:
    """Return a JSON value in which no text tells what a secure parameter holds."""
    secure = [text for name, spec in specs.items() if is_secure(spec) for text in _texts(given.get(name))]
    return _without(value, sorted(secure, key=len, reverse=True)) if secure else value


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _without(value: Json, secrets: list[str]) -> Json:
    if isinstance(value, dict):
        return {name: _without(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = _HIDDEN if value == secret else value
            value = value.replace(secret, _HIDDEN) if len(secret) >= _SHORTEST_PART else value
    return value


def is_secure(spec: Json) -> bool:
    """Say whether a parameter or an output is declared as a secret."""
    return str(spec.get("type", "string")).lower().startswith("secure")


def check_given(specs: Json, given: Json) -> None:
    """Raise InvalidRequest for a value that the template has no parameter for, or that lies in a vault of Azure."""
    for name, entry in given.items():
        if name not in specs:
            known = ", ".join(specs) or "none"
            raise InvalidRequest(f"The template has no parameter {name!r}; it has {known}", target=f"parameters.{name}")
        if isinstance(entry, dict) and "reference" in entry:
            raise InvalidRequest(
                f"Parameter {name!r} refers to a key vault, and there is none here: give its value", target=name
            )


def value_of(name: str, spec: Json, given: Json, evaluator: Evaluator) -> Json:
    """Return a parameter's value: given, or by default. Raises InvalidRequest."""
    value = (given.get(name) or {}).get("value")
    if value is not None:
        return _checked(name, spec, value)
    if "defaultValue" in spec:
        return _checked(name, spec, evaluator.value(spec["defaultValue"], where=f"parameters.{name}.defaultValue"))
    if name in given or spec.get("nullable"):
        return None  # azure-ai-ml 1.35 gives null for what it leaves open
    raise InvalidRequest(f"Parameter {name!r} has no value: give -p {name}=...", target=f"parameters.{name}")


def _spelled(value: Json, allowed: list[Json]) -> Json:
    """Return the allowed value that is meant: azure-ai-ml 1.35 sends the Python name of some, `Access.ENABLED`."""
    word = str(value).rpartition(".")[2].lower()
    return next((choice for choice in allowed if str(choice).lower() == word), value)


def _checked(name: str, spec: Json, value: Json) -> Json:
    kind = str(spec.get("type", "string")).lower()
    value = _coerced(kind, value)
    expected = _TYPES.get(kind)
    target = f"parameters.{name}"
    if expected is None:
        raise InvalidRequest(f"Parameter {name!r} has the unknown type {kind!r}", target=target)
    if not isinstance(value, expected) or (kind == "int" and isinstance(value, bool)):
        raise InvalidRequest(f"Parameter {name!r} must be of type {kind}: got {_shown(spec, value)}", target=target)
    allowed = spec.get("allowedValues")
    if allowed:
        value = _spelled(value, allowed)
    if allowed and value not in allowed:
        raise InvalidRequest(
            f"Parameter {name!r} must be one of {', '.join(map(str, allowed))}: got {_shown(spec, value)}",
            target=target,
        )
    size = len(value) if isinstance(value, str | list) else value
    for bound, is_wrong in (("minLength", _below), ("minValue", _below), ("maxLength", _above), ("maxValue", _above)):
        if bound in spec and isinstance(size, int) and is_wrong(size, spec[bound]):
            raise InvalidRequest(
                f"Parameter {name!r} breaks {bound} {spec[bound]}: got {_shown(spec, value)}", target=target
            )
    return value


def _shown(spec: Json, value: Json) -> str:
    return "what is given" if is_secure(spec) else reprlib.repr(value)


def _coerced(kind: str, value: Json) -> Json:
    """Return the value that a command line's text stands for (`-p count=3` arrives as text)."""
    if kind == "int" and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if kind == "bool" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _below(size: int, bound: int) -> bool:
    return size < bound


def _above(size: int, bound: int) -> bool:
    return size > bound
