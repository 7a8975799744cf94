"""Job bodies and component specs as genuine clients send them."""

from typing import Any

import pytest

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.jobs import fields, spec
from entrepot.domain.jobs.spec import Given, InputPort, Pipeline, Step

COMMAND: dict[str, Any] = {
    "jobType": "Command",
    "command": "python t.py --lr ${{inputs.lr}}",
    "computeId": "azureml:cpu-cluster",
    "environmentId": "azureml:env:1",
    "inputs": {
        "lr": {"jobInputType": "literal", "value": "0.1"},
        "d": {"jobInputType": "uri_folder", "uri": "azureml:data:1", "mode": "Download"},
        "none": None,
    },
    "outputs": {
        "o": {"jobOutputType": "uri_folder"},
        "n": {"jobOutputType": "uri_file", "assetName": "a", "assetVersion": "2"},
    },
    "limits": {"jobLimitsType": "Command", "timeout": "PT1H30M"},
    "environmentVariables": {"A": "b"},
    "resources": None,
}


def test_a_command_job_is_read() -> None:
    job = spec.read_job(COMMAND)
    assert isinstance(job.content, Step)
    assert job.inputs["lr"] == Given(value="0.1")
    assert job.inputs["d"] == Given(uri="azureml:data:1", type="uri_folder", mode="download")
    assert job.inputs["none"].is_empty
    assert job.content.inputs["d"].type == "uri_folder"
    assert (job.outputs["n"].asset_name, job.outputs["n"].asset_version) == ("a", "2")
    assert job.timeout_s == 5400
    assert job.environment_variables == {"A": "b"}
    assert job.experiment == "Default"


def test_nodes_are_read_in_snake_case() -> None:
    body = {
        "jobType": "Pipeline",
        "settings": {"default_compute": "cpu", "continue_on_step_failure": False, "force_rerun": True},
        "inputs": {"data": {"uri": "azureml:d:1", "mode": "ReadOnlyMount", "jobInputType": "uri_folder"}},
        "jobs": {
            "a": {
                "componentId": "azureml://registries/r/components/c/labels/latest",
                "inputs": {"d": {"value": "${{parent.inputs.data}}", "job_input_type": "literal", "mode": "Download"}},
                "outputs": {"o": {"value": "${{parent.outputs.f}}", "type": "literal"}},
                "limits": {"timeout": "PT1M"},
            }
        },
        "outputs": {"f": {"jobOutputType": "mlflow_model"}},
    }
    content = spec.read_job(body).content
    assert isinstance(content, Pipeline)
    node = content.nodes["a"]
    assert node.inputs["d"] == Given(value="${{parent.inputs.data}}", mode="download")
    assert node.outputs["o"].binding == "${{parent.outputs.f}}"
    assert node.timeout_s == 60
    assert content.settings.force_rerun
    assert not content.settings.continue_on_step_failure
    assert content.inputs["data"].type == "uri_folder"


def test_steps_continue_after_a_failure_unless_told_otherwise() -> None:
    content = spec.read_job({"jobType": "Pipeline", "jobs": {"a": {"component_id": "azureml:c:1"}}}).content
    assert isinstance(content, Pipeline)
    assert content.settings.continue_on_step_failure


def test_a_component_spec_has_numbers_as_text() -> None:
    content = spec.read_component(
        {
            "command": "echo",
            "inputs": {
                "lr": {"type": "number", "default": "0.5", "min": "0.0", "max": "1.0"},
                "m": {"type": "string", "enum": ["a"]},
            },
            "outputs": {"o": {"type": "mlflow_model"}},
            "is_deterministic": False,
        },
        where="component c",
    )
    assert isinstance(content, Step)
    assert content.inputs["lr"] == InputPort("lr", "number", default="0.5", minimum=0, maximum=1)
    assert content.inputs["m"].choices == ("a",)
    assert content.outputs["o"].type == "mlflow_model"
    assert not content.is_deterministic


@pytest.mark.parametrize("kind", ["AutoML", "Spark", ""])
def test_other_job_types_are_refused_by_name(kind: str) -> None:
    with pytest.raises(Unsupported, match=f"'{kind}'"):
        spec.read_job({"jobType": kind})


def test_a_node_of_another_type_is_refused_with_its_name() -> None:
    with pytest.raises(Unsupported, match="'spark' of node tune"):
        spec.read_job({"jobType": "Pipeline", "jobs": {"tune": {"type": "spark"}}})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"jobType": "Command"}, "no command"),
        ({"jobType": "Pipeline", "jobs": {}}, "no jobs"),
        ({"jobType": "Pipeline", "jobs": {"a": {"type": "command"}}}, "Node a names no component"),
        ({"jobType": "Command", "command": "x", "inputs": ["a"]}, "`inputs`"),
        ({"jobType": "Command", "command": "x", "limits": {"timeout": "an hour"}}, "'an hour' is not a duration"),
        ({"jobType": "Command", "command": "x", "inputs": {"a": {"value": [1]}}}, "input a is a list"),
    ],
)
def test_what_cannot_be_read_is_named(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        spec.read_job(body)


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT90S", 90), ("P1DT1H", 90000), ("PT0.5S", 0.5), (30, 30), (None, None)]
)
def test_durations_are_iso_8601(text: object, seconds: float | None) -> None:
    assert fields.read_duration(text) == seconds
