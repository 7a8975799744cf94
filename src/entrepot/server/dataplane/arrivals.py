"""Bytes on their way in: hashed while they arrive, staged on the store's disk, and only accepted when there is room."""

import base64
import contextlib
import errno
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from entrepot.core.digests import Digest
from entrepot.core.errors import InvalidRequest, NoRoom, TooLarge
from entrepot.server.dataplane.messages import STREAMED, Body
from entrepot.store import disk
from entrepot.store.blobs import BlobStore

_INLINE_BYTES = 1 << 20  # up to here a second thread costs more than it saves
_BUFFERS = 6
_Piece = tuple[memoryview, int]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A body that is on disk as a staged file, which `keep_file` takes.

    `digest` is empty where nobody wanted it; `md5` in base64, where it was asked for.
    """

    file: Path
    digest: Digest
    size_bytes: int
    md5: str | None


class Claim:
    """The room that one body will still need."""

    def __init__(self, bytes_left: int) -> None:
        self.bytes_left = bytes_left


class Room:
    """Keeps uploads from filling a disk: what is free, less the reserve, less what running uploads still need."""

    def __init__(self, *, reserve_bytes: int, limit_bytes: int = 0) -> None:
        self._reserve_bytes = reserve_bytes
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._claims: set[Claim] = set()

    def left(self, blobs: BlobStore) -> int | None:
        """Return how many bytes may still come, None for any number."""
        free = blobs.free_bytes()
        if free is None:
            return None
        with self._lock:
            return max(0, free - self._reserve_bytes - sum(claim.bytes_left for claim in self._claims))

    def check(self, blobs: BlobStore, size_bytes: int) -> None:
        """Raise NoRoom or TooLarge when so many bytes may not come."""
        if self._limit_bytes and size_bytes > self._limit_bytes:
            raise TooLarge(f"An upload may be at most {self._limit_bytes} bytes long: this one has {size_bytes}.")
        left = self.left(blobs)
        if left is not None and size_bytes > left:
            raise NoRoom(
                f"There is no room for {size_bytes} bytes: the server's disk can take {left} more "
                f"(it keeps {self._reserve_bytes} free).",
                details=[{"neededBytes": size_bytes, "availableBytes": left}],
            )

    @contextlib.contextmanager
    def claim(self, blobs: BlobStore, size_bytes: int | None) -> Iterator[Claim]:
        """Hold room for a body while it arrives. Raises NoRoom or TooLarge before its first byte."""
        self.check(blobs, size_bytes or 0)
        claim = Claim(size_bytes or 0)
        with self._lock:
            self._claims.add(claim)
        try:
            yield claim
        finally:
            with self._lock:
                self._claims.discard(claim)


@contextlib.contextmanager
def arriving(body: Body, blobs: BlobStore, room: Room, *, sha256: bool = True, md5: bool = False) -> Iterator[Arrived]:
    """Receive a body into a staged file; afterwards the file is gone if nobody took it.

    Raises NoRoom, TooLarge, Disconnected, Refusal.
    """
    file = blobs.staging / f"arrival-{uuid4().hex}"
    try:
        with room.claim(blobs, body.length) as claim:
            yield _receive(body, file, sha256=sha256, md5=md5, claim=claim, check=lambda size: room.check(blobs, size))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"The server's disk became full while {body.length} bytes arrived.") from error
        raise
    finally:
        file.unlink(missing_ok=True)


def md5_of(data: bytes) -> str:
    """Return the MD5 of bytes as Content-MD5 tells it."""
    return _told(hashlib.md5(data, usedforsecurity=False))


def _told(md5: Any) -> str:
    return base64.b64encode(md5.digest()).decode()


def check_md5(expected: str | None, found: str | None) -> None:
    """Raise InvalidRequest when a body is not the one whose Content-MD5 was told."""
    if expected is not None and expected != found:
        raise InvalidRequest(f"The body has the MD5 {found}, not {expected} as its Content-MD5 says.")


def _receive(body: Body, file: Path, *, sha256: bool, md5: bool, claim: Claim, check: Callable[[int], None]) -> Arrived:
    of_content = hashlib.sha256() if sha256 else None
    of_body = hashlib.md5(usedforsecurity=False) if md5 else None
    hashers = [hasher for hasher in (of_content, of_body) if hasher]
    writer = disk.Writer(file, expected_bytes=body.length or 0)
    try:
        if body.length is not None and body.length <= _INLINE_BYTES:
            buffer = memoryview(bytearray(body.length + 1))
            size = body.readinto(buffer)
            for hasher in hashers:
                hasher.update(buffer[:size])
            writer.write(buffer[:size])
        else:
            size = _receive_overlapped(body, writer, hashers, claim=claim, check=check)
    finally:
        writer.close()
    digest = Digest(of_content.hexdigest() if of_content else "")
    return Arrived(file, digest, size, _told(of_body) if of_body else None)


def _receive_overlapped(
    body: Body, writer: disk.Writer, hashers: list[Any], *, claim: Claim, check: Callable[[int], None]
) -> int:
    """Receive here, hash in a second thread, write in a third: all three wait or work outside Python's lock."""
    free: SimpleQueue[memoryview | None] = SimpleQueue()
    filled: SimpleQueue[_Piece | None] = SimpleQueue()
    hashed: SimpleQueue[_Piece | None] = SimpleQueue()
    failures: list[BaseException] = []
    for _ in range(_BUFFERS):
        free.put(disk.aligned_buffer(STREAMED))
    threads = [
        threading.Thread(target=_hash_on, args=(hashers, filled, hashed), name="arrival", daemon=True),
        threading.Thread(target=_write_on, args=(writer, hashed, free, failures), name="arrival", daemon=True),
    ]
    for thread in threads:
        thread.start()
    size = 0
    try:
        while (buffer := free.get()) is not None and (count := body.readinto(buffer)):
            filled.put((buffer, count))
            size += count
            if body.length is None:
                check(STREAMED)
            claim.bytes_left = max(0, claim.bytes_left - count)
    finally:
        filled.put(None)
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    return size


def _hash_on(hashers: list[Any], filled: "SimpleQueue[_Piece | None]", hashed: "SimpleQueue[_Piece | None]") -> None:
    while item := filled.get():
        for hasher in hashers:
            hasher.update(item[0][: item[1]])
        hashed.put(item)
    hashed.put(None)


def _write_on(
    writer: disk.Writer,
    hashed: "SimpleQueue[_Piece | None]",
    free: "SimpleQueue[memoryview | None]",
    failures: list[BaseException],
) -> None:
    """Write and give the buffers back; after a failure, give None back instead, at which the receiver stops."""
    while item := hashed.get():
        try:
            if not failures:
                writer.write(item[0][: item[1]])
        except BaseException as error:
            failures.append(error)
        free.put(None if failures else item[0])
