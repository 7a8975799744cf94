"""Data collection as users of azure-ai-ml ask for it: what they set is what they read, and the events are there."""

import json
import time

from azure.ai.ml._artifacts._artifact_utilities import download_artifact_from_aml_uri
from azure.ai.ml.entities import (
    CodeConfiguration,
    DataCollector,
    DeploymentCollection,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
)
from azure.core.exceptions import HttpResponseError
from checks import SUFFIX, home, refused, run, same, scratch

ML = home("collection")
WORK = scratch()
NAME = f"watched-{SUFFIX}"
SCRIPT = "import json\ndef init():\n    pass\ndef run(data):\n    return sum(json.loads(data)['data'])\n"
ENVIRONMENT = "azureml://registries/azureml/environments/python-3.11/versions/1"


def deployment(collector: DataCollector) -> ManagedOnlineDeployment:
    code = WORK / "score"
    code.mkdir(exist_ok=True)
    (code / "score.py").write_text(SCRIPT)
    return ManagedOnlineDeployment(
        name="blue", endpoint_name=NAME, environment=ENVIRONMENT, instance_type="Standard_DS2_v2", instance_count=1,
        code_configuration=CodeConfiguration(code=str(code), scoring_script="score.py"), data_collector=collector,
    )  # fmt: skip


def check_a_collector_is_read_as_it_was_set_and_collects() -> None:
    ML.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=NAME)).result()
    wanted = {"request": DeploymentCollection(enabled="true"), "response": DeploymentCollection(enabled="false")}
    collector = DataCollector(collections=wanted, rolling_rate="day", sampling_rate=1.0)
    made = ML.online_deployments.begin_create_or_update(deployment(collector)).result()
    for found in (made, ML.online_deployments.get("blue", NAME)):
        collector = found.data_collector
        same(
            {name: one.enabled for name, one in collector.collections.items()}, {"request": "true", "response": "false"}
        )
        same((collector.rolling_rate.lower(), collector.sampling_rate), ("day", 1.0))
        same(collector.collections["request"].data.rpartition("/data/")[2], f"{NAME}-blue-request/versions/1")
    request = WORK / "request.json"
    request.write_text('{"data": [1, 2]}')
    same(json.loads(ML.online_endpoints.invoke(NAME, deployment_name="blue", request_file=str(request))), 3)
    asset = ML.data.get(f"{NAME}-blue-request", "1")
    same(asset.path.rpartition("/paths/")[2].strip("/"), f"modelDataCollector/{NAME}/blue/request")
    ML.online_endpoints.begin_delete(NAME).result()  # what a replica still has is brought away before it goes
    same(_collected(f"modelDataCollector/{NAME}/blue/request"), [{"data": [1, 2]}])


def _collected(prefix: str) -> list[object]:
    uri, end = f"azureml://datastores/workspaceblobstore/paths/{prefix}/", time.monotonic() + 60
    while True:
        target = WORK / f"got-{time.monotonic_ns()}"
        download_artifact_from_aml_uri(uri, str(target), ML.datastores)
        lines = [line for file in sorted(target.rglob("*.jsonl")) for line in file.read_text().splitlines()]
        if lines:
            return [json.loads(line)["data"] for line in lines]
        assert time.monotonic() < end, "nothing was collected"
        time.sleep(0.5)


def check_a_rate_that_cannot_be_is_refused() -> None:
    ML.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=f"{NAME}-r")).result()
    wanted = {"request": DeploymentCollection(enabled="true")}
    refusing = deployment(DataCollector(collections=wanted, sampling_rate=7.0))
    refusing.endpoint_name = f"{NAME}-r"
    with refused(HttpResponseError, "samplingRate must be a number from 0.0 to 1.0"):
        ML.online_deployments.begin_create_or_update(refusing).result()


if __name__ == "__main__":
    run(globals())
