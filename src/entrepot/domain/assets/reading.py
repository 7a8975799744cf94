"""Reading assets: by version, label and pointer, in lists. What the caller may not read is not there.

`latest` is the newest created version that is not archived; when all are archived, the newest. Archived assets stay
usable by version, and lists hide them unless asked.
"""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidReference, NotFound
from entrepot.core.ids import DEFAULT_COMPONENT_VERSION, LATEST, AssetPointer, AssetRef, Scope, parse_reference
from entrepot.core.nouns import CODE, Kind
from entrepot.domain import access, workspaces
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import home, home_of
from entrepot.store.documents import Document, Order, Page, View

Json = Any

_ANONYMOUS = ("/azureml_anonymous", "/CliV2AnonymousEnvironment")  # names that clients give to what has none

SNAPSHOTS_SPACE = "snapshots"
"""Facet space in which versions are found by the snapshot of their bytes."""

_DEFAULT_LABELS = (LATEST, "default")


def ref_of(body: Mapping[str, Json]) -> AssetRef:
    """Return the reference of a version from its document's body."""
    pointer = parse_reference(body["id"])
    assert isinstance(pointer, AssetPointer) and pointer.scope is not None and pointer.version is not None
    return AssetRef(pointer.scope, pointer.kind, pointer.name, pointer.version)


def home_scope(document: Document) -> Scope:
    """Return the scope whose document this is."""
    return home_of(document).scope


def may_read(hub: Hub, principal: Principal, ref: AssetRef) -> bool:
    """Say whether the principal may read an asset."""
    action = access.asset_action(ref.scope.key, ref.kind, "read")
    return access.allowed(hub, principal, action, ref.container_key)


def get(hub: Hub, principal: Principal, ref: AssetRef) -> Document:
    """Return a version's document. Raises NotFound."""
    document = hub.documents.get(ref.key) if may_read(hub, principal, ref) else None
    if document is None:
        home(hub, ref.scope)
        raise NotFound(f"There is no {ref}", target=ref.id, hint=_hint(ref))
    return document


def get_container(hub: Hub, principal: Principal, scope: Scope, kind: Kind, name: str) -> Document:
    """Return the document of a name, which tells its latest and next version. Raises NotFound."""
    ref = AssetRef(scope, kind, name, "")
    document = hub.documents.get(ref.container_key) if may_read(hub, principal, ref) else None
    if document is None:
        home(hub, scope)
        raise NotFound(f"There is no {kind.noun} {name!r} in {scope}", hint=_hint(ref))
    return document


def resolve(hub: Hub, principal: Principal, pointer: AssetPointer) -> Document:
    """Return the version that a pointer means now: its version, its label, or the newest. The scope must be filled in.

    Raises NotFound, InvalidReference.
    """
    scope = pointer.scope
    if pointer.workspace_guid:
        scope = workspaces.by_guid(hub, pointer.workspace_guid)
    if scope is None:
        raise InvalidReference(f"{pointer.kind.noun} {pointer.name} stands in no registry or workspace")
    if pointer.version is not None and pointer.version != DEFAULT_COMPONENT_VERSION:
        return get(hub, principal, AssetRef(scope, pointer.kind, pointer.name, pointer.version))
    if pointer.label is not None and (version := _aliased(hub, principal, pointer.within(scope))):
        return get(hub, principal, AssetRef(scope, pointer.kind, pointer.name, version))
    if pointer.label is not None and pointer.label not in _DEFAULT_LABELS:
        raise NotFound(
            f"Asset {pointer.name} with version label {pointer.label} does not exist in {scope}; the label is 'latest'"
        )
    newest = _newest(hub, principal, AssetRef(scope, pointer.kind, pointer.name, ""))
    if newest is None:
        home(hub, scope)
        raise NotFound(f"Asset {pointer.name} does not exist in {scope} ({pointer.kind.noun})")
    return newest


def _aliased(hub: Hub, principal: Principal, pointer: AssetPointer) -> str | None:
    """Return the version for which an alias stands that MLflow's users gave; None for other labels."""
    assert pointer.scope is not None
    ref = AssetRef(pointer.scope, pointer.kind, pointer.name, "")
    container = hub.documents.get(ref.container_key) if may_read(hub, principal, ref) else None
    version: str | None = ((container.body["entrepot"].get("aliases") or {}) if container else {}).get(pointer.label)
    return version


def _newest(hub: Hub, principal: Principal, ref: AssetRef) -> Document | None:
    if not may_read(hub, principal, ref):
        return None
    return newest_in(hub, ref.collection)


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
) -> Page:
    """Return a page of the versions of a name; none when the name is not there, as Azure does.

    `tags` {name: value or None for any} narrows it. Versions of an archived name count as archived.
    """
    ref = AssetRef(scope, kind, name, "")
    home(hub, scope)
    if not may_read(hub, principal, ref):
        return Page(())
    container = hub.documents.get(ref.container_key)
    if container is not None and container.is_archived:
        if view is View.ACTIVE:
            return Page(())
        view = View.ALL
    return _page(hub, ref.collection, view=view, order=order, after=after, limit=limit, tags=tags)


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
    collection = f"{found.key}/{kind.plural}"
    page = _page(hub, collection, view=view, order=order, after=after, limit=limit, tags=tags)
    action = access.asset_action(found.key, kind, "read")
    shown = (found for found in page.documents if not found.key.endswith(_ANONYMOUS))
    if not access.allowed(hub, principal, action, collection):
        shown = (found for found in shown if access.allowed(hub, principal, action, found.key))
    return Page(tuple(shown), page.next)


def codes_with_hash(hub: Hub, principal: Principal, scope: Scope, digest: str) -> Page:
    """Return the code in a scope that a client stored with this hash, under whatever name."""
    home(hub, scope)
    page = hub.documents.find(scope.key, "codehash", digest, limit=5)
    shown = (found for found in page.documents if may_read(hub, principal, ref_of(found.body)))
    return Page(tuple(shown))


def _page(
    hub: Hub,
    collection: str,
    *,
    view: View,
    order: Order,
    after: str | None,
    limit: int,
    tags: Mapping[str, str | None] | None,
) -> Page:
    if not tags:
        return hub.documents.list(collection, view=view, order=order, after=after, limit=limit)
    (name, value), *others = tags.items()
    page = hub.documents.find(collection, *tag_facet(name, value), view=view, after=after, limit=limit)
    if not others:
        return page
    return Page(tuple(found for found in page.documents if _has_tags(found, others)), page.next)


def tag_facet(name: str, value: str | None) -> tuple[str, str]:
    """Return the facet's name and value by which a tag is found: with this value, or with any."""
    return ("tag", name) if value is None else (f"tag:{name}", value)


def _has_tags(document: Document, wanted: list[tuple[str, str | None]]) -> bool:
    body = document.body
    tags: dict[str, Json] = body["entrepot"].get("latestTags", body["properties"].get("tags")) or {}
    return all(name in tags and value in (None, tags[name]) for name, value in wanted)


def _hint(ref: AssetRef) -> str | None:
    if ref.kind is CODE:
        return None
    where = f" --registry-name {ref.scope.name}" if ref.scope.key.startswith("registries/") else ""
    return f"az ml {ref.kind.noun} list{where} shows what there is"
