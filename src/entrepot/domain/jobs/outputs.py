"""What jobs leave behind: folders become snapshots, snapshots appear in datastores, job documents say where.

`azureml/{job}/{output}` in a datastore for named outputs, `ExperimentRun/dcid.{job}` in workspaceartifactstore for
logs, the `./outputs` folder and what MLflow logs.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.errors import AlreadyExists, EntrepotError, NotFound, UserCodeFailed
from entrepot.core.ids import AssetRef, Region, WorkspaceScope
from entrepot.core.manifests import Manifest, is_safe_path
from entrepot.core.nouns import DATA, MODEL, Kind
from entrepot.domain import access, datastores
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import records
from entrepot.domain.jobs.control_flow import collected
from entrepot.domain.jobs.records import Record, submitter
from entrepot.domain.jobs.spec import LITERAL_TYPES, MODEL_TYPES
from entrepot.domain.scopes import home
from entrepot.store import disk, paths, snapshots
from entrepot.store.documents import Change, Link

Json = Any

LOGS = "user_logs"
_LONGEST_VALUE = 1 << 20
DEFAULT_OUTPUTS = "outputs"  # the folder ./outputs of a job's working folder, kept without being declared


def artifacts_entry(hub: Hub, scope: WorkspaceScope, job: str) -> dict[str, Json]:
    """Return where a job's artifacts are, as job documents tell it."""
    container = datastores.container_of(hub, scope, datastores.ARTIFACT_STORE)
    path = datastores.artifact_root(job)
    return {"container": container, "path": path, "uri": datastore_uri(scope, datastores.ARTIFACT_STORE, path)}


def datastore_uri(scope: WorkspaceScope, datastore: str, path: str) -> str:
    """Return the long form of a place in a datastore."""
    return (
        f"azureml://subscriptions/{scope.subscription}/resourcegroups/{scope.resource_group}/workspaces/{scope.name}"
        f"/datastores/{datastore}/paths/{path}"
    )


def ingest(hub: Hub, region: Region, place: Path) -> Manifest:
    """Keep a folder or file in a region's store. It stays where it is, so that a crash can repeat this.

    Where the file system allows, the store gets further names of the files rather than copies.
    """
    blobs = hub.depots.of(region)
    if place.is_symlink():  # what a job put in the place of its folder leads wherever this server may read
        raise UserCodeFailed(f"{place.name} is a symbolic link now: write files into the folder that was there")
    twin = place.with_name(f"{place.name}.twin")
    disk.remove_tree(twin)
    try:
        if place.is_dir() and _linked(place, twin):
            return snapshots.ingest(blobs, twin, adopt=True)
        return snapshots.ingest(blobs, place)
    finally:
        disk.remove_tree(twin)


def keep(hub: Hub, scope: WorkspaceScope, folder: Path) -> Digest:
    """Keep a folder in the workspace's region; return the snapshot's digest."""
    return ingest(hub, home(hub, scope).region, folder).digest


def _linked(place: Path, twin: Path) -> bool:
    """Make a tree of hard links; False when that cannot be: symbolic links need their surroundings, say.

    Nor where a path is refused anyhow: a job can make trees deeper than can be walked.
    """
    try:
        twin.mkdir()
        for folder, folders, files in os.walk(place):
            inner = Path(folder).relative_to(place)
            below = twin / inner
            if inner.parts and not is_safe_path(inner.as_posix()):
                return False
            if any(os.path.islink(os.path.join(folder, name)) for name in (*folders, *files)):  # noqa: PTH114, PTH118
                return False
            for name in folders:
                (below / name).mkdir()
            for name in files:
                os.link(os.path.join(folder, name), below / name)  # noqa: PTH118 - many files
    except OSError:
        return False
    return True


def placed(hub: Hub, record: Record, output: str, place: Json, digest: Digest) -> Sequence[Change]:
    """Return the changes that let a snapshot appear as a job's output, and note it in the job's body.

    `place` is the output's part of the job's order: {"datastore", "path", ...}; with `isFile`, the path is a file's.
    """
    container = datastores.container_of(hub, record.scope, place["datastore"])
    uri = datastore_uri(record.scope, place["datastore"], place["path"])
    entry = {"container": container, "path": place["path"], "snapshot": digest, "uri": uri, "type": place["type"]}
    if place["type"] in LITERAL_TYPES:
        entry["value"] = value_in(hub, record.scope, digest)
    record.ours["outputs"][output] = entry
    produced = Link(
        record.id, "produced", f"azureml://jobs/{record.name}/outputs/{output}", {"role": f"output:{output}"}
    )
    if place.get("isFile"):
        blobs = hub.depots.of(home(hub, record.scope).region)
        for file in snapshots.read(blobs, digest).files[:1]:
            hub.containers.put(container, place["path"], file.digest, file.size_bytes)  # safe to repeat after a crash
        return [produced]
    return [*hub.containers.mounting(container, place["path"], digest), produced]


def value_in(hub: Hub, scope: WorkspaceScope, digest: Digest) -> str:
    """Return the value of a control output, which is what its file says. Raises UserCodeFailed without one."""
    blobs = hub.depots.of(home(hub, scope).region)
    files = snapshots.read(blobs, digest).files
    if len(files) != 1 or files[0].size_bytes > _LONGEST_VALUE:
        raise UserCodeFailed(f"A control output is one file of up to {_LONGEST_VALUE:,} bytes that holds its value")
    with blobs.open(paths.content(files[0].digest)) as file:
        return file.read().decode("utf-8", "replace").strip()


def logged(hub: Hub, record: Record, folder: str, digest: Digest) -> Sequence[Change]:
    """Return the changes that let a snapshot appear below the job's artifacts: its logs, its ./outputs.

    What MLflow logged there already stays, unless a file of the snapshot has its name.
    """
    entry = artifacts_entry(hub, record.scope, record.name)
    record.ours["artifacts"] = entry
    path = f"{entry['path']}/{folder}"
    with suppress(NotFound):
        there = hub.containers.tree(entry["container"], path)
        blobs = hub.depots.of(home(hub, record.scope).region)
        fresh = snapshots.read(blobs, digest)
        kept = [file for file in there.files if fresh.find(file.path) is None]
        digest = snapshots.write(blobs, Manifest((*fresh.files, *kept))) if kept else digest
    return hub.containers.mounting(entry["container"], path, digest)


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the files of an output are: below `prefix` in a container of a region."""

    container: str
    prefix: str
    region: Region


def reading(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, output: str) -> Reading:
    """Return where to download a named output from, or all `artifacts`, or the `logs`. Raises NotFound."""
    access.require_visible(hub, principal, records.READ, scope.key, what=f"Job {name!r} in {scope}")
    record = records.load(hub, scope, name)
    region = home(hub, scope).region
    if entry := record.ours["outputs"].get(output):
        return Reading(entry["container"], entry["path"], region)
    entry = record.ours.get("artifacts") or artifacts_entry(hub, record.scope, record.name)
    if output in ("artifacts", "default"):
        return Reading(entry["container"], entry["path"], region)
    if output == "logs":
        return Reading(entry["container"], f"{entry['path']}/{LOGS}", region)
    known = ", ".join([*sorted(record.ours["outputs"]), "artifacts", "logs"])
    raise NotFound(f"Job {name!r} has no output {output!r} ({record.status}): there are {known}")


def exported(hub: Hub, record: Record, graph: Json) -> list[Change]:
    """Return the changes that make a pipeline's outputs of its nodes' outputs."""
    changes: list[Change] = []
    for name, export in graph["exports"].items():
        places = export.get("places") or [[export["node"], export["output"]]]
        found = {node: _made(hub, record, graph, node, output) for node, output in places}
        made = {node: entry for node, entry in found.items() if entry is not None}
        if graph.get("each"):
            digest = collected.together(hub, record, export["type"], made)
            changes += placed(hub, record, name, export, digest)
        elif made:
            entry = next(iter(made.values()))
            place = {**export, "type": export.get("type") or entry.get("type", "uri_folder")}
            changes += placed(hub, record, name, place, Digest(entry["snapshot"]))
    return changes


def _made(hub: Hub, record: Record, graph: Json, node: str, output: str) -> Json | None:
    """Return what a node's job tells of an output, None when it did not make it."""
    found: Json | None = records.load(hub, record.scope, graph["nodes"][node]["job"]).ours["outputs"].get(output)
    return found


def completed(
    hub: Hub, record: Record, places: Mapping[str, Json], export: Callable[[], Sequence[Change]]
) -> list[Change]:
    """Return the changes that end a parent job well: at once, or by way of Finalizing when outputs become assets.

    `export` gives the changes that make its outputs.
    """
    now = hub.clock.now()
    if record.status != records.FINALIZING:
        changes = list(export())
        if not is_registering(places):
            return [*changes, *records.moved(record, records.COMPLETED, now=now)]
        note_assets(hub, record, places)
        again = records.enqueue(records.PIPELINE_QUEUE, record.scope, record.name)
        return [*changes, *records.moved(record, records.FINALIZING, now=now), again]
    try:
        register(hub, record)
    except EntrepotError as error:
        told = {"code": error.code, "message": error.message}
        return records.moved(record, records.FAILED, now=now, error=told)
    return records.moved(record, records.COMPLETED, now=now)


def is_registering(places: Mapping[str, Json]) -> bool:
    """Say whether one of a job's outputs, given by their places, is to become an asset."""
    return any(place.get("assetName") for place in places.values())


def note_assets(hub: Hub, record: Record, places: Mapping[str, Json]) -> None:
    """Note in a job's body which assets its outputs become: `register` makes the same ones however often it runs."""
    noted = record.ours.setdefault("registers", {})
    for output, place in places.items():
        if not place.get("assetName") or output in noted:
            continue
        ref = AssetRef(record.scope, _kind_of(place), place["assetName"], "")
        version = place.get("assetVersion") or _next_version(hub, ref)
        noted[output] = {
            "type": place["type"], "name": ref.name, "version": version, "isChosen": bool(place.get("assetVersion")),
        }  # fmt: skip
        record.properties["outputs"].get(output, {})["assetVersion"] = version


def register(hub: Hub, record: Record) -> None:
    """Make assets of the outputs that ask for it, in the submitter's name. Safe to repeat."""
    for output, noted in (record.ours.get("registers") or {}).items():
        ref = AssetRef(record.scope, _kind_of(noted), noted["name"], noted["version"])
        fields = ("modelType", "modelUri") if ref.kind is MODEL else ("dataType", "dataUri")
        values = (noted["type"], f"azureml://jobs/{record.name}/outputs/{output}")
        _create(hub, record, ref, dict(zip(fields, values, strict=True)), is_chosen=noted["isChosen"])


def _create(hub: Hub, record: Record, ref: AssetRef, properties: dict[str, Json], *, is_chosen: bool) -> None:
    while True:
        try:
            catalog.create(hub, submitter(hub, record), ref, properties)
        except AlreadyExists:  # another job took the version that was next when this one was done
            if is_chosen:
                raise
            ref = replace(ref, version=_next_version(hub, ref))
        else:
            return


def _kind_of(place: Mapping[str, Json]) -> Kind:
    return MODEL if place["type"] in MODEL_TYPES else DATA


def _next_version(hub: Hub, ref: AssetRef) -> str:
    container = hub.documents.get(ref.container_key)
    return container.body["properties"]["nextVersion"] if container else "1"
