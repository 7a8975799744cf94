"""What a replica needs on disk before it can start: its environment, the host beside it, its model, its code.

Below `<home>/replicas/<digest of the deployment>`: `models/<snapshot>` shared by all its replicas and never written
to, `<replica>/code` a fresh copy for each start, `<replica>/launch-<n>` the backend's own, `<replica>/log.txt`.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import entrepot
from entrepot.compute.backend import ComputeBackend, EnvironmentSpec, Launch, Layer, Mount, Prepared
from entrepot.core.digests import Digest, digest_of
from entrepot.core.errors import BuildFailed, NotFound
from entrepot.core.ids import AssetPointer, AssetRef, parse_reference
from entrepot.core.manifests import Manifest
from entrepot.domain import environments
from entrepot.domain.assets.stock import region_with
from entrepot.domain.endpoints.replicas import collected, mlflow_environments
from entrepot.domain.endpoints.replicas.recipes import Recipe
from entrepot.domain.hub import Hub
from entrepot.store import disk, snapshots

Json = Any
Log = Callable[[str], None]

_HOST = Path(entrepot.__file__).parent / "runtime" / "serving"
_PACKAGE = "entrepot_serving"
_BOOT = f"import sys; sys.path.append(sys.argv[1]); from {_PACKAGE}.program import main; main()"
_MODELS = "azureml-models"


@dataclass(frozen=True, slots=True)
class Kit:
    """All that is shared by the replicas of one recipe."""

    prepared: Prepared
    layer: Path
    model_root: Path | None  # AZUREML_MODEL_DIR
    model: Path | None  # the model's own file or folder in there


def deployment_folder(hub: Hub, deployment_key: str) -> Path:
    """Return where a deployment's replicas have their files."""
    return hub.settings.home / "replicas" / digest_of(deployment_key.encode())[:32]


def prepare(hub: Hub, backend: ComputeBackend, recipe: Recipe, folder: Path, *, log: Log) -> Kit:
    """Build or find all that a recipe's replicas share. Raises BuildFailed, NotFound, NoRoom."""
    root, model = _place_model(hub, backend, recipe, folder)
    prepared = _environment(hub, backend, recipe, log=log)
    layer = backend.lay_beside(prepared, host_layer(), log=log)
    return Kit(prepared, layer, root, model)


def host_layer() -> Layer:
    """Return the replica host as what can be laid beside an environment."""
    return Layer(_PACKAGE, (_HOST / "requirements.txt").read_text(), _HOST)


def launch_of(
    hub: Hub, recipe: Recipe, kit: Kit, *, id: str, title: str, secret: str, folder: Path, attempt: int
) -> Launch:
    """Return the launch of a replica, its code laid out afresh."""
    code = folder / "code"
    disk.remove_tree(code)
    code.mkdir(parents=True)
    given = recipe.resolved.get("code")
    if given:
        manifest, store = _found(hub, given)
        snapshots.materialise(store, manifest.subtree(given.get("path") or ""), code, writable=True)
    order: dict[str, Json] = {
        "script": str(code / recipe.script) if recipe.script else None,
        "model": str(kit.model) if kit.model and not recipe.script else None,
        "code": str(code), "workers": recipe.workers, "threads": recipe.threads, "title": title,
        "grace_s": recipe.request_timeout_s, "server": recipe.server,
    }  # fmt: skip
    mounts = [Mount(code, is_writable=True), *([Mount(kit.model_root)] if kit.model_root else ())]
    collect = recipe.resolved.get("collect")
    if collect:
        place = collected.folder_of(folder)
        place.mkdir(exist_ok=True)
        collected.remember(collect, folder)
        order["collect"] = collected.order_of(collect, place, flush_s=hub.settings.collection_flush_s)
        mounts.append(Mount(place, is_writable=True))
    variables = {"AML_APP_ROOT": str(code), "MLFLOW_DISABLE_TELEMETRY": "true"}
    variables |= {"AZUREML_ENTRY_SCRIPT": recipe.script} if recipe.script else {}
    variables |= {"AZUREML_MODEL_DIR": str(kit.model_root)} if kit.model_root else {}
    variables |= recipe.variables
    variables |= {"ENTREPOT_SERVING": json.dumps(order), "ENTREPOT_REPLICA_KEY": secret}
    return Launch(
        id=f"{id}-{attempt}", argv=("python", "-c", _BOOT, str(kit.layer)), folder=folder / f"launch-{attempt}",
        log=folder / "log.txt", cwd=code, environment=variables, prepared=kit.prepared, mounts=tuple(mounts),
        limits=recipe.limits, layer=kit.layer, listens=True,
    )  # fmt: skip


def _place_model(hub: Hub, backend: ComputeBackend, recipe: Recipe, folder: Path) -> tuple[Path | None, Path | None]:
    """Lay the model out under its own name, as AZUREML_MODEL_DIR documents it, once for all replicas."""
    given = recipe.resolved.get("model")
    if not given:
        return None, None
    manifest, store = _found(hub, given)
    path = given.get("path") or ""
    name = path.rstrip("/").rpartition("/")[2]
    part = manifest.subtree(path)
    is_file = bool(path) and manifest.find(path) is not None
    root = folder / "models" / part.digest[:32] / _MODELS / str(given["name"]) / str(given["version"])
    model = root / name if name else root
    done = root.parent.parent.parent / f".{given['name']}-{given['version']}.ok"
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        whole = part if is_file else part.prefixed(name)
        snapshots.materialise(store, whole, root, writable=not backend.protects_mounts())
        done.touch()
    return root, model


def _environment(hub: Hub, backend: ComputeBackend, recipe: Recipe, *, log: Log) -> Prepared:
    given = recipe.resolved.get("environment")
    if isinstance(given, str):
        document = hub.documents.get(_ref(given).key)
        if document is None:
            raise NotFound(f"{given} was deleted after the deployment was made")
        return environments.ready(hub, document, log=log, backend=backend.name)
    if isinstance(given, dict) and given.get("conda"):
        return backend.prepare(EnvironmentSpec(conda=given["conda"]), log=log)
    model = recipe.resolved.get("model")
    if not model:
        raise BuildFailed("The deployment has no environment: give it one")
    manifest, store = _found(hub, model)
    conda = mlflow_environments.conda_of(store, manifest.subtree(model.get("path") or ""))
    return backend.prepare(EnvironmentSpec(conda=conda), log=log)


def _found(hub: Hub, given: Json) -> tuple[Manifest, Any]:
    digest = Digest(given["snapshot"])
    store = hub.depots.of(region_with(hub, digest))
    return snapshots.read(store, digest), store


def _ref(asset_id: str) -> AssetRef:
    pointer = parse_reference(asset_id)
    assert isinstance(pointer, AssetPointer) and pointer.scope is not None and pointer.version is not None
    return AssetRef(pointer.scope, pointer.kind, pointer.name, pointer.version)
