"""Publishing drafts: all of them become visible in one commit, or none does.

The commit holds the versions, their containers' latest and next version, the audit entries, the lineage edges, and the
work that follows: a copy to each region, a build. Publishing the same again changes nothing, but that a build that
failed is made anew; other content is a conflict. Many publishers at once end with one version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.errors import AlreadyExists
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import CODE, DATA, ENVIRONMENT
from entrepot.domain import access, audit, environments, replication
from entrepot.domain.assets import reading
from entrepot.domain.assets.code import client_hash
from entrepot.domain.assets.kind import Draft
from entrepot.domain.assets.publishing import bindings, comparison
from entrepot.domain.assets.publishing.shelves import Shelf, move_latest, shelf_of, tag_facets, type_of
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import created_by, modified_by
from entrepot.store.documents import Change, Document, Facet, Put

Json = Any


@dataclass(frozen=True, slots=True)
class Order:
    """What one caller wants published, whole."""

    principal: Principal
    drafts: Sequence[Draft]
    request_id: str


Outcome = list[tuple[Document, bool]]
_Found = dict[str, Document | None]


def publish(hub: Hub, principal: Principal, drafts: Sequence[Draft], *, request_id: str = "") -> Outcome:
    """Publish drafts together; return for each its document and whether it is new. Raises AlreadyExists."""
    order = Order(principal, drafts, request_id)
    if len(drafts) > 1:
        (settled_,) = _settle(hub, [order])
        if isinstance(settled_, AlreadyExists):
            raise settled_
        return settled_
    outcome: Outcome = hub.publications.run(drafts[0].ref.container_key, order, lambda orders: publish_all(hub, orders))
    return outcome


def publish_all(hub: Hub, orders: Sequence[Order]) -> list[Outcome | Exception]:
    """Publish orders of one draft each, as many as can be in one commit; each gets its outcome or its error."""
    outcomes: dict[int, Outcome | Exception] = {}
    waiting = list(enumerate(orders))
    while waiting:
        distinct = {order.drafts[0].ref.key: (at, order) for at, order in reversed(waiting)}
        batch = sorted(distinct.values(), key=lambda pair: pair[0])
        outcomes |= _publish_batch(hub, batch)
        waiting = [pair for pair in waiting if pair[0] not in outcomes]
    return [outcomes[at] for at in range(len(orders))]


def _publish_batch(hub: Hub, batch: Sequence[tuple[int, Order]]) -> dict[int, Outcome | Exception]:
    try:
        found = _settle(hub, [order for _, order in batch])
    except Exception as error:
        if len(batch) == 1:
            return {batch[0][0]: error}
        results: dict[int, Outcome | Exception] = {}
        for pair in batch:  # one of them is at fault: the others must not suffer
            results |= _publish_batch(hub, [pair])
        return results
    return {at: outcome for (at, _), outcome in zip(batch, found, strict=True)}


def _settle(hub: Hub, orders: Sequence[Order]) -> list[Outcome | AlreadyExists]:
    """Commit, and when others were faster look at everything afresh."""
    attempts = count()
    return settled(lambda: _commit(hub, orders, trusts_drafts=next(attempts) == 0))


def _commit(hub: Hub, orders: Sequence[Order], *, trusts_drafts: bool) -> list[Outcome | AlreadyExists]:
    now = hub.clock.now()
    shelves: dict[str, Shelf] = {}
    changes: list[Change] = []
    results: list[_Found | AlreadyExists] = []
    for order in orders:
        try:
            results.append(_ordered(hub, order, shelves, changes, now, trusts_drafts=trusts_drafts))
        except AlreadyExists as error:  # raised before anything was added: the other orders need not suffer
            if len(order.drafts) > 1:
                raise
            results.append(error)
    changes += [shelf.put() for shelf in shelves.values() if shelf.is_changed]
    if sum(draft.ref.kind is ENVIRONMENT for order in orders for draft in order.drafts) > 1:
        changes = environments.queued_once(changes)
    written = {document.key: document for document in hub.documents.commit(changes)} if changes else {}
    return [
        found
        if isinstance(found, AlreadyExists)
        else [(written.get(key) or _kept(existing), existing is None) for key, existing in found.items()]
        for found in results
    ]


def _kept(existing: Document | None) -> Document:
    assert existing is not None  # what was not there is written
    return existing


def _ordered(
    hub: Hub, order: Order, shelves: dict[str, Shelf], changes: list[Change], now: float, *, trusts_drafts: bool
) -> _Found:
    """Add what one caller's order changes; return for each draft the document that was there already."""
    found: _Found = {}
    for draft in order.drafts:
        shelf = _shelf(hub, order.principal, draft, shelves, now)
        is_new = trusts_drafts and draft.is_probably_new  # a wrong guess fails the commit, and is made good
        existing = None if is_new else hub.documents.get(draft.ref.key)
        changes += _changes_of(hub, order, draft, existing, shelf, now)
        found[draft.ref.key] = existing
    return found


def _changes_of(
    hub: Hub, order: Order, draft: Draft, existing: Document | None, shelf: Shelf, now: float
) -> list[Change]:
    if existing is None:
        changes = _created(hub, order.principal, draft, shelf, now)
    else:
        changes = _updated(hub, order.principal, draft, existing, shelf, now)
    if changes:
        action = access.asset_action(draft.ref.scope.key, draft.ref.kind, "write")
        target = draft.ref.id
        changes.append(audit.record(order.principal, action, target=target, now=now, request_id=order.request_id))
    return changes


def _shelf(hub: Hub, principal: Principal, draft: Draft, shelves: dict[str, Shelf], now: float) -> Shelf:
    key = draft.ref.container_key
    if key not in shelves:
        shelves[key] = shelf_of(hub, principal, draft.ref, now)
        if draft.ref.kind is DATA:
            shelves[key].body["properties"].setdefault("dataType", draft.properties["dataType"])
    return shelves[key]


def _created(hub: Hub, principal: Principal, draft: Draft, shelf: Shelf, now: float) -> list[Change]:
    ref = draft.ref
    properties = {
        "description": None,
        "tags": {},
        "properties": {},
        "isAnonymous": False,
        **draft.properties,
        "isArchived": bool(draft.properties.get("isArchived")) or shelf.is_archived,
        "provisioningState": "Succeeded",
    }
    ours = dict(draft.ours)
    states = _first_states(hub, draft)
    if states is not None:
        ours["regions"] = states
    body = {
        "id": ref.id,
        "name": ref.version,
        "type": f"{type_of(ref)}/versions",
        "systemData": created_by(principal, now),
        "properties": properties,
        "entrepot": ours,
    }
    is_archived = properties["isArchived"]
    shelf.add(ref.version, is_anonymous=ref.kind is not CODE and properties["isAnonymous"] is True)
    if not _is_behind_active(hub, ref, shelf, is_archived=is_archived):
        shelf.lead_with(ref.version, properties["tags"] or {})
    return [
        Put(ref.key, body, match=0, is_archived=is_archived, facets=_facets(ref, properties, ours)),
        *draft.links,
        *bindings.links(ref, properties),
        *draft.changes,
        *(replication.items(ref.key, states) if states else ()),
        *environments.build_items(hub, ref, body),
    ]


def _is_behind_active(hub: Hub, ref: AssetRef, shelf: Shelf, *, is_archived: bool) -> bool:
    """Say whether a new version is archived while an older one is not: then that one stays the latest."""
    if not is_archived or shelf.is_archived:
        return False
    newest = reading.newest_in(hub, ref.collection)
    return newest is not None and not newest.is_archived


def _first_states(hub: Hub, draft: Draft) -> dict[str, str] | None:
    if not draft.home.is_registry:
        return None
    digest = draft.ours.get("snapshot")
    return replication.planned(hub, draft.home, Digest(digest) if digest else None, at=draft.at or draft.home.region)


def _updated(
    hub: Hub, principal: Principal, draft: Draft, existing: Document, shelf: Shelf, now: float
) -> list[Change]:
    body = existing.body
    differing = comparison.differences(body, draft)
    if differing:
        raise comparison.conflict(draft, differing, shelf.next_version)
    changes = updated(hub, principal, existing, comparison.updates(body["properties"], draft), shelf, now)
    return [*changes, *environments.build_items(hub, draft.ref, body)]


def updated(
    hub: Hub, principal: Principal, existing: Document, fields: dict[str, Json], shelf: Shelf, now: float
) -> list[Change]:
    """Return the changes that set mutable fields of a version, its container's latest version included."""
    if shelf.is_archived and "isArchived" in fields:
        fields = {**fields, "isArchived": True}
    body = existing.body
    properties = body["properties"]
    fields = {name: value for name, value in fields.items() if properties.get(name) != value}
    if not fields:
        return []
    properties |= fields
    body["systemData"] = modified_by(body["systemData"], principal, now)
    is_archived = bool(properties["isArchived"])
    if is_archived != existing.is_archived:
        move_latest(hub, existing, shelf, is_archived=is_archived)
    if "tags" in fields and shelf.body["properties"]["latestVersion"] == body["name"]:
        shelf.lead_with(body["name"], properties["tags"])
    ref = reading.ref_of(body)
    facets = _facets(ref, properties, body["entrepot"])
    put = Put(existing.key, body, match=existing.revision, is_archived=is_archived, facets=facets)
    return [put, *bindings.links(ref, fields)]


def _facets(ref: AssetRef, properties: dict[str, Json], ours: dict[str, Json]) -> tuple[Facet, ...]:
    facets = list(tag_facets(ref.collection, properties.get("tags") or {}))
    if ours.get("snapshot"):
        facets.append(Facet(reading.SNAPSHOTS_SPACE, "digest", ours["snapshot"]))
    found = client_hash(properties) if ref.kind is CODE else None
    if found:
        facets.append(Facet(ref.scope.key, "codehash", found))
    return tuple(facets)
