"""Deployment templates applied to deployments: which one binds, what it fills in, and the limits that it sets.

A deployment keeps what it said itself (`entrepot.own`): clients send back all that they were shown, and a value that
only a template or a default filled in must not hold against the next model's template.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from entrepot.core.errors import InvalidReference, TemplateLimitExceeded
from entrepot.core.ids import RegistryScope, WorkspaceScope
from entrepot.core.nouns import DEPLOYMENT_TEMPLATE, MODEL
from entrepot.domain.assets import reading
from entrepot.domain.endpoints.resolution import Resolved
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs.fields import boolean, read_duration
from entrepot.domain.jobs.planning import Planner

Json = Any

BOUND = "azureml.deploymentTemplate"
"""The property of a deployment by which clients see which template it is bound to."""
OVERRIDE = "azureml.deploymentTemplateOverride"
"""The property of a deployment that names another template than the model's default."""
ENFORCE = "entrepot.enforce"
"""The property of a model that makes its templates binding: a text, so that every genuine client passes it on."""

CAPACITY = "capacity"
_VARIABLES, _REQUESTS = "environmentVariables", "requestSettings"
_MERGED = (_VARIABLES, _REQUESTS, "livenessProbe", "readinessProbe")
_PLAIN = ("environmentId", "modelMountPath", "scoringPath", "scoringPort", "codeConfiguration", "appInsightsEnabled")
_FIXED = ("environmentId", "modelMountPath", "scoringPath", "scoringPort", "codeConfiguration", "livenessProbe",
          "readinessProbe")  # fmt: skip
_WRITTEN = {"environmentId": "environment", "instanceType": "instance_type", CAPACITY: "instance_count"}


@dataclass(frozen=True, slots=True)
class Template:
    """A template that binds a deployment."""

    id: str
    properties: Mapping[str, Json]
    is_enforced: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """A deployment's properties and sku with all that its template fills in; `own`: what it said itself."""

    properties: dict[str, Json]
    sku: Json
    own: dict[str, Json]
    template: str | None

    def bound(self, resolved: Resolved) -> Resolved:
        """Return what the deployment is made of, its template included."""
        if self.template is None:
            return resolved
        ours = {**resolved.ours, "template": self.template}
        return replace(resolved, ours=ours, used=(*resolved.used, self.template))


def apply(
    hub: Hub, principal: Principal, scope: WorkspaceScope, body: Mapping[str, Json], *, before: Mapping[str, Json]
) -> Applied:
    """Fill in what a deployment leaves to its template, and hold it to the template's limits.

    `before`: its document's body, {} for a new one. Raises NotFound and InvalidReference for what it names,
    TemplateLimitExceeded, InvalidRequest.
    """
    given = dict(body.get("properties") or {})
    extras = {name: value for name, value in (given.get("properties") or {}).items() if name != BOUND}
    template = _template_of(Planner(hub, principal, scope), given.get("model"), extras.get(OVERRIDE))
    own = _own(given, body.get("sku") or {}, before)
    kept = {name: value for name, value in given.items() if name not in (*_PLAIN, *_MERGED, "instanceType")} | {
        name: value for name, value in own.items() if name != CAPACITY
    }
    sku = {name: value for name, value in (body.get("sku") or {}).items() if name != CAPACITY}
    kept["properties"] = extras
    if template is None:
        capacity = own.get(CAPACITY)
        return Applied(kept, sku | ({CAPACITY: capacity} if capacity is not None else {}), own, None)
    kept["properties"] = {**extras, BOUND: template.id}
    filled = _filled(kept, template.properties)
    capacity = own.get(CAPACITY) or template.properties.get("instanceCount")
    _check(template, own, filled, capacity)
    return Applied(filled, sku | ({CAPACITY: capacity} if capacity is not None else {}), own, template.id)


def _template_of(planner: Planner, model: Json, override: Json) -> Template | None:
    """Return the template that binds: the one that the deployment names, or else its model's default."""
    found: Mapping[str, Json] = {}
    if isinstance(model, str) and model:
        found = planner.resolve(model, MODEL, planner.scope, where="model").body["properties"]
    listed = [found.get("defaultDeploymentTemplate") or {}, *(found.get("allowedDeploymentTemplates") or [])]
    known = [reference["assetId"] for reference in listed if reference.get("assetId")]
    is_enforced = boolean((found.get("properties") or {}).get(ENFORCE, False))
    wanted = override or listed[0].get("assetId")
    if not wanted:
        if is_enforced and known:
            raise TemplateLimitExceeded(
                f"The model {model} is deployed by its templates only ({ENFORCE}): name one of {', '.join(known)} "
                f"in the deployment's properties, as {OVERRIDE}",
                target=OVERRIDE,
            )
        return None
    where = OVERRIDE if override else "defaultDeploymentTemplate of the model"
    document = planner.resolve(str(wanted), DEPLOYMENT_TEMPLATE, planner.scope, where=where)
    if not isinstance(reading.ref_of(document.body).scope, RegistryScope):
        raise InvalidReference(f"{where} is {wanted!r}: name a registry's deployment template by its id", target=where)
    id: str = document.body["id"]
    if is_enforced and id not in known:
        raise TemplateLimitExceeded(
            f"{OVERRIDE} is {id}: the model {model} allows only {', '.join(known) or 'no template'} ({ENFORCE})",
            target=OVERRIDE,
        )
    return Template(id, document.body["properties"], is_enforced)


def _own(given: Mapping[str, Json], sku: Mapping[str, Json], before: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a deployment says itself of what a template may fill in: not what it was only shown."""
    shown: Mapping[str, Json] = before.get("properties") or {}
    earlier = (before.get("entrepot") or {}).get("own")
    own: dict[str, Json] = {}
    for name in (*_PLAIN, "instanceType"):
        value = given.get(name)
        if value is not None and _is_own(name, value, shown, earlier):
            own[name] = value
    for name in _MERGED:
        values = given.get(name)
        if not isinstance(values, Mapping):
            if values is not None:
                own[name] = values  # wrong, and refused by its reader
            continue
        inner = None if earlier is None else earlier.get(name) or {}
        kept = {
            key: value
            for key, value in values.items()
            if value is not None and _is_own(key, value, shown.get(name) or {}, inner)
        }
        if kept:
            own[name] = kept
    capacity = sku.get(CAPACITY)
    counted = before.get("sku") or {}
    if capacity is None and (earlier is None or CAPACITY in earlier):
        capacity = counted.get(CAPACITY)
    if capacity is not None and _is_own(CAPACITY, capacity, counted, earlier):
        own[CAPACITY] = capacity
    return own


def _is_own(name: str, value: Json, shown: Mapping[str, Json], earlier: Mapping[str, Json] | None) -> bool:
    return earlier is None or name in earlier or not _are_same(shown.get(name), value)


def _are_same(one: Json, other: Json) -> bool:
    if one == other:
        return True
    are_durations = all(isinstance(value, str) and value.startswith("P") for value in (one, other))
    return are_durations and read_duration(one) == read_duration(other)


def _filled(kept: Mapping[str, Json], template: Mapping[str, Json]) -> dict[str, Json]:
    filled = dict(kept)
    offered = {**{name: template.get(name) for name in _PLAIN}, "instanceType": template.get("defaultInstanceType")}
    for name, value in offered.items():
        if value is not None and filled.get(name) is None:
            filled[name] = value
    for name in _MERGED:
        values = filled.get(name, {})
        if template.get(name) and isinstance(values, Mapping):
            filled[name] = {**template[name], **values}
    return filled


def _check(
    template: Template, own: Mapping[str, Json], filled: Mapping[str, Json], capacity: Json
) -> None:  # fmt: skip
    """Raise TemplateLimitExceeded for the first value of the deployment that its template does not allow."""
    for name, value, limit in _excesses(template, own, filled, capacity):
        written = _WRITTEN.get(name, name)
        because = f" ({ENFORCE} of the model)" if template.is_enforced else ""
        raise TemplateLimitExceeded(
            f"{written} is {value!r}: the deployment template {template.id} {limit}{because}", target=written
        )


def _excesses(
    template: Template, own: Mapping[str, Json], filled: Mapping[str, Json], capacity: Json
) -> Iterator[tuple[str, Json, str]]:
    """Yield (field, value, what the template allows)."""
    offered = template.properties
    allowed = offered.get("allowedInstanceType") or []
    kind = filled.get("instanceType")
    if allowed and kind is not None and str(kind).lower() not in {name.lower() for name in allowed}:
        yield "instanceType", kind, f"allows {', '.join(allowed)} (allowed_instance_types)"
    yield from _count_excess(offered, filled, capacity)
    yield from _request_excesses(offered.get(_REQUESTS) or {}, own.get(_REQUESTS) or {})
    yield from _variable_excesses(template, own.get(_VARIABLES) or {})
    if template.is_enforced:
        for name in _FIXED:
            if offered.get(name) is not None and name in own and not _are_within(own[name], offered[name]):
                yield name, own[name], f"sets {offered[name]!r}"


def _count_excess(
    offered: Mapping[str, Json], filled: Mapping[str, Json], capacity: Json
) -> Iterator[tuple[str, Json, str]]:
    most = offered.get("instanceCount")
    scale = filled.get("scaleSettings") or {}
    is_automatic = str(scale.get("scaleType") or "Default").lower() != "default"
    wanted = [(CAPACITY, capacity), ("scale_settings.max_instances", scale.get("maxInstances") if is_automatic else 0)]
    for name, count in wanted:
        if most is not None and isinstance(count, int) and count > most:
            yield name, count, f"allows {most} at most (instance_count)"


def _request_excesses(offered: Mapping[str, Json], own: Mapping[str, Json]) -> Iterator[tuple[str, Json, str]]:
    longest, wanted = read_duration(offered.get("requestTimeout")), read_duration(own.get("requestTimeout"))
    if longest is not None and wanted is not None and wanted > longest:
        yield "request_settings.request_timeout_ms", round(wanted * 1000), f"allows {round(longest * 1000)} at most"
    name = "maxConcurrentRequestsPerInstance"
    most, count = offered.get(name), own.get(name)
    if isinstance(most, int) and isinstance(count, int) and count > most:
        yield "request_settings.max_concurrent_requests_per_instance", count, f"allows {most} at most"


def _variable_excesses(template: Template, own: Mapping[str, Json]) -> Iterator[tuple[str, Json, str]]:
    listed = template.properties.get("allowedEnvironmentVariableOverrides")
    if listed is None and not template.is_enforced:
        return
    set_there: Mapping[str, Json] = template.properties.get(_VARIABLES) or {}
    for name, value in own.items():
        if name in set_there and value != set_there[name] and name not in (listed or []):
            right = f"lets {', '.join(listed)} be replaced" if listed else "lets none of its variables be replaced"
            yield f"environment_variables.{name}", value, f"{right} (allowed_environment_variable_overrides)"


def _are_within(own: Json, offered: Json) -> bool:
    if isinstance(own, Mapping) and isinstance(offered, Mapping):
        return all(name not in offered or _are_same(offered[name], value) for name, value in own.items())
    return _are_same(own, offered)


def scoring_path(properties: Mapping[str, Json]) -> str:
    """Return the path below its endpoint at which a deployment is scored besides `score`; '' when there is none."""
    path = str(properties.get("scoringPath") or "").strip("/")
    return "" if path in ("score", "swagger.json") else path
