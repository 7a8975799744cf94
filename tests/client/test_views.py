"""What is printed of what the server answers: the YAML's own fields, in snake_case, with ours beside them."""

from typing import Any

import pytest

from entrepot.client.shapes import asset_views, job_views, resource_views

Json = Any

WORKSPACE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/dev"
SYSTEM = {"createdAt": "2026-11-23T10:00:00Z", "createdBy": "ann", "createdByType": "User"}


def test_a_model_of_a_registry() -> None:
    document = {
        "id": "azureml://registries/contoso/models/taxi/versions/1",
        "name": "1",
        "systemData": SYSTEM,
        "properties": {
            "modelType": "mlflow_model",
            "modelUri": "https://h/c/model",
            "flavors": {"sklearn": {"data": {"v": "1"}}},
            "tags": {"a": "b"},
            "properties": {},
            "description": "d",
            "isArchived": False,
        },
        "entrepot": {"snapshot": "ab", "provenance": {"job": "j"}, "regions": {"eastus": "Succeeded"}, "path": "model"},
    }
    assert asset_views.view("models", document) == {
        "id": "azureml://registries/contoso/models/taxi/versions/1",
        "name": "taxi",
        "version": "1",
        "type": "mlflow_model",
        "path": "https://h/c/model",
        "flavors": {"sklearn": {"v": "1"}},
        "tags": {"a": "b"},
        "properties": {},
        "description": "d",
        "digest": "sha256:ab",
        "provenance": {"job": "j"},
        "regions": {"eastus": "Succeeded"},
        "creation_context": {"created_at": "2026-11-23T10:00:00Z", "created_by": "ann", "created_by_type": "User"},
    }


def test_an_arm_id_adds_the_resource_group_as_az_does() -> None:
    document = {"id": f"{WORKSPACE}/data/trips/versions/2", "name": "2", "properties": {"dataType": "uri_file"}}
    shown = asset_views.view("data", document)
    assert (shown["resourceGroup"], shown["name"], shown["version"]) == ("rg", "trips", "2")


def test_an_environments_build_tells_its_context_and_its_state() -> None:
    document = {
        "id": f"{WORKSPACE}/environments/e/versions/1",
        "properties": {"build": {"contextUri": "u/", "dockerfilePath": "D"}, "osType": "Linux"},
        "entrepot": {"build": {"state": "Failed", "log": "why"}},
    }
    shown = asset_views.view("environments", document)
    assert shown["build"] == {"path": "u/", "dockerfile_path": "D", "state": "Failed", "log": "why"}
    assert shown["os_type"] == "linux"
    conda = asset_views.view(
        "environments", {"id": "", "properties": {"image": "i", "condaFile": "dependencies: [pip]\n"}}
    )
    assert conda["conda_file"] == {"dependencies": ["pip"]}


def test_a_pipeline_component_shows_its_steps_as_yaml_says_them() -> None:
    spec = {
        "name": "pc",
        "version": "1",
        "type": "pipeline",
        "_source": "YAML.COMPONENT",
        "sourceJobId": None,
        "jobs": {
            "one": {
                "name": "one",
                "type": "command",
                "componentId": f"{WORKSPACE}/components/c/versions/1",
                "computeId": f"{WORKSPACE}/computes/cpu-cluster",
                "inputs": {"x": {"job_input_type": "literal", "value": "${{parent.inputs.z}}"}},
                "outputs": {"o": {"type": "literal", "value": "${{parent.outputs.o}}"}},
                "_source": "REMOTE.REGISTRY",
            }
        },
    }
    shown = asset_views.view(
        "components", {"id": f"{WORKSPACE}/components/pc/versions/1", "properties": {"componentSpec": spec}}
    )
    assert shown["jobs"]["one"] == {
        "type": "command",
        "component": f"azureml:{WORKSPACE}/components/c/versions/1",
        "compute": "azureml:cpu-cluster",
        "inputs": {"x": "${{parent.inputs.z}}"},
        "outputs": {"o": "${{parent.outputs.o}}"},
    }
    assert "_source" not in shown
    assert "sourceJobId" not in shown


def test_a_container_tells_its_newest_version() -> None:
    document = {
        "id": "azureml://registries/c/models/taxi",
        "name": "taxi",
        "properties": {"latestVersion": "9", "tags": None},
    }
    shown = asset_views.container_view(document)
    assert (shown["name"], shown["latest_version"], shown["version"], shown["tags"]) == ("taxi", "9", "9", {})


@pytest.mark.parametrize(
    ("port", "shown"),
    [
        ({"jobInputType": "literal", "value": "5"}, "5"),
        (
            {"jobInputType": "uri_folder", "uri": f"{WORKSPACE}/data/d/versions/1", "mode": "ReadOnlyMount"},
            {"type": "uri_folder", "path": f"azureml:{WORKSPACE}/data/d/versions/1", "mode": "ro_mount"},
        ),
        (
            {"jobOutputType": "mlflow_model", "assetName": "m", "assetVersion": "1"},
            {"type": "mlflow_model", "name": "m", "version": "1"},
        ),
        ({"type": "uri_folder", "mode": "Upload"}, {"type": "uri_folder", "mode": "upload"}),
    ],
)
def test_inputs_and_outputs(port: Json, shown: Json) -> None:
    assert asset_views.port_view(port) == shown


def test_a_child_job_proves_what_it_ran() -> None:
    document = {
        "id": f"{WORKSPACE}/jobs/child",
        "name": "child",
        "properties": {
            "jobType": "Command",
            "status": "Completed",
            "componentId": "azureml://registries/contoso/components/train/versions/3",
            "environmentId": f"{WORKSPACE}/environments/e/versions/1",
            "computeId": f"{WORKSPACE}/computes/cpu-cluster",
            "isArchived": False,
            "services": {"Studio": {"jobServiceType": "Studio", "endpoint": "http://h"}},
            "displayName": "train",
        },
        "entrepot": {"parent": "p", "reuse": {"reused": True, "from": "q"}, "metrics": {"rmse": 1.5}, "attempt": 0},
    }
    shown = job_views.view(document)
    assert shown["component"] == "azureml://registries/contoso/components/train/versions/3"
    assert shown["environment"] == f"azureml:{WORKSPACE}/environments/e/versions/1"
    assert shown["compute"] == "azureml:cpu-cluster"
    assert shown["services"]["Studio"] == {"type": "Studio", "endpoint": "http://h"}
    assert (shown["type"], shown["parent_job_name"], shown["metrics"]) == ("command", "p", {"rmse": 1.5})
    assert shown["reuse"] == {"is_reused": True, "from": "q"}
    assert {"is_archived", "job_type", "attempt"}.isdisjoint(shown)


def test_resources() -> None:
    registry = resource_views.registry(
        {
            "id": "/subscriptions/s/resourceGroups/rg/providers/M/registries/c",
            "name": "c",
            "location": "eastus",
            "properties": {"regionDetails": [{"location": "eastus"}], "mlFlowRegistryUri": "u"},
        }
    )
    assert (registry["replication_locations"], registry["mlflow_registry_uri"]) == ([{"location": "eastus"}], "u")
    workspace = resource_views.workspace(
        {"id": WORKSPACE, "name": "dev", "properties": {"friendlyName": "Dev", "mlFlowTrackingUri": "t"}}
    )
    assert (workspace["display_name"], workspace["mlflow_tracking_uri"], workspace["resource_group"]) == (
        "Dev",
        "t",
        "rg",
    )
    store = resource_views.datastore(
        {
            "id": f"{WORKSPACE}/datastores/d",
            "name": "d",
            "properties": {
                "datastoreType": "AzureBlob",
                "accountName": "a",
                "credentials": {"credentialsType": "Sas", "secrets": {"sasToken": "x"}},
            },
        }
    )
    assert (store["type"], store["account_name"]) == ("azure_blob", "a")
    assert "x" not in str(store["credentials"])


@pytest.mark.parametrize(("duration", "found"), [("PT2M", 120), ("PT90S", 90), ("P1DT1H", 90000), (None, None)])
def test_durations(duration: str | None, found: int | None) -> None:
    assert resource_views.seconds(duration) == found
