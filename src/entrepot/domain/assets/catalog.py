"""The catalogue of assets: create, read, change, archive and delete versions and containers, in both scopes.

Reading is in `reading.py`, making drafts in `drafting.py`, the commit in `publication.py`; this module is the door.
"""

from collections.abc import Sequence
from typing import Any

from entrepot.core.errors import InvalidRequest, StateConflict
from entrepot.core.ids import (
    DEFAULT_COMPONENT_VERSION,
    LATEST,
    AssetPointer,
    AssetRef,
    Scope,
    check_asset_name,
    check_new_version,
)
from entrepot.core.nouns import CODE, ENVIRONMENT, Kind
from entrepot.domain import access, audit, environments, lineage
from entrepot.domain.assets import reading
from entrepot.domain.assets.kind import MUTABLE
from entrepot.domain.assets.kinds import rules_of
from entrepot.domain.assets.publishing import bindings
from entrepot.domain.assets.publishing.drafting import draft
from entrepot.domain.assets.publishing.publication import Order, publish, publish_all, updated
from entrepot.domain.assets.publishing.shelves import shelf_of
from entrepot.domain.assets.reading import (
    codes_with_hash,
    containers,
    get_container,
    ref_of,
    versions,
)
from entrepot.domain.authorization.assignments import ungiven
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import modified_by, writable_home
from entrepot.store.documents import Change, Delete, Document, Put, View

Json = Any

__all__ = [
    "codes_with_hash",
    "containers",
    "create",
    "create_all",
    "delete",
    "get",
    "get_container",
    "prepare",
    "ref_of",
    "resolve",
    "update",
    "update_container",
    "versions",
]

_CONTAINER_FIELDS = ("description", "tags", "properties")
_ARCHIVE_BATCH = 500
_USED_SHOWN = 3


def create(
    hub: Hub,
    principal: Principal,
    ref: AssetRef,
    properties: Json,
    *,
    request_id: str = "",
) -> tuple[Document, bool]:
    """Create a version from ARM `properties` (addresses neutral); tell whether it is new.

    The same content again is the same version: only description, tags, stage and archival may change by it. Other
    content raises AlreadyExists that names what differs.
    """
    order = prepare(hub, principal, ref, properties, request_id=request_id)
    document, is_created = publish(hub, principal, order.drafts, request_id=request_id)[0]
    return _shown(hub, ref.kind, document), is_created


def prepare(hub: Hub, principal: Principal, ref: AssetRef, properties: Json, *, request_id: str = "") -> Order:
    """Check what is to be created, and who creates it; find its bytes. Nothing shows before `create_all`."""
    if not isinstance(properties, dict):
        raise InvalidRequest("properties must be an object", target="properties")
    _check(ref)
    home = writable_home(hub, ref.scope)
    ref = AssetRef(home.scope, ref.kind, ref.name, ref.version)  # the scope as it was spelled when it was made
    action = access.asset_action(home.key, ref.kind, "write")
    access.require(hub, principal, action, ref.key, target=ref.id, request_id=request_id)
    existing = hub.documents.get(ref.key)
    made = draft(hub, principal, ref, properties, home=home, existing=existing)
    return Order(principal, [made], request_id)


def create_all(hub: Hub, orders: Sequence[Order]) -> list[tuple[Document, bool] | Exception]:
    """Create what was prepared, by many callers, in one commit; each gets the result or the error of `create`."""
    results: list[tuple[Document, bool] | Exception] = []
    for order, outcome in zip(orders, publish_all(hub, orders), strict=True):
        if isinstance(outcome, Exception):
            results.append(outcome)
            continue
        document, is_created = outcome[0]
        results.append((_shown(hub, order.drafts[0].ref.kind, document), is_created))
    return results


def get(hub: Hub, principal: Principal, ref: AssetRef) -> Document:
    """Return a version's document; an environment's tells the state of its build. Raises NotFound."""
    return _shown(hub, ref.kind, reading.get(hub, principal, ref))


def resolve(hub: Hub, principal: Principal, pointer: AssetPointer) -> Document:
    """Return the version that a pointer means now. Raises NotFound, InvalidReference."""
    return _shown(hub, pointer.kind, reading.resolve(hub, principal, pointer))


def update(hub: Hub, principal: Principal, ref: AssetRef, properties: Json, *, request_id: str = "") -> Document:
    """Change what may change of a version (PATCH): description, tags, stage, archival. Raises NotFound."""
    fixed = sorted(set(properties) - MUTABLE)
    if fixed:
        raise InvalidRequest(f"{fixed[0]} of a version never changes; create a new version", target=fixed[0])
    document = reading.get(hub, principal, ref)
    ref = reading.ref_of(document.body)
    action = access.asset_action(ref.scope.key, ref.kind, "write")
    access.require(hub, principal, action, ref.key, target=ref.id, request_id=request_id)
    given = {name: value for name, value in properties.items() if value is not None}
    bindings.bind(hub, principal, ref, given, document.body["properties"])

    def attempt() -> Document:
        now = hub.clock.now()
        found = reading.get(hub, principal, ref)
        shelf = shelf_of(hub, principal, ref, now)
        fields = given | rules_of(ref.kind).restated(found.body["properties"], {}, given)
        changes = updated(hub, principal, found, fields, shelf, now)
        if not changes:
            return found
        if shelf.is_changed:
            changes.append(shelf.put())
        record = audit.record(principal, action, target=ref.id, now=now, request_id=request_id)
        return hub.documents.commit([*changes, record])[0]

    with hub.locks.of(ref.container_key):
        return _shown(hub, ref.kind, settled(attempt))


def update_container(
    hub: Hub, principal: Principal, scope: Scope, kind: Kind, name: str, properties: Json, *, request_id: str = ""
) -> Document:
    """Create or change a name: description, tags, and `isArchived`, which goes for all its versions."""
    home = writable_home(hub, scope)
    ref = AssetRef(home.scope, kind, check_asset_name(kind, name), "")
    action = access.asset_action(home.key, kind, "write")
    access.require(hub, principal, action, ref.container_key, request_id=request_id)

    def attempt() -> Document:
        now = hub.clock.now()
        shelf = shelf_of(hub, principal, ref, now)
        stored = shelf.body["properties"]
        stored |= {f: properties[f] for f in _CONTAINER_FIELDS if properties.get(f) is not None}
        changes: list[Change] = []
        archived = properties.get("isArchived")
        if archived is not None and bool(archived) != shelf.is_archived:
            stored["isArchived"] = bool(archived)
            changes = _archived(hub, ref, is_archived=bool(archived))
            newest = hub.documents.list(ref.collection, view=View.ALL, limit=1).documents
            stored["latestVersion"] = newest[0].body["name"] if newest else None  # none is hidden behind another now
        shelf.body["systemData"] = modified_by(shelf.body["systemData"], principal, now)
        record = audit.record(principal, action, target=shelf.body["id"], now=now, request_id=request_id)
        return hub.documents.commit([shelf.put(), *changes, record])[0]

    with hub.locks.of(ref.container_key):
        document = settled(attempt)
        if properties.get("isArchived") is not None:
            _archive_rest(hub, ref, is_archived=bool(properties["isArchived"]))
    return document


def delete(hub: Hub, principal: Principal, ref: AssetRef, *, request_id: str = "") -> None:
    """Delete a version that nothing uses; with the last one goes the name. Raises NotFound, StateConflict."""
    document = reading.get(hub, principal, ref)
    ref = reading.ref_of(document.body)
    action = access.asset_action(ref.scope.key, ref.kind, "delete")
    access.require(hub, principal, action, ref.key, target=ref.id, request_id=request_id)
    servers = [link.source for link in hub.documents.links(ref.id, reverse=True, relation=lineage.DEPLOYED)]
    if servers:
        raise StateConflict(
            f"{ref} is served by {_few(servers)}: delete those deployments first, or archive it", target=ref.id
        )
    users = [link.source for link in hub.documents.links(ref.id, reverse=True, relation=lineage.USED)]
    if users:
        raise StateConflict(f"{ref} is used by {_few(users)}: archive it instead", target=ref.id)

    def attempt() -> None:
        now = hub.clock.now()
        found = hub.documents.get(ref.key)
        if found is None:
            return
        shelf = shelf_of(hub, principal, ref, now)
        other = reading.newest_in(hub, ref.collection, without=ref.key)
        changes: list[Change] = [Delete(ref.key, match=found.revision), *ungiven(hub, ref.key)]
        if other is None:
            changes += [Delete(ref.container_key), *ungiven(hub, ref.container_key)]
        else:
            newest = other.body
            shelf.lead_with(newest["name"], newest["properties"].get("tags") or {})
            changes.append(shelf.put())
        hub.documents.commit([*changes, audit.record(principal, action, target=ref.id, now=now, request_id=request_id)])
        hub.grants.notice()

    with hub.locks.of(ref.container_key):
        settled(attempt)


def _few(users: Sequence[str]) -> str:
    return ", ".join(users[:_USED_SHOWN]) + (" and others" if len(users) > _USED_SHOWN else "")


def _shown(hub: Hub, kind: Kind, document: Document) -> Document:
    return environments.with_build(hub, document) if kind is ENVIRONMENT else document


def _check(ref: AssetRef) -> None:
    check_asset_name(ref.kind, ref.name)
    check_new_version(ref.version)
    if ref.version.lower() in (DEFAULT_COMPONENT_VERSION, LATEST) and ref.kind is not CODE:
        raise InvalidRequest(
            f"{ref.version!r} is kept for the newest version: choose another version", target="version"
        )


def _archived(hub: Hub, ref: AssetRef, *, is_archived: bool) -> list[Change]:
    """Return the changes that archive or restore a name's versions, the first batch of them."""
    view = View.ACTIVE if is_archived else View.ARCHIVED
    changes: list[Change] = []
    for document in hub.documents.list(ref.collection, view=view, limit=_ARCHIVE_BATCH).documents:
        body = document.body
        body["properties"]["isArchived"] = is_archived
        changes.append(Put(document.key, body, match=document.revision, is_archived=is_archived, facets=None))
    return changes


def _archive_rest(hub: Hub, ref: AssetRef, *, is_archived: bool) -> None:
    """Archive or restore what the first batch left; a name with that many versions takes several commits."""

    def batch() -> bool:
        changes = _archived(hub, ref, is_archived=is_archived)
        if changes:
            hub.documents.commit(changes)
        return len(changes) == _ARCHIVE_BATCH

    while settled(batch):
        pass
