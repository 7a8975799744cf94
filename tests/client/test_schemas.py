"""What is said about files that say the wrong thing: file, line, field, and what would be right."""

from pathlib import Path
from typing import Any

import pytest

from entrepot.client import files, overrides
from entrepot.client.failures import FileFailure
from entrepot.client.schemas import assets, batch, jobs, resources
from entrepot.client.schemas.checks import Check, check

Json = Any

COMPONENT = "name: a\ncommand: x\nenvironment: azureml:e:1\n"
PIPELINE = "type: pipeline\njobs:\n  one:\n    component: azureml:c:1\n"


def checked(schema: Check, text: str, folder: Path, *sets: str) -> tuple[dict[str, Json], list[str]]:
    file = folder / "f.yml"
    file.write_text(text)
    document = files.load(file)
    overrides.lay_over(document, sets)
    return check(document, schema)


WRONG: list[tuple[Check, str, tuple[str, ...]]] = [
    (assets.MODEL, "name: [a]\npath: .\n", ("line 1", "'name'", "text", "a list")),
    (assets.MODEL, "name: a\npath: ./absent\n", ("line 2", "'path'", "./absent")),
    (assets.MODEL, "name: a\npath: .\ntype: mlflow\n", ("line 3", "'type'", "mlflow_model", "'mlflow'")),
    (assets.MODEL, "name: a\ntags: [x]\n", ("line 2", "'tags'", "mapping")),
    (assets.DATA, "name: a\npath: .\ntype: folder\n", ("line 3", "uri_folder")),
    (assets.ENVIRONMENT, "name: a\n", ("image", "build")),
    (assets.ENVIRONMENT, "image: x\nbuild: {path: .}\n", ("not both",)),
    (assets.ENVIRONMENT, "image: x\nconda_file: ./no.yml\n", ("line 2", "'conda_file'", "./no.yml")),
    (assets.COMMAND_COMPONENT, "name: a\nenvironment: azureml:e:1\n", ("'command'", "command: ...")),
    (assets.COMMAND_COMPONENT, "name: a\ncomand: x\n", ("line 2", "'comand'", "'command'")),
    (assets.COMMAND_COMPONENT, COMPONENT + "inputs: [a]\n", ("line 4", "'inputs'", "mapping", "a list")),
    (assets.COMMAND_COMPONENT, COMPONENT + "inputs:\n  x: uri_folder\n", ("line 5", "inputs.x", "type: ...")),
    (assets.COMMAND_COMPONENT, COMPONENT + "inputs:\n  x: {type: folder}\n", ("line 5", "inputs.x.type", "uri_folder")),
    (assets.COMMAND_COMPONENT, COMPONENT + "inputs:\n  x: {}\n", ("line 5", "'type'")),
    (assets.COMMAND_COMPONENT, COMPONENT + "inputs:\n  my-x: {type: string}\n", ("line 5", "'my-x'", "letters")),
    (assets.COMMAND_COMPONENT, COMPONENT + "inputs:\n  path: {type: string}\n", ("line 5", "reserved")),
    (assets.COMMAND_COMPONENT, COMPONENT + "is_deterministic: maybe\n", ("line 4", "true or false", "'maybe'")),
    (assets.COMMAND_COMPONENT, COMPONENT + "code: ./nowhere\n", ("line 4", "'code'", "./nowhere")),
    (assets.COMMAND_COMPONENT, COMPONENT + "resources: {instance_count: two}\n", ("line 4", "whole number", "'two'")),
    (
        jobs.COMMAND_JOB,
        "command: x\nenvironment: azureml:e:1\ninputs: {d: {type: uri_file}}\n",
        ("line 3", "path: ..."),
    ),
    (jobs.COMMAND_JOB, "command: x\nenvironment: azureml:e:1\nlimits: {timeout: 5m}\n", ("line 3", "limits.timeout")),
    (jobs.PIPELINE_JOB, "type: pipeline\n", ("jobs: ",)),
    (jobs.PIPELINE_JOB, "jobs:\n  a:\n    type: command\n", ("line 2", "jobs.a", "component: ...")),
    (jobs.PIPELINE_JOB, PIPELINE + "    inputs: {x: [1]}\n", ("line 5", "jobs.one.inputs.x", "plain value")),
    (jobs.PIPELINE_JOB, PIPELINE + "settings: {force_rerun: 3}\n", ("line 5", "settings.force_rerun", "the number 3")),
    (resources.REGISTRY, "name: contoso\n", ("'location'",)),
    (
        resources.REGISTRY,
        "name: a\nlocation: b\nreplication_locations: [eastus]\n",
        ("line 3", "replication_locations[0]"),
    ),
    (resources.COMPUTE, "name: a\ntype: gpu\n", ("line 2", "amlcompute")),
]


@pytest.mark.parametrize(("schema", "text", "words"), WRONG, ids=[w[1].replace("\n", " ")[-50:] for w in WRONG])
def test_a_wrong_value_is_told(schema: Check, text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(FileFailure) as refusal:
        checked(schema, text, tmp_path)
    assert [word for word in ("f.yml", *words) if word not in str(refusal.value)] == [], str(refusal.value)


def test_a_field_that_looks_like_a_known_one_is_kept_and_warned_about(tmp_path: Path) -> None:
    data, warnings = checked(assets.MODEL, "name: a\npath: .\nverison: 3\nbrand_new: 1\n", tmp_path)
    assert (data["verison"], data["brand_new"]) == (3, 1)
    assert len(warnings) == 1
    assert all(word in warnings[0] for word in ("f.yml, line 3", "verison", "'version'"))


def test_versions_and_texts_are_what_was_written(tmp_path: Path) -> None:
    text = "name: 007\nversion: 1.10\ndescription: 2026-11-23\ntags: {n: 1, b: yes}\npath: .\n"
    data, _ = checked(assets.MODEL, text, tmp_path)
    assert (data["name"], data["version"], data["description"]) == ("007", "1.10", "2026-11-23")
    assert data["tags"] == {"n": "1", "b": "yes"}


def test_words_of_set_become_what_their_place_asks_for(tmp_path: Path) -> None:
    sets = (
        "version=010",
        "is_deterministic=False",
        "inputs.n.type=integer",
        "inputs.n.default=3",
        "resources.instance_count=2",
    )
    data, _ = checked(assets.COMMAND_COMPONENT, COMPONENT + "inputs: {}\n", tmp_path, *sets)
    assert (data["version"], data["is_deterministic"]) == ("010", False)
    assert data["inputs"] == {"n": {"type": "integer", "default": 3}}
    assert data["resources"] == {"instance_count": 2}


EXAMPLES = [
    file
    for file in sorted((Path(__file__).parents[2] / "examples").rglob("*.yml"))
    if file.name not in ("conda.yml", "deploy.yml")  # conda's, and endpoints'
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
def test_every_example_is_right_and_draws_no_warning(example: Path) -> None:
    from entrepot.client.publishing import components
    from entrepot.client.publishing import jobs as publishing_jobs

    document = files.load(example)
    data = document.data
    if "replication_locations" in data:
        schema: Check = resources.REGISTRY
    elif example.name.startswith("workspace"):
        schema = resources.WORKSPACE
    elif "endpoint_name" in data:
        schema = batch.batch_deployment
    elif data.get("type") == "pipeline":
        schema = publishing_jobs.schema_of(document)
    elif "command" in data:
        schema = components.schema_of(document)
    elif "image" in data:
        schema = assets.ENVIRONMENT
    else:
        schema = assets.DATA if str(data.get("type", "")).startswith("uri") else assets.MODEL
    assert check(document, schema)[1] == []
