"""A whole service under load: server, Envoy and replicas as users have them, changed and hurt while it is asked."""

import http.client
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
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

def sign(name):
    return os.path.exists(os.path.join(os.environ["SIGNS"], name))

def pieces(name):
    yield "first;"
    while not sign("go-" + name): time.sleep(0.01)
    yield "last"

def run(data):
    print("began", data[:100], flush=True)
    if data.startswith("slow"):
        open(os.path.join(os.environ["SIGNS"], "began-" + data), "w").close()
        while not sign("go-" + data): time.sleep(0.01)
    if data.startswith("stream"):
        return pieces(data)
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
        until(lambda: pid not in self.replicas(), what=f"the end of {pid}")

    def runs(self) -> Counter[str]:
        """Return how often each request was begun by any replica there is or was since it was last restarted."""
        logs = [file.read_text(errors="replace") for file in (self.az.home / "replicas").glob("*/*/log.txt")]
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


@dataclass
class Slow:
    """A request that is inside a replica until it is let go."""

    service: Service
    name: str
    folder: Path = Path()
    _answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> "Slow":
        self._caller = threading.Thread(target=lambda: self._answers.append(self.service.ask(self.name)))
        self._caller.start()
        until(self._is_inside, what=f"the run of {self.name}")
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._caller.join()

    def _is_inside(self) -> bool:
        found = [folder for folder in self.service.replicas().values() if list(folder.rglob(f"began-{self.name}"))]
        self.folder = found[0] if found else Path()
        return bool(found)

    def let_go(self) -> None:
        """Have it return."""
        if (self.folder / "code").is_dir():
            (self.folder / "code" / f"go-{self.name}").touch()

    def answers(self) -> list[Answer]:
        """Return what came back."""
        self._caller.join()
        return self._answers


def until(condition: Callable[[], object], *, what: str) -> None:
    """Return when the condition holds."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


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


def test_a_request_inside_a_killed_replica_is_told_so_and_not_run_again(service: Service) -> None:
    with Slow(service, "slow-lost") as slow:
        service.kill(max(pid for pid, folder in service.replicas().items() if folder == slow.folder))
        caught = slow.answers()
    assert [answer.status for answer in caught] == [503]
    assert json.loads(caught[0].body)["error"]["code"] == "ReplicaLost"
    assert service.ask("after").status == 200
    assert service.runs()["slow-lost"] == 1


def test_a_long_request_is_answered_by_the_replica_that_an_update_ends(service: Service) -> None:
    with Slow(service, "slow-update") as slow:
        service.deploy("blue", "three")
        until(lambda: list(slow.folder.glob("launch-*/cancel")), what="the end of the old replica")
        assert service.ask("x").status == 200
        slow.let_go()
        assert [(answer.status, json.loads(answer.body)) for answer in slow.answers()] == [(200, ["two", 11])]


def test_pieces_pass_the_gateway_as_they_come(service: Service) -> None:
    connection = service.connect()
    connection.request("POST", urlsplit(service.uri).path, "stream", {"Authorization": f"Bearer {service.key}"})
    answer = connection.getresponse()
    assert answer.read1() == b"first;"
    for folder in service.replicas().values():
        (folder / "code" / "go-stream").touch()
    assert answer.read() == b"last"
    connection.close()


def test_a_failure_of_the_model_is_424_and_says_so_in_headers(service: Service) -> None:
    answer = service.ask("fail")
    assert answer.status == 424
    assert answer.headers["ms-azureml-model-error-statuscode"] == "500"
    assert answer.headers["ms-azureml-model-error-reason"] == "model_error"
    assert answer.headers["azureml-model-deployment"] == "blue"


def test_a_body_of_100_mb_reaches_the_model(service: Service) -> None:
    assert json.loads(service.ask("x" * (100 << 20)).body) == ["three", 100 << 20]


def test_down_answers_what_was_asked_and_up_brings_the_replicas_back(service: Service) -> None:
    api = urlsplit(service.az("status")["url"])

    def is_gone() -> bool:
        assert api.hostname and api.port
        try:
            socket.create_connection((api.hostname, api.port), timeout=LIMIT_S).close()
        except ConnectionRefusedError:
            return True
        return False

    def answers() -> bool:
        try:
            return service.ask("x").status == 200
        except ConnectionRefusedError:
            return False

    with Slow(service, "slow-down") as slow:
        ending = threading.Thread(target=service.az.text, args=("down",))
        ending.start()
        until(is_gone, what="the end of the API")
        slow.let_go()
        assert [answer.status for answer in slow.answers()] == [200]
        ending.join()
    assert not service.replicas()
    service.az.text("up", "--detach")
    until(answers, what="the gateway and the replicas")
    assert len(set(service.replicas().values())) >= 1
