"""Where MLflow's artifacts are: names under `mlflow-artifacts:/` stand for places in workspaceartifactstore."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import WorkspaceScope
from entrepot.core.manifests import is_safe_path
from entrepot.domain import access, audit, datastores
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import records
from entrepot.domain.jobs.tracking import runs
from entrepot.domain.jobs.tracking.session import Session, run_id
from entrepot.store.containers import Containers
from entrepot.store.documents import Change

Json = Any

_WORD = "artifacts"


def artifact_place(
    hub: Hub, principal: Principal, scope: WorkspaceScope, path: str, *, is_writing: bool
) -> tuple[str, str]:
    """Return the container and the blob name (or folder) of a path of MLflow's artifact proxy.

    `{run}/artifacts/{path}` lies with the run's job, `models/{model}/artifacts/{path}` with a model without a run.
    Raises InvalidRequest for other paths, NotFound for unknown runs, AccessDenied.
    """
    access.require(hub, principal, records.WRITE if is_writing else records.READ, scope.key)
    path = path.strip("/")
    if not is_safe_path(path):
        raise InvalidRequest(f"Invalid artifact path {path!r}")
    container = datastores.container_of(hub, scope, datastores.ARTIFACT_STORE)
    head, *rest = path.split("/")
    if head in ("models", "experiments") and rest:
        return container, f"MLflow/{path}"
    if not rest or rest[0] != _WORD:
        raise InvalidRequest(f"Invalid artifact path {path!r}: it must begin with <run>/artifacts")
    if is_writing:
        runs.load(Session(hub, principal, scope), head)
    return container, "/".join([datastores.artifact_root(head), *rest[1:]])


def recorded(hub: Hub, principal: Principal, scope: WorkspaceScope, *, request_id: str) -> Containers:
    """Return the containers, in which each artifact is written together with its entry of the audit trail."""

    def entry(container: str, name: str) -> list[Change]:
        details = {"blob": f"{container}/{name}"}
        return [
            audit.record(
                principal, records.WRITE, target=scope.arm_id, now=hub.clock.now(), request_id=request_id,
                details=details,
            )
        ]  # fmt: skip

    return hub.containers.recorded(entry)


def listed(session: Session, body: Mapping[str, Json]) -> Json:
    """artifacts/list: one level of a run's artifacts; paths begin at the run's root."""
    name = run_id(body)
    runs.load(session, name)
    path = str(body.get("path") or "").strip("/")
    if path and not is_safe_path(path):
        raise InvalidRequest(f"Invalid path: {path}")
    container = datastores.container_of(session.hub, session.scope, datastores.ARTIFACT_STORE)
    root = datastores.artifact_root(name) + "/"
    base = root + (f"{path}/" if path else "")
    files: list[Json] = []
    marker: str | None = None
    while True:
        page = session.hub.containers.list(container, base, "/", marker)
        files += [{"path": p.removeprefix(root).rstrip("/"), "is_dir": True} for p in page.prefixes]
        files += [
            {"path": item.name.removeprefix(root), "is_dir": False, "file_size": item.size_bytes} for item in page.items
        ]
        marker = page.next
        if marker is None:
            break
    files.sort(key=lambda entry: str(entry["path"]))
    return {"root_uri": f"mlflow-artifacts:/{name}/artifacts", "files": files}
