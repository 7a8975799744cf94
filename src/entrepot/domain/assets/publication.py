"""Publishing drafts: all of them become visible in one commit, or none does.

The commit holds the versions, their containers' latest and next version, the audit entries, the lineage edges, and the
work that follows: a copy to each region, a build. Publishing the same again changes nothing; other content is a
conflict. Many publishers at once end with one version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import CODE, DATA, PROVIDER
from entrepot.domain import access, audit, environments, replication
from entrepot.domain.assets import comparison, reading
from entrepot.domain.assets.code import client_hash
from entrepot.domain.assets.kind import Draft
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.retries import settled
from entrepot.domain.scopes import Home, created_by, home, modified_by
from entrepot.store.documents import Change, Document, Facet, Put

Json = Any


@dataclass(slots=True)
class Shelf:
    """A container's document on its way through one commit. `revision` 0: it is new."""

    ref: AssetRef  # of any version in it
    body: dict[str, Json]
    revision: int
    is_changed: bool = False
    tags: dict[str, Json] | None = None  # of the latest version, when that changes

    @property
    def is_archived(self) -> bool:
        """True when the whole name is archived: new versions are, too."""
        return bool(self.body["properties"]["isArchived"])

    @property
    def next_version(self) -> str:
        """The next free integer version."""
        text: str = self.body["properties"]["nextVersion"]
        return text

    def add(self, version: str) -> None:
        """Take a new version in: it is the latest, and a new highest number moves the next one."""
        properties, ours = self.body["properties"], self.body["entrepot"]
        properties["latestVersion"] = version
        if version.isascii() and version.isdigit() and len(version) <= 18:
            ours["highest"] = max(ours["highest"], int(version))
        properties["nextVersion"] = str(ours["highest"] + 1)
        self.is_changed = True

    def put(self) -> Put:
        """Return the change that writes the container over what was read."""
        facets = None
        if self.tags is not None:
            self.body["entrepot"]["latestTags"] = self.tags
            facets = tag_facets(self.ref.container_key.rpartition("/")[0], self.tags)
        return Put(self.ref.container_key, self.body, match=self.revision, is_archived=self.is_archived, facets=facets)


def publish(
    hub: Hub, principal: Principal, drafts: Sequence[Draft], *, request_id: str = ""
) -> list[tuple[Document, bool]]:
    """Publish drafts together; return for each its document and whether it is new. Raises AlreadyExists."""

    def attempt() -> list[tuple[Document, bool]]:
        return _attempt(hub, principal, drafts, request_id)

    with hub.locks.of_all([draft.ref.container_key for draft in drafts]):
        return settled(attempt)


def _attempt(hub: Hub, principal: Principal, drafts: Sequence[Draft], request_id: str) -> list[tuple[Document, bool]]:
    now = hub.clock.now()
    shelves: dict[str, Shelf] = {}
    changes: list[Change] = []
    results: dict[str, tuple[Document | None, bool]] = {}
    for draft in drafts:
        shelf = _shelf(hub, principal, draft, shelves, now)
        existing = hub.documents.get(draft.ref.key)
        if existing is None:
            changes += _created(hub, principal, draft, shelf, now)
            results[draft.ref.key] = (None, True)
        else:
            changed = _updated(hub, principal, draft, existing, shelf, now)
            changes += changed
            results[draft.ref.key] = (None if changed else existing, False)
        if results[draft.ref.key][0] is None:
            action = access.asset_action(draft.ref.scope.key, draft.ref.kind, "write")
            changes.append(audit.record(principal, action, target=draft.ref.id, now=now, request_id=request_id))
    changes += [shelf.put() for shelf in shelves.values() if shelf.is_changed]
    written = {document.key: document for document in hub.documents.commit(changes)} if changes else {}
    return [(found or written[key], is_created) for key, (found, is_created) in results.items()]


def shelf_of(hub: Hub, principal: Principal, ref: AssetRef, now: float) -> Shelf:
    """Read a container, or begin a new one."""
    document = hub.documents.get(ref.container_key)
    if document is not None:
        return Shelf(ref, document.body, document.revision)
    properties: dict[str, Json] = {
        "description": None,
        "tags": {},
        "properties": {},
        "isArchived": False,
        "latestVersion": None,
        "nextVersion": "1",
        "provisioningState": "Succeeded",
    }
    body = {
        "id": ref.scope.asset_id(ref.kind, ref.name),
        "name": ref.name,
        "type": _type(ref),
        "systemData": created_by(principal, now),
        "properties": properties,
        "entrepot": {"highest": 0},
    }
    return Shelf(ref, body, 0, tags={})


def _shelf(hub: Hub, principal: Principal, draft: Draft, shelves: dict[str, Shelf], now: float) -> Shelf:
    key = draft.ref.container_key
    if key not in shelves:
        shelves[key] = shelf_of(hub, principal, draft.ref, now)
        if draft.ref.kind is DATA:
            shelves[key].body["properties"].setdefault("dataType", draft.properties["dataType"])
    return shelves[key]


def _created(hub: Hub, principal: Principal, draft: Draft, shelf: Shelf, now: float) -> list[Change]:
    ref = draft.ref
    found = home(hub, ref.scope)
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
    states = _first_states(hub, found, draft)
    if states is not None:
        ours["regions"] = states
    body = {
        "id": ref.id,
        "name": ref.version,
        "type": f"{_type(ref)}/versions",
        "systemData": created_by(principal, now),
        "properties": properties,
        "entrepot": ours,
    }
    is_archived = properties["isArchived"]
    shelf.add(ref.version)
    shelf.tags = properties["tags"] or {}
    return [
        Put(ref.key, body, match=0, is_archived=is_archived, facets=_facets(draft, properties)),
        *draft.links,
        *draft.changes,
        *(replication.items(ref.key, states) if states else ()),
        *environments.build_items(hub, ref, body),
    ]


def _first_states(hub: Hub, found: Home, draft: Draft) -> dict[str, str] | None:
    if not found.is_registry:
        return None
    digest = draft.ours.get("snapshot")
    return replication.planned(hub, found, Digest(digest) if digest else None, at=draft.at or found.region)


def _updated(
    hub: Hub, principal: Principal, draft: Draft, existing: Document, shelf: Shelf, now: float
) -> list[Change]:
    body = existing.body
    differing = comparison.differences(body, draft)
    if differing:
        raise comparison.conflict(draft, differing, shelf.next_version)
    return updated(hub, principal, existing, comparison.updates(body["properties"], draft), shelf, now)


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
        _move_latest(hub, existing, shelf, is_archived=is_archived)
    if "tags" in fields and shelf.body["properties"]["latestVersion"] == body["name"]:
        shelf.tags, shelf.is_changed = properties["tags"], True
    ref = reading.ref_of(body)
    facets = _facets(Draft(ref, properties, body["entrepot"]), properties)
    return [Put(existing.key, body, match=existing.revision, is_archived=is_archived, facets=facets)]


def _move_latest(hub: Hub, document: Document, shelf: Shelf, *, is_archived: bool) -> None:
    """Keep `latest` on the newest version that is not archived, when one is archived or restored."""
    collection = document.key.rpartition("/")[0]
    other = reading.newest_in(hub, collection, without=document.key)
    newest = document
    if other is not None:
        is_other_better = is_archived and not other.is_archived
        is_equal = is_archived == other.is_archived
        if is_other_better or (is_equal and other.sequence > document.sequence):
            newest = other
    body = newest.body
    if shelf.body["properties"]["latestVersion"] != body["name"]:
        shelf.body["properties"]["latestVersion"] = body["name"]
        shelf.tags, shelf.is_changed = body["properties"].get("tags") or {}, True


def tag_facets(space: str, tags: dict[str, Json]) -> tuple[Facet, ...]:
    """Return the facets by which tags are found: by name and value, and by name alone."""
    return tuple(
        Facet(space, *reading.tag_facet(name, value)) for name, text in tags.items() for value in (str(text), None)
    )


def _facets(draft: Draft, properties: dict[str, Json]) -> tuple[Facet, ...]:
    ref = draft.ref
    facets = list(tag_facets(ref.collection, properties.get("tags") or {}))
    if draft.ours.get("snapshot"):
        facets.append(Facet(reading.SNAPSHOTS_SPACE, "digest", draft.ours["snapshot"]))
    found = client_hash(properties) if ref.kind is CODE else None
    if found:
        facets.append(Facet(ref.scope.key, "codehash", found))
    return tuple(facets)


def _type(ref: AssetRef) -> str:
    place = "registries" if ref.scope.key.startswith("registries/") else "workspaces"
    return f"{PROVIDER}/{place}/{ref.kind.plural}"
