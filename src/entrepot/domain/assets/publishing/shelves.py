"""Containers of versions: the document that tells a name's latest and next version, kept in step with its versions."""

from dataclasses import dataclass
from typing import Any

from entrepot.core.ids import AssetRef
from entrepot.core.nouns import PROVIDER
from entrepot.domain.assets import reading
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import created_by
from entrepot.store.documents import Document, Facet, Put

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

    def add(self, version: str, *, is_anonymous: bool = False) -> None:
        """Take a new version in: a new highest number moves the next one. Names of nothing but anonymous ones hide."""
        properties, ours = self.body["properties"], self.body["entrepot"]
        if not is_anonymous:
            ours.pop("isAnonymous", None)
        elif not self.revision and properties["latestVersion"] is None:
            ours["isAnonymous"] = True
        if version.isascii() and version.isdigit() and len(version) <= 18:
            ours["highest"] = max(ours["highest"], int(version))
        properties["nextVersion"] = str(ours["highest"] + 1)
        self.is_changed = True

    def lead_with(self, version: str, tags: dict[str, Json]) -> None:
        """Make a version the latest; the name is found by its tags."""
        self.body["properties"]["latestVersion"] = version
        self.is_changed = True
        if not self.revision or self.body["entrepot"].get("latestTags") != tags:
            self.tags = tags

    def put(self) -> Put:
        """Return the change that writes the container over what was read."""
        facets = None
        if self.tags is not None:
            self.body["entrepot"]["latestTags"] = self.tags
            facets = tag_facets(self.ref.container_key.rpartition("/")[0], self.tags)
        return Put(self.ref.container_key, self.body, match=self.revision, is_archived=self.is_archived, facets=facets)


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
        "type": type_of(ref),
        "systemData": created_by(principal, now),
        "properties": properties,
        "entrepot": {"highest": 0},
    }
    return Shelf(ref, body, 0, tags={})


def move_latest(hub: Hub, document: Document, shelf: Shelf, *, is_archived: bool) -> None:
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
        shelf.lead_with(body["name"], body["properties"].get("tags") or {})


def tag_facets(space: str, tags: dict[str, Json]) -> tuple[Facet, ...]:
    """Return the facets by which tags are found: by name and value, and by name alone."""
    return tuple(
        Facet(space, *reading.tag_facet(name, value)) for name, text in tags.items() for value in (str(text), None)
    )


def type_of(ref: AssetRef) -> str:
    """Return ARM's type of a container."""
    place = "registries" if ref.scope.key.startswith("registries/") else "workspaces"
    return f"{PROVIDER}/{place}/{ref.kind.plural}"
