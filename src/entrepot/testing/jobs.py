"""The document of a job that ended, with an output and artifacts, for tests of what is made from jobs."""

from typing import Any

from entrepot.core.ids import WorkspaceScope
from entrepot.domain import datastores
from entrepot.domain.hub import Hub
from entrepot.domain.scopes import home
from entrepot.store import snapshots
from entrepot.store.documents import Facet, Put

MLMODEL = (
    "flavors:\n  python_function:\n    env: conda.yaml\n    loader_module: mlflow.sklearn\n  sklearn: {code: null}\n"
)
"""The MLmodel file of the model that the job left."""


def ended_job(hub: Hub, scope: WorkspaceScope, name: str, *, parent: str = "", **more: Any) -> None:
    """Write a job with the output `trained` and artifacts, both with an MLflow model at `model`.

    `more` goes into what the server keeps of the job: codeId, environmentId, componentId, inputs, root.
    """
    region = home(hub, scope).region
    folder = hub.settings.home / f"made-{name}"
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "MLmodel").write_text(MLMODEL)
    (folder / "model" / "w.bin").write_text("trained")
    digest = snapshots.ingest(hub.depots.of(region), folder).digest
    artifacts = datastores.container_of(hub, scope, datastores.ARTIFACT_STORE)
    outputs = datastores.container_of(hub, scope, datastores.BLOB_STORE)
    hub.containers.mount(artifacts, f"ExperimentRun/dcid.{name}", digest)
    hub.containers.mount(artifacts, f"ExperimentRun/dcid.{name}/outputs", digest)
    hub.containers.mount(outputs, f"azureml/{name}/trained", digest)
    ours = {
        "outputs": {"trained": {"container": outputs, "path": f"azureml/{name}/trained", "snapshot": digest}},
        "artifacts": {"container": artifacts, "path": f"ExperimentRun/dcid.{name}"},
        "inputs": {},
        **more,
    }
    body = {"id": f"{scope.arm_id}/jobs/{name}", "name": name, "properties": {"status": "Completed"}, "entrepot": ours}
    hub.documents.commit(
        [Put(f"{scope.key}/jobs/{name}", body, facets=(Facet(f"{scope.key}/jobs", "parent", parent),))]
    )
