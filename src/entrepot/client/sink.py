"""Receiving one big file: from the connection, past a hasher, to the disk, each in a thread of its own."""

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
from entrepot.client.transfer import PIECE_BYTES, Channel

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
    free: SimpleQueue[memoryview | None] = SimpleQueue()
    filled: SimpleQueue[Piece | None] = SimpleQueue()
    hashed: SimpleQueue[Piece | None] = SimpleQueue() if hasher else filled
    failures: list[Exception] = []
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    os.lseek(fd, start, os.SEEK_SET)
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
        os.close(fd)
    if failures:
        raise FileFailure(f"{part} cannot be written: {failures[0]}") from failures[0]


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


class _Writing:
    """Appends to a file; past the page cache as soon as fresh memory proves to be dear (as in `store.disk`)."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._is_on_trial = size >= _DIRECT_FROM_BYTES and _DIRECT != 0
        self._is_direct = False
        self._spent_s = 0.0
        self._done = self._judged = 0

    def append(self, view: memoryview) -> None:
        if self._is_direct and len(view) % _BLOCK_BYTES:
            self._set_direct(False)
        began = time.thread_time()
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
            self._spent_s += time.thread_time() - began
            if self._done - self._judged >= _TRIAL_BYTES:
                is_dear = self._spent_s > (self._done - self._judged) / _CHEAP_BYTES_PER_S
                if is_dear and self._done % _BLOCK_BYTES == 0:
                    self._is_on_trial = False
                    self._set_direct(True)
                self._spent_s, self._judged = 0.0, self._done

    def _set_direct(self, is_direct: bool) -> None:
        with suppress(OSError):
            flags = fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~_DIRECT
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | (_DIRECT if is_direct else 0))
            self._is_direct = is_direct
