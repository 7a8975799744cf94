"""Lineage: who used, produced, registered and shared what, as edges between ids that clients see.

An edge reads as a sentence: `<source> <relation> <target>`. A job `used` data and components and `produced` and
`registered` assets; an asset was `shared` as another one; a component `used` its environment; a deployment
`deployed` a model. Names are asset ids and the ARM ids of jobs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidReference
from entrepot.core.ids import AssetPointer, AssetRef, WorkspaceScope, parse_reference
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Link

Json = Any

USED, PRODUCED, REGISTERED, SHARED, DEPLOYED = "used", "produced", "registered", "shared", "deployed"

_SOURCE_IS_LATER = frozenset({USED, DEPLOYED})
"""In these sentences the target was there first: a job comes after the data that it used."""

_MOST_EDGES = 2000


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of a lineage graph. An end that the asker may not see reads `hidden`."""

    source: str
    relation: str
    target: str
    body: Json = None


def used(user: str, thing: str, body: Json = None) -> Link:
    """Return the edge: a job or component used an asset."""
    return Link(user, USED, thing, body)


def produced(job: str, thing: str, body: Json = None) -> Link:
    """Return the edge: a job produced an asset."""
    return Link(job, PRODUCED, thing, body)


def registered(job: str, asset: str, body: Json = None) -> Link:
    """Return the edge: an asset was registered from a job's output."""
    return Link(job, REGISTERED, asset, body)


def shared(source: str, copy: str, body: Json = None) -> Link:
    """Return the edge: an asset was shared as another one."""
    return Link(source, SHARED, copy, body)


def deployed(server: str, thing: str) -> Link:
    """Return the edge: an endpoint deployed a deployment, or a deployment a model."""
    return Link(server, DEPLOYED, thing)


def edges(hub: Hub, principal: Principal, name: str, *, depth: int = 10, direction: str = "both") -> tuple[Edge, ...]:
    """Return the edges within `depth` steps of an asset or job, nearest first.

    `direction`: `upstream` (what it came from), `downstream` (what came of it) or `both`. What the principal may not
    read is shown as `hidden` and not walked through.
    """
    wanted = ("upstream", "downstream") if direction == "both" else (direction,)
    found: dict[tuple[str, str, str], Edge] = {}
    for way in wanted:
        _walk(hub, principal, name, way, depth, found)
    return tuple(found.values())


def _walk(
    hub: Hub, principal: Principal, name: str, way: str, depth: int, found: dict[tuple[str, str, str], Edge]
) -> None:
    seen, frontier = {name}, [name]
    for _ in range(depth):
        reached: list[str] = []
        for link, far in _steps(hub, frontier, way):
            if len(found) >= _MOST_EDGES:
                return
            is_visible = far in seen or may_see(hub, principal, far)
            source, target = (link.source, link.target) if is_visible else _hidden(link, far)
            found.setdefault((source, link.relation, target), Edge(source, link.relation, target, link.body))
            if is_visible and far not in seen:
                seen.add(far)
                reached.append(far)
        frontier = reached


def _steps(hub: Hub, frontier: Iterable[str], way: str) -> Iterable[tuple[Link, str]]:
    for name in frontier:
        for link in hub.documents.links(name):
            if (link.relation in _SOURCE_IS_LATER) == (way == "upstream"):
                yield link, link.target
        for link in hub.documents.links(name, reverse=True):
            if (link.relation in _SOURCE_IS_LATER) == (way == "downstream"):
                yield link, link.source


def may_see(hub: Hub, principal: Principal, name: str) -> bool:
    """Say whether the principal may read what an id names; names without a scope say nothing and may be seen."""
    scope_key, action = _place_of(name)
    return scope_key is None or access.allowed(hub, principal, action, scope_key)


def _place_of(name: str) -> tuple[str | None, str]:
    try:
        reference = parse_reference(name)
    except InvalidReference:
        reference = None
    if isinstance(reference, AssetPointer) and reference.scope is not None:
        ref = AssetRef(reference.scope, reference.kind, reference.name, reference.version or "")
        return ref.key if ref.version else ref.container_key, access.asset_action(
            reference.scope.key, reference.kind, "read"
        )
    parts = name.strip("/").split("/")
    if len(parts) > 7 and parts[0].lower() == "subscriptions" and parts[6].lower() == "workspaces":
        return WorkspaceScope(parts[1], parts[3], parts[7]).key, f"{PROVIDER}/workspaces/jobs/read"
    return None, ""


def _hidden(link: Link, far: str) -> tuple[str, str]:
    return ("hidden", link.target) if link.source == far else (link.source, "hidden")
