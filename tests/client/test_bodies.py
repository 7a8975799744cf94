"""What is sent is what azure-ai-ml 1.35 sends: bodies recorded from it, of the same files."""

from typing import Any

import pytest

from entrepot.client.shapes import asset_bodies, job_bodies, naming, resource_bodies

Json = Any


def test_a_components_ports_are_sent_as_text() -> None:
    data = {
        "name": "train",
        "version": "3",
        "type": "command",
        "command": "python a.py",
        "display_name": "Train it",
        "is_deterministic": False,
        "inputs": {
            "training_data": {"type": "uri_folder", "description": "the data"},
            "lr": {"type": "number", "default": 0.1, "min": 0.0, "max": 1.0},
            "n": {"type": "integer", "default": 3, "optional": True},
            "flag": {"type": "boolean", "default": True},
            "s": {"type": "string", "default": "a", "enum": ["a", "b"]},
        },
        "outputs": {"model": {"type": "mlflow_model", "mode": "upload"}},
    }
    assert asset_bodies.component_spec(data) == {
        "name": "train",
        "version": "3",
        "type": "command",
        "command": "python a.py",
        "display_name": "Train it",
        "is_deterministic": False,
        "inputs": {
            "training_data": {"type": "uri_folder", "description": "the data"},
            "lr": {"type": "number", "default": "0.1", "min": "0.0", "max": "1.0"},
            "n": {"type": "integer", "default": "3", "optional": True},
            "flag": {"type": "boolean", "default": "True"},
            "s": {"type": "string", "default": "a", "enum": ["a", "b"]},
        },
        "outputs": {"model": {"type": "mlflow_model", "mode": "upload"}},
        "_source": "YAML.COMPONENT",
    }


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (5, {"jobInputType": "literal", "value": "5"}),
        (0.25, {"jobInputType": "literal", "value": "0.25"}),
        (True, {"jobInputType": "literal", "value": "True"}),
        ("abc", {"jobInputType": "literal", "value": "abc"}),
        (
            {"type": "uri_folder", "path": "azureml://datastores/d/paths/x", "mode": "download"},
            {"jobInputType": "uri_folder", "uri": "azureml://datastores/d/paths/x", "mode": "Download"},
        ),
        ({"type": "string", "default": "hello"}, {"jobInputType": "literal", "value": "hello"}),
    ],
)
def test_a_jobs_inputs(value: Json, sent: Json) -> None:
    assert job_bodies.job_input(value) == sent


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("${{parent.inputs.pin}}", {"job_input_type": "literal", "value": "${{parent.inputs.pin}}"}),
        (
            {"path": "${{parent.inputs.pin}}", "mode": "download"},
            {"job_input_type": "literal", "value": "${{parent.inputs.pin}}", "mode": "Download"},
        ),
        (4, {"job_input_type": "literal", "value": "4"}),
        (
            {"type": "uri_folder", "path": "azureml:d:1", "mode": "ro_mount"},
            {"job_input_type": "uri_folder", "uri": "azureml:d:1", "mode": "ReadOnlyMount"},
        ),
    ],
)
def test_a_steps_inputs(value: Json, sent: Json) -> None:
    assert job_bodies.node_input(value) == sent


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("${{parent.outputs.pout}}", {"type": "literal", "value": "${{parent.outputs.pout}}"}),
        ({"mode": "upload", "type": "uri_folder"}, {"mode": "Upload", "job_output_type": "uri_folder"}),
        ({"path": "${{parent.outputs.p}}"}, {"type": "literal", "value": "${{parent.outputs.p}}"}),
    ],
)
def test_a_steps_outputs(value: Json, sent: Json) -> None:
    assert job_bodies.node_output(value) == sent


def test_a_jobs_outputs_may_name_an_asset_and_a_place() -> None:
    assert job_bodies.job_output(
        {"type": "uri_folder", "mode": "rw_mount", "path": "azureml://datastores/d/paths/o"}
    ) == {
        "jobOutputType": "uri_folder",
        "mode": "ReadWriteMount",
        "uri": "azureml://datastores/d/paths/o",
    }
    assert job_bodies.job_output({"name": "m", "version": "2", "type": "mlflow_model"}) == {
        "jobOutputType": "mlflow_model",
        "assetName": "m",
        "assetVersion": "2",
    }
    assert job_bodies.job_output(None) == {"jobOutputType": "uri_folder"}


def test_limits_distribution_and_resources() -> None:
    assert job_bodies.limits({"timeout": 300}) == {"jobLimitsType": "Command", "timeout": "PT300S"}
    assert job_bodies.limits({"timeout": 300}, is_node=True) == {"job_limits_type": "Command", "timeout": "PT300S"}
    pytorch = {"type": "pytorch", "process_count_per_instance": 1}
    assert job_bodies.distribution(pytorch) == {"distributionType": "PyTorch", "processCountPerInstance": 1}
    assert job_bodies.distribution(pytorch, is_node=True) == {
        "distribution_type": "PyTorch",
        "process_count_per_instance": 1,
    }
    assert job_bodies.resources({"instance_count": 2, "instance_type": "X"}) == {
        "instanceCount": 2,
        "instanceType": "X",
    }


def test_a_model_and_its_flavors() -> None:
    data = {"type": "mlflow_model", "stage": "Prod", "flavors": {"sklearn": {"v": "1"}}, "properties": {"a": "b"}}
    assert asset_bodies.model(data, uri="u")["properties"] == {
        "tags": {},
        "properties": {"a": "b"},
        "flavors": {"sklearn": {"data": {"v": "1"}}},
        "modelType": "mlflow_model",
        "modelUri": "u",
        "stage": "Prod",
        "isAnonymous": False,
        "isArchived": False,
    }


def test_an_environment_with_a_context_and_routes() -> None:
    data = {
        "build": {"path": "./src", "dockerfile_path": "D"},
        "inference_config": {"scoring_route": {"port": 1, "path": "/"}},
    }
    properties = asset_bodies.environment(data, conda=None, context_uri="c/", is_anonymous=False)["properties"]
    assert properties["build"] == {"contextUri": "c/", "dockerfilePath": "D"}
    assert properties["inferenceConfig"] == {"scoringRoute": {"port": 1, "path": "/"}}


def test_a_registry_names_each_region_once_and_its_own_first() -> None:
    sent = resource_bodies.registry(
        {"name": "r", "location": "eastus", "replication_locations": [{"location": "westus"}]}
    )
    assert [detail["location"] for detail in sent["properties"]["regionDetails"]] == ["eastus", "westus"]
    assert sent["properties"]["regionDetails"][0]["storageAccountDetails"] == [
        {"systemCreatedStorageAccount": {"storageAccountHnsEnabled": False, "storageAccountType": "Standard_LRS"}}
    ]


def test_a_datastore_with_a_token_and_a_compute_target() -> None:
    data = {
        "name": "d",
        "type": "azure_blob",
        "account_name": "a",
        "container_name": "c",
        "credentials": {"sas_token": "s"},
    }
    assert resource_bodies.datastore(data)["properties"] == {
        "accountName": "a",
        "containerName": "c",
        "credentials": {"credentialsType": "Sas", "secrets": {"secretsType": "Sas", "sasToken": "s"}},
        "datastoreType": "AzureBlob",
        "tags": {},
        "properties": {},
    }
    compute = resource_bodies.compute({"name": "c", "type": "amlcompute", "tier": "low_priority"}, location="eastus")
    assert compute["properties"]["properties"]["vmPriority"] == "LowPriority"
    assert compute["location"] == "eastus"


@pytest.mark.parametrize(
    ("sent", "written"),
    [("modelUri", "model_uri"), ("osType", "os_type"), ("createdAt", "created_at"), ("AzureBlob", "azure_blob")],
)
def test_names_in_both_spellings(sent: str, written: str) -> None:
    assert naming.snake(sent) == written
    assert naming.camel(written) == sent[0].lower() + sent[1:]
