"""Lineage: who used, produced, registered and shared what, as edges between ids that clients see.

An edge reads as a sentence: `<source> <relation> <target>`. A job `used` data and components and `produced` and
`registered` assets; an asset was `shared` as another one; a component `used` its environment; a deployment
`deployed` a model. Names are asset ids and the ARM ids of jobs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidReference, InvalidRequest, NotFound
from entrepot.core.ids import AssetPointer, AssetRef, WorkspaceScope, parse_reference
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Link

Json = Any

USED, PRODUCED, REGISTERED, SHARED, DEPLOYED = "used", "produced", "registered", "shared", "deployed"

_SOURCE_IS_LATER = frozenset({USED, DEPLOYED})
"""In these sentences the target was there first: a job comes after the data that it used."""

BOTH = "both"
DIRECTIONS = (BOTH, "upstream", "downstream")
DEPTH, MOST_DEPTH = 10, 100
_MOST_EDGES = 2000
_READS = {"onlineendpoints": "onlineEndpoints/read", "batchendpoints": "batchEndpoints/read"}


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


def told(
    hub: Hub, principal: Principal, name: str, *, depth: int = DEPTH, direction: str = BOTH
) -> tuple[str, tuple[Edge, ...]]:
    """Return (the name as edges spell it, its edges) to a caller. `name`: an id as clients show it.

    Raises InvalidRequest for a direction or depth that cannot be, NotFound for what is not there or may not be seen.
    """
    if direction not in DIRECTIONS:
        raise InvalidRequest(f"direction is {direction!r}: it must be one of {', '.join(DIRECTIONS)}")
    if not 1 <= depth <= MOST_DEPTH:
        raise InvalidRequest(f"depth must be a number of steps from 1 to {MOST_DEPTH}: got {depth}")
    key, spelled = _found(hub, name)
    if key is None or not may_see(hub, principal, spelled):
        raise NotFound(f"There is nothing of the id {name!r}", hint="ids are what show --query id prints")
    return spelled, edges(hub, principal, spelled, depth=depth, direction=direction)


def _found(hub: Hub, name: str) -> tuple[str | None, str]:
    """Return (the key of the document that an id names or None, the id as it was given when that was made)."""
    plain = name.strip().removeprefix("azureml:") if name.strip().lower().startswith("azureml:/sub") else name.strip()
    key = _key_of(plain)
    document = hub.documents.get(key) if key else None
    return (document.key, str(document.body.get("id") or plain)) if document is not None else (None, plain)


def _key_of(name: str) -> str | None:
    try:
        reference = parse_reference(name)
    except InvalidReference:
        reference = None
    if isinstance(reference, AssetPointer) and reference.scope is not None and reference.version:
        return AssetRef(reference.scope, reference.kind, reference.name, reference.version).key
    parts = name.strip("/").split("/")
    if len(parts) in (10, 12) and parts[0].lower() == "subscriptions" and parts[6].lower() == "workspaces":
        kinds = [part.lower() if at % 2 == 0 else part for at, part in enumerate(parts[8:])]
        return "/".join([WorkspaceScope(parts[1], parts[3], parts[7]).key, *kinds])
    return None


def edges(hub: Hub, principal: Principal, name: str, *, depth: int = DEPTH, direction: str = BOTH) -> tuple[Edge, ...]:
    """Return the edges within `depth` steps of an asset or job, nearest first.

    `direction`: `upstream` (what it came from), `downstream` (what came of it) or `both`. What the principal may not
    read is shown as `hidden` and not walked through.
    """
    wanted = ("upstream", "downstream") if direction == BOTH else (direction,)
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
            told = link.body if is_visible else None
            found.setdefault((source, link.relation, target), Edge(source, link.relation, target, told))
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
        action = _READS.get(parts[8].lower() if len(parts) > 8 else "", "jobs/read")
        return WorkspaceScope(parts[1], parts[3], parts[7]).key, f"{PROVIDER}/workspaces/{action}"
    return None, ""


def _hidden(link: Link, far: str) -> tuple[str, str]:
    return ("hidden", link.target) if link.source == far else (link.source, "hidden")
