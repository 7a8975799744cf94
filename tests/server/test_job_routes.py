"""Job, run-history and MLflow routes, on jobs that really run."""

import time
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from entrepot.testing.live import LiveServer, wait_until

Json = Any

HISTORY = "/history/v1.0"


@pytest.fixture(scope="module")
def environment(server: LiveServer) -> str:
    """The ARM id of an environment that needs no build."""
    path = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/dev"
    reply = server.call("PUT", f"{path}/environments/plain/versions/1", {"properties": {"image": "docker.io/python"}})
    assert reply.status in (200, 201)
    found: str = reply.json["id"]
    return found


def _submit(server: LiveServer, workspace: str, name: str, command: str, environment: str) -> Json:
    properties = {
        "jobType": "Command", "command": command, "environmentId": environment, "experimentName": "e1",
        "computeId": f"{workspace}/computes/cpu-cluster", "displayName": "shown", "tags": {"k": "v"},
        "outputs": {"out": {"jobOutputType": "uri_folder"}},
    }  # fmt: skip
    reply = server.call("PUT", f"{workspace}/jobs/{name}", {"properties": properties})
    assert reply.status == 201, reply.body
    return reply.json


def _status(server: LiveServer, workspace: str, name: str) -> str:
    found: str = server.call("GET", f"{workspace}/jobs/{name}").json["properties"]["status"]
    return found


def _finished(server: LiveServer, workspace: str, name: str) -> str:
    ended = ("Completed", "Failed", "Canceled")
    wait_until(lambda: _status(server, workspace, name) in ended, timeout_s=90, what=f"the end of {name}")
    return _status(server, workspace, name)


def test_a_job_runs_and_tells_of_itself_in_both_services(server: LiveServer, provider: str, environment: str) -> None:
    workspace = f"{provider}/workspaces/dev"
    made = _submit(server, workspace, "j1", "echo hello-log; echo x > ${{outputs.out}}/r.txt", environment)
    assert made["properties"]["services"]["Studio"]["endpoint"].count("?") == 1
    assert _finished(server, workspace, "j1") == "Completed"
    assert "j1" in [job["name"] for job in server.call("GET", f"{workspace}/jobs").json["value"]]
    run = server.call("GET", f"{HISTORY}{workspace}/runs/j1").json
    assert (run["runId"], run["status"], run["displayName"]) == ("j1", "Completed", "shown")
    data = server.call("POST", f"{HISTORY}{workspace}/rundata", {"runId": "j1"}).json
    told = {"assetId": "azureml://jobs/j1/outputs/out", "type": "uri_folder"}
    assert data["runMetadata"]["outputs"] == {"out": told}
    asked = {"values": [told["assetId"], "azureml://jobs/nobody/outputs/out", "nonsense"]}
    places = server.call("POST", f"/data/v1.0{workspace}/dataversion/batchGetResolvedUris", asked).json["values"]
    assert [(id, "datastores/" in place["uri"]) for id, place in places.items()] == [(told["assetId"], True)]
    reference = server.call("POST", f"{workspace}/jobs/j1/datarefs", {"output": "out"}).json
    assert reference["blobReferenceForConsumption"]["prefix"].endswith("/out")
    missing = server.call("POST", f"{workspace}/jobs/j1/datarefs", {"output": "nope"})
    assert missing.status == 404 and "out, artifacts, logs" in missing.json["error"]["message"]


def test_a_job_that_ended_before_anybody_looked_is_finalizing_at_the_first_look(
    server: LiveServer, provider: str, environment: str
) -> None:
    workspace = f"{provider}/workspaces/dev"
    _submit(server, workspace, "fast", "echo hello-log", environment)
    _finished(server, workspace, "fast")
    looks = [server.call("GET", f"{HISTORY}{workspace}/runs/fast/details").json["status"] for _ in range(3)]
    assert looks == ["Finalizing", "Completed", "Completed"]


def test_log_addresses_carry_their_own_right_and_no_other(server: LiveServer, provider: str, environment: str) -> None:
    workspace = f"{provider}/workspaces/dev"
    _submit(server, workspace, "j2", "echo hello-log", environment)
    _finished(server, workspace, "j2")
    files = server.call("GET", f"{HISTORY}{workspace}/runs/j2/details", secure=True).json["logFiles"]
    address = files["user_logs/std_log.txt"]
    assert address.startswith(server.file.https_url)
    parts = urlsplit(address)
    log = server.call("GET", f"{parts.path}?{parts.query}", token=None)
    assert (log.status, log.body) == (200, b"hello-log\n")
    other = parts.path.replace("/runs/j2/", "/runs/j1/")
    assert server.call("GET", f"{other}?{parts.query}", token=None).status == 401
    assert server.call("GET", parts.path, token=None).status == 401


def test_a_log_is_followed_while_it_grows(server: LiveServer, provider: str, environment: str) -> None:
    workspace = f"{provider}/workspaces/dev"
    _submit(server, workspace, "j3", "echo one; sleep 1; echo two; sleep 1; echo three", environment)
    text, offset, status, parts = "", 0, "", 0
    while status not in ("Completed", "Failed") and parts < 200:
        part = server.call("GET", f"{workspace}/jobs/j3/logs?offset={offset}&waitSeconds=10").json
        text, offset, status, parts = text + part["text"], part["offset"], part["status"], parts + 1
    assert (text, status) == ("one\ntwo\nthree\n", "Completed")
    assert parts < 12, "each answer waits for something new"
    bad = server.call("GET", f"{workspace}/jobs/j3/logs?offset=x")
    assert bad.status == 400 and "offset" in bad.json["error"]["message"]


def test_a_cancel_ends_the_job(server: LiveServer, provider: str, environment: str) -> None:
    workspace = f"{provider}/workspaces/dev"
    _submit(server, workspace, "j4", "sleep 60", environment)
    wait_until(lambda: _status(server, workspace, "j4") == "Running", timeout_s=60, what="the start")
    assert server.call("POST", f"{workspace}/jobs/j4/cancel").status == 200
    assert _finished(server, workspace, "j4") == "Canceled"


def test_a_run_is_patched_and_hidden(server: LiveServer, provider: str, environment: str) -> None:
    workspace = f"{provider}/workspaces/dev"
    _submit(server, workspace, "j5", "true", environment)
    _finished(server, workspace, "j5")
    run = f"{HISTORY}{workspace}/experiments/e1/runs/j5"
    assert server.call("PATCH", run, {"displayName": "other", "tags": {"z": "9"}}).status == 200
    properties = server.call("GET", f"{workspace}/jobs/j5").json["properties"]
    assert properties["displayName"] == "other" and properties["tags"]["z"] == "9" and properties["tags"]["k"] == "v"
    assert server.call("PATCH", run, {"hidden": True}).status == 200
    assert "j5" not in [job["name"] for job in server.call("GET", f"{workspace}/jobs").json["value"]]
    assert server.call("PATCH", run, {"tags": "x"}).status == 400


def test_a_stop_does_not_wait_for_whoever_follows_a_log(tmp_path: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from entrepot.testing.live import live

    group = "/subscriptions/s1/resourceGroups/rg"
    workspace = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/dev"
    with live(tmp_path / "home") as server, ThreadPoolExecutor(1) as pool:
        server.call("PUT", workspace, {"location": "eastus"})
        server.call("PUT", f"{workspace}/environments/plain/versions/1", {"properties": {"image": "docker.io/python"}})
        _submit(server, workspace, "long", "sleep 60", f"{workspace}/environments/plain/versions/1")
        wait_until(lambda: _status(server, workspace, "long") == "Running", timeout_s=60, what="the start")
        waiting = pool.submit(server.call, "GET", f"{workspace}/jobs/long/logs?waitSeconds=30", timeout_s=60)
        time.sleep(0.5)
        server.call("POST", f"{workspace}/jobs/long/cancel")
        assert server.stop() == 0
        assert waiting.result(30).status == 200


def test_mlflow_logs_and_searches_runs(server: LiveServer, provider: str) -> None:
    api = f"/mlflow/v2.0{provider}/workspaces/dev/api/2.0/mlflow"
    made = server.call("POST", f"{api}/experiments/create", {"name": "mine"})
    assert made.status == 200, made.body
    experiment = made.json["experiment_id"]
    run = server.call("POST", f"{api}/runs/create", {"experiment_id": experiment, "start_time": 1}).json["run"]
    run_id = run["info"]["run_id"]
    batch = {"run_id": run_id, "metrics": [{"key": "acc", "value": 0.9, "timestamp": 1, "step": 0}], "params": []}
    assert server.call("POST", f"{api}/runs/log-batch", batch).status == 200
    got = server.call("GET", f"{api}/runs/get?run_id={run_id}&run_uuid={run_id}").json["run"]
    assert got["data"]["metrics"][0]["value"] == 0.9
    found = server.call(
        "POST", f"{api}/runs/search", {"experiment_ids": [experiment], "filter": "metrics.acc > 0.5"}
    ).json
    assert [entry["info"]["run_id"] for entry in found["runs"]] == [run_id]
    assert (
        server.call("GET", f"{api.replace('v2.0', 'v1.0', 1)}/experiments/get?experiment_id={experiment}").status == 200
    )


def test_mlflow_is_told_of_errors_in_its_own_words(server: LiveServer, provider: str) -> None:
    api = f"/mlflow/v2.0{provider}/workspaces/dev/api/2.0/mlflow"
    missing = server.call("GET", f"{api}/runs/get?run_id=none")
    assert (missing.status, missing.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert server.call("POST", f"{api}/webhooks/create", {"name": "x"}).json["error_code"] == "NOT_IMPLEMENTED"
    assert server.call("GET", f"{api}/runs/get?run_id=none", token="bad").status == 401


def test_artifacts_stream_through_the_proxy(server: LiveServer, provider: str) -> None:
    base = f"/mlflow/v2.0{provider}/workspaces/dev/api/2.0"
    experiment = server.call("POST", f"{base}/mlflow/experiments/create", {"name": "files"}).json["experiment_id"]
    run = server.call("POST", f"{base}/mlflow/runs/create", {"experiment_id": experiment, "start_time": 1}).json["run"]
    root = run["info"]["run_id"] + "/artifacts"
    assert run["info"]["artifact_uri"] == f"mlflow-artifacts:/{root}"
    files = f"{base}/mlflow-artifacts/artifacts"
    large = bytes(range(256)) * 20_000
    for name, data in (("model/MLmodel", b"flavors: {}\n"), ("model/data/big.bin", large), ("a b.txt", b"")):
        assert server.call("PUT", f"{files}/{root}/{quote(name)}", data).status == 200
    assert server.call("GET", f"{files}/{root}/model/data/big.bin").body == large
    top = server.call("GET", f"{files}?path={quote(root)}").json["files"]
    assert top == [{"path": "a b.txt", "is_dir": False, "file_size": 0}, {"path": "model", "is_dir": True}]
    below = server.call("GET", f"{files}?path={quote(root + '/model')}").json["files"]
    assert [entry["path"] for entry in below] == ["MLmodel", "data"]
    assert server.call("GET", f"{files}/{root}/none").json["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert server.call("PUT", f"{files}/{root}/../../x", b"y").status in (400, 404)
    assert list((server.home / "incoming").iterdir()) == []


def test_lists_of_a_workspace_or_group_that_is_not_there_are_not_empty_but_missing(server: LiveServer) -> None:
    workspaces = "/subscriptions/s1/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces"
    for group, noun in (("rg", "jobs"), ("rg", "jobs/j1"), ("nope", "jobs"), ("rg", "schedules")):
        missing = server.call("GET", f"{workspaces.format(group)}/nope/{noun}")
        assert (missing.status, missing.json["error"]["code"]) == (404, "ResourceNotFound"), noun
        assert missing.json["error"]["message"] == f"There is no workspace 'nope' in resource group '{group}'"
    for path in (
        workspaces.format("nope"),
        workspaces.format("nope").replace("/workspaces", "/registries"),
        "/subscriptions/s1/resourceGroups/nope/resources",
        "/subscriptions/s1/resourceGroups/nope",
    ):
        missing = server.call("GET", path)
        assert (missing.status, missing.json["error"]["code"]) == (404, "ResourceGroupNotFound"), path
        assert "There is no resource group 'nope'" in missing.json["error"]["message"]
