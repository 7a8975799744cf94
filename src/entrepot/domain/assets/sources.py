"""Where an asset's bytes come from: every address that a client may give, resolved to a manifest in a region's store.

Containers of this server, datastores, job outputs, MLflow run artifacts, other assets. Outside addresses are not
fetched. A caller gets only bytes that it may read where they are.
"""

from dataclasses import replace
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.errors import InvalidReference, InvalidRequest, NotFound
from entrepot.core.ids import (
    AssetPointer,
    AssetRef,
    DatastorePath,
    JobOutput,
    Reference,
    Region,
    RunArtifact,
    Scope,
    WebAddress,
    WorkspaceScope,
    parse_reference,
)
from entrepot.core.nouns import PROVIDER, Kind
from entrepot.domain import access, datastores, workspaces
from entrepot.domain.assets import awaited, reading
from entrepot.domain.assets.stock import Origin, Source, located, region_with
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import BLOB_ORIGIN, Home, home, workspace_of_id
from entrepot.store import snapshots
from entrepot.store.containers import snapshot_of_container
from entrepot.store.documents import Document, View

Json = Any

JOBS_READ = f"{PROVIDER}/workspaces/jobs/read"
DATASTORES_READ = f"{PROVIDER}/workspaces/datastores/read"
ARTIFACTS = "artifacts"
_UNCHANGING = (0, 0)
_REMEMBERED_FILES = 64
_PAGE = 1000
_DEFAULT_OUTPUTS = "outputs"  # the folder ./outputs of a job, which lies within its artifacts


def resolve(hub: Hub, principal: Principal, text: str, *, home: Home, kind: Kind) -> Source | None:
    """Resolve an address as it stands in a body; None for an address outside this server.

    Raises NotFound for what is not there (or may not be seen), InvalidReference for what is no address.
    """
    if text.startswith(BLOB_ORIGIN + "/"):
        return _in_container(hub, principal, text, home)
    standing = home.scope if isinstance(home.scope, WorkspaceScope) else None
    reference = _placed(hub, parse_reference(text, kind), standing)
    if isinstance(reference, DatastorePath):
        return _in_datastore(hub, principal, reference, text, reference.scope or standing)
    if isinstance(reference, JobOutput):
        return _of_job(hub, principal, reference, text, reference.scope or standing)
    if isinstance(reference, RunArtifact):
        return _of_job(hub, principal, JobOutput(reference.run, ARTIFACTS, reference.path), text, standing)
    if isinstance(reference, AssetPointer):
        return _of_asset(hub, principal, reference, home.scope)
    if isinstance(reference, WebAddress):
        return None
    raise InvalidReference(
        f"{text!r} is a local path or no address at all: the client must upload it first, or give azureml://...",
        target="path",
    )


def promised(hub: Hub, principal: Principal, text: str, *, home: Home, kind: Kind) -> dict[str, Json] | None:
    """Return the place where bytes may come to lie later, when an address names one: a path in a datastore.

    Only workspaces wait for bytes, as Azure's do. Raises NotFound when there is no such datastore.
    """
    if not isinstance(home.scope, WorkspaceScope) or "://" not in text or text.startswith(BLOB_ORIGIN):
        return None
    reference = _placed(hub, parse_reference(text, kind), home.scope)
    if not isinstance(reference, DatastorePath):
        return None
    scope = reference.scope or home.scope
    access.require_visible(hub, principal, DATASTORES_READ, scope.key, what=f"The {scope}")
    container = datastores.container_of(hub, scope, reference.datastore)
    return {"container": container, "path": reference.path.strip("/"), "address": text}


def of_document(hub: Hub, document: Document) -> Source:
    """Return the bytes of an asset version that the caller may read; those that it waited for are kept from now on.

    Raises InvalidRequest when it has none here, NotFound while they have not come.
    """
    document = awaited.settled(hub, document)
    body = document.body
    ours = body["entrepot"]
    if not ours.get("snapshot"):
        raise InvalidRequest(f"{body['id']} has no bytes on this server")
    digest = Digest(ours["snapshot"])
    region = region_with(hub, digest, (*ours.get("regions", {}),))
    whole = snapshots.read(hub.depots.of(region), digest)
    name = ours["path"]
    is_file = bool(name) and whole.find(name) is not None
    return Source(whole.subtree(name), name, is_file, region, "", "", asset=document)


def find_job(
    hub: Hub, principal: Principal, name: str, scope: WorkspaceScope | None
) -> tuple[WorkspaceScope, Document]:
    """Return a job, or a run of MLflow, that the principal may read; without a scope, one of any workspace.

    Raises NotFound, and InvalidReference when several workspaces have a job of this name.
    """
    places = [scope] if scope is not None else all_workspaces(hub)
    found = [
        (place, document)
        for place in places
        if "/" not in name
        and (document := hub.documents.get(f"{place.key}/jobs/{name}") or hub.documents.get(f"{place.key}/runs/{name}"))
        and access.allowed(hub, principal, JOBS_READ, place.key)
    ]
    if not found:
        raise NotFound(
            f"There is no job {name!r}" + (f" in {scope}" if scope else " in any workspace that you may see")
        )
    if len(found) > 1:
        names = ", ".join(sorted(place.name for place, _ in found))
        raise InvalidReference(
            f"The workspaces {names} all have a job {name!r}: write azureml://subscriptions/<subscription>/"
            f"resourcegroups/<group>/workspaces/<workspace>/jobs/{name}/outputs/<output>"
        )
    return found[0]


def all_workspaces(hub: Hub) -> list[WorkspaceScope]:
    """Return all workspaces of the tenant, whoever may see them."""
    found: list[WorkspaceScope] = []
    after: str | None = None
    while True:
        page = hub.documents.scan(f"{workspaces.IDS}/", after=after, limit=_PAGE)
        found += [workspace_of_id(document.body["id"]) for document in page.documents]
        if (after := page.next) is None:
            return found


def _placed(hub: Hub, reference: Reference | None, scope: WorkspaceScope | None) -> Reference | None:
    """Return the place in a datastore that an address of Azure's storage names, other references as they are."""
    if not isinstance(reference, WebAddress) or scope is None:
        return reference
    return datastores.named_by(hub, scope, reference.url) or reference


def _in_container(hub: Hub, principal: Principal, text: str, home_: Home) -> Source:
    container, _, path = text[len(BLOB_ORIGIN) + 1 :].partition("/")
    path = path.strip("/")
    digest = snapshot_of_container(container)
    if digest is not None:
        _require_snapshot(hub, principal, digest, text)
        return _in_snapshot(hub, digest, container, path, region_with(hub, digest, home_.regions), text)
    info = hub.containers.describe(container)
    if info is None or info.region is None or not _may_read_of(hub, principal, info.owner):
        raise NotFound(f"There is no container {container!r}, to which {text} points", target="path")
    return located(hub, container, path, info.region, text)


def _in_snapshot(hub: Hub, digest: Digest, container: str, path: str, region: Region, text: str) -> Source:
    """Return a part of a snapshot; small ones are remembered, since neither can change."""
    key = f"{container}/{path}"
    known: Source | None = hub.memory.recall(key, _UNCHANGING)
    if known is None:
        known = located(hub, container, path, region, text)
        if known.tree.digest == digest:
            known = replace(known, snapshot=digest)
        if len(known.manifest.files) <= _REMEMBERED_FILES:
            hub.memory.remember(key, _UNCHANGING, known)
    return known if known.region == region else replace(known, region=region)


def _may_read_of(hub: Hub, principal: Principal, owner: str) -> bool:
    is_registry = owner.startswith("registries/")
    action = f"{PROVIDER}/registries/assets/read" if is_registry else DATASTORES_READ
    return access.allowed(hub, principal, action, owner)


def _require_snapshot(hub: Hub, principal: Principal, digest: Digest, text: str) -> None:
    """Knowing a digest is no right to its bytes: an asset that has them must be readable."""
    holder: AssetRef | None = hub.memory.recall(f"holder:{digest}", _UNCHANGING)
    if holder is not None and reading.may_read(hub, principal, holder):
        return
    after: str | None = None
    limit = 1  # the newest is nearly always one that the caller may read
    while True:
        page = hub.documents.find(reading.SNAPSHOTS_SPACE, "digest", digest, view=View.ALL, after=after, limit=limit)
        limit = 100
        for document in page.documents:
            ref = reading.ref_of(document.body)
            if reading.may_read(hub, principal, ref):
                hub.memory.remember(f"holder:{digest}", _UNCHANGING, ref)
                return
        if (after := page.next) is None:
            raise NotFound(f"There is nothing at {text}", target="path")


def _in_datastore(
    hub: Hub, principal: Principal, reference: DatastorePath, text: str, scope: WorkspaceScope | None
) -> Source:
    if scope is None:
        raise InvalidReference(
            f"{text} does not say which workspace: write azureml://subscriptions/<subscription>/resourcegroups/<group>/"
            f"workspaces/<workspace>/datastores/{reference.datastore}/paths/{reference.path}",
            target="path",
        )
    found = home(hub, scope)
    access.require_visible(
        hub, principal, DATASTORES_READ, scope.key, what=f"Datastore {reference.datastore!r} in {scope}"
    )
    container = datastores.container_of(hub, scope, reference.datastore)
    return located(hub, container, reference.path.strip("/"), found.region, text)


def _of_job(hub: Hub, principal: Principal, reference: JobOutput, text: str, scope: WorkspaceScope | None) -> Source:
    place, document = find_job(hub, principal, reference.job, scope)
    place = home(hub, place).scope if scope is None else place  # type: ignore[assignment]
    body = document.body
    if "entrepot" not in body:
        body = _as_job(hub, place, reference.job, body)
    ours = body["entrepot"]
    outputs: dict[str, Json] = ours.get("outputs") or {}
    is_artifact = reference.output in (ARTIFACTS, "default") and reference.output not in outputs
    entry = ours.get("artifacts") if is_artifact else outputs.get(reference.output)
    if not entry or not entry.get("container"):
        known = ", ".join([*outputs, ARTIFACTS])
        raise NotFound(
            f"Job {reference.job} has no output {reference.output!r} (its outputs are {known}; "
            f"its status is {body['properties'].get('status')})",
            target="path",
        )
    region = home(hub, place).region
    tries = (
        [reference.path, f"{_DEFAULT_OUTPUTS}/{reference.path}"] if is_artifact and reference.path else [reference.path]
    )
    for attempt in tries:
        path = "/".join(part for part in (entry["path"].strip("/"), attempt.strip("/")) if part)
        try:
            found = located(hub, entry["container"], path, region, text)
        except NotFound:
            continue
        origin = Origin(place, reference.job, reference.output, body)
        return Source(found.manifest, found.name, found.is_file, region, found.container, path, job=origin)
    raise NotFound(
        f"There is nothing at {text}: job {reference.job} (status {body['properties'].get('status')}) "
        f"has no file or folder {reference.path or '.'} in its output {reference.output!r}",
        target="path",
    )


def _as_job(hub: Hub, place: WorkspaceScope, run: str, body: Json) -> dict[str, Json]:
    """Return a run that no job made as a job whose artifacts are what it logged."""
    container = datastores.container_of(hub, place, datastores.ARTIFACT_STORE)
    artifacts = {"container": container, "path": datastores.artifact_root(run)}
    return {"properties": {"status": body["info"]["status"]}, "entrepot": {ARTIFACTS: artifacts}}


def _of_asset(hub: Hub, principal: Principal, pointer: AssetPointer, standing: Scope) -> Source:
    return of_document(hub, reading.resolve(hub, principal, pointer.within(standing)))
