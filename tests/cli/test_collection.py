"""What a deployment collects of its requests: in the blob store under Azure's paths, as the documented events."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.live import LiveServer, live, wait_until
from tests.cli.conftest import Run, run
from tests.cli.test_metrics import ask

Json = Any

SCORE = """
import json, os
import pandas
from azureml.ai.monitoring import Collector
from azureml.ai.monitoring.context import BasicCorrelationContext

def init():
    global inputs, outputs
    inputs, outputs = Collector(name="model_inputs"), Collector(name="model_outputs")
    wrong = []
    Collector(name="nowhere", on_error=wrong.append)
    assert "is not enabled" in str(wrong[0]), wrong
    inputs.collect  # a Collector without on_error is made like any other

def run(data):
    asked = json.loads(data)
    if asked.get("pid"):
        return os.getpid()
    frame = pandas.DataFrame(asked["data"])
    context = inputs.collect(frame, BasicCorrelationContext(id=asked["id"]))
    outputs.collect(frame.sum(axis=1).to_frame("sum"), context)
    return {"rows": len(frame)}
"""
DEPLOYMENT = """
name: blue
endpoint_name: watched
code_configuration: {code: ./score, scoring_script: score.py}
environment: azureml://registries/azureml/environments/python-3.11-mlflow/versions/1
request_settings: {request_timeout_ms: 60000}
data_collector:
  rolling_rate: hour
  request_logging: {capture_headers: [X-Team]}
  collections:
    request: {enabled: 'True'}
    response: {enabled: 'True'}
    model_inputs:
      enabled: 'True'
      data: {name: what_came_in, path: azureml://datastores/workspaceblobstore/paths/elsewhere/inputs, version: 3}
    model_outputs: {enabled: true}
    unwanted: {enabled: 'False'}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that brings what is collected to the blob store within seconds."""
    with live(tmp_path_factory.mktemp("collected") / "home", fsync=False, collection_flush_s=1.0) as running:
        for words in (
            ("group", "create", "-n", "rg", "-l", "eastus"),
            ("configure", "--defaults", "group=rg", "workspace=dev", "location=eastus"),
            ("ml", "workspace", "create", "-n", "dev"),
        ):
            ended = run(*words, "--home", running.home)
            assert ended.code == 0, ended.err
        yield running


@pytest.fixture
def typed(server: LiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("ENTREPOT_HOME", str(server.home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "score.py").write_text(SCORE)
    (tmp_path / "deploy.yml").write_text(DEPLOYMENT)
    return run


def events(typed: Run, asset: str, version: str, folder: Path) -> list[Json]:
    """Read all events of a data asset as a user does: by downloading it."""
    target = folder / f"{asset}-{time.monotonic_ns()}"
    words = ("ml", "data", "download", "-n", asset, "-v", version, "--download-path", target)
    if typed(*words).code != 0:
        return []
    files = sorted(target.rglob("*.jsonl"))
    assert all(re.search(r"/\d{4}/\d{2}/\d{2}/\d{2}/[0-9a-f-]{36}\.jsonl$", str(file)) for file in files), files
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_requests_answers_and_frames_are_collected_and_outlive_a_killed_replica(
    typed: Run, tmp_path: Path, server: LiveServer
) -> None:
    endpoint = typed("ml", "online-endpoint", "create", "--name", "watched").json
    made = typed("ml", "online-deployment", "create", "-f", "deploy.yml", "--all-traffic")
    assert made.code == 0, made.err
    collector = made.json["data_collector"]
    assert collector["rolling_rate"] == "hour"
    assert collector["sampling_rate"] == 1.0
    assert collector["collections"]["unwanted"] == {"enabled": "false"}
    assert collector["collections"]["model_inputs"]["data"].endswith("/data/what_came_in/versions/3")
    key = typed("ml", "online-endpoint", "get-credentials", "-n", "watched").json["primaryKey"]
    uri = endpoint["scoring_uri"]
    assert ask(uri, key, {"id": "first", "data": {"a": [1, 2], "b": [3, 4]}}) == 200
    assert ask(uri, key, {"wrong": 1}) == 424

    def collected(name: str, version: str = "1") -> list[Json]:
        return events(typed, name, version, tmp_path)

    wait_until(lambda: len(collected("watched-blue-response")) == 2, timeout_s=60, what="two answers collected")
    requests = collected("watched-blue-request")
    assert [one["data"] for one in requests] == [{"id": "first", "data": {"a": [1, 2], "b": [3, 4]}}, {"wrong": 1}]
    first = requests[0]
    assert first["specversion"] == "1.0"
    assert first["type"] == "azureml.inference.request"
    assert first["source"] == made.json["id"]
    assert (first["path"], first["method"], first["datacontenttype"]) == ("/score", "POST", "application/json")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["time"])
    assert first["contentrange"] == "bytes 0-50/51"
    answers = collected("watched-blue-response")
    assert answers[0]["data"] == {"rows": 2}
    assert [one["xrequestid"] for one in answers] == [one["xrequestid"] for one in requests]
    (inputs,) = collected("what_came_in", "3")
    (outputs,) = collected("watched-blue-model_outputs")
    assert inputs["data"] == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    assert outputs["data"] == [{"sum": 4}, {"sum": 6}]
    assert (inputs["correlationid"], outputs["correlationid"]) == ("first", "first")
    assert inputs["collectdatatype"] == "pandas.core.frame.DataFrame"
    assert inputs["type"] == "azureml.inference.model_inputs"
    assert {"agent", "modelversion", "contentrange"} <= set(inputs)

    # more comes, and the same version of the asset has it
    assert ask(uri, key, {"id": "second", "data": {"a": [5]}}) == 200
    wait_until(lambda: len(collected("what_came_in", "3")) == 2, timeout_s=60, what="the asset grows")
    unchanged = typed("ml", "online-deployment", "update", "-n", "blue", "-e", "watched", "--set", "tags.a=b")
    assert unchanged.json["data_collector"] == collector, unchanged.err

    # what is in a file of the replica's outlives it
    assert ask(uri, key, {"id": "last words", "data": {"a": [7]}}) == 200

    def written() -> bool:
        files = [file for file in server.home.glob("replicas/*/*/collected/model_inputs/**/*") if file.is_file()]
        found = events(typed, "what_came_in", "3", tmp_path)
        return any(b"last words" in file.read_bytes() for file in files if file.exists()) or any(
            one["correlationid"] == "last words" for one in found
        )

    wait_until(written, timeout_s=60, what="the event is in a file")
    for process in server_workers(server):
        os.kill(process, signal.SIGKILL)
    wait_until(
        lambda: any(one["correlationid"] == "last words" for one in events(typed, "what_came_in", "3", tmp_path)),
        timeout_s=90, what="the event of the killed replica is in the blob store",
    )  # fmt: skip
    assert typed("ml", "online-endpoint", "delete", "-n", "watched", "--yes").code == 0


def server_workers(server: LiveServer) -> list[int]:
    """Return the processes of this server's replicas."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"entrepot_serving" in command and str(server.home).encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("collector", "words"),
    [
        ({}, "needs collections"),
        ({"collections": {"request": {"dataCollectionMode": "On"}}}, "must be Enabled or Disabled"),
        ({"collections": {"request": {"samplingRate": 2}}}, "a number from 0.0 to 1.0"),
        ({"collections": {"../x": {}}}, "A collection's name has"),
        ({"collections": {"request": {}}, "rollingRate": "Week"}, "must be one of Year"),
        ({"collections": {"request": {"dataCollectionMode": "Enabled", "dataId": "azureml:none:1"}}}, "none"),
    ],
)
def test_a_collector_that_cannot_be_is_told_why(typed: Run, server: LiveServer, collector: Json, words: str) -> None:
    id = typed("ml", "online-endpoint", "create", "--name", "refusing").json["id"]
    environment = "azureml://registries/azureml/environments/python-3.11/versions/1"
    body = {"location": "eastus", "properties": {"environmentId": environment, "dataCollector": collector or {"x": 1}}}
    body["properties"]["codeConfiguration"] = {"codeId": "azureml:none:1", "scoringScript": "score.py"}  # type: ignore[index]
    answer = server.call("PUT", f"{id}/deployments/blue?api-version=2024-10-01", body)
    assert answer.status in (400, 404)
    assert words in answer.json["error"]["message"], answer.body
