"""A whole server in a child process, on free ports and its own home, for tests that speak to real sockets."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from entrepot.server.runfiles import ServerFile, token_file

Json = Any

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_PROGRAM = """
import json, pathlib, resource, sys
if int(sys.argv[3]):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]),) * 2)
from entrepot.core.settings import load_settings
from entrepot.server.process import serve
home = pathlib.Path(sys.argv[1])
serve(load_settings(home, overrides=json.loads(sys.argv[2])))
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A server that runs: where it is and how to speak to it as its owner."""

    home: Path
    process: "subprocess.Popen[str]"
    file: ServerFile
    token: str

    @property
    def url(self) -> str:
        """The address of the plain HTTP listener."""
        return self.file.url

    def call(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        token: str | None = "",
        headers: Mapping[str, str] | None = None,
        secure: bool = False,
        timeout_s: float = 30,
    ) -> Reply:
        """Send one request. `body`: bytes as they are, anything else as JSON. `token` '' is the owner's, None none."""
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token or self.token}")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = self._connect(secure=secure, timeout_s=timeout_s)
        try:
            connection.request(method, path, body=data, headers=sent)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def _connect(self, *, secure: bool, timeout_s: float) -> http.client.HTTPConnection:
        place = urlsplit(self.file.https_url if secure else self.file.url)
        assert place.hostname is not None
        if not secure:
            return http.client.HTTPConnection(place.hostname, place.port, timeout=timeout_s)
        context = ssl.create_default_context(cafile=self.file.authority)
        return http.client.HTTPSConnection(place.hostname, place.port, timeout=timeout_s, context=context)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code once the process ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)


def start(home: Path, *, most_files: int = 0, **overrides: Json) -> LiveServer:
    """Start a server and return when it answers. Raises RuntimeError with its output when it does not.

    `most_files`: how many files it may have open at once; 0: as many as this process.
    """
    settings = {"port": 0, "https_port": 0, "reserve_bytes": 0, **overrides}
    home.mkdir(parents=True, exist_ok=True)
    log = (home.parent / f"{home.name}.log").open("a")
    with log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(home), json.dumps(settings), str(most_files)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("ready "):
        process.kill()
        process.wait()
        process.stdout.close()
        raise RuntimeError(f"the server did not start: {Path(log.name).read_text()[-4000:]}")
    file = ServerFile(**json.loads((home / "run" / "server.json").read_text()))
    return LiveServer(home, process, file, token_file(home).read_text().strip())


@contextmanager
def live(home: Path, *, most_files: int = 0, **overrides: Json) -> Iterator[LiveServer]:
    """Run a server for the length of a `with` block."""
    server = start(home, most_files=most_files, **overrides)
    try:
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
        if server.process.stdout is not None:
            server.process.stdout.close()


def wait_until(condition: Callable[[], object], *, timeout_s: float = 30.0, what: str = "the condition") -> None:
    """Return when `condition()` holds. Raises TimeoutError that names what was waited for."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true in {timeout_s:g} s")
        time.sleep(0.02)
