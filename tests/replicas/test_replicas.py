"""Replicas of deployments, kept as their documents want them: made, updated, mended, adopted, put to sleep."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from entrepot.domain.endpoints import announcements
from entrepot.domain.endpoints.replicas import logs
from entrepot.store.documents import Delete
from tests.replicas.conftest import Fleet

Json = Any


def generation(number: int, **ours: Json) -> Any:
    """Return the change that moves a deployment to a generation."""

    def change(body: Json) -> None:
        body["entrepot"].update(generation=str(number), **ours)

    return change


def test_a_deployment_gets_the_replicas_that_it_wants_and_loses_them_all(fleet: Fleet) -> None:
    key = fleet.deploy("blue", wanted=2)
    first, second = fleet.ready(key, 2)
    assert first.address != second.address and first.secret != second.secret
    answers = [fleet.ask(first), fleet.ask(second)]
    assert [answer[:2] for answer in answers] == [["one", "w"], ["one", "w"]]
    assert answers[0][2] != 0
    epoch = fleet.hub.documents.get(announcements.EPOCH_KEY)
    assert epoch is not None and epoch.body == {"changed": key}
    text = logs(fleet.hub, key, tail=10)
    assert text.count("Ready, generation 1, 0 restarts") == 2
    assert "azureml-models/taxi/1" in text

    def deleting(body: Json) -> None:
        body["properties"]["provisioningState"] = "Deleting"
        body["entrepot"]["wanted"] = 0

    fleet.change(key, deleting)
    fleet.until(lambda: fleet.status(key).left == 0, what="the end of the replicas", key=key)
    with pytest.raises(ConnectionRefusedError):
        fleet.ask(first)
    files = fleet.hub.settings.home / "replicas"
    fleet.until(lambda: not list(files.iterdir()), what="the end of their files")


def test_instances_come_and_go_with_the_count(fleet: Fleet) -> None:
    key = fleet.deploy("blue")
    (first,) = fleet.ready(key)
    fleet.change(key, lambda body: body["entrepot"].update(wanted=3))
    fleet.until(lambda: fleet.status(key).ready == 3, what="three replicas", key=key)
    assert first.id in [replica.id for replica in fleet.replicas(key)]
    fleet.change(key, lambda body: body["entrepot"].update(wanted=1))
    fleet.until(lambda: fleet.status(key).ready == 1, what="one replica", key=key)
    states = sorted(replica.state for replica in fleet.replicas(key))
    assert states == ["Draining", "Draining", "Ready"]


def test_a_new_generation_serves_before_the_old_one_goes(fleet: Fleet) -> None:
    key = fleet.deploy("blue", word="old")
    (old,) = fleet.ready(key)
    fleet.change(key, generation(2, resolved=resolved_with(fleet, "new")))
    fleet.until(lambda: fleet.status(key).ready == 1, what="the new generation", key=key)
    by_generation = {replica.generation: replica for replica in fleet.replicas(key)}
    assert fleet.ask(by_generation["2"])[0] == "new"
    assert fleet.ask(old)[0] == "old", "the gateways may still send to it for a while"
    fleet.until(lambda: fleet.status(key).left == 1, what="the end of the old generation", key=key)


def test_a_new_generation_that_fails_leaves_the_old_one_serving_and_tells_why(fleet: Fleet) -> None:
    key = fleet.deploy("blue", word="old")
    (old,) = fleet.ready(key)
    broken = resolved_with(fleet, "new", script="def init(): raise ValueError('bad weights')\ndef run(data): pass")
    fleet.change(key, generation(2, resolved=broken))
    fleet.until(lambda: fleet.status(key).error, what="the error", key=key)
    found = fleet.status(key)
    assert found.ready == 0 and "ValueError: bad weights" in (found.error or "")
    assert "could not be loaded (exit code 3)" in (found.error or "")
    assert (found.error or "").count("ValueError: bad weights") == 1, "of the last start only"
    assert fleet.ask(old)[0] == "old"
    fleet.change(key, generation(3, resolved=resolved_with(fleet, "mended")))
    fleet.until(lambda: fleet.status(key).ready == 1, what="the mended generation", key=key)
    assert fleet.status(key).error is None


def test_a_replica_that_is_killed_is_started_anew_at_the_same_address(fleet: Fleet) -> None:
    key = fleet.deploy("blue")
    (before,) = fleet.ready(key)
    os.kill(int(host_pid(fleet, before.id)), signal.SIGKILL)
    assert fleet.ask(before)[0] == "one", "a request meanwhile waits for it"
    fleet.until(lambda: fleet.replicas(key)[0].state == "Ready", what="ready again", key=key)
    (after,) = fleet.replicas(key)
    assert (after.id, after.address, after.restarts) == (before.id, before.address, 1)
    assert "killed" in logs(fleet.hub, key, tail=20)


def test_a_replica_lives_on_without_its_server_and_the_next_one_finds_it(idle: Fleet) -> None:
    idle.start()
    key = idle.deploy("blue")
    (before,) = idle.ready(key)
    pid = idle.ask(before)[2]
    idle.stop()
    assert idle.ask(before)[2] == pid
    idle.start()
    idle.change(key, lambda body: body["properties"].update(tags={"a": "b"}))
    idle.change(key, lambda body: body["entrepot"].update(wanted=2))
    idle.until(lambda: idle.status(key).ready == 2, what="a second replica", key=key)
    assert before in idle.replicas(key)
    assert idle.ask(before)[2] == pid


def test_replicas_end_with_their_server_and_come_back_with_the_next_one(idle: Fleet) -> None:
    idle.start(leaves=False)
    key = idle.deploy("blue", wanted=2)
    before = idle.ready(key, 2)
    idle.stop()
    assert [host_pids(idle, one.id) for one in before] == [[], []]
    assert {(one.state, one.address) for one in idle.replicas(key)} == {("Starting", None)}
    idle.start()
    again = idle.ready(key, 2)
    assert [(one.id, one.restarts) for one in again] == [(one.id, 0) for one in before]
    assert all(idle.ask(one)[0] == "one" for one in again)


def test_one_that_died_while_no_server_ran_is_replaced(idle: Fleet) -> None:
    idle.start()
    key = idle.deploy("blue")
    (before,) = idle.ready(key)
    idle.stop()
    os.kill(int(host_pid(idle, before.id)), signal.SIGKILL)
    idle.start()
    idle.until(lambda: idle.replicas(key)[0].restarts == 1, what="the restart", key=key)
    (after,) = idle.ready(key)
    assert idle.ask(after)[0] == "one"


def test_an_asleep_deployment_wakes_by_a_request(fleet: Fleet) -> None:
    scale = {"scaleType": "TargetUtilization", "minInstances": 0, "maxInstances": 2, "pollingInterval": "PT1S"}
    key = fleet.deploy("blue", scaleSettings=scale, properties={"idle_seconds": "0.5"})
    fleet.until(lambda: [r.state for r in fleet.replicas(key)] == ["Asleep"], what="sleep", key=key)
    (asleep,) = fleet.replicas(key)
    assert asleep.address is not None and asleep.wakes
    assert fleet.status(key).ready == 1
    fleet.until(lambda: not host_pids(fleet, asleep.id), what="the end of its process", key=key)
    assert fleet.ask(asleep)[0] == "one"
    fleet.until(lambda: [r.state for r in fleet.replicas(key)] == ["Asleep"], what="sleep again", key=key)
    (again,) = fleet.replicas(key)
    assert (again.address, again.restarts) == (asleep.address, 0)


def test_a_hanging_replica_is_replaced_by_its_liveness_probe(fleet: Fleet) -> None:
    probe = {"period": "PT0.2S", "timeout": "PT0.5S", "failureThreshold": 2, "initialDelay": "PT0S"}
    hang = "import time, os\ndef init(): pass\ndef run(data):\n  if data == 'hang': time.sleep(600)\n  return ['up']"
    patient = {"failureThreshold": 600, "period": "PT1S"}
    key = fleet.deploy("blue", script=hang, livenessProbe=probe, readinessProbe=patient)
    (replica,) = fleet.ready(key)
    with pytest.raises(OSError):
        fleet.ask(replica, "hang")
    fleet.until(lambda: fleet.replicas(key)[0].restarts == 1, what="the restart", key=key)
    (again,) = fleet.ready(key)
    assert fleet.ask(again) == ["up"]
    assert "liveness probe failed 2 times" in logs(fleet.hub, key, tail=20)


def test_a_replica_that_hangs_for_a_while_gets_no_requests_meanwhile(fleet: Fleet) -> None:
    probe = {"period": "PT0.2S", "timeout": "PT0.3S", "failureThreshold": 1, "initialDelay": "PT60S"}
    script = (
        "import os, time\ndef init(): pass\n"
        "def run(data):\n  while not os.path.exists('go'): time.sleep(0.01)\n  return ['went']"
    )
    key = fleet.deploy("blue", script=script, readinessProbe=probe)
    (replica,) = fleet.ready(key)
    with pytest.raises(TimeoutError):
        fleet.ask(replica, timeout_s=0.5)
    fleet.until(lambda: fleet.replicas(key)[0].state == "Unready", what="unready", key=key)
    assert "readiness probe" in (fleet.replicas(key)[0].error or "")
    (replicas_code(fleet, replica.id) / "go").touch()
    fleet.until(lambda: fleet.replicas(key)[0].state == "Ready", what="ready again", key=key)
    assert fleet.replicas(key)[0].restarts == 0


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"script": ""}, "container image"),
        ({"environmentVariables": {"WORKER_COUNT": "many"}}, "WORKER_COUNT"),
        ({"properties": {"inference_server": "triton"}}, "inference_server"),
        ({"properties": {"inference_server": "azmlinfsrv"}}, "azureml-inference-server-http"),
        ({"environment": {"conda": {"dependencies": ["python=3.11", {"pip": ["no-such-package==9.9.9"]}]}}}, "no-such"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_fails_with_the_reason(fleet: Fleet, properties: dict[str, Json], said: str) -> None:
    key = fleet.deploy("blue", **properties)
    fleet.until(lambda: fleet.status(key).error, what="the error", key=key)
    assert said in (fleet.status(key).error or "")


def test_a_deployment_whose_document_vanished_is_taken_down(fleet: Fleet) -> None:
    key = fleet.deploy("blue")
    (replica,) = fleet.ready(key)
    fleet.hub.documents.commit([Delete(key)])
    fleet.until(lambda: not fleet.replicas(key), what="the end", key=key)
    with pytest.raises(ConnectionRefusedError):
        fleet.ask(replica)


def test_memory_limits_hold_and_are_told(fleet: Fleet) -> None:
    eat = "def init(): pass\ndef run(data):\n  return len([bytearray(1 << 20) for _ in range(4000)])"
    limits = {"containerResourceLimits": {"cpu": "1", "memory": "400Mi"}}
    key = fleet.deploy("blue", script=eat, containerResourceRequirements=limits)
    (replica,) = fleet.ready(key)
    with pytest.raises((OSError, AssertionError)):
        fleet.ask(replica)
    if shutil.which("bwrap"):
        fleet.until(lambda: fleet.status(key).left == 1, what="the replica", key=key)


def resolved_with(fleet: Fleet, word: str, *, script: str = "") -> Json:
    from tests.replicas.conftest import SCRIPT

    return {
        "model": fleet.model({"weights.txt": "w"}),
        "code": fleet.code(f"WORD = {word!r}\n{script or SCRIPT}"),
        "environment": fleet.environment(),
    }


def replicas_code(fleet: Fleet, id: str) -> Path:
    """Return the code folder of a replica."""
    (found,) = (fleet.hub.settings.home / "replicas").glob(f"*/{id}/code")
    return found


def host_pids(fleet: Fleet, id: str) -> list[str]:
    """Return the processes whose current folder is the replica's code."""
    folder = str(replicas_code(fleet, id))
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str((entry / "cwd").readlink()) == folder:
                    found.append(entry.name)
            except OSError:
                continue
    return found


def host_pid(fleet: Fleet, id: str) -> str:
    """Return the process that serves: the youngest of them."""
    return max(host_pids(fleet, id), key=int)
