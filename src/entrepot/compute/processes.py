"""Processes as the kernel tells of them: is this still the same one, when does it end, who carries a mark.

Linux only. Here is nothing about launches or sandboxes.
"""

import fcntl
import os
import select
import signal
import struct
import time
from pathlib import Path

MARK = "ENTREPOT_LAUNCH_ID"  # in the environment of everything a launch starts
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid
_PROC = Path("/proc")


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is dead or a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(pid: int, ticks: int) -> bool:
    """Say whether this very process runs: a pid may have been given to another one since."""
    return start_ticks(pid) == ticks


def wait_for_end(pid: int, ticks: int, *, timeout_s: float) -> bool:
    """Return True as soon as the process has ended, False at the timeout; needs not be our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(pid, ticks):  # looked at after opening: the descriptor can't change its process any more
            return True
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(max(0, int(timeout_s * 1000))))
    finally:
        os.close(descriptor)


def send(pid: int, ticks: int, number: signal.Signals) -> bool:
    """Signal this very process; False when it has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(pid, ticks):
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def marked(mark: str) -> list[int]:
    """Return the pids whose environment carries this launch's mark, wherever they were re-parented to."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if wanted in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def kill_marked(mark: str, *, timeout_s: float = 5) -> bool:
    """SIGKILL all that carry the mark until none is left; False when some would not die in time."""
    end = time.monotonic() + timeout_s
    while pids := [pid for pid in marked(mark) if start_ticks(pid) is not None]:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file: held until every copy of the descriptor is closed, also in children."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_locked(path: Path) -> bool:
    """Say whether someone holds `try_lock` on the file, without taking it even for a moment."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, question)
        kind: int = struct.unpack(_FLOCK, answer)[0]
        return kind != fcntl.F_UNLCK
    finally:
        os.close(descriptor)
