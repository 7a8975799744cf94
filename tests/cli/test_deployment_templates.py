"""`ml deployment-template` against a live server, and a model that is served as its template says."""

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.cli.test_online_endpoints import SCORE, post

TEMPLATE = """
$schema: https://azuremlschemas.azureedge.net/latest/deploymentTemplate.schema.json
name: words
version: 1
type: deployment_template
deployment_template_type: Managed
description: How words are served
tags: {team: taxi}
environment: azureml://registries/azureml/environments/python-3.11/versions/1
environment_variables: {WORD: templated, COUNT: 1}
default_instance_type: Standard_DS2_v2
allowed_instance_types: [Standard_DS2_v2]
instance_count: 1
model_mount_path: /var/models
scoring_path: /v1/words
scoring_port: 5001
request_settings: {request_timeout_ms: 30000, max_concurrent_requests_per_instance: 4}
liveness_probe: {initial_delay: 1, period: 5, method: GET, path: /, port: 5001, scheme: http}
readiness_probe: {initial_delay: 1, period: 1}
accelerator_maps: [{accelerator_type: H100_80GB, number_of_accelerators_per_model_instance: 1}]
"""
MODEL = """
name: words
version: 1
path: ./model
type: custom_model
default_deployment_template:
  asset_id: azureml://registries/contoso/deploymenttemplates/words/versions/1
"""
DEPLOYMENT = """
name: blue
model: azureml://registries/contoso/models/words/versions/1
code_configuration: {code: ./score, scoring_script: score.py}
"""
REGISTRY = ("--registry-name", "contoso")


def _version(version: int = 1) -> tuple[str, ...]:
    return ("--name", "words", "--version", str(version), *REGISTRY)


def test_a_template_lives_through_all_its_commands(az: Run, tmp_path: Path) -> None:
    (tmp_path / "template.yml").write_text(TEMPLATE)
    made = az("ml", "deployment-template", "create", "-f", "template.yml", *REGISTRY)
    assert made.code == 0, made.err
    assert made.json["stage"] == "Development"
    assert made.json["allowed_instance_types"] == ["Standard_DS2_v2"]
    assert made.json["environment_variables"] == {"WORD": "templated", "COUNT": "1"}
    requests = {"request_timeout_ms": 30000, "max_concurrent_requests_per_instance": 4}
    assert made.json["request_settings"] == requests
    assert (made.json["liveness_probe"]["method"], made.json["liveness_probe"]["period"]) == ("GET", 5)
    assert made.json["accelerator_maps"][0]["number_of_accelerators_per_model_instance"] == 1
    assert az("ml", "deployment-template", "create", "-f", "template.yml", *REGISTRY).code == 0
    other = az("ml", "deployment-template", "create", "-f", "template.yml", *REGISTRY, "--set", "instance_count=2")
    assert other.code == 1
    assert "the next free version is 2" in other.err
    second = az("ml", "deployment-template", "create", "-f", "template.yml", *REGISTRY, "--version", "2")
    assert second.json["version"] == "2"
    listed = ("ml", "deployment-template", "list", *REGISTRY, "--query", "[?name=='words'].version", "-o", "tsv")
    assert az(*listed).out.split() == ["2", "1"]
    tagged = az("ml", "deployment-template", "update", *_version(2), "--set", "tags.stage=prod")
    assert tagged.json["tags"] == {"team": "taxi", "stage": "prod"}, tagged.err
    fixed = az("ml", "deployment-template", "update", *_version(2), "--set", "instance_count=9")
    assert "'instance_count' of words:2 cannot change" in fixed.err
    assert az("ml", "deployment-template", "archive", *_version(2)).code == 0
    assert az(*listed).out.split() == ["1"]
    assert az("ml", "deployment-template", "show", *_version(2)).json["stage"] == "Archived"
    assert az("ml", "deployment-template", "restore", *_version(2)).code == 0
    assert az("ml", "deployment-template", "show", *_version(2)).json["stage"] == "Development"
    assert az("ml", "deployment-template", "delete", *_version(2), "--yes").code == 0
    assert az("ml", "deployment-template", "show", *_version(2)).code == 3


def test_what_a_template_file_lacks_or_says_wrong_is_told(az: Run, tmp_path: Path) -> None:
    (tmp_path / "bare.yml").write_text("name: bare\ninstance_count: 1\n")
    bare = az("ml", "deployment-template", "create", "-f", "bare.yml", *REGISTRY)
    assert bare.code == 1
    assert "environment" in bare.err
    (tmp_path / "lost.yml").write_text("name: lost\nenvironment: azureml:nobody:1\n")
    lost = az("ml", "deployment-template", "create", "-f", "lost.yml", *REGISTRY)
    assert lost.code == 1
    assert "environments/nobody" in lost.err or "nobody:1" in lost.err


def test_a_model_is_served_as_its_template_says(az: Run, tmp_path: Path) -> None:
    (tmp_path / "template.yml").write_text(TEMPLATE)
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "score.py").write_text(SCORE)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.txt").write_text("1 2 3")
    (tmp_path / "model.yml").write_text(MODEL)
    (tmp_path / "deploy.yml").write_text(DEPLOYMENT)
    assert az("ml", "deployment-template", "create", "-f", "template.yml", *REGISTRY).code == 0
    model = az("ml", "model", "create", "-f", "model.yml", *REGISTRY)
    assert model.json["default_deployment_template"]["asset_id"].endswith("words/versions/1"), model.err
    assert az("ml", "online-endpoint", "create", "-n", "templated").code == 0
    deployed = az("ml", "online-deployment", "create", "-f", "deploy.yml", "-e", "templated", "--all-traffic")
    assert deployed.code == 0, deployed.err
    shown = deployed.json
    assert shown["properties"]["azureml.deploymentTemplate"].endswith("deploymenttemplates/words/versions/1")
    assert (shown["instance_type"], shown["instance_count"]) == ("Standard_DS2_v2", 1)
    assert shown["environment"].endswith("python-3.11/versions/1")
    key = az("ml", "online-endpoint", "get-credentials", "-n", "templated", "-o", "tsv", "--query", "primaryKey").out
    uri = az("ml", "online-endpoint", "show", "-n", "templated", "-o", "tsv", "--query", "scoring_uri").out.strip()
    body = json.dumps({"data": [1, 2]}).encode()
    for address in (uri, uri.removesuffix("/score") + "/v1/words"):
        assert post(address, key.strip(), body) == {"sum": 3, "word": "templated"}
    update = ("ml", "online-deployment", "update", "-n", "blue", "-e", "templated", "--set")
    beyond = az(*update, "instance_count=2")
    assert beyond.code == 1
    assert "instance_count is 2" in beyond.err
    assert "allows 1 at most" in beyond.err
    assert "Standard_NC6" in az(*update, "instance_type=Standard_NC6").err
    changed = az(*update, "environment_variables.WORD=mine", "tags.a=b")
    assert changed.code == 0, changed.err
    assert post(uri, key.strip(), body) == {"sum": 3, "word": "mine"}
    assert az("ml", "online-endpoint", "delete", "-n", "templated", "--yes").code == 0
