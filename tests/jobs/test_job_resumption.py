"""Servers that stop or are killed while jobs run: nothing is lost, nothing is half-made, nothing runs twice in vain."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from entrepot.compute.local import LocalBackend
from entrepot.domain.jobs import logs, records, submission
from entrepot.testing.hub import OWNER

House = Any
COUNTING = (
    "echo run >> {marks}/runs; for i in $(seq 1200); do [ -e {marks}/go ] && break; sleep 0.05; done; "
    "echo done > ${{{{outputs.o}}}}/f"
)
OUT = {"o": {"jobOutputType": "uri_folder"}}

SERVER = """
import sys, threading
from pathlib import Path
from entrepot.compute.local import LocalBackend
from entrepot.domain.jobs import execution, records, scheduler
from entrepot.domain.jobs.staging import JobIdentity
from entrepot.domain.work import Workers
from entrepot.testing.hub import make_hub
hub = make_hub(Path(sys.argv[1]), backends={"local": LocalBackend(Path(sys.argv[2]), sandbox="none")}, reserve_bytes=0)
executor = execution.Executor(JobIdentity(lambda principal, body: "t", lambda scope: "http://127.0.0.1:9/"))
Workers(hub, {records.PIPELINE_QUEUE: scheduler.tick, records.NODE_QUEUE: executor}, {records.NODE_QUEUE: 2}).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> LocalBackend:
    """A backend without a sandbox: these steps talk to their test through files."""
    return LocalBackend(tmp_path_factory.mktemp("compute"), sandbox="none")


def server(house: House) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SERVER, str(house.hub.settings.home), str(house.hub.backends["local"].home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def runs(marks: Path) -> int:
    file = marks / "runs"
    return len(file.read_text().split()) if file.exists() else 0


def begun(house: House, tmp_path: Path, *, as_pipeline: bool = False) -> Path:
    """Submit a job that counts its runs and waits for a file; let a server start it, and kill that server."""
    marks = tmp_path / "marks"
    marks.mkdir()
    command = COUNTING.format(marks=marks)
    if as_pipeline:
        component = house.component("count", command, outputs={"o": {"type": "uri_folder"}})
        after = {"component": house.component("after", "cat ${{inputs.d}}/f", inputs={"d": {"type": "uri_folder"}})}
        nodes = {"a": {"component": component}, "b": {**after, "inputs": {"d": "${{parent.jobs.a.outputs.o}}"}}}
        house.pipeline("j", nodes)
    else:
        house.command("j", command, outputs=OUT)
    process = server(house)
    try:
        house.until(lambda: runs(marks) == 1, what="the first run")
    finally:
        kill(process)
    return marks


def test_a_step_outlives_a_killed_server_and_is_adopted_by_the_next(idle: House, tmp_path: Path) -> None:
    marks = begun(idle, tmp_path)
    assert idle.status("j") == "Running"
    idle.start()
    (marks / "go").touch()
    body = idle.finish("j")
    assert body["properties"]["status"] == "Completed", body["properties"].get("error")
    assert body["entrepot"]["attempt"] == 1
    assert runs(marks) == 1
    assert idle.output("j", "o") == {"f": b"done\n"}


def test_a_step_that_ended_while_no_server_ran_is_taken_in(idle: House, tmp_path: Path) -> None:
    marks = begun(idle, tmp_path, as_pipeline=True)
    (marks / "go").touch()
    time.sleep(0.5)
    idle.start()
    assert idle.finish("j")["properties"]["status"] == "Completed"
    assert runs(marks) == 1
    assert idle.log(idle.nodes("j")["b"]["name"]) == "done\n"


def test_a_step_that_died_with_the_machine_runs_again(idle: House, tmp_path: Path) -> None:
    marks = begun(idle, tmp_path)
    folder = records.attempt_folder(idle.hub.settings.home, records.load(idle.hub, idle.scope, "j")) / "launch"
    idle.until(lambda: (folder / "started.json").exists(), what="the supervisor's word")  # written beside the first run
    started = json.loads((folder / "started.json").read_text())
    os.kill(started["pid"], signal.SIGKILL)
    idle.start()
    idle.until(lambda: runs(marks) == 2, what="the second run")
    (marks / "go").touch()
    body = idle.finish("j")
    assert body["properties"]["status"] == "Completed"
    assert body["entrepot"]["attempt"] == 2
    assert idle.output("j", "o") == {"f": b"done\n"}


def test_launches_that_servers_did_not_live_to_make_are_no_losses_of_the_step(idle: House) -> None:
    """Each server wrote that it starts the step, and was killed before it did."""
    idle.command("j", "echo done > ${{outputs.o}}/f", outputs=OUT)
    record = records.load(idle.hub, idle.scope, "j")
    record.ours.update(attempt=7)
    idle.hub.documents.commit(records.moved(record, records.RUNNING, now=idle.hub.clock.now()))
    idle.start()
    body = idle.finish("j")
    assert body["properties"]["status"] == "Completed", body["properties"].get("error")
    assert body["entrepot"]["attempt"] == 8


def test_a_cancel_while_no_server_runs_is_kept(idle: House, tmp_path: Path) -> None:
    marks = begun(idle, tmp_path)
    submission.cancel(idle.hub, OWNER, idle.scope, "j")
    assert idle.status("j") == "CancelRequested"
    idle.start()
    assert idle.finish("j")["properties"]["status"] == "Canceled"
    assert runs(marks) == 1


def test_a_server_that_stops_leaves_its_steps_to_the_next(idle: House, tmp_path: Path) -> None:
    marks = tmp_path / "go"
    idle.start()
    idle.command(
        "j", "echo up; until read line < ${{outputs.o}}/go; do sleep 0.05; done 2> /dev/null; echo end", outputs=OUT
    )
    idle.until(lambda: "up" in idle.log("j"), what="the log")
    idle.stop()
    assert idle.status("j") == "Running"
    folder = records.attempt_folder(idle.hub.settings.home, records.load(idle.hub, idle.scope, "j"))
    marks.write_text("line\n")
    marks.rename(folder / "outputs" / "o" / "go")
    idle.start()
    body = idle.finish("j")
    assert body["entrepot"]["attempt"] == 1
    assert idle.log("j") == "up\nend\n"


def test_a_log_is_read_on_where_it_was_left(house: House) -> None:
    house.command("j", "printf 'eins zwei dr\\303'; sleep 1; printf '\\244i'")
    house.until(lambda: "zwei" in house.log("j"), what="the log")
    text, offset = logs.read(house.hub, house.scope, "j", logs.STD_LOG, 5)
    assert (text, offset) == ("zwei dr", 12)
    house.finish("j")
    assert logs.read(house.hub, house.scope, "j", logs.STD_LOG, offset) == ("äi", 15)
    assert logs.read(house.hub, house.scope, "j", logs.STD_LOG, 15) == ("", 15)
