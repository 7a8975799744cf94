"""Receiving one big file: from the connection, past a hasher, to the disk, each in a thread of its own.

What need not be hashed is moved by the kernel and never copied into this process, where the kernel can (splice(2)).
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
import time
from contextlib import suppress
from queue import SimpleQueue

from entrepot.client.failures import FileFailure
from entrepot.client.transfers.transfer import PIECE_BYTES, Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable
    from pathlib import Path

    Piece = tuple[memoryview, int]

_BUFFERS = 6
_TRIAL_BYTES = 8 << 20
_DIRECT_FROM_BYTES = 32 << 20
_CHEAP_BYTES_PER_S = 1 << 30  # of processor time
_BLOCK_BYTES = 4096
_DIRECT: int = getattr(os, "O_DIRECT", 0)


def receive_file(
    channel: Channel, part: Path, start: int, hasher: hashlib._Hash | None, tell: Callable[[int], None]
) -> None:
    """Append the answer's body to a file, from `start` on, and to the hasher if there is one.

    Raises OSError and EOFError when the connection breaks, FileFailure when the file cannot be written.
    """
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        os.lseek(fd, start, os.SEEK_SET)
        try:
            if hasher is None and channel.can_splice:
                _splice_on(channel, fd, tell)
            if channel.left:
                _pass_on(channel, fd, hasher, tell)
        except _NotWritten as failure:
            raise FileFailure(f"{part} cannot be written: {failure.__cause__}") from failure.__cause__
    finally:
        os.close(fd)


class _NotWritten(Exception):
    """The file took no more; the cause says why."""


def _splice_on(channel: Channel, fd: int, tell: Callable[[int], None]) -> None:
    """Let the kernel move the body into the file, for as long as fresh memory is cheap."""
    memory = _Memory()
    leaving, entering = os.pipe()
    try:
        with suppress(OSError):  # a user has only so much; smaller pipes serve as well, at more calls
            fcntl.fcntl(entering, fcntl.F_SETPIPE_SZ, PIECE_BYTES)
        while channel.left and not memory.is_dear:
            piece = left = min(channel.left, PIECE_BYTES)
            while left:
                waiting = count = channel.splice(entering, left)
                began = time.thread_time()
                try:
                    while waiting:
                        waiting -= os.splice(leaving, fd, waiting)
                except OSError as error:
                    raise _NotWritten from error
                memory.note(time.thread_time() - began, count)
                left -= count
            tell(piece)
    finally:
        os.close(leaving)
        os.close(entering)


def _pass_on(channel: Channel, fd: int, hasher: hashlib._Hash | None, tell: Callable[[int], None]) -> None:
    """Receive the body here, hash and write it, each in a thread of its own."""
    free: SimpleQueue[memoryview | None] = SimpleQueue()
    filled: SimpleQueue[Piece | None] = SimpleQueue()
    hashed: SimpleQueue[Piece | None] = SimpleQueue() if hasher else filled
    failures: list[Exception] = []
    threads = [threading.Thread(target=_write_on, args=(fd, channel.left, hashed, free, failures), daemon=True)]
    if hasher:
        threads.append(threading.Thread(target=_hash_on, args=(hasher, filled, hashed), daemon=True))
    for thread in threads:
        thread.start()
    try:
        for _ in range(_BUFFERS):
            free.put(memoryview(mmap.mmap(-1, PIECE_BYTES)))
        while channel.left and (buffer := free.get()) is not None:
            count = channel.receive(buffer)
            filled.put((buffer, count))
            tell(count)
    finally:
        filled.put(None)
        for thread in threads:
            thread.join()
    if failures:
        raise _NotWritten from failures[0]


def _hash_on(hasher: hashlib._Hash, filled: SimpleQueue[Piece | None], hashed: SimpleQueue[Piece | None]) -> None:
    while item := filled.get():
        hasher.update(item[0][: item[1]])
        hashed.put(item)
    hashed.put(None)


def _write_on(
    fd: int,
    size: int,
    hashed: SimpleQueue[Piece | None],
    free: SimpleQueue[memoryview | None],
    failures: list[Exception],
) -> None:
    """Write and give the buffers back; after a failure, give None back instead, at which the receiver stops."""
    writing = _Writing(fd, size)
    while item := hashed.get():
        try:
            if not failures:
                writing.append(item[0][: item[1]])
        except Exception as error:
            failures.append(error)
        free.put(None if failures else item[0])


class _Memory:
    """Judges by what writing costs whether fresh memory is dear, as it is where a hypervisor must find it first."""

    is_dear = False

    def __init__(self) -> None:
        self._spent_s, self._bytes = 0.0, 0

    def note(self, spent_s: float, count: int) -> None:
        """Take into account the processor time that writing so many bytes took."""
        self._spent_s += spent_s
        self._bytes += count
        if self._bytes >= _TRIAL_BYTES:
            self.is_dear = self._spent_s > self._bytes / _CHEAP_BYTES_PER_S
            self._spent_s, self._bytes = 0.0, 0


class _Writing:
    """Appends to a file; past the page cache as soon as fresh memory proves to be dear (as in `store.disk`)."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._is_on_trial = size >= _DIRECT_FROM_BYTES and _DIRECT != 0
        self._is_direct = False
        self._memory = _Memory()
        self._done = 0

    def append(self, view: memoryview) -> None:
        if self._is_direct and len(view) % _BLOCK_BYTES:
            self._set_direct(False)
        began, before = time.thread_time(), self._done
        while view:
            try:
                count = os.write(self._fd, view)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                self._set_direct(False)
                continue
            self._done += count
            view = view[count:]
        if self._is_on_trial:
            self._memory.note(time.thread_time() - began, self._done - before)
            if self._memory.is_dear and self._done % _BLOCK_BYTES == 0:
                self._is_on_trial = False
                self._set_direct(True)

    def _set_direct(self, is_direct: bool) -> None:
        with suppress(OSError):
            flags = fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~_DIRECT
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | (_DIRECT if is_direct else 0))
            self._is_direct = is_direct
