"""One replica's life, in a thread of its own: prepared, started, probed, mended when it ends, put to sleep, ended.

A member tells its attendant of each change through `record`, which the attendant writes down. It waits where it can
be woken: the end of the process, its stop, a request to one that is asleep.
"""

import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from entrepot.compute.backend import ComputeBackend, State, Status
from entrepot.core.errors import EntrepotError
from entrepot.domain.endpoints.replicas import probes, records
from entrepot.domain.endpoints.replicas.kits import Kit, launch_of
from entrepot.domain.endpoints.replicas.logs import ERROR_LINES, last_lines
from entrepot.domain.endpoints.replicas.recipes import Probe, Recipe
from entrepot.domain.endpoints.replicas.records import Replica
from entrepot.domain.hub import Hub

Json = Any

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_CRASHES = 3  # ends before it ever served, after which a replica counts as failed; it is tried again all the same
_CALM_S = 600.0  # after so long in service, earlier restarts are forgotten
_START_ASK_S = 1.0
_GLANCE_S = 0.25
_LOG_BYTES, _LOG_KEPT = 64 << 20, 4 << 20
_PART_S = 2.0  # what is still asked when the server ends was not asked through the gateway
_JOIN_S = 3.0
_LOAD_FAILED = 3  # with which replica hosts end when the model cannot be loaded
_LEAVE_S = 2.0  # gateways follow a new address within this

log = logging.getLogger(__name__)


class Member:
    """A replica and the thread that keeps it. `prepare` gives its kit; `changed` is called after each change."""

    def __init__(
        self, hub: Hub, backend: ComputeBackend, record: Replica, recipe: Recipe, *, folder: Path,
        prepare: Callable[[Callable[[str], None]], Kit], changed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._hub = hub
        self._backend = backend
        self._recipe = recipe
        self._folder = folder
        self._prepare = prepare
        self._changed = changed
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._leaving = threading.Event()
        self._suspends = False
        self._sleep = threading.Event()
        self._retire_after_s = 0.0
        self._listener: socket.socket | None = None
        self._attempt = _last_attempt(folder)
        self._log_start = 0  # of the latest start's lines
        self._has_served = record.state in (records.READY, records.UNREADY, records.ASLEEP)
        self._thread: threading.Thread | None = None
        self.record = record
        self.is_over = False
        self.load: probes.Load | None = None
        self.wants_load = False
        self.load_interval_s = 1.0

    def start(self) -> None:
        """Begin, or go on where an earlier server process left it."""
        self._thread = threading.Thread(target=self._live, name=f"replica-{self.record.id[:8]}", daemon=True)
        self._thread.start()

    def retire(self, *, after_s: float) -> None:
        """End the replica once it has had time to answer what the gateways sent it before; idempotent."""
        if not self._stop.is_set():
            self._retire_after_s = after_s
            self._move(records.DRAINING)
            self._stop.set()

    def put_to_sleep(self) -> None:
        """End the process but keep the address: the next request wakes it."""
        self._sleep.set()

    def part(self, *, leaves: bool) -> None:
        """Let go of the replica: it ends, until the next server process starts it anew, or lives on with `leaves`."""
        self._suspends = not leaves
        self._leaving.set()
        self._stop.set()

    def join(self) -> None:
        """Wait for the thread to end, but not for an environment that is being built."""
        if self._thread is not None:
            self._thread.join(timeout=_JOIN_S)

    def _live(self) -> None:
        try:
            if self.record.state == records.DRAINING:
                self._stop.set()
            elif self.record.state == records.ASLEEP:
                self._doze()
            elif self._attempt:
                self._go_on()
            while not self._stop.is_set():
                self._begin()
        except Exception:
            log.exception("replica %s: its keeper failed", self.record.id)
            self._move(records.FAILED, error="The server failed to keep this replica; its log tells why")
            self._stop.wait()
        try:
            if not self._leaving.is_set():
                self._end()
            if self._suspends:
                self._suspend()
        finally:
            self._close()

    def _go_on(self) -> None:
        """Take up what an earlier server process started, or find it ended."""
        status = self._backend.poll(self._id, self._launch_folder)
        if status.state is State.RUNNING:
            self._attend_running()
        elif self._has_served:
            self._crashed(status)

    def _begin(self) -> None:
        """Start the process and stay with it until it ends."""
        try:
            kit = self._prepare(self._note)
            if self._stop.is_set():
                return
            self._launch(kit)
        except (EntrepotError, OSError) as error:
            message = error.message if isinstance(error, EntrepotError) else str(error)
            self._note(f"error: {message}")
            self._close()
            self._move(records.FAILED, error=message, address=None, wakes=False)
            self._pause()
            return
        self._attend_running()

    def _launch(self, kit: Kit) -> None:
        self._attempt += 1
        if self._listener is None:
            self._listener = probes.open_listener()
        launch = launch_of(
            self._hub, self._recipe, kit, id=self.record.id, title=self.record.recipe.get("title") or "model",
            secret=self.record.secret, folder=self._folder, attempt=self._attempt,
        )  # fmt: skip
        address, now = probes.address_of(self._listener), self._hub.clock.now()
        self._log_start = _size_of(self._folder / "log.txt")
        self._move(records.STARTING, address=address, wakes=self._has_served, started=now)
        self._backend.launch(replace(launch, listener=self._listener))

    def _attend_running(self) -> None:
        ended = self._until_serving() or self._serve()
        if ended is None:
            if self._sleep.is_set() and not self._stop.is_set():
                self._doze()
            return
        self._crashed(ended)

    def _until_serving(self) -> Status | None:
        """Wait until the readiness probe has succeeded as often as it must; return the end if that comes first."""
        probe, end = self._recipe.readiness, time.monotonic() + self._recipe.readiness.start_s
        succeeded = 0
        while not self._stop.is_set():
            status = self._backend.poll(self._id, self._launch_folder)
            if status.state is not State.RUNNING:
                return status
            address = self._address()
            trouble = "it has no address yet"
            if address is not None:
                trouble = probes.ask(address, "/ready", self.record.secret, timeout_s=_START_ASK_S)
            if not trouble:
                succeeded += 1
                if succeeded >= probe.successes:
                    self._has_served = True
                    self._move(records.READY, address=address, error=None, wakes=False)
                    return None
                self._stop.wait(probe.period_s)
            elif time.monotonic() > end:
                self._backend.cancel(self._id, self._launch_folder, grace_s=1)
                return Status(State.FAILED, reason=f"not ready within {probe.start_s:g} s: {trouble}")
            else:
                self._backend.wait(self._id, self._launch_folder, timeout_s=0.02)
        return None

    def _serve(self) -> Status | None:
        """Probe until the process ends (return how) or until it is to stop or to sleep (return None)."""
        alive, ready = _Tally(self._recipe.liveness, "/"), _Tally(self._recipe.readiness, "/ready")
        asked_load = 0.0
        began = time.monotonic()
        while not self._stop.is_set() and not self._sleep.is_set():
            status = self._backend.wait(self._id, self._launch_folder, timeout_s=self._pause_of(alive, ready))
            if status.state is not State.RUNNING:
                return status
            if self.record.restarts and time.monotonic() - began > _CALM_S:
                self._move(self.record.state, restarts=0)
            address, secret = self.record.address, self.record.secret
            if address is None:
                continue
            if alive.is_due() and (trouble := alive.failed(address, secret)):
                self._backend.cancel(self._id, self._launch_folder, grace_s=1)
                return Status(State.FAILED, reason=f"its liveness probe failed {alive.probe.failures} times: {trouble}")
            if ready.is_due():
                ready.failed(address, secret)
                self._follow(ready)
            if self.wants_load and time.monotonic() - asked_load >= self.load_interval_s:
                asked_load = time.monotonic()
                self.load = probes.load(address, secret, timeout_s=self._recipe.liveness.timeout_s)
                self._changed()
        return None

    def _pause_of(self, alive: "_Tally", ready: "_Tally") -> float:
        pauses = [alive.due_in(), ready.due_in(), _GLANCE_S if self._stop.is_set() else 1.0]
        if self.wants_load:
            pauses.append(self.load_interval_s)
        return max(0.01, min(pauses))

    def _follow(self, ready: "_Tally") -> None:
        if ready.is_over_threshold and self.record.state == records.READY:
            self._move(records.UNREADY, error=f"its readiness probe fails: {ready.trouble}")
        elif not ready.trouble and self.record.state == records.UNREADY:
            self._move(records.READY, error=None)

    def _doze(self) -> None:
        """Keep the address without a process; return when a request has come, or at the stop."""
        self._sleep.clear()
        old, was_adopted = (self._id, self._launch_folder), self._listener is None
        if self._listener is None:
            self._listener = probes.open_listener()
        self._move(records.ASLEEP, address=probes.address_of(self._listener), wakes=True)
        if was_adopted:  # its old address has another socket: the gateways need the time to take the new one
            self._stop.wait(_LEAVE_S)
        self._backend.cancel(*old, grace_s=self._recipe.request_timeout_s)
        self._note("asleep: no requests; the next one wakes this replica")
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        while not self._stop.is_set() and not poller.poll(_GLANCE_S * 1000):
            pass

    def _crashed(self, status: Status) -> None:
        """Count an end that nobody asked for, tell why, and wait before the next start."""
        if self._stop.is_set():
            return
        restarts = self.record.restarts + 1
        reason = status.reason or f"exit code {status.exit_code}"
        if status.exit_code == _LOAD_FAILED and not self._has_served:
            reason = f"the model could not be loaded ({reason})"
        lines = last_lines(self._folder / "log.txt", ERROR_LINES, start=self._log_start)
        self._note(f"entrepot: the replica ended: {reason}")
        error = f"The replica ended: {reason}. The last lines of its log:\n{lines}"
        is_failed = restarts >= _CRASHES and (not self._has_served or restarts >= 2 * _CRASHES)
        if is_failed or not self._has_served:
            self._close()  # else what was sent since the end waits in the socket for the next start
        wakes = self._listener is not None
        address = probes.address_of(self._listener) if self._listener is not None else None
        state = records.FAILED if is_failed else records.STARTING
        self._move(state, restarts=restarts, error=error, address=address, wakes=wakes)
        if not (self._has_served and restarts == 1):  # the first end of one that has served is mended at once
            self._pause()

    def _end(self) -> None:
        """Take the process down: the gateways have let go of it by then, and it answers what it still has."""
        self._leaving.wait(self._retire_after_s)
        if self._leaving.is_set():
            return
        self._close()
        if self._attempt:
            self._backend.cancel(self._id, self._launch_folder, grace_s=self._recipe.request_timeout_s)
        self.is_over = True
        self._changed()

    def _suspend(self) -> None:
        """Take the process down; the record says how the replica is to be found again."""
        self._close()
        if self._attempt:
            self._backend.cancel(self._id, self._launch_folder, grace_s=min(self._recipe.request_timeout_s, _PART_S))
        if self.record.state == records.ASLEEP:
            self._move(records.ASLEEP, address=None, wakes=False)
        elif self.record.state not in (records.FAILED, records.PREPARING):
            self._move(records.STARTING, address=None, wakes=False)

    def _pause(self) -> None:
        doublings = min(max(0, self.record.restarts - 1), 10)
        self._stop.wait(min(_FIRST_PAUSE_S * 2**doublings, _LONGEST_PAUSE_S))

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _address(self) -> str | None:
        if self._listener is not None:
            return probes.address_of(self._listener)
        found = self._backend.address(self._id, self._launch_folder)
        return f"{found[0]}:{found[1]}" if found else None

    def _move(self, state: str, **changes: Json) -> None:
        with self._guard:
            if self.record.state == records.DRAINING:
                return  # retired meanwhile: its end is all that is left to tell
            self.record = self.record.moved(state, **changes)
        self._changed()

    def _note(self, line: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = "log.txt" if line.startswith(("entrepot:", "asleep:")) else "prepare.txt"
        with (self._folder / name).open("a") as file:
            file.write(line.rstrip("\n") + "\n")

    @property
    def _id(self) -> str:
        return f"{self.record.id}-{self._attempt}"

    @property
    def _launch_folder(self) -> Path:
        return self._folder / f"launch-{self._attempt}"


class _Tally:
    """A probe's count of failures in a row, and when it is due again."""

    def __init__(self, probe: Probe, path: str) -> None:
        self.probe = probe
        self.trouble = ""
        self._path = path
        self._failures = 0
        self._due = time.monotonic() + probe.period_s

    def due_in(self) -> float:
        """Return the seconds until the next question."""
        return max(0.0, self._due - time.monotonic())

    def is_due(self) -> bool:
        """Say whether it is time to ask."""
        return time.monotonic() >= self._due

    @property
    def is_over_threshold(self) -> bool:
        """True after as many failures in a row as the probe allows."""
        return self._failures >= self.probe.failures

    def failed(self, address: str, secret: str) -> str:
        """Ask; return what is wrong once it was wrong too often in a row, else ''."""
        self._due = time.monotonic() + self.probe.period_s
        self.trouble = probes.ask(address, self._path, secret, timeout_s=self.probe.timeout_s)
        self._failures = self._failures + 1 if self.trouble else 0
        return self.trouble if self.is_over_threshold else ""


def shorten(file: Path) -> None:
    """Drop the older part of a log that has grown large; its writers append, so they go on at the new end."""
    try:
        if file.stat().st_size <= _LOG_BYTES:
            return
        with file.open("r+b") as log_file:
            log_file.seek(-_LOG_KEPT, 2)
            kept = log_file.read()
            log_file.seek(0)
            log_file.truncate()
            log_file.write(kept)
    except OSError:
        return


def _size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _last_attempt(folder: Path) -> int:
    """Return the number of the latest start, whose folder the backend made before the process existed; 0: none."""
    numbers = [int(path.name.rpartition("-")[2]) for path in folder.glob("launch-*") if path.is_dir()]
    return max(numbers, default=0)
