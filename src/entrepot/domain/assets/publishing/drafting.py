"""From a client's properties to a draft: checked, bytes found and kept, references pinned, provenance told."""

from dataclasses import replace
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import COMPONENT, DATA, DEPLOYMENT_TEMPLATE, ENVIRONMENT, MODEL
from entrepot.domain import datastores, lineage
from entrepot.domain.assets import provenance, references, sources
from entrepot.domain.assets.environment import build_digest
from entrepot.domain.assets.kind import Content, Draft, Properties, Rules, address_in, with_address
from entrepot.domain.assets.kinds import rules_of
from entrepot.domain.assets.publishing import bindings
from entrepot.domain.assets.stock import Source, keep
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import BLOB_ORIGIN, Home
from entrepot.store import paths
from entrepot.store.containers import snapshot_container
from entrepot.store.documents import Change, Document, Link

Json = Any


def draft(
    hub: Hub, principal: Principal, ref: AssetRef, properties: Json, *, home: Home, existing: Document | None
) -> Draft:
    """Make a draft of what a client sent. `existing` is the version that is there already: its address stays good.

    Raises InvalidRequest, InvalidReference and NotFound, in words about the field.
    """
    rules = rules_of(ref.kind)
    kept: Properties = {name: value for name, value in properties.items() if value is not None}
    rules.normalise(ref, kept)
    address = address_in(kept, rules.address) if rules.address else ""
    found = Draft(ref, home, kept, {}, is_probably_new=existing is None)
    if address:
        found = _with_bytes(hub, principal, found, rules, address, home=home, existing=existing)
    elif rules.needs_bytes:
        field = ".".join(rules.address)
        raise InvalidRequest(f"{ref} has no path: properties.{field} is missing", target=field)
    if ref.kind is COMPONENT:
        return _with_references(hub, principal, found)
    if ref.kind in (MODEL, DEPLOYMENT_TEMPLATE):
        bindings.bind(hub, principal, ref, kept, existing.body["properties"] if existing else {})
    if ref.kind is ENVIRONMENT:
        found.ours["build"] = {"digest": build_digest(kept, found.ours)}
    return found


def snapshot_address(digest: str, name: str) -> str:
    """Return the address of a snapshot's file or folder in its implicit container."""
    return f"{BLOB_ORIGIN}/{snapshot_container(Digest(digest))}/{name}"


def _with_bytes(
    hub: Hub,
    principal: Principal,
    found: Draft,
    rules: Rules,
    address: str,
    *,
    home: Home,
    existing: Document | None,
) -> Draft:
    if existing is not None:
        body = existing.body
        if address_in(body["properties"], rules.address).rstrip("/") == address.rstrip("/"):
            return _with_old_bytes(found, body)
    try:
        source = sources.resolve(hub, principal, address, home=home, kind=found.ref.kind)
    except NotFound:
        place = sources.promised(hub, principal, address, home=home, kind=found.ref.kind) if rules.may_be_late else None
        if place is None:
            raise
        return replace(found, ours={"awaits": place})
    if source is None:
        return _outside(found, rules, address)
    if not source.manifest.files:
        raise InvalidRequest(f"There are no files at {address}", target=".".join(rules.address))
    store = hub.depots.of(source.region)

    def read(digest: Digest) -> bytes:
        with store.open(paths.content(digest)) as file:
            return file.read()

    rules.inspect(found.ref, found.properties, Content(source.manifest, source.name, source.is_file, read))
    digest = keep(hub, source, home)
    new_address, changes = _address(hub, found.ref, source, digest, address, home)
    with_address(found.properties, rules.address, new_address)
    ours: dict[str, Json] = {"snapshot": digest, "path": source.name}
    told, links = _provenance(hub, principal, found, source)
    if told:
        ours["provenance"] = told
    return replace(found, ours=ours, links=links, changes=changes, at=home.region)


def _with_old_bytes(found: Draft, body: Json) -> Draft:
    copied = ("snapshot", "path", "provenance", "awaits")
    ours = {name: body["entrepot"][name] for name in copied if name in body["entrepot"]}
    if "flavors" in body["properties"]:
        found.properties["flavors"] = body["properties"]["flavors"]
    return replace(found, ours=ours)


def _outside(found: Draft, rules: Rules, address: str) -> Draft:
    field = ".".join(rules.address)
    if isinstance(found.ref.scope, RegistryScope):
        raise InvalidRequest(
            f"{field} is {address}, which is outside this server: a registry keeps its own copy of the bytes. "
            "Download it and give the local path",
            target=field,
        )
    if not rules.may_be_outside:
        raise InvalidRequest(
            f"{field} is {address}, which is outside this server: only data assets may point there. "
            "Download it and give the local path",
            target=field,
        )
    return found


def _address(
    hub: Hub, ref: AssetRef, source: Source, digest: Digest, given: str, home: Home
) -> tuple[str, tuple[Change, ...]]:
    """Return the address that clients see, with the changes that make it good.

    A registry has its own storage. In a workspace, clients download models and data from datastores only.
    """
    slash = "/" if given.endswith("/") else ""
    scope = home.scope
    if source.snapshot is not None and home.is_registry:
        return given, ()
    if not isinstance(scope, WorkspaceScope) or ref.kind not in (MODEL, DATA):
        return snapshot_address(digest, source.name) + slash, ()
    if source.container and source.job is None and not given.startswith(BLOB_ORIGIN + "/"):
        return given, ()
    if source.job is not None and source.job.scope.key == scope.key:
        datastore = datastores.name_of_container(hub, scope, source.container)
        if datastore is not None:
            return datastores.uri(scope, datastore, source.path), ()
    container = datastores.container_of(hub, scope, datastores.BLOB_STORE)
    folder = f"LocalUpload/{digest}/{source.name or ref.name}"  # beside what clients upload, which lasts too
    changes = tuple(hub.containers.mounting(container, folder, digest))
    return datastores.uri(scope, datastores.BLOB_STORE, f"{folder}/{source.name}".rstrip("/")), changes


def _provenance(hub: Hub, principal: Principal, found: Draft, source: Source) -> tuple[Json, tuple[Link, ...]]:
    if source.job is not None:
        told = provenance.of_job(hub, principal, source.job)
        if found.ref.kind is MODEL:
            found.properties["jobName"] = told["jobName"]
        return told, provenance.links(found.ref.id, told)
    if source.asset is not None:
        told = provenance.of_asset(hub, principal, source.asset)
        return told, (lineage.shared(source.asset.body["id"], found.ref.id),)
    return None, ()


def _with_references(hub: Hub, principal: Principal, found: Draft) -> Draft:
    spec = found.properties["componentSpec"]
    pinned = references.pins(hub, principal, found.ref.scope, spec)
    if not pinned:
        return found
    found.properties["componentSpec"] = references.rewritten(spec, pinned, references.spelled)
    return replace(found, ours=component_ours(pinned), links=used_links(found.ref, pinned))


def component_ours(pinned: list[references.Pin]) -> dict[str, Json]:
    """Return what a component's document tells of its references: the snapshots of its code, by code id."""
    bodies = [pin.document.body for pin in pinned]
    codes = {body["id"]: body["entrepot"]["snapshot"] for body in bodies if "/codes/" in body["id"]}
    return {"codes": codes} if codes else {}


def used_links(ref: AssetRef, pinned: list[references.Pin]) -> tuple[Link, ...]:
    """Return the edges from a component to all that it references."""
    ids = dict.fromkeys(pin.document.body["id"] for pin in pinned)
    return tuple(lineage.used(ref.id, asset_id) for asset_id in ids)
