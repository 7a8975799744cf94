"""A template and its parameters become a list of resources and outputs. Pure: nothing is created here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.clock import new_id, to_iso
from entrepot.core.errors import InvalidRequest
from entrepot.domain.deployments.expressions import Evaluator
from entrepot.domain.deployments.functions import PURE

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a template is deployed: what subscription(), resourceGroup(), tenant() and deployment() tell."""

    subscription: str
    resource_group: str
    group_location: str
    tenant: str
    deployment: str
    now: float


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, evaluated: `body` is what a PUT of it would carry."""

    type: str
    name: str
    body: dict[str, Json]

    def id_in(self, place: Place) -> str:
        """Return the ARM id that the resource has in the group."""
        return resource_id(place, self.type, *self.name.split("/"))


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluated template. `outputs` is evaluated after the resources exist, for reference()."""

    parameters: dict[str, Json]
    resources: tuple[Resource, ...]
    outputs: Callable[[Mapping[str, Json]], dict[str, Json]]


def resource_id(place: Place, *parts: str) -> str:
    """Return an ARM id: `[subscription,] [group,] type, name, ...`, as the template function does."""
    words = list(parts)
    at = next((index for index, word in enumerate(words) if "/" in word), None)
    if at is None or len(words) - at < 2:
        raise ValueError("a type such as 'Provider/kind' and a name are needed")
    subscription = words[0] if at == 2 else place.subscription
    group = words[at - 1] if at else place.resource_group
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{_typed_path(words[at], words[at + 1 :])}"


def _typed_path(kind: str, names: list[str]) -> str:
    provider, *kinds = kind.split("/")
    if len(kinds) != len(names):
        raise ValueError(f"type {kind} needs {len(kinds)} name(s), got {len(names)}")
    return "/".join([provider, *(word for pair in zip(kinds, names, strict=True) for word in pair)])


def evaluate(template: Json, given: Json, place: Place) -> Plan:
    """Return the plan of a template. `given` is ARM's `{name: {"value": ...}}`. Raises InvalidRequest."""
    if not isinstance(template, dict) or "resources" not in template:
        raise InvalidRequest("The deployment has no template with resources", target="properties.template")
    specs = template.get("parameters") or {}
    _check_given(specs, given or {})
    found: dict[str, Json] = {}
    functions = _functions(template, given or {}, found, place)
    evaluator = Evaluator(functions)
    for name in specs:
        functions["parameters"](name)
    resources = template["resources"]
    listed = resources.values() if isinstance(resources, dict) else resources
    planned = tuple(
        resource
        for index, item in enumerate(listed)
        if (resource := _resource(item, evaluator, where=f"resources[{index}]")) is not None
    )

    def outputs(made: Mapping[str, Json]) -> dict[str, Json]:
        knowing = Evaluator({**functions, "reference": lambda name, *_: _reference(made, name)})
        return {
            name: {
                "type": spec.get("type", "string"),
                "value": knowing.value(spec.get("value"), where=f"outputs.{name}"),
            }
            for name, spec in (template.get("outputs") or {}).items()
        }

    return Plan(found, planned, outputs)


def _functions(template: Json, given: Json, found: dict[str, Json], place: Place) -> dict[str, Callable[..., Json]]:
    """Return the template's functions. `parameters` fills `found`, for a default may name other parameters."""
    specs, variables = template.get("parameters") or {}, template.get("variables") or {}
    pending: set[str] = set()

    def once(name: str, what: str, evaluated: Callable[[], Json]) -> Json:
        mark = f"{what} {name!r}"
        if mark in pending:
            raise InvalidRequest(f"{mark.capitalize()} of the template stands for itself")
        pending.add(mark)
        try:
            return evaluated()
        finally:
            pending.discard(mark)

    def parameters(name: str) -> Json:
        if name not in specs:
            raise InvalidRequest(f"The template has no parameter {name!r}; it has {', '.join(specs) or 'none'}")
        if name not in found:
            found[name] = once(name, "parameter", lambda: _parameter(name, specs[name], given, evaluator))
        return found[name]

    def variable(name: str) -> Json:
        if name not in variables:
            raise InvalidRequest(f"The template has no variable {name!r}; it has {', '.join(variables) or 'none'}")
        return once(name, "variable", lambda: evaluator.value(variables[name], where=f"variables.{name}"))

    functions = {**PURE, **_surroundings(place), "parameters": parameters, "variables": variable}
    evaluator = Evaluator(functions)
    return functions


def _surroundings(place: Place) -> dict[str, Callable[..., Json]]:
    """Return the functions that tell where and when the template is deployed."""
    return {
        "newGuid": new_id,
        "utcNow": lambda *_: to_iso(place.now),
        "subscription": lambda: _subscription(place),
        "resourceGroup": lambda: _group(place),
        "tenant": lambda: {"tenantId": place.tenant},
        "deployment": lambda: {"name": place.deployment},
        "resourceId": lambda *parts: resource_id(place, *parts),
        "subscriptionResourceId": lambda *parts: _in_subscription(place, *parts),
        "reference": lambda name, *_: {},  # only outputs know what came to be
    }


def _subscription(place: Place) -> Json:
    return {
        "id": f"/subscriptions/{place.subscription}",
        "subscriptionId": place.subscription,
        "tenantId": place.tenant,
    }


def _group(place: Place) -> Json:
    return {
        "id": f"/subscriptions/{place.subscription}/resourceGroups/{place.resource_group}",
        "name": place.resource_group,
        "location": place.group_location,
    }


def _in_subscription(place: Place, *parts: str) -> str:
    subscription, kind, names = (
        (place.subscription, parts[0], parts[1:]) if "/" in parts[0] else (parts[0], parts[1], parts[2:])
    )
    return f"/subscriptions/{subscription}/providers/{_typed_path(kind, list(names))}"


def _reference(made: Mapping[str, Json], name: str) -> Json:
    for id, properties in made.items():
        if id.lower() == name.lower() or id.rpartition("/")[2].lower() == name.lower():
            return properties
    raise ValueError(f"the template makes no resource {name!r}")


def _check_given(specs: Json, given: Json) -> None:
    for name in given:
        if name not in specs:
            known = ", ".join(specs) or "none"
            raise InvalidRequest(f"The template has no parameter {name!r}; it has {known}", target=f"parameters.{name}")


def _parameter(name: str, spec: Json, given: Json, evaluator: Evaluator) -> Json:
    value = (given.get(name) or {}).get("value")
    if value is not None:
        return _checked(name, spec, value)
    if "defaultValue" in spec:
        return evaluator.value(spec["defaultValue"], where=f"parameters.{name}.defaultValue")
    if name in given:
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
        raise InvalidRequest(f"Parameter {name!r} must be of type {kind}: got {value!r}", target=target)
    allowed = spec.get("allowedValues")
    if allowed:
        value = _spelled(value, allowed)
    if allowed and value not in allowed:
        raise InvalidRequest(
            f"Parameter {name!r} must be one of {', '.join(map(str, allowed))}: got {value!r}", target=target
        )
    size = len(value) if isinstance(value, str | list) else value
    for bound, is_wrong in (("minLength", _below), ("minValue", _below), ("maxLength", _above), ("maxValue", _above)):
        if bound in spec and isinstance(size, int) and is_wrong(size, spec[bound]):
            raise InvalidRequest(f"Parameter {name!r} breaks {bound} {spec[bound]}: got {value!r}", target=target)
    return value


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


def _resource(item: Json, evaluator: Evaluator, *, where: str) -> Resource | None:
    if not isinstance(item, dict) or "type" not in item or "name" not in item:
        raise InvalidRequest(f"{where} of the template needs a type and a name", target=where)
    if item.get("copy"):
        raise InvalidRequest(
            f"{where} uses a copy loop, which this server does not unroll: write the resources out", target=where
        )
    if not evaluator.value(item.get("condition", True), where=f"{where}.condition"):
        return None
    if item["type"].lower() == "microsoft.resources/deployments":
        return Resource(item["type"], str(evaluator.text(item["name"], where=where)), {})
    own = {
        key: value for key, value in item.items() if key not in ("condition", "dependsOn", "resources", "apiVersion")
    }
    body = evaluator.value(own, where=where)
    return Resource(body["type"], body["name"], body)
