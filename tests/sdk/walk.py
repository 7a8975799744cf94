"""What a user of azure-ai-ml does in a day, from a workspace to a pipeline of shared components; ends with `walked`.

Runs in an environment with azure-ai-ml, against whatever the environment variables point it at.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from azure.ai.ml import Input, MLClient, Output, command, dsl, load_component  # noqa: E402
from azure.ai.ml.entities import (  # noqa: E402
    Data,
    Environment,
    Model,
    Registry,
    RegistryRegionDetails,
    Workspace,
)
from azure.core.exceptions import ResourceNotFoundError  # noqa: E402
from azure.identity import DefaultAzureCredential  # noqa: E402

SUBSCRIPTION, GROUP, WORKSPACE, REGISTRY = "11111111-2222-3333-4444-555555555555", "walk-rg", "walk", "walkers"
REGION = "Brazil South"  # of Azure's, and in no list of this server
IMAGE = "python:3.11-slim"
COMPONENT = """
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: count
version: "{version}"
inputs:
  table: {{type: uri_file}}
  least: {{type: integer, default: 1}}
outputs:
  found: {{type: uri_folder}}
code: ./src
environment: {environment}
command: python count.py ${{{{inputs.table}}}} ${{{{inputs.least}}}} ${{{{outputs.found}}}}
"""
PROGRAM = """
import pathlib, sys
table, least, found = sys.argv[1:]
rows = [line for line in pathlib.Path(table).read_text().split() if int(line) >= int(least)]
pathlib.Path(found, "rows.txt").write_text("\\n".join(rows))
print("rows", len(rows))
"""


def main() -> None:
    """Walk from end to end."""
    credential = DefaultAzureCredential()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "src").mkdir()
        (folder / "src" / "count.py").write_text(PROGRAM)
        (folder / "table.txt").write_text("1\n2\n3\n")
        ml, shared = homes(credential)
        assets(ml, folder)
        publish(ml, shared, folder)
        job = pipeline(ml, shared)
        results(ml, shared, job, folder)
    print("walked")


def homes(credential: DefaultAzureCredential) -> tuple[MLClient, MLClient]:
    """Make a workspace and a registry, in a group and a region that were not there."""
    ml = MLClient(credential, SUBSCRIPTION, GROUP, WORKSPACE)
    made = ml.workspaces.begin_create(Workspace(name=WORKSPACE, location=REGION)).result()
    assert made.location == "brazilsouth", made.location
    details = [RegistryRegionDetails(location=made.location)]
    ml.registries.begin_create(Registry(name=REGISTRY, location=made.location, replication_locations=details)).result()
    return ml, MLClient(credential, registry_name=REGISTRY)


def assets(ml: MLClient, folder: Path) -> None:
    """Register a model, data and an environment in the workspace, and find them again."""
    model = ml.models.create_or_update(Model(name="table", path=str(folder / "table.txt"), type="custom_model"))
    assert model.version == "1"
    ml.models.download("table", "1", download_path=str(folder / "back"))
    assert [file.read_text() for file in (folder / "back").rglob("table.txt")] == ["1\n2\n3\n"]
    ml.data.create_or_update(Data(name="table", version="1", path=str(folder / "table.txt"), type="uri_file"))
    late = Model(name="late", path="azureml://datastores/workspaceblobstore/paths/not/yet/", type="custom_model")
    assert ml.models.create_or_update(late).version == "1"
    ml.environments.create_or_update(Environment(name="plain", version="1", image=IMAGE))
    assert [found.version for found in ml.models.list(name="table")] == ["1"]
    try:
        ml.models.get("table", "2")
    except ResourceNotFoundError:
        return
    raise AssertionError("there is no version 2")


def publish(ml: MLClient, shared: MLClient, folder: Path) -> None:
    """Share the model, and publish an environment and a component of the registry's own."""
    ml.models.share(name="table", version="1", share_with_name="table", share_with_version="1", registry_name=REGISTRY)
    assert shared.models.get("table", "1").version == "1"
    shared.environments.create_or_update(Environment(name="plain", version="1", image=IMAGE))
    environment = f"azureml://registries/{REGISTRY}/environments/plain/versions/1"
    (folder / "count.yml").write_text(COMPONENT.format(version="1", environment=environment))
    shared.components.create_or_update(load_component(str(folder / "count.yml")))


def pipeline(ml: MLClient, shared: MLClient) -> str:
    """Run the registry's component twice in a pipeline, follow it, and return its name."""
    count = shared.components.get("count", "1")

    @dsl.pipeline(default_compute="cpu-cluster", experiment_name="walk")  # type: ignore[untyped-decorator]
    def twice(table: Input) -> dict[str, Output]:
        first = count(table=table, least=2)
        second = count(table=table, least=3)
        return {"first": first.outputs.found, "second": second.outputs.found}

    made = ml.jobs.create_or_update(twice(table=Input(type="uri_file", path="azureml:table:1")))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        ml.jobs.stream(made.name)
    assert "Execution Summary" in printed.getvalue(), printed.getvalue()
    assert ml.jobs.get(made.name).status == "Completed"
    children = sorted(child.display_name for child in ml.jobs.list(parent_job_name=made.name))
    assert children == ["first", "second"], children
    return str(made.name)


def results(ml: MLClient, shared: MLClient, job: str, folder: Path) -> None:
    """Download what the pipeline made and register it; a job that fails says so."""
    ml.jobs.download(job, download_path=str(folder / "got"), output_name="second")
    assert [file.read_text() for file in (folder / "got").rglob("rows.txt")] == ["3"]
    made = Model(name="rows", path=f"azureml://jobs/{job}/outputs/first", type="custom_model")
    assert ml.models.create_or_update(made).version == "1"
    failing = command(command="echo sorry && exit 3", environment="plain:1", compute="cpu-cluster")
    name = ml.jobs.create_or_update(failing).name
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            ml.jobs.stream(name)
    except Exception as error:
        assert "JobException" in type(error).__name__, error
        return
    raise AssertionError("the job failed, and stream told nobody")


if __name__ == "__main__":
    main()
