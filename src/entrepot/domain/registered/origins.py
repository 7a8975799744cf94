"""What a version is made of: MLflow's names for what runs logged, as addresses that assets understand."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.core.ids import AssetPointer, WorkspaceScope
from entrepot.core.nouns import MODEL, PROVIDER
from entrepot.domain import access, datastores
from entrepot.domain.assets import sources
from entrepot.domain.assets.catalog import ref_of, resolve
from entrepot.domain.jobs import records
from entrepot.domain.jobs.tracking import logged_models
from entrepot.domain.jobs.tracking.artifacts import artifact_place
from entrepot.domain.registered.desk import Desk
from entrepot.domain.registered.desk import address as address_of
from entrepot.domain.scopes import BLOB_ORIGIN, home

Json = Any

_DESCRIPTION = "MLmodel"
_PROXY = "/mlflow-artifacts/artifacts/"
_FILES = "/registered-models/api/2.0" + _PROXY


@dataclass(frozen=True, slots=True)
class Made:
    """Where the files of a new version are; by which run, and as which logged model of MLflow 3, they were made."""

    address: str
    is_mlflow: bool
    run: str = ""
    model_id: str = ""


def origin_of(desk: Desk, source: str) -> Made:
    """Find what `source` names: runs:/, models:/, mlflow-artifacts:/, azureml://, or an address that we gave out.

    Raises NotFound when nothing lies there, InvalidRequest for places outside this server.
    """
    if source.startswith("models:/"):
        return _of_model(desk, source.removeprefix("models:/").strip("/"))
    if source.startswith("runs:/"):
        head, _, path = source.removeprefix("runs:/").strip("/").partition("/")
        return _of_artifacts(desk, f"{head}/artifacts/{path}")
    if source.startswith("mlflow-artifacts:"):
        return _of_artifacts(desk, unquote(urlsplit(source).path).removeprefix("/api/2.0").removeprefix(_PROXY))
    if _FILES in source:
        return _of_address(desk, source)
    if source.startswith(("azureml:", BLOB_ORIGIN)):
        return _checked(desk, source)
    raise InvalidRequest(
        f"A model version cannot be made of {source!r}: log the model to a run of this server, and register it from "
        "runs:/<run>/<path>",
        target="source",
    )


def _of_address(desk: Desk, source: str) -> Made:
    """Return the origin of what this server calls the source of a version."""
    path = source.partition(_FILES)[2].strip("/")
    name, _, version = path.partition("/")
    if source.rstrip("/") != address_of(desk.scope, desk.ref(name, version)):
        raise InvalidRequest(f"{source} is in another workspace or registry: share the model instead", target="source")
    return _of_model(desk, path)


def _of_model(desk: Desk, path: str) -> Made:
    """Return the origin of `name/version`, or of a logged model's id."""
    name, _, version = path.partition("/")
    if version:
        document = resolve(desk.hub, desk.principal, AssetPointer(MODEL, name, version, scope=desk.scope))
        return _checked(desk, str(ref_of(document.body).id))
    for scope in _places(desk):
        found = desk.hub.documents.get(logged_models.key_of(scope, name))
        if found is not None:
            made = _of_artifacts(desk, found.body["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/"))
            return replace(made, run=str(found.body["info"]["source_run_id"]), model_id=name)
    raise NotFound(f"Logged model with ID '{name}' not found.")


def _of_artifacts(desk: Desk, path: str) -> Made:
    """Return the origin of a path of the artifact proxy, in whichever workspace it is."""
    head, _, rest = path.strip("/").partition("/artifacts")
    for scope in _places(desk):
        container, name = artifact_place(desk.hub, desk.principal, scope, path, is_writing=False)
        address = datastores.uri(scope, datastores.ARTIFACT_STORE, name)
        of_job = f"azureml:/{scope.arm_id}/jobs/{head}/outputs/artifacts/paths{rest}"
        job = desk.hub.documents.get(f"{scope.key}/jobs/{head}") if "/" not in head else None
        if job is not None and job.body["entrepot"].get("artifacts"):
            address = of_job.replace(f"/providers/{PROVIDER}", "")  # so that the version tells its job
        try:
            desk.hub.containers.tree(container, name)
        except NotFound:
            continue
        return replace(_checked(desk, address), run="" if head.startswith("models/") else head)
    raise NotFound(f"There is nothing at mlflow-artifacts:/{path}", target="source")


def _places(desk: Desk) -> list[WorkspaceScope]:
    """Return the workspaces in which runs are looked for: one's own, or for a registry all that one may see."""
    if isinstance(desk.scope, WorkspaceScope):
        return [desk.scope]
    every = sources.all_workspaces(desk.hub)
    return [scope for scope in every if access.allowed(desk.hub, desk.principal, records.READ, scope.key)]


def _checked(desk: Desk, address: str) -> Made:
    found = sources.resolve(desk.hub, desk.principal, address, home=home(desk.hub, desk.scope), kind=MODEL)
    if found is None:
        raise InvalidRequest(f"{address} is outside this server", target="source")
    is_mlflow = not found.is_file and found.manifest.find(_DESCRIPTION) is not None
    return Made(address, is_mlflow)
