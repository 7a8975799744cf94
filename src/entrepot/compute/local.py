"""The backend that runs launches as processes of this machine, in a bubblewrap sandbox where that is permitted.

Each launch has a detached supervisor (`runtime/step.py`) that outlives this server. What is known of a launch is in
its folder: `lock` (held while the supervisor lives), started.json and exit.json; so any server process can adopt it.
"""

import json
import marshal
import os
import py_compile
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from entrepot.compute import overlays, processes
from entrepot.compute.backend import EnvironmentSpec, Launch, Layer, Prepared, State, Status
from entrepot.compute.cgroups import enforce
from entrepot.compute.environments import Environments
from entrepot.compute.layers import Layers
from entrepot.compute.sandbox import WRAPPER_DEPTH, bwrap_arguments, find_bwrap, minimal_etc
from entrepot.core.digests import digest_of
from entrepot.core.errors import InvalidRequest, Unavailable

_STEP = Path(__file__).parent.parent / "runtime" / "step.py"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GRACE_S = 5.0
_LOCK_DESCRIPTOR = 3  # where the supervisor finds the lock that it holds
_LISTEN_DESCRIPTOR = 4  # and the socket of a replica, which only the command keeps
_BACKLOG = 1024
_SIGNALS = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})  # a server begun with & ignores SIGQUIT
_START_S = 10.0  # how long a supervisor may take to write started.json before it is given up


class LocalBackend:
    """Runs launches on this machine. `sandbox`: `auto` (bwrap if it works), `bwrap` (or fail) or `none`."""

    name = "local"

    def __init__(
        self, home: Path, *, sandbox: str = "auto", python_policy: str = "exact", environments: Path | None = None
    ) -> None:
        if sandbox not in ("auto", "bwrap", "none"):
            raise InvalidRequest(f"sandbox is {sandbox!r}: auto, bwrap and none are known")
        self.home = home
        self._sandbox = sandbox
        self._environments = Environments(
            environments or home / "environments", policy=python_policy, bwrap=self._bwrap
        )
        self._environments.reap()
        self._layers = Layers(self._environments)
        self._probe: tuple[Path | None, str] | None = None
        self._probing = threading.Lock()
        self._compiled: Path | None = None
        self._children: set[int] = set()

    def prepare(self, spec: EnvironmentSpec, *, log: Callable[[str], None]) -> Prepared:
        """Build or find the environment; see `environments.py`."""
        return self._environments.prepare(spec, log=log)

    def lay_beside(self, prepared: Prepared, layer: Layer, *, log: Callable[[str], None]) -> Path:
        """Build or find the layer; see `layers.py`."""
        return self._layers.prepare(prepared, layer, log=log)

    def launch(self, launch: Launch) -> None:
        """Start the launch's supervisor; a launch that was started before, by any process, is left alone."""
        launch.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(launch.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not processes.try_lock(lock) or _read(launch.folder, "started") or _read(launch.folder, "exit"):
                return
            self._start(launch, lock)
        finally:
            os.close(lock)  # the supervisor has its own copy, and with it the lock

    def poll(self, id: str, folder: Path) -> Status:
        """Return the state now. A launch whose supervisor died is LOST, and what is left of it is ended."""
        started = _read(folder, "started")
        if started is None:
            if ended := _read(folder, "exit"):
                return _ended(ended, {})
            return Status(State.RUNNING) if processes.is_locked(folder / "lock") else self._lost(id, folder)
        is_running = processes.is_alive(started["pid"], started["ticks"])
        if ended := _read(folder, "exit"):  # read after looking: it is written before the supervisor ends
            return _ended(ended, started)
        if is_running:
            return Status(State.RUNNING, started=started["started"], **_said(started))
        return self._lost(id, folder)

    def wait(self, id: str, folder: Path, *, timeout_s: float) -> Status:
        """Return at the end of the launch, woken by the kernel, or RUNNING at the timeout."""
        end = time.monotonic() + timeout_s
        started = self._await_start(folder, end)
        if started is not None:
            processes.wait_for_end(started["pid"], started["ticks"], timeout_s=max(0.0, end - time.monotonic()))
            self._bury(started["pid"])
        return self.poll(id, folder)

    def cancel(self, id: str, folder: Path, *, grace_s: float = _GRACE_S) -> None:
        """End the tree and return when it is gone. Before its launch: the launch will not start any more."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _read(folder, "started") is None and self._forestall(folder):
            return
        started = self._await_start(folder, time.monotonic() + _START_S)
        if started is None or _read(folder, "exit"):
            return
        _write(folder / "cancel", str(grace_s))
        pid, ticks = started["pid"], started["ticks"]
        processes.send(pid, ticks, signal.SIGTERM)
        if not processes.wait_for_end(pid, ticks, timeout_s=grace_s + _GRACE_S):
            processes.send(pid, ticks, signal.SIGKILL)  # a supervisor that hangs: take the tree down without it
            processes.wait_for_end(pid, ticks, timeout_s=_GRACE_S)
        self._bury(pid)
        self.poll(id, folder)

    def protects_mounts(self) -> bool:
        """Say whether launches run in a sandbox, so that read-only mounts are read-only."""
        return self._bwrap() is not None

    def address(self, id: str, folder: Path) -> tuple[str, int] | None:
        """Return the loopback address of a running replica, else None."""
        started = _read(folder, "started")
        if started is None or started["port"] is None or self.poll(id, folder).state is not State.RUNNING:
            return None
        return "127.0.0.1", started["port"]

    def _start(self, launch: Launch, lock: int) -> None:
        if not launch.listens:
            self._spawn(launch, self._order(launch, None), lock, None)
            return
        listener = launch.listener.dup() if launch.listener is not None else open_listener()
        with listener:  # the command has its own copy, and with it the port
            self._spawn(launch, self._order(launch, listener.getsockname()[1]), lock, listener.fileno())

    def _spawn(self, launch: Launch, order: dict[str, Any], lock: int, listener: int | None) -> None:
        descriptor = os.memfd_create("order")
        log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, marshal.dumps(order, 2))
            os.lseek(descriptor, 0, os.SEEK_SET)
            pid = os.posix_spawn(  # subprocess.Popen would warn when this backend is dropped before its launches end
                sys.executable, [sys.executable, "-S", "-I", str(self._supervisor())], {"PATH": _SYSTEM_PATH},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, descriptor, 0), (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2), *_placed({_LOCK_DESCRIPTOR: lock, _LISTEN_DESCRIPTOR: listener}),
                ],
                setsid=True, setsigmask=[], setsigdef=_SIGNALS,
            )  # fmt: skip
        finally:
            os.close(descriptor)
            os.close(log)
        self._children.add(pid)
        for child in list(self._children):
            self._bury(child)

    def _order(self, launch: Launch, port: int | None) -> dict[str, Any]:
        bwrap = self._bwrap()
        scratch = launch.folder / "tmp"
        scratch.mkdir(exist_ok=True, mode=0o700)
        limits = launch.limits
        held = enforce(launch.id, limits, wrapper_processes=WRAPPER_DEPTH if bwrap else 0)
        seen = "/tmp" if bwrap else str(scratch)  # noqa: S108 - private there
        overlay = overlays.lay(launch.prepared, scratch) if launch.installs and launch.prepared else None
        environment = _environment(launch, temporary=seen, overlay=f"{seen}/{overlay}" if overlay else "")
        if launch.listens:
            environment["ENTREPOT_LISTEN"] = f"fd:{_LISTEN_DESCRIPTOR}"
        wrapping: list[str] = []
        if bwrap:
            etc = minimal_etc(self.home / "cache" / "etc")
            wrapping = bwrap_arguments(launch, environment, scratch=scratch, etc=etc)
        why = () if bwrap or self._sandbox == "none" else (f"no sandbox: {self._why_not()}",)
        return {
            "id": launch.id, "folder": str(launch.folder), "lock": _LOCK_DESCRIPTOR, "argv": list(launch.argv),
            "cwd": str(launch.cwd), "environment": environment, "scratch": str(scratch),
            "wrapper": str(bwrap) if bwrap else "", "wrapper_arguments": wrapping,
            "wrapper_depth": WRAPPER_DEPTH if bwrap else 0, "sandbox": "bwrap" if bwrap else "none",
            "timeout_s": limits.timeout_s, "grace_s": _GRACE_S, "memory_bytes": limits.memory_bytes,
            "cgroups": list(held.folders), "oom_counters": [list(pair) for pair in held.oom_counters],
            "address_space": held.address_space, "processors": list(held.processors),
            "notes": [*why, *held.notes], "port": port, "listener": _LISTEN_DESCRIPTOR if launch.listens else None,
        }  # fmt: skip

    def _supervisor(self) -> Path:
        """Return step.py compiled: a script is otherwise compiled anew at each start, which costs 10 ms."""
        if self._compiled is None:
            source = _STEP.read_bytes()
            name = f"step-{sys.implementation.cache_tag}-{digest_of(source)[:16]}.pyc"
            target = self.home / "cache" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._probing:
                new = target.with_suffix(f".{os.getpid()}.pyc")
                py_compile.compile(str(_STEP), cfile=str(new), doraise=True)
                self._compiled = new.replace(target)
        return self._compiled

    def _bwrap(self) -> Path | None:
        if self._sandbox == "none":
            return None
        with self._probing:
            if self._probe is None:
                self._probe = find_bwrap()
        path, reason = self._probe
        if path is None and self._sandbox == "bwrap":
            raise Unavailable(f"The sandbox is set to bwrap, but {reason}")
        return path

    def _why_not(self) -> str:
        return self._probe[1] if self._probe else ""

    def _forestall(self, folder: Path) -> bool:
        """Record a cancel that came before the launch; False when the launch holds its lock already."""
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not processes.try_lock(lock) or _read(folder, "started"):
                return False
            if _read(folder, "exit") is None:
                ending = {"state": "canceled", "exit_code": None, "reason": "canceled before it began"}
                _write(folder / "exit.json", json.dumps(ending | {"ended": time.time()}))
            return True
        finally:
            os.close(lock)

    def _await_start(self, folder: Path, end: float) -> dict[str, Any] | None:
        """Return started.json; only a launch of this very moment has to be waited for."""
        while (started := _read(folder, "started")) is None:
            if time.monotonic() > end or not processes.is_locked(folder / "lock"):
                return _read(folder, "started")
            time.sleep(0.002)
        return started

    def _bury(self, pid: int) -> None:
        """Collect a supervisor of ours that has ended; those of earlier servers are collected by init."""
        if pid in self._children:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    return
            except ChildProcessError:
                pass  # another thread was faster
            self._children.discard(pid)

    def _lost(self, id: str, folder: Path) -> Status:
        started = _read(folder, "started") or {}
        processes.kill_marked(id)
        for group in started.get("cgroups", ()):
            with suppress(OSError):
                Path(group).rmdir()
        return Status(State.LOST, reason="its supervisor is gone", started=started.get("started"), **_said(started))


def open_listener() -> socket.socket:
    """Return a socket that listens on a free port of loopback: no other process can come between."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    return listener


def _placed(wanted: Mapping[int, int | None]) -> list[tuple[int, int, int]]:
    """Return file actions that put descriptors at their numbers, by way of numbers that none of them has."""
    given = {number: descriptor for number, descriptor in wanted.items() if descriptor is not None}
    free = max(*given, *given.values()) + 1
    away = [(os.POSIX_SPAWN_DUP2, descriptor, free + at) for at, descriptor in enumerate(given.values())]
    back = [(os.POSIX_SPAWN_DUP2, free + at, number) for at, number in enumerate(given)]
    return [*away, *back]


def _environment(launch: Launch, *, temporary: str, overlay: str) -> dict[str, str]:
    """Return the launch's variables over defaults; nothing of the server's own environment."""
    defaults = {
        "PATH": _SYSTEM_PATH, "HOME": temporary, "TMPDIR": temporary, "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1", "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }  # fmt: skip
    environment = defaults | dict(launch.environment) | {processes.MARK: launch.id}
    if launch.prepared is not None:
        environment["PATH"] = f"{launch.prepared.bin_path}:{environment['PATH']}"
        environment.setdefault("VIRTUAL_ENV", overlay or str(launch.prepared.bin_path.parent))
    if overlay:
        environment["PATH"] = f"{overlay}/bin:{environment['PATH']}"
    return environment


def _ended(ended: Mapping[str, Any], started: Mapping[str, Any]) -> Status:
    usage = ended.get("usage") or {}
    return Status(
        State(ended["state"]), exit_code=ended["exit_code"], reason=ended["reason"], started=started.get("started"),
        ended=ended["ended"], cpu_s=usage.get("cpu_s"), memory_bytes=usage.get("memory_bytes"), **_said(started),
    )  # fmt: skip


def _said(started: Mapping[str, Any]) -> dict[str, Any]:
    return {"sandbox": started.get("sandbox", ""), "notes": tuple(started.get("notes", ()))}


def _read(folder: Path, name: str) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads((folder / f"{name}.json").read_bytes())
    except FileNotFoundError:
        return None
    return document


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    new.write_text(text)
    new.replace(path)
