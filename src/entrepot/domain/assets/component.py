"""Components: a command, or a pipeline of components, with typed inputs and outputs. References: `references.py`."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef, check_port_name
from entrepot.domain.assets.kind import Properties, Rules, is_empty, other_contents

Json = Any

_RESERVED = frozenset({"path", "ld_library_path", "user", "logname", "home", "pwd", "shell"})
_INPUT_TYPES = frozenset(
    {"number", "integer", "boolean", "string", "uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model",
     "triton_model", "enum", "object"}
)  # fmt: skip
_DISPLAYED = frozenset(
    {"name", "version", "display_name", "description", "tags", "id", "creation_context", "is_archived", "properties"}
)
_OF_REFERENCES = frozenset({"environment", "environmentId", "component", "componentId", "code", "codeId"})


def _normalise(ref: AssetRef, properties: Properties) -> None:
    spec = properties.get("componentSpec")
    if not isinstance(spec, dict):
        raise InvalidRequest("properties.componentSpec is missing: it must be an object", target="componentSpec")
    spec = dict(spec)
    spec["type"] = spec.get("type") or "command"
    if spec["type"] == "command" and not spec.get("command"):
        raise InvalidRequest(f"Component {ref.name} has no command", target="command")
    if spec["type"] == "pipeline" and not isinstance(spec.get("jobs"), dict):
        raise InvalidRequest(f"Pipeline component {ref.name} has no jobs", target="jobs")
    spec["name"], spec["version"] = ref.name, ref.version
    _check_ports(ref, spec)
    properties["componentSpec"] = spec


def _check_ports(ref: AssetRef, spec: dict[str, Json]) -> None:
    seen: dict[str, str] = {}
    for side in ("inputs", "outputs"):
        ports = spec.get(side) or {}
        if not isinstance(ports, dict):
            raise InvalidRequest(f"{side} of component {ref.name} must be an object", target=side)
        for name, port in ports.items():
            check_port_name(name, side=side)
            if name.lower() in _RESERVED:
                raise InvalidRequest(f"{side}.{name} of component {ref.name}: the name is reserved", target=side)
            if seen.setdefault(name.lower(), side) != side:
                raise InvalidRequest(
                    f"{name!r} is both an input and an output of component {ref.name}: choose another name", target=side
                )
            _check_type(ref, side, name, port)


def _check_type(ref: AssetRef, side: str, name: str, port: Json) -> None:
    kind = port.get("type") if isinstance(port, dict) else None
    kinds = kind if isinstance(kind, list) else [kind]
    unknown = [word for word in kinds if isinstance(word, str) and word.lower() not in _INPUT_TYPES]
    if unknown:
        raise InvalidRequest(
            f"{side}.{name} of component {ref.name} has the type {unknown[0]!r}; "
            f"it must be one of {', '.join(sorted(_INPUT_TYPES))}",
            target=f"{side}.{name}.type",
        )


def _contents(properties: Properties, ours: Mapping[str, Json]) -> dict[str, Json]:
    """Flatten the spec, without what is for display, with code told by its bytes and not by its random name."""
    spec = properties.get("componentSpec") or {}
    codes: Mapping[str, str] = ours.get("codes") or {}
    flat: dict[str, Json] = {}
    for name, value in spec.items():
        if name not in _DISPLAYED and not _is_private(name):
            _flatten(name, value, codes, flat)
    if flat.get("is_deterministic") == "true":
        del flat["is_deterministic"]
    return flat | other_contents(properties, ("componentSpec", "componentType"))


def _flatten(path: str, value: Json, codes: Mapping[str, str], flat: dict[str, Json]) -> None:
    if is_empty(value):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if not _is_private(name):
                _flatten(f"{path}.{name}", inner, codes, flat)
    elif isinstance(value, list):
        flat[path] = [_scalar(inner) for inner in value]
    else:
        flat[path] = _scalar(value)
        if path.rpartition(".")[2] in _OF_REFERENCES:
            flat[path] = _reference(str(value), codes)


def _reference(text: str, codes: Mapping[str, str]) -> str:
    text = text.removeprefix("azureml:") if text.startswith("azureml:/") and "://" not in text else text
    digest = codes.get(text)
    return f"sha256:{digest}" if digest else text


def _scalar(value: Json) -> Json:
    """Return a literal as text: clients send 1 and "1", true and "True" for the same."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str) and value in ("True", "False"):
        return value.lower()
    return value


def _restated(stored: Mapping[str, Json], sent: Mapping[str, Json], changed: Mapping[str, Json]) -> Properties:
    """Change the spec's description, tags and display name too: azure-ai-ml reads them nowhere else."""
    spec: dict[str, Json] = stored["componentSpec"]
    fresh = {name: changed[name] for name in ("description", "tags") if name in changed}
    display_name = (sent.get("componentSpec") or {}).get("display_name")
    if display_name is not None:
        fresh["display_name"] = display_name
    return {"componentSpec": {**spec, **fresh}} if {**spec, **fresh} != spec else {}


def _is_private(name: str) -> bool:
    return name.startswith(("_", "$"))


RULES = Rules(address=(), normalise=_normalise, contents=_contents, restated=_restated, needs_bytes=False)
