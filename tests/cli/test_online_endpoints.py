"""`ml online-endpoint` and `ml online-deployment` against a live server that serves: the lines of the tutorial."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run

Json = Any

SCORE = """
import json, os
def init():
    global word
    word = os.environ["WORD"]
    print("warmed up")
def run(data):
    return {"sum": sum(json.loads(data)["data"]), "word": word}
"""
DEPLOYMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
model:
  path: ./model
code_configuration:
  code: ./score
  scoring_script: score.py
environment: azureml://registries/azureml/environments/python-3.11/versions/1
environment_variables:
  WORD: first
instance_type: Standard_DS2_v2
instance_count: 1
request_settings:
  request_timeout_ms: 30000
  max_concurrent_requests_per_instance: 4
"""


def write(folder: Path) -> None:
    (folder / "score").mkdir()
    (folder / "model").mkdir()
    (folder / "score" / "score.py").write_text(SCORE)
    (folder / "model" / "weights.txt").write_text("1 2 3")
    (folder / "deploy.yml").write_text(DEPLOYMENT)
    (folder / "request.json").write_text(json.dumps({"data": [1, 2, 3]}))


def post(uri: str, key: str, body: bytes) -> Json:
    """Send what the tutorial's curl sends."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(uri, data=body, headers=headers), timeout=60) as answer:
        return json.loads(answer.read())


def test_an_endpoint_is_deployed_scored_shifted_and_deleted(az: Run, tmp_path: Path) -> None:
    write(tmp_path)
    made = az("ml", "online-endpoint", "create", "--name", "testep1")
    assert made.code == 0, made.err
    assert made.json["provisioning_state"] == "Succeeded"
    assert made.json["auth_mode"] == "key"
    deployed = az(
        "ml", "online-deployment", "create", "--file", "deploy.yml", "--endpoint-name", "testep1", "--all-traffic"
    )
    assert deployed.code == 0, deployed.err
    assert deployed.json["provisioning_state"] == "Succeeded"
    key = az(
        "ml", "online-endpoint", "get-credentials", "-n", "testep1", "-o", "tsv", "--query", "primaryKey"
    ).out.strip()
    uri = az("ml", "online-endpoint", "show", "-n", "testep1", "-o", "tsv", "--query", "scoring_uri").out.strip()
    assert post(uri, key, (tmp_path / "request.json").read_bytes()) == {"sum": 6, "word": "first"}

    second = az(
        "ml", "online-deployment", "create", "-f", "deploy.yml", "-e", "testep1", "--name", "green",
        "--set", "environment_variables.WORD=second",
    )  # fmt: skip
    assert second.code == 0, second.err
    named = az("ml", "online-endpoint", "invoke", "-n", "testep1", "-d", "green", "--request-file", "request.json")
    (tmp_path / "bad.json").write_text("{}")
    failed = az("ml", "online-endpoint", "invoke", "-n", "testep1", "-d", "green", "-r", "bad.json")
    assert "unexpected error occurred in scoring script" in failed.err
    assert "hint: entrepot ml online-deployment get-logs -e testep1 -n green has the trace" in failed.err
    assert json.loads(named.json) == {"sum": 6, "word": "second"}
    shifted = az("ml", "online-endpoint", "update", "--name", "testep1", "--traffic", "blue=0 green=100")
    assert shifted.json["traffic"] == {"blue": 0, "green": 100}
    assert "warmed up" in az("ml", "online-deployment", "get-logs", "-n", "green", "-e", "testep1", "--lines", "50").out

    scaled = az(
        "ml", "online-deployment", "update", "-n", "green", "-e", "testep1", "--set", "instance_count=2", "tags.a=b"
    )
    assert (scaled.json["instance_count"], scaled.json["tags"]) == (2, {"a": "b"}), scaled.err
    refused = az("ml", "online-deployment", "delete", "-n", "green", "-e", "testep1", "--yes")
    assert refused.code == 1
    assert "green has 100 % of the live traffic" in refused.err
    gone = az("ml", "online-deployment", "delete", "-n", "blue", "-e", "testep1", "--yes")
    assert gone.code == 0, gone.err
    names = az("ml", "online-deployment", "list", "-e", "testep1", "--query", "[].name", "-o", "tsv")
    assert names.out.split() == ["green"]
    deleted = az("ml", "online-endpoint", "delete", "-n", "testep1", "--yes")
    assert deleted.code == 0, deleted.err
    assert az("ml", "online-endpoint", "show", "-n", "testep1").code == 3


def test_a_script_that_fails_fails_the_deployment_and_says_why(az: Run, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "score" / "score.py").write_text("import nowhere_to_be_found\ndef init(): pass\ndef run(d): return d\n")
    assert az("ml", "online-endpoint", "create", "-n", "failing").code == 0
    ended = az("ml", "online-deployment", "create", "-f", "deploy.yml", "-e", "failing")
    assert ended.code == 1
    assert "nowhere_to_be_found" in ended.err
    shown = az("ml", "online-deployment", "show", "-n", "blue", "-e", "failing").json
    assert shown["provisioning_state"] == "Failed"
    assert "nowhere_to_be_found" in shown["error"]
    assert az("ml", "online-endpoint", "delete", "-n", "failing", "--yes").code == 0


def test_an_endpoint_of_a_file_has_what_azure_lacks(az: Run, tmp_path: Path) -> None:
    (tmp_path / "endpoint.yml").write_text(
        "name: webbed\nauth_mode: aml_token\ntags: {team: taxi}\n"
        "cors: {allow_origins: ['https://app.example.com'], max_age: 60}\nsticky: {header: X-User}\n"
    )
    made = az("ml", "online-endpoint", "create", "-f", "endpoint.yml")
    assert made.code == 0, made.err
    assert made.json["cors"] == {"allow_origins": ["https://app.example.com"], "max_age": 60}
    assert made.json["sticky"] == {"header": "x-user"}
    token = az("ml", "online-endpoint", "get-credentials", "-n", "webbed").json
    assert token["tokenType"] == "Bearer"
    changed = az("ml", "online-endpoint", "update", "-n", "webbed", "--set", "tags.stage=prod", "--remove", "cors")
    assert changed.json["tags"] == {"team": "taxi", "stage": "prod"}
    assert "cors" not in changed.json
    fixed = az("ml", "online-endpoint", "update", "-n", "webbed", "--set", "location=mars")
    assert fixed.code == 1
    assert "'location' of an online endpoint cannot change" in fixed.err


def test_wrong_words_are_told_with_the_right_ones(az: Run, tmp_path: Path) -> None:
    write(tmp_path)
    assert "no share" in az("ml", "online-endpoint", "update", "-n", "x", "--traffic", "blue:90").err
    nobody = az("ml", "online-deployment", "create", "-f", "deploy.yml", "-e", "nobody")
    assert nobody.code == 1
    assert "There is no online endpoint nobody" in nobody.err
    assert az("ml", "online-endpoint", "create", "-n", "words").code == 0
    (tmp_path / "bad.yml").write_text("name: blue\nendpoint_name: words\ninstance_count: many\n")
    bad = az("ml", "online-deployment", "create", "-f", "bad.yml")
    assert "bad.yml, line 3, field 'instance_count'" in bad.err
    (tmp_path / "bare.yml").write_text("name: blue\nendpoint_name: words\nmodel: {path: ./model}\n")
    bare = az("ml", "online-deployment", "create", "-f", "bare.yml")
    assert "needs environmentId" in bare.err
    nothing = az("ml", "online-endpoint", "invoke", "-n", "words")
    assert "give --request-file" in nothing.err
    asked = az("ml", "online-endpoint", "invoke", "-n", "words", "-r", "request.json")
    assert "The endpoint answered 404: No deployment of this endpoint has traffic" in asked.err
