"""Reading assets: by version, label and pointer, in lists. What the caller may not read is not there.

`latest` is the newest created version that is not archived; when all are archived, the newest. Archived assets stay
usable by version, and lists hide them unless asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from entrepot.core.errors import InvalidReference, NotFound
from entrepot.core.ids import (
    DEFAULT_COMPONENT_VERSION,
    LATEST,
    AssetPointer,
    AssetRef,
    RegistryScope,
    Scope,
    parse_reference,
)
from entrepot.core.nouns import CODE, ENVIRONMENT, Kind
from entrepot.domain import access, workspaces
from entrepot.domain.access import Coverage
from entrepot.domain.authorization import sight
from entrepot.domain.authorization.visible import filled, readable
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import home, home_of
from entrepot.store.documents import Document, Order, Page, View

Json = Any

_ANONYMOUS_MARK = b'"isAnonymous":true'  # bodies of lists are not decoded; in no text can this stand
_ANONYMOUS = ("/azureml_anonymous", "/CliV2AnonymousEnvironment")  # names that clients give to what has none

SNAPSHOTS_SPACE = "snapshots"
"""Facet space in which versions are found by the snapshot of their bytes."""

_GALLERY = RegistryScope(access.PUBLIC_REGISTRY)
_CURATED = "AzureML-"
_DEFAULT_LABELS = (LATEST, "default")
_MOST_ALIKE = 5


def ref_of(body: Mapping[str, Json]) -> AssetRef:
    """Return the reference of a version from its document's body."""
    pointer = parse_reference(body["id"])
    assert isinstance(pointer, AssetPointer) and pointer.scope is not None and pointer.version is not None
    return AssetRef(pointer.scope, pointer.kind, pointer.name, pointer.version)


def home_scope(document: Document) -> Scope:
    """Return the scope whose document this is."""
    return home_of(document).scope


def may_read(hub: Hub, principal: Principal, ref: AssetRef) -> bool:
    """Say whether the principal may read a version, or without a version anything of a name."""
    action = access.asset_action(ref.scope.key, ref.kind, "read")
    if ref.version:
        return access.allowed(hub, principal, action, ref.key)
    return _coverage(hub, principal, ref) is not Coverage.NONE


def get(hub: Hub, principal: Principal, ref: AssetRef) -> Document:
    """Return a version's document. Raises NotFound."""
    if _is_curated(hub, ref):
        return resolve(hub, principal, AssetPointer(ref.kind, ref.name, scope=_GALLERY))  # versions of Azure's are none
    document = _seen(hub, principal, ref, ref.key)
    if document is None:
        _require_home(hub, principal, ref)
        raise NotFound(f"There is no {ref}", target=ref.id, hint=_hint(ref))
    return document


def get_container(hub: Hub, principal: Principal, scope: Scope, kind: Kind, name: str) -> Document:
    """Return the document of a name, which tells its latest and next version. Raises NotFound."""
    ref = AssetRef(scope, kind, name, "")
    if _is_curated(hub, ref):
        scope = _GALLERY
        ref = AssetRef(scope, kind, name, "")
    document = _seen(hub, principal, ref, ref.container_key)
    if document is None:
        _require_home(hub, principal, ref)
        raise NotFound(f"There is no {kind.noun} {name!r} in {scope}", hint=_hint(ref))
    return _narrowed(hub, principal, ref, document)


def _is_curated(hub: Hub, ref: AssetRef) -> bool:
    """Say whether a workspace's environment is one of the gallery's: as in Azure, those have a name of their own."""
    return (
        ref.kind is ENVIRONMENT
        and ref.name.startswith(_CURATED)
        and ref.scope != _GALLERY
        and hub.documents.get(ref.container_key) is None
    )


def _seen(hub: Hub, principal: Principal, ref: AssetRef, key: str) -> Document | None:
    """Return a document that the principal may read; asking for another is noted."""
    if may_read(hub, principal, ref):
        return hub.documents.get(key)
    access.sightless(hub, principal, access.asset_action(ref.scope.key, ref.kind, "read"), ref.id)
    return None


def _require_home(hub: Hub, principal: Principal, ref: AssetRef) -> None:
    """Raise NotFound when there is no such registry or workspace, or the principal sees nothing of it."""
    sight.require(hub, principal, ref.scope, access.asset_action(ref.scope.key, ref.kind, "read"))
    home(hub, ref.scope)


def _coverage(hub: Hub, principal: Principal, ref: AssetRef) -> Coverage:
    action = access.asset_action(ref.scope.key, ref.kind, "read")
    return access.coverage(hub, principal, action, ref.container_key)


def _narrowed(hub: Hub, principal: Principal, ref: AssetRef, document: Document) -> Document:
    """Return a name's document without what it tells of versions that the principal may not read."""
    if _coverage(hub, principal, ref) is Coverage.ALL:
        return document
    body = document.body
    newest = _newest(hub, principal, ref)
    shown = newest.body if newest else {"name": None, "properties": {}}
    body["properties"] |= {"latestVersion": shown["name"], "nextVersion": None}
    ours = body["entrepot"]
    if "latestTags" in ours:
        ours["latestTags"] = shown["properties"].get("tags") or {}
    ours["aliases"] = {
        alias: version
        for alias, version in (ours.get("aliases") or {}).items()
        if may_read(hub, principal, AssetRef(ref.scope, ref.kind, ref.name, version))
    }
    return replace(document, raw=msgspec.json.encode(body))


def resolve(hub: Hub, principal: Principal, pointer: AssetPointer) -> Document:
    """Return the version that a pointer means now: its version, its label, or the newest. The scope must be filled in.

    Raises NotFound, InvalidReference.
    """
    scope = pointer.scope
    if pointer.workspace_guid:
        scope = workspaces.by_guid(hub, pointer.workspace_guid)
        if not sight.sees(hub, principal, scope, access.asset_action(scope.key, pointer.kind, "read")):
            raise workspaces.no_such_id(pointer.workspace_guid)
    if scope is None:
        raise InvalidReference(f"{pointer.kind.noun} {pointer.name} stands in no registry or workspace")
    if _is_curated(hub, AssetRef(scope, pointer.kind, pointer.name, "")):
        scope, pointer = _GALLERY, replace(pointer, version=None)
    if pointer.version is not None and pointer.version != DEFAULT_COMPONENT_VERSION:
        return get(hub, principal, AssetRef(scope, pointer.kind, pointer.name, pointer.version))
    if pointer.label is not None and (version := _aliased(hub, principal, pointer.within(scope))):
        return get(hub, principal, AssetRef(scope, pointer.kind, pointer.name, version))
    if pointer.label is not None and pointer.label not in _DEFAULT_LABELS:
        raise NotFound(
            f"Asset {pointer.name} with version label {pointer.label} does not exist in {scope}; the label is 'latest'"
        )
    ref = AssetRef(scope, pointer.kind, pointer.name, "")
    newest = _newest(hub, principal, ref)
    if newest is None:
        _require_home(hub, principal, ref)
        raise NotFound(f"Asset {pointer.name} does not exist in {scope} ({pointer.kind.noun})", hint=_hint(ref))
    return newest


def _aliased(hub: Hub, principal: Principal, pointer: AssetPointer) -> str | None:
    """Return the version for which an alias stands that MLflow's users gave; None for other labels."""
    assert pointer.scope is not None
    ref = AssetRef(pointer.scope, pointer.kind, pointer.name, "")
    container = hub.documents.get(ref.container_key) if may_read(hub, principal, ref) else None
    version: str | None = ((container.body["entrepot"].get("aliases") or {}) if container else {}).get(pointer.label)
    return version


def _newest(hub: Hub, principal: Principal, ref: AssetRef) -> Document | None:
    """Return the newest version that the principal may read, the active ones first."""
    if _coverage(hub, principal, ref) is Coverage.ALL:
        return newest_in(hub, ref.collection)
    for view in (View.ACTIVE, View.ARCHIVED):
        page = versions(hub, principal, ref.scope, ref.kind, ref.name, view=view, limit=1)
        if page.documents:
            return page.documents[0]
    return None


def newest_in(hub: Hub, collection: str, *, without: str = "") -> Document | None:
    """Return the newest version of a collection, the active ones first; `without` is a key to leave out."""
    for view in (View.ACTIVE, View.ARCHIVED):
        for document in hub.documents.list(collection, view=view, limit=2).documents:
            if document.key != without:
                return document
    return None


def versions(
    hub: Hub,
    principal: Principal,
    scope: Scope,
    kind: Kind,
    name: str,
    *,
    view: View = View.ACTIVE,
    order: Order = Order.NEWEST,
    after: str | None = None,
    limit: int = 100,
    tags: Mapping[str, str | None] | None = None,
    stage: str | None = None,
) -> Page:
    """Return a page of the versions of a name; none when the name is not there, as Azure does.

    `tags` {name: value or None for any} and a model's `stage` narrow it. Versions of an archived name are archived too.
    """
    home(hub, scope)
    if _is_curated(hub, AssetRef(scope, kind, name, "")):
        scope = _GALLERY
    ref = AssetRef(scope, kind, name, "")
    container = hub.documents.get(ref.container_key)
    if container is not None and container.is_archived:
        if view is View.ACTIVE:
            return Page(())
        view = View.ALL
    asked = _Asked(ref.collection, view, order, tags or {}, stage)
    action = access.asset_action(scope.key, kind, "read")
    return asked.page(hub, principal, action, after=after, limit=limit)


def containers(
    hub: Hub,
    principal: Principal,
    scope: Scope,
    kind: Kind,
    *,
    view: View = View.ACTIVE,
    order: Order = Order.NEWEST,
    after: str | None = None,
    limit: int = 100,
    tags: Mapping[str, str | None] | None = None,
) -> Page:
    """Return a page of the names of a kind that the principal may read; `tags` are the latest version's."""
    found = home(hub, scope)
    action = access.asset_action(found.key, kind, "read")
    asked = _Asked(f"{found.key}/{kind.plural}", view, order, tags or {})
    page = asked.page(hub, principal, action, after=after, limit=limit)
    shown = tuple(document for document in page.documents if not _is_anonymous(document))
    if access.coverage(hub, principal, action, asked.collection) is Coverage.ALL:
        return Page(shown, page.next)
    names = [(AssetRef(scope, kind, document.key.rpartition("/")[2], ""), document) for document in shown]
    return Page(tuple(_narrowed(hub, principal, ref, document) for ref, document in names), page.next)


def _is_anonymous(container: Document) -> bool:
    """Say whether a name is one that a client made up, such as that of a deployment's own model."""
    return container.key.endswith(_ANONYMOUS) or _ANONYMOUS_MARK in container.raw


def codes_with_hash(hub: Hub, principal: Principal, scope: Scope, digest: str) -> Page:
    """Return the code in a scope that a client stored with this hash, under whatever name."""
    home(hub, scope)

    def fetch(after: str | None, limit: int) -> Page:
        return hub.documents.find(scope.key, "codehash", digest, after=after, limit=limit)

    page = filled(fetch, lambda found: may_read(hub, principal, ref_of(found.body)), after=None, limit=_MOST_ALIKE)
    return Page(page.documents)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which documents of a collection a list is about. `tags`: {name: value or None for any}."""

    collection: str
    view: View
    order: Order
    tags: Mapping[str, str | None]
    stage: str | None = None

    def page(self, hub: Hub, principal: Principal, action: str, *, after: str | None, limit: int) -> Page:
        """Return a full page of those that the principal may read."""
        (first, *others) = self.tags.items() or [None]

        def fetch(after: str | None, limit: int) -> Page:
            if first is None:
                return hub.documents.list(self.collection, view=self.view, order=self.order, after=after, limit=limit)
            return hub.documents.find(self.collection, *tag_facet(*first), view=self.view, after=after, limit=limit)

        if not others and not self.stage and access.coverage(hub, principal, action, self.collection) is Coverage.ALL:
            return fetch(after, limit)
        return readable(
            hub, principal, action, self.collection, fetch, view=self.view,
            order=self.order if first is None else Order.NEWEST, after=after, limit=limit,
            admits=self._admits,
        )  # fmt: skip

    def _admits(self, document: Document) -> bool:
        if self.stage and document.body["properties"].get("stage") != self.stage:
            return False
        return _has_tags(document, self.tags)


def tag_facet(name: str, value: str | None) -> tuple[str, str]:
    """Return the facet's name and value by which a tag is found: with this value, or with any."""
    return ("tag", name) if value is None else (f"tag:{name}", value)


def _has_tags(document: Document, wanted: Mapping[str, str | None]) -> bool:
    if not wanted:
        return True
    body = document.body
    tags: dict[str, Json] = body["entrepot"].get("latestTags", body["properties"].get("tags")) or {}
    return all(name in tags and value in (None, tags[name]) for name, value in wanted.items())


def _hint(ref: AssetRef) -> str | None:
    if ref.kind is CODE:
        return None
    where = f" --registry-name {ref.scope.name}" if ref.scope.key.startswith("registries/") else ""
    return f"az ml {ref.kind.noun} list{where} shows what there is"
