"""Batch endpoints, parallel steps and control flow as a user of azure-ai-ml writes them; ends with `walked`.

Runs in an environment with azure-ai-ml, against whatever the environment variables point it at.
"""

import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["AZURE_ML_CLI_PRIVATE_FEATURES_ENABLED"] = "true"  # without it azure-ai-ml takes no control flow

from azure.ai.ml import Input, MLClient, Output, dsl, load_component  # noqa: E402
from azure.ai.ml.dsl._condition import condition  # noqa: E402
from azure.ai.ml.dsl._do_while import do_while  # noqa: E402
from azure.ai.ml.dsl._parallel_for import parallel_for  # noqa: E402
from azure.ai.ml.entities import (  # noqa: E402
    BatchEndpoint,
    BatchRetrySettings,
    CodeConfiguration,
    Environment,
    Model,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
    PipelineComponentBatchDeployment,
    Registry,
    RegistryRegionDetails,
    Workspace,
)
from azure.ai.ml.parallel import RunFunction, parallel_run_function  # noqa: E402
from azure.identity import DefaultAzureCredential  # noqa: E402

SUBSCRIPTION, GROUP, WORKSPACE, REGISTRY = "11111111-2222-3333-4444-555555555555", "flow-rg", "flow", "flowers"
SCORE = """
import os
def init():
    global factor
    factor = int(open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "scale", "factor.txt")).read())
def run(mini_batch):
    return [f"{os.path.basename(file)},{factor * int(open(file).read())}" for file in mini_batch]
"""
DOUBLE = """
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--by", type=int)
args, _ = parser.parse_known_args()
def init():
    print("by", args.by)
def run(mini_batch):
    return [f"{os.path.basename(file)}={args.by * int(open(file).read())}" for file in mini_batch]
"""
COUNT = """
type: command
name: count
version: "1"
inputs: {n: {type: integer}}
outputs:
  next: {type: integer, is_control: true}
  more: {type: boolean, is_control: true}
  found: {type: uri_folder}
environment: azureml:plain:1
command: >-
  echo $((${{inputs.n}} + 1)) > ${{outputs.next}} &&
  if [ ${{inputs.n}} -lt 2 ]; then echo True; else echo False; fi > ${{outputs.more}} &&
  echo ${{inputs.n}} > ${{outputs.found}}/n
"""
SHOW = """
type: command
name: show
version: "1"
inputs: {n: {type: string}, found: {type: mltable, optional: true}}
environment: azureml:plain:1
command: echo shown ${{inputs.n}} $[[${{inputs.found}}]]
"""
DOUBLED = """
type: pipeline
name: doubled
version: "1"
inputs: {n: {type: integer, default: 0}}
outputs: {found: {type: uri_folder}}
jobs:
  one:
    type: command
    component: azureml://registries/flowers/components/count/versions/1
    inputs: {n: "${{parent.inputs.n}}"}
    outputs: {found: "${{parent.outputs.found}}"}
"""


def main() -> None:
    """Walk from end to end."""
    ml = MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)
    ml.workspaces.begin_create(Workspace(name=WORKSPACE, location="eastus")).result()
    ml.environments.create_or_update(Environment(name="plain", version="1", image="python:3.11-slim"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = {"code/score.py": SCORE, "par/double.py": DOUBLE, "scale/factor.txt": "3", "count.yml": COUNT}
        files |= {"show.yml": SHOW, "doubled.yml": DOUBLED, **{f"data/{n}.txt": str(n) for n in range(5)}}
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        models_in_batches(ml, folder)
        parallel_steps(ml, folder)
        count = load_component(folder / "count.yml")
        show = load_component(folder / "show.yml")
        conditions_and_loops(ml, count, show)
        pipelines_in_batches(ml, folder)
    print("walked")


def ended(ml: MLClient, name: str) -> Any:
    """Wait for the end of a job and return its status."""
    for _ in range(900):
        job = ml.jobs.get(name)
        if job.status in ("Completed", "Failed", "Canceled"):
            return job.status
        time.sleep(0.2)
    raise TimeoutError(name)


def models_in_batches(ml: MLClient, folder: Path) -> None:
    """Deploy a model, make it the default, score files with it, find the job and its result."""
    model = ml.models.create_or_update(Model(name="scale", version="1", path=str(folder / "scale")))
    endpoint = ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name="flow-batch", description="x")).result()
    deployment = ModelBatchDeployment(
        name="blue", endpoint_name="flow-batch", model=model, environment="plain:1", compute="cpu-cluster",
        code_configuration=CodeConfiguration(code=str(folder / "code"), scoring_script="score.py"),
        settings=ModelBatchDeploymentSettings(
            mini_batch_size=2, max_concurrency_per_instance=2, instance_count=1, output_action="append_row",
            output_file_name="scores.csv", retry_settings=BatchRetrySettings(max_retries=1, timeout=60),
            logging_level="info", error_threshold=0, environment_variables={"A": "b"},
        ),
    )  # fmt: skip
    made = ml.batch_deployments.begin_create_or_update(deployment).result()
    assert made.provisioning_state == "Succeeded"
    endpoint = ml.batch_endpoints.get("flow-batch")
    endpoint.defaults.deployment_name = "blue"
    ml.batch_endpoints.begin_create_or_update(endpoint).result()
    again = ml.batch_deployments.get(name="blue", endpoint_name="flow-batch")
    assert (again.mini_batch_size, again.retry_settings.timeout) == (2, 60), again
    data = Input(type="uri_folder", path=str(folder / "data"))
    job = ml.batch_endpoints.invoke("flow-batch", input=data)
    assert ended(ml, job.name) == "Completed"
    (step,) = list(ml.jobs.list(parent_job_name=job.name))
    ml.jobs.download(step.name, download_path=str(folder / "one"), output_name="score")
    (scores,) = (folder / "one").rglob("scores.csv")
    assert scores.read_text().splitlines() == ["0.txt,0", "1.txt,3", "2.txt,6", "3.txt,9", "4.txt,12"]
    named = ml.batch_endpoints.invoke(
        "flow-batch", deployment_name="blue", inputs={"trips": data}, experiment_name="flowing",
        outputs={"score": Output(type="uri_file", path="azureml://datastores/workspaceblobstore/paths/s/all.csv")},
        params_override=[{"mini_batch_size": 1}, {"output_file_name": "x.csv"}],
    )  # fmt: skip
    assert ended(ml, named.name) == "Completed"
    assert ml.jobs.get(named.name).experiment_name == "flowing"
    assert {found.name for found in ml.batch_endpoints.list_jobs("flow-batch")} == {job.name, named.name}
    assert len(list(ml.batch_deployments.list_jobs("flow-batch", name="blue"))) == 2


def parallel_steps(ml: MLClient, folder: Path) -> None:
    """Run a script over files in a pipeline of one's own."""
    double = parallel_run_function(
        name="double", inputs={"data": Input(type="uri_folder"), "by": 2}, outputs={"rows": Output(type="uri_file")},
        input_data="${{inputs.data}}", instance_count=1, max_concurrency_per_instance=2, mini_batch_size="2",
        retry_settings={"max_retries": 1, "timeout": 60}, logging_level="DEBUG", error_threshold=0,
        task=RunFunction(
            code=str(folder / "par"), entry_script="double.py", program_arguments="--by ${{inputs.by}}",
            environment="azureml:plain:1", append_row_to="${{outputs.rows}}",
        ),
    )  # fmt: skip

    @dsl.pipeline(default_compute="cpu-cluster")  # type: ignore[untyped-decorator]
    def doubling(data: Input(type="uri_folder")) -> dict[str, Any]:  # type: ignore[valid-type]
        step = double(data=data)
        step.mini_batch_size = 3
        return {"rows": step.outputs.rows}

    job = ml.jobs.create_or_update(doubling(data=Input(type="uri_folder", path=str(folder / "data"))))
    assert ended(ml, job.name) == "Completed"
    ml.jobs.download(job.name, download_path=str(folder / "two"), output_name="rows")
    (rows,) = [file for file in (folder / "two").rglob("*") if file.is_file()]
    assert rows.read_text().split() == ["0.txt=0", "1.txt=2", "2.txt=4", "3.txt=6", "4.txt=8"]
    assert ml.jobs.get(job.name).jobs["double"].mini_batch_size == 3


def conditions_and_loops(ml: MLClient, count: Any, show: Any) -> None:
    """Run nodes under a condition, in a loop until a condition, and over items."""

    @dsl.pipeline  # type: ignore[untyped-decorator]
    def counting(n: int) -> dict[str, Any]:
        counted = count(n=n)
        return {"next": counted.outputs.next, "more": counted.outputs.more}

    @dsl.pipeline(default_compute="cpu-cluster")  # type: ignore[untyped-decorator]
    def flowing() -> None:
        first = count(n=5)
        yes, no = show(n="yes"), show(n="no")
        condition(condition=first.outputs.more, true_block=yes, false_block=no)
        body = counting(n=0)
        do_while(
            body=body, mapping={body.outputs.next: body.inputs.n}, max_iteration_count=9, condition=body.outputs.more
        )
        show(n=body.outputs.next)
        each = parallel_for(body=count(), items=[{"n": 1}, {"n": 2}])
        show(n=each.outputs.next, found=each.outputs.found)

    job = ml.jobs.create_or_update(flowing())
    assert ended(ml, job.name) == "Completed"
    nodes = {found.display_name: found for found in ml.jobs.list(parent_job_name=job.name)}
    assert (nodes["yes"].status, nodes["no"].status) == ("Skipped", "Completed")
    assert len(list(ml.jobs.list(parent_job_name=nodes["body"].name))) == 3
    assert len(list(ml.jobs.list(parent_job_name=nodes["each"].name))) == 2
    assert set(ml.jobs.get(job.name).jobs) >= {"body", "first", "each"}


def pipelines_in_batches(ml: MLClient, folder: Path) -> None:
    """Deploy a pipeline component of a registry, and invoke it with a literal."""
    details = [RegistryRegionDetails(location="eastus")]
    ml.registries.begin_create(Registry(name=REGISTRY, location="eastus", replication_locations=details)).result()
    shared = MLClient(DefaultAzureCredential(), registry_name=REGISTRY)
    environment = shared.environments.create_or_update(Environment(name="plain", version="1", image="python:3.11-slim"))
    count = load_component(folder / "count.yml")
    count.environment = environment.id
    shared.components.create_or_update(count)
    component = shared.components.create_or_update(load_component(folder / "doubled.yml"))
    deployment = PipelineComponentBatchDeployment(
        name="many", endpoint_name="flow-batch", component=component.id, settings={"default_compute": "cpu-cluster"}
    )
    ml.batch_deployments.begin_create_or_update(deployment).result()
    given = {"n": Input(type="integer", default=4)}
    job = ml.batch_endpoints.invoke("flow-batch", deployment_name="many", inputs=given)
    assert ended(ml, job.name) == "Completed"
    ml.jobs.download(job.name, download_path=str(folder / "three"), output_name="found")
    (found,) = (folder / "three").rglob("n")
    assert found.read_text() == "4\n"


if __name__ == "__main__":
    main()
