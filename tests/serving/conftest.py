"""Replica hosts that really run: score scripts in the sandbox, asked over their sockets."""

import http.client
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.compute.backend import ComputeBackend, EnvironmentSpec, Launch, Limits, Mount, Prepared, State
from entrepot.compute.local import LocalBackend
from entrepot.domain.endpoints.replicas.kits import host_layer

Json = Any
LIMIT_S = 120.0
BOOT = "import sys; sys.path.append(sys.argv[1]); from entrepot_serving.program import main; main()"
_numbers = itertools.count(1)


@dataclass
class Reply:
    """An answer of a host."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Host:
    """A host that was launched."""

    backend: ComputeBackend
    launch: Launch
    key: str
    connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection; the host answers on it once its model is loaded."""
        address = self.backend.address(self.launch.id, self.launch.folder)
        end = time.monotonic() + LIMIT_S
        while address is None:
            assert time.monotonic() < end, self.log
            assert self.status is State.RUNNING, self.log
            time.sleep(0.005)
            address = self.backend.address(self.launch.id, self.launch.folder)
        connection = http.client.HTTPConnection(*address, timeout=LIMIT_S)
        self.connections.append(connection)
        return connection

    def call(
        self, method: str = "POST", path: str = "/score", body: bytes | str | Json = None, *, key: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        """Send a request with the key ('' the right one, None none); what is neither bytes nor text goes as JSON."""
        data = body if isinstance(body, bytes | str) or body is None else json.dumps(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["x-entrepot-replica"] = key or self.key
        connection = self.connect()
        connection.request(method, path, body=data.encode() if isinstance(data, str) else data, headers=sent)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    @property
    def status(self) -> State:
        """The state of its process."""
        return self.backend.poll(self.launch.id, self.launch.folder).state

    @property
    def log(self) -> str:
        """What it printed."""
        return self.launch.log.read_text() if self.launch.log.exists() else ""

    def end(self) -> tuple[State, int | None]:
        """Return how it ended, by itself."""
        status = self.backend.wait(self.launch.id, self.launch.folder, timeout_s=LIMIT_S)
        return status.state, status.exit_code

    def stop(self, *, grace_s: float = 20) -> None:
        """End it."""
        self.backend.cancel(self.launch.id, self.launch.folder, grace_s=grace_s)
        for connection in self.connections:
            connection.close()


Serve = Callable[..., Host]


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> LocalBackend:
    """A backend whose environments all tests here share."""
    return LocalBackend(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="session")
def plain(backend: LocalBackend) -> Prepared:
    """An environment with nothing in it."""
    return backend.prepare(EnvironmentSpec(image="docker.io/python:3.11"), log=print)


@pytest.fixture
def serve(backend: LocalBackend, plain: Prepared, tmp_path: Path) -> Iterator[Serve]:
    """Launch a host: `serve(script)`, with `environment`, `variables`, `model` and fields of the order by name."""
    hosts: list[Host] = []

    def launch(
        script: str = "", *, environment: Prepared | None = None, variables: Mapping[str, str] | None = None,
        model: Path | None = None, limits: Limits | None = None, files: Mapping[str, str] | None = None,
        writable: Path | None = None, **order: Json,
    ) -> Host:  # fmt: skip
        folder = tmp_path / f"host-{next(_numbers)}"
        code = folder / "code"
        code.mkdir(parents=True)
        prepared = environment or plain
        layer = backend.lay_beside(prepared, host_layer(), log=print)
        for name, text in {**({"score.py": script} if script else {}), **(files or {})}.items():
            (code / name).write_text(text)
        if model is None:
            order["script"] = str(code / "score.py")
        if model is not None:
            order["model"] = str(model)
        key = secrets.token_hex(8)
        given = {"ENTREPOT_SERVING": json.dumps({"code": str(code), **order}), "ENTREPOT_REPLICA_KEY": key}
        one = Launch(
            id=f"{tmp_path.name}-{folder.name}", argv=("python", "-c", BOOT, str(layer)), folder=folder / "launch",
            log=folder / "log.txt", cwd=code, environment={**given, **(variables or {})}, prepared=prepared,
            layer=layer, listens=True, mounts=(Mount(model),) if model else (), limits=limits or Limits(),
        )  # fmt: skip
        if writable is not None:
            one = replace(one, mounts=(*one.mounts, Mount(writable, is_writable=True)))
        backend.launch(one)
        hosts.append(Host(backend, one, key))
        return hosts[-1]

    yield launch
    for host in hosts:
        host.stop(grace_s=0.1)
