"""What a deployment would change: each resource beside what is there, property by property. Changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

from entrepot.domain.deployments.making import Maker, Unknown
from entrepot.domain.deployments.ordering import is_left_out
from entrepot.domain.deployments.places import NESTED_TYPE
from entrepot.domain.deployments.template import Resource, Template
from entrepot.domain.hub import Principal

Json = Any
Nested = Callable[[str, Json], list[Json]]

_UNCOMPARED = frozenset({"id", "name", "type", "apiVersion", "systemData"})


def changes(template: Template, maker: Maker, principal: Principal, nested: Nested) -> list[Json]:
    """Return ARM's list of changes, in the template's order; `nested` tells those of a deployment within it."""
    found: list[Json] = []
    for resource in template.resources:
        if not resource.is_wanted or resource.is_existing:
            continue
        change = _change(template, maker, principal, resource)
        is_nested = resource.type.lower() == NESTED_TYPE and change["after"] is not None
        found += nested(resource.id, change["after"]) if is_nested else [change]
    return found


def _change(template: Template, maker: Maker, principal: Principal, resource: Resource) -> dict[str, Json]:
    change: dict[str, Json] = {"resourceId": resource.id}
    if is_left_out(resource):
        return {**change, "changeType": "Ignore", "before": None, "after": None}
    before = maker.get(principal, resource.id)
    try:
        body = template.body_of(resource, {})
    except Unknown as unknown:  # it depends on what other resources of the template will tell
        reason = f"it refers to {unknown.id}, which is not there yet"
        kind = "Deploy" if before else "Create"
        return {**change, "changeType": kind, "unsupportedReason": reason, "before": before, "after": None}
    after = {"id": resource.id, "name": resource.name.rpartition("/")[2], "type": resource.type, **body}
    if before is None:
        return {**change, "changeType": "Create", "before": None, "after": after}
    delta = list(_differences(before, body))
    change |= {"changeType": "Modify" if delta else "NoChange", "before": before, "after": after}
    return {**change, "delta": delta} if delta else change


def _differences(before: dict[str, Json], after: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """Yield what the wanted properties would change; what only the server tells stays."""
    known = {name.lower(): value for name, value in before.items()}
    for name, value in after.items():
        if name in _UNCOMPARED or value is None:
            continue
        old = known.get(name.lower())
        if isinstance(old, dict) and isinstance(value, dict):
            children = list(_differences(old, value))
            if children:
                yield {
                    "path": name,
                    "propertyChangeType": "Modify",
                    "before": None,
                    "after": None,
                    "children": children,
                }
        elif old is None and value not in ({}, []):
            yield {"path": name, "propertyChangeType": "Create", "before": None, "after": value}
        elif old is not None and not _is_same(old, value):
            yield {"path": name, "propertyChangeType": "Modify", "before": old, "after": value}


def _is_same(old: Json, new: Json) -> bool:
    """Say whether a wanted value is there already, perhaps with more beside it that the server told."""
    if isinstance(old, dict) and isinstance(new, dict):
        return not list(_differences(old, new))
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_is_same(one, other) for one, other in zip(old, new, strict=True))
    if isinstance(old, str) and isinstance(new, str):
        return old.lower() == new.lower()
    return bool(old == new)
