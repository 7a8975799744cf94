"""Files on their way out: what is in the page cache by sendfile, what is not by direct reads.

Filling the page cache with a big file that is read a few times costs more than reading it from the disk. So the first
cold reads of a file go past the cache, and only a file that is asked for again and again fills it.
"""

import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from entrepot.server.dataplane.messages import STREAMED, Disconnected, check_pace
from entrepot.store import disk

_SENDFILE_BYTES = 8 << 20
_DIRECT_FROM_BYTES = 32 << 20
_BUFFERS = 4
_REMEMBERED = 1000
_PAST_CACHE = 4
_ALIGNED = 4096


class ColdReads:
    """Remembers which files were read past the page cache lately."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[int, int], int] = OrderedDict()

    def goes_past_cache(self, file: BinaryIO) -> bool:
        """Say whether a file was asked about only a few times lately, and count it."""
        status = os.fstat(file.fileno())
        key = (status.st_dev, status.st_ino)
        with self._lock:
            times = self._seen.get(key, 0) + 1
            self._seen[key] = times
            self._seen.move_to_end(key)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return times <= _PAST_CACHE


def send_file(sock: socket.socket, file: BinaryIO, start: int, length: int, *, cold_reads: ColdReads) -> None:
    """Send part of a file over a plain socket. Raises Disconnected when the file ends early, OSError."""
    is_cold = length >= _DIRECT_FROM_BYTES and not disk.is_cached(file.fileno(), start, length)
    if (
        is_cold
        and cold_reads.goes_past_cache(file)
        and (fd := disk.open_direct(Path(f"/proc/self/fd/{file.fileno()}")))
    ):
        try:
            with _read_ahead(fd, start, length) as pieces:
                _send_pieces(sock, pieces)
        finally:
            os.close(fd)
        return
    place, end = start, start + length
    started = time.monotonic()
    while place < end:
        sent = os.sendfile(sock.fileno(), file.fileno(), place, min(end - place, _SENDFILE_BYTES))
        if sent == 0:
            raise Disconnected("the file ended early")
        place += sent
        check_pace(started, place - start)


def _send_pieces(sock: socket.socket, pieces: Iterator[memoryview]) -> None:
    started = time.monotonic()
    moved = 0
    for piece in pieces:
        sock.sendall(piece)
        moved += len(piece)
        check_pace(started, moved)


@contextmanager
def _read_ahead(fd: int, start: int, length: int) -> Iterator[Iterator[memoryview]]:
    """Read a range in a second thread while the pieces before are sent; a piece is good until the next is taken."""
    free: SimpleQueue[memoryview | None] = SimpleQueue()
    filled: SimpleQueue[tuple[memoryview, memoryview] | None] = SimpleQueue()
    for _ in range(_BUFFERS):
        free.put(disk.aligned_buffer(STREAMED))

    def read_on() -> None:
        place, end = start - start % _ALIGNED, start + length
        try:
            while place < end and (buffer := free.get()) is not None:
                count = os.preadv(fd, [buffer], place)
                if count == 0:
                    break
                filled.put((buffer, buffer[max(0, start - place) : min(count, end - place)]))
                place += count
        except OSError:
            pass  # the reader finds the file too short
        filled.put(None)

    thread = threading.Thread(target=read_on, name="departure", daemon=True)
    thread.start()

    def pieces() -> Iterator[memoryview]:
        left = length
        while left:
            item = filled.get()
            if item is None:
                raise Disconnected("the file ended early")
            yield item[1]
            left -= len(item[1])
            free.put(item[0])

    try:
        yield pieces()
    finally:
        free.put(None)
        thread.join()
