"""A step's surroundings: its inputs as files, folders for its outputs, its command and its environment variables.

An attempt's folder: `code` (its working folder), `inputs/<name>`, `outputs/<name>`, `launch` (the backend's own).
"""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from entrepot.compute.backend import Mount
from entrepot.core.digests import digest_of
from entrepot.core.errors import EntrepotError, InvalidRequest, NoRoom
from entrepot.core.ids import AssetPointer, JobOutput, Region, WorkspaceScope, check_port_name, parse_reference
from entrepot.core.manifests import Manifest, is_safe_path
from entrepot.core.nouns import DATA, MODEL
from entrepot.domain.assets import sources
from entrepot.domain.assets.stock import Source
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import expressions, outputs, records
from entrepot.domain.jobs.distribution import launching
from entrepot.domain.jobs.parallel import driver
from entrepot.domain.jobs.records import Record, submitter
from entrepot.domain.jobs.spec import LITERAL_TYPES, MODEL_TYPES
from entrepot.domain.jobs.tracking import experiments
from entrepot.domain.scopes import home
from entrepot.store import disk, snapshots
from entrepot.store.documents import Document
from entrepot.store.web.addresses import Allowed
from entrepot.store.web.fetching import Limits, fetching

Json = Any


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """How a job's code reaches this server: a token for the submitter (as the job), and the workspace's MLflow URI.

    `clients` are variables by which Azure's clients find it; IDENTITY_ENDPOINT among them gives tokens to whoever shows
    the job's own. `trust` returns the certificates that they believe, as PEM; b"" leaves that to them.
    """

    token: Callable[[Principal, Json], str]
    tracking_url: Callable[[WorkspaceScope], str]
    clients: Mapping[str, str] = field(default_factory=dict)
    trust: Callable[[], bytes] = bytes


@dataclass(frozen=True, slots=True)
class Input:
    """An input, found. `text` is the value of a literal or of a URI passed on as it is; else there is a manifest."""

    name: str
    type: str
    uri: str = ""
    text: str | None = None
    manifest: Manifest | None = None
    region: Region | None = None
    is_file: bool = False
    asset_id: str | None = None
    base: str = ""  # the name of the file or folder that was uploaded

    @property
    def digest(self) -> str:
        """What the input's content is known by."""
        if self.manifest is not None:
            return self.manifest.digest
        return digest_of((self.text or "").encode())

    def told(self) -> dict[str, Json]:
        """Return what the job's document tells of it: nothing that a literal does not tell itself."""
        found: dict[str, Json] = {"uri": self.uri, "digest": self.digest}
        return found | ({"id": self.asset_id} if self.asset_id else {})


@dataclass(frozen=True, slots=True)
class Layout:
    """An attempt's folder, laid out: what stands for inputs and outputs in the command, and what a launch may see."""

    folder: Path
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    mounts: tuple[Mount, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def working_folder(self) -> Path:
        """Where the command runs: a fresh copy of the code."""
        return self.folder / "code"


def find_inputs(hub: Hub, record: Record) -> dict[str, Input]:
    """Find all inputs of a step; nothing is copied. Raises NotFound, InvalidReference, AccessDenied."""
    return {name: _find(hub, record, name, body) for name, body in record.properties["inputs"].items()}


def lay_out(
    hub: Hub, record: Record, folder: Path, inputs: Mapping[str, Input], code: Document | None, *, copies: bool
) -> Layout:
    """Make an attempt's folder, afresh. `copies`: inputs are copied, since nothing keeps the step from writing to them.

    Raises InvalidRequest for an input that is not what its type says, and NoRoom.
    """
    disk.remove_tree(folder)
    for part in ("code", "inputs", "outputs"):
        (folder / part).mkdir(parents=True)
    source = sources.of_document(hub, code) if code else None
    needed = source.manifest.size_bytes if source else 0
    needed += sum(i.manifest.size_bytes for i in inputs.values() if i.manifest) if copies else 0
    _check_room(hub, folder, needed, record)
    if source:
        snapshots.materialise(hub.depots.of(source.region), source.manifest, folder / "code", writable=True)
    with contextlib.suppress(FileExistsError):
        (folder / "code" / outputs.DEFAULT_OUTPUTS).mkdir()  # as in Azure ML: scripts write to it without making it
    parallel = record.ours["order"].get("parallel") or {}
    values = {}
    for name, given in inputs.items():
        target = folder / "inputs" / check_port_name(name, side="inputs")
        if name == parallel.get("model") and not given.is_file and given.base:
            target /= given.base  # AZUREML_MODEL_DIR holds the folder that was registered, by its name
        values[name] = _place(hub, given, target, copies=copies)
    places = record.ours["order"]["outputs"]
    targets = {name: str(_output(folder, name, place["type"])) for name, place in places.items()}
    mounts: tuple[Mount, ...] = (
        Mount(folder / "inputs"),
        Mount(folder / "outputs", is_writable=True),
        Mount(folder / "code", is_writable=True),
    )
    if record.ours["order"].get("distribution"):
        mounts = (*mounts, Mount(launching.lay_out(folder)))
    if not parallel:
        return Layout(folder, values, targets, mounts)
    files = {name for name, place in places.items() if _is_file(place["type"])}
    variables = driver.lay_out(folder, parallel, inputs=values, outputs=targets, files=files)
    return Layout(folder, values, targets, (*mounts, Mount(folder / driver.FOLDER)), variables)


def trusting(layout: Layout, identity: JobIdentity) -> Layout:
    """Add the certificates that clients in the job have to believe, in a folder that the job may only read."""
    trust = identity.trust()
    if not trust:
        return layout
    file = layout.folder / "trust" / "ca.pem"
    file.parent.mkdir()
    file.write_bytes(trust)
    variables = {**layout.variables, "REQUESTS_CA_BUNDLE": str(file), "SSL_CERT_FILE": str(file)}
    return replace(layout, mounts=(*layout.mounts, Mount(file.parent)), variables=variables)


def argv_of(record: Record, layout: Layout) -> tuple[str, ...]:
    """Return what runs the step's command, with all values put in."""
    command = expressions.render_command(record.properties["command"], _names(record, layout), where=_where(record))
    told = record.ours["order"].get("distribution") or {}
    return launching.argv_of(layout.folder, told, command) if told.get("kind") else ("bash", "-c", command)


def variables_of(hub: Hub, record: Record, layout: Layout, identity: JobIdentity) -> dict[str, str]:
    """Return a job's environment variables: Azure ML's, MLflow's, and over them those of the component and the node."""
    scope, ours = record.scope, record.ours
    experiment = record.properties["experimentName"]
    document = experiments.find_by_name(hub, scope, experiment)
    experiment_id = document.body["experiment_id"] if document else experiments.id_of(scope, experiment)
    url, token = identity.tracking_url(scope), identity.token(submitter(hub, record), record.body)
    found = {
        "AZUREML_RUN_ID": record.name,
        "AZUREML_ROOT_RUN_ID": ours["root"],
        "AZUREML_ARM_SUBSCRIPTION": scope.subscription,
        "AZUREML_ARM_RESOURCEGROUP": scope.resource_group,
        "AZUREML_ARM_WORKSPACE_NAME": scope.name,
        "AZUREML_ARM_PROJECT_NAME": experiment,
        "AZUREML_WORKSPACE_ID": home(hub, scope).guid,
        "AZUREML_EXPERIMENT_NAME": experiment,
        "AZUREML_EXPERIMENT_ID": experiment_id,
        "AZUREML_RUN_TOKEN": token,
        "AZUREML_CR_NODE_COUNT": "1",
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_REGISTRY_URI": url,
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_RUN_ID": record.name,
        "MLFLOW_EXPERIMENT_ID": experiment_id,
        "MLFLOW_EXPERIMENT_NAME": experiment,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if identity.clients:
        found |= {**identity.clients, "IDENTITY_HEADER": token}
    if record.parent:
        found["AZUREML_PARENT_RUN_ID"] = record.parent
    found |= layout.variables
    found |= {f"AZURE_ML_INPUT_{name}": value for name, value in layout.inputs.items()}
    found |= {f"AZURE_ML_OUTPUT_{name}": value for name, value in layout.outputs.items()}
    names = _names(record, layout)
    for name, text in (record.properties.get("environmentVariables") or {}).items():
        where = f"environment variable {name} of {_where(record)}"
        found[name] = expressions.render_command(text, names, where=where) if expressions.has_expression(text) else text
    return found


def _names(record: Record, layout: Layout) -> expressions.Names:
    declared = dict.fromkeys(_expressed(record))
    return expressions.Names({**declared, **layout.inputs}, layout.outputs)


def _expressed(record: Record) -> list[str]:
    """Return the inputs that the command names: those without a value are optional, as was checked at submission."""
    found = expressions.paths(record.properties["command"], where=_where(record))
    return [".".join(path[1:]) for path in found if path[0] == "inputs"]


def _where(record: Record) -> str:
    node = record.ours.get("node")
    return f"the command of node {node}" if node else "the command of the job"


def _find(hub: Hub, record: Record, name: str, body: Json) -> Input:
    kind, uri = body["jobInputType"], body.get("uri")
    if uri is None:
        return Input(name, kind, text=body["value"])
    if body.get("valueType"):
        return Input(name, kind, uri, text=_told(hub, record, uri))
    if str(body.get("mode", "")).lower() == "direct":
        return Input(name, kind, uri, text=uri)
    standing = home(hub, record.scope)
    expected = MODEL if kind in MODEL_TYPES else DATA
    source = sources.resolve(hub, submitter(hub, record), uri, home=standing, kind=expected)
    if source is None:
        manifest = _fetch(hub, standing.region, uri, name=name)
        return Input(name, kind, uri, manifest=manifest, region=standing.region, is_file=True)
    pointer = parse_reference(uri, expected)
    asset_id = uri if isinstance(pointer, AssetPointer) else None
    region = _nearest(hub, source, standing.region)
    return Input(name, kind, uri, None, source.manifest, region, source.is_file, asset_id, source.name)


def _told(hub: Hub, record: Record, uri: str) -> str:
    """Return the value of another job's control output."""
    reference = parse_reference(uri)
    assert isinstance(reference, JobOutput)
    entry = records.load(hub, record.scope, reference.job).ours["outputs"][reference.output]
    return str(entry["value"])


def _nearest(hub: Hub, source: Source, region: Region) -> Region:
    """Return the workspace's own region when it has the bytes: a workspace reads there and nowhere else if it can."""
    if source.asset is None or source.region == region:
        return source.region
    digest = source.asset.body["entrepot"].get("snapshot")
    return region if digest and snapshots.exists(hub.depots.of(region), digest) else source.region


def _place(hub: Hub, given: Input, target: Path, *, copies: bool) -> str:
    """Lay an input out and return what stands for it in the command."""
    if given.manifest is None or given.region is None:
        return given.text or ""
    files = given.manifest.files
    if given.type == "uri_file" and len(files) != 1:
        raise InvalidRequest(
            f"Input {given.name} is a uri_file, but {given.uri} is a folder of {len(files)} files: "
            "give one file, or declare the input as uri_folder"
        )
    snapshots.materialise(hub.depots.of(given.region), given.manifest, target, writable=copies)
    as_file = given.type == "uri_file" or (
        given.is_file and given.type not in ("uri_folder", "mltable", "mlflow_model")
    )
    return str(target / files[0].path) if as_file else str(target)


def _output(folder: Path, name: str, kind: str) -> Path:
    """Return the path that a step writes an output to: of a uri_file, a file in a folder of its own."""
    target = folder / "outputs" / check_port_name(name, side="outputs")
    target.mkdir()
    return target / name if _is_file(kind) else target


def _is_file(kind: str) -> bool:
    return kind == "uri_file" or kind in LITERAL_TYPES


def _check_room(hub: Hub, folder: Path, needed: int, record: Record) -> None:
    free = shutil.disk_usage(folder).free
    if needed and needed > free - min(hub.settings.reserve_bytes, free):
        raise NoRoom(
            f"Job {record.name} needs {needed:,} bytes for its code and inputs, but only {free:,} bytes are free "
            f"on the disk, of which {hub.settings.reserve_bytes:,} are kept in reserve"
        )


def _fetch(hub: Hub, region: Region, url: str, *, name: str) -> Manifest:
    """Read a file from an address that the operator allows. Raises what `fetching` does, with the input's name."""
    settings = hub.settings
    room = max(0, shutil.disk_usage(settings.home).free - settings.reserve_bytes)
    limits = Limits(min(settings.fetch_limit_bytes, room), settings.fetch_timeout_s)
    base = urlsplit(url).path.rpartition("/")[2]
    try:
        with (
            TemporaryDirectory(dir=settings.home) as scratch,
            fetching(url, Allowed.of(settings.fetch_addresses), limits) as pieces,
        ):
            file = Path(scratch) / (base if is_safe_path(base) else "file")
            with file.open("xb") as out:
                out.writelines(pieces)
            return outputs.ingest(hub, region, file)
    except EntrepotError as error:
        raise type(error)(f"Input {name}: {error.message}", hint=error.hint) from error
