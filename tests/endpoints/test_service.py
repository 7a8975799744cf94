"""A whole service under load: server, Envoy and replicas as users have them, changed and hurt while it is asked."""

import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.journey.console import CommandLine

Json = Any
LIMIT_S = 120.0
SCORE = """
import os, sys, time

def init():
    print("init", os.environ["WORD"], flush=True)

def run(data):
    print("began", data, flush=True)
    if data.startswith("slow"):
        open(os.path.join(os.environ["SIGNS"], "began-" + data), "w").close()
        while not os.path.exists(os.path.join(os.environ["SIGNS"], "go")): time.sleep(0.01)
    if data == "stream":
        return (f"{number};" for number in range(3))
    if data == "fail":
        raise RuntimeError("as asked")
    return [os.environ["WORD"], len(data)]
"""
DEPLOYMENT = """
name: {name}
endpoint_name: proof
code_configuration: {{code: ./code, scoring_script: score.py}}
environment: azureml:plain:1
environment_variables: {{WORD: {word}, SIGNS: ./}}
instance_type: Standard_DS2_v2
instance_count: {count}
request_settings: {{request_timeout_ms: 90000, max_concurrent_requests_per_instance: 8}}
"""


@dataclass
class Service:
    """A server whose endpoint `proof` has blue with two replicas and green with one; all traffic goes to blue."""

    az: CommandLine
    uri: str
    key: str

    def connect(self) -> http.client.HTTPConnection:
        place = urlsplit(self.uri)
        assert place.hostname
        return http.client.HTTPConnection(place.hostname, place.port, timeout=LIMIT_S)

    def ask(self, body: str, connection: http.client.HTTPConnection | None = None, *, to: str = "") -> "Answer":
        """Send one request, over a connection of its own or a kept one."""
        used = connection or self.connect()
        headers = {"Authorization": f"Bearer {self.key}", **({"azureml-model-deployment": to} if to else {})}
        try:
            used.request("POST", urlsplit(self.uri).path, body, headers)
            answer = used.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            if connection is None:
                used.close()

    def deploy(self, name: str, word: str, *, verb: str = "update", count: int = 2) -> None:
        """Make or change a deployment and return when it has."""
        (self.az.folder / f"{name}.yml").write_text(DEPLOYMENT.format(name=name, word=word, count=count))
        self.az("ml", "online-deployment", verb, "-f", f"{name}.yml")

    def divide(self, **shares: int) -> None:
        """Divide the traffic."""
        text = " ".join(f"{name}={percent}" for name, percent in shares.items())
        self.az("ml", "online-endpoint", "update", "-n", "proof", "--traffic", text)

    def replicas(self) -> dict[int, Path]:
        """Return the processes of replicas, with the folder that is a replica's own."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                folder = (entry / "cwd").readlink() if entry.name.isdigit() else Path("/")
            except OSError:
                continue
            if folder.is_relative_to(self.az.home / "replicas"):
                found[int(entry.name)] = folder.parent
        return found

    def kill(self, pid: int) -> None:
        """Kill a process and return when it has let go of its sockets."""
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + LIMIT_S
        while pid in self.replicas():
            assert time.monotonic() < end
            time.sleep(0.005)

    def runs(self) -> Counter[str]:
        """Return how often each request was begun by any replica there is or was since it was last restarted."""
        logs = [file.read_text() for file in (self.az.home / "replicas").glob("*/*/log.txt")]
        return Counter(line[6:] for log in logs for line in log.splitlines() if line.startswith("began "))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Load:
    """Callers that ask without a pause, each over its own connection, until they are told to stop."""

    service: Service
    callers: int = 4
    answers: dict[str, Answer] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)
    _may: threading.Event = field(default_factory=threading.Event)
    _busy: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __enter__(self) -> "Load":
        self._may.set()
        self._threads = [threading.Thread(target=self._call) for _ in range(self.callers)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._may.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        connection = self.service.connect()
        while not self._stop.is_set():
            if not self._may.is_set():
                self._busy.release()
                self._may.wait()
            number = f"n{next(self._numbers)}"
            try:
                self.answers[number] = self.service.ask(number, connection)
            except OSError as error:
                self.answers[number] = Answer(0, {}, repr(error).encode())
                connection.close()
        connection.close()

    def pause(self) -> None:
        """Return when no request is under way."""
        self._may.clear()
        for _ in range(self.callers):
            assert self._busy.acquire(timeout=LIMIT_S)

    def go_on(self) -> None:
        """Let them ask again."""
        self._may.set()

    def more(self, count: int) -> None:
        """Return when so many more were answered."""
        wanted, end = len(self.answers) + count, time.monotonic() + LIMIT_S
        while len(self.answers) < wanted:
            assert time.monotonic() < end, f"{len(self.answers)} of {wanted} answers"
            time.sleep(0.01)

    def lost(self) -> list[Answer]:
        """Return the answers that are none."""
        return [answer for answer in list(self.answers.values()) if answer.status != 200]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    top = tmp_path_factory.mktemp("service")
    (top / "files" / "code").mkdir(parents=True)
    (top / "files" / "code" / "score.py").write_text(SCORE)
    (top / "files" / "plain.yml").write_text("name: plain\nversion: '1'\nimage: docker.io/python\n")
    az = CommandLine(top / "home", folder=top / "files")
    az.text("up", "--detach")
    try:
        az("group", "create", "-n", "rg", "-l", "eastus")
        az("configure", "--defaults", "group=rg", "workspace=dev", "location=eastus")
        az("ml", "workspace", "create", "-n", "dev")
        az("ml", "environment", "create", "-f", "plain.yml")
        uri = az("ml", "online-endpoint", "create", "-n", "proof")["scoring_uri"]
        key = az("ml", "online-endpoint", "get-credentials", "-n", "proof")["primaryKey"]
        made = Service(az, uri, key)
        made.deploy("blue", "one", verb="create")
        made.deploy("green", "green", verb="create", count=1)
        made.divide(blue=100, green=0)
        yield made
    finally:
        az.run("down")
    assert not Service(az, "", "").replicas(), "replicas end with their server"


def test_nothing_is_lost_across_an_update_a_change_of_traffic_and_a_killed_replica(service: Service) -> None:
    with Load(service) as load:
        load.more(50)
        service.deploy("blue", "two")
        load.more(50)
        assert load.lost() == []
        assert json.loads(service.ask("x").body)[0] == "two"
        service.divide(blue=50, green=50)
        load.more(50)
        service.divide(blue=100, green=0)
        load.more(50)
        assert load.lost() == []
        load.pause()
        service.kill(
            max(pid for pid, folder in service.replicas().items() if "init two" in (folder / "log.txt").read_text())
        )
        load.go_on()
        load.more(200)
    assert load.lost() == []
    assert {answer.headers["azureml-model-deployment"] for answer in load.answers.values()} == {"blue", "green"}


def test_a_request_inside_a_killed_replica_is_told_so_and_not_run_again(service: Service, tmp_path: Path) -> None:
    caught: list[Answer] = []
    caller = threading.Thread(target=lambda: caught.append(service.ask("slow-lost")))
    caller.start()
    end = time.monotonic() + LIMIT_S
    while not (found := [pid for pid, folder in service.replicas().items() if list(folder.rglob("began-slow-lost"))]):
        assert time.monotonic() < end
        time.sleep(0.01)
    service.kill(max(found))
    caller.join()
    assert [answer.status for answer in caught] == [503]
    assert json.loads(caught[0].body)["error"]["code"] == "ReplicaLost"
    assert service.ask("after").status == 200
    assert service.runs()["slow-lost"] == 1
