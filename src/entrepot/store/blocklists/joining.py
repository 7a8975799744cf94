"""Blocks written one behind the other: read in one thread, hashed and written in another, past a dear page cache."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from entrepot.core.digests import Digest
from entrepot.store import disk, paths
from entrepot.store.blobs import BlobStore
from entrepot.store.blocklists import Block

_PIECE_BYTES = 4 << 20
_PAGE_BYTES = 4096
_BUFFERS = 4
_ReadInto = Callable[[memoryview], int]
_Piece = tuple[memoryview, int]


def joined(
    blobs: BlobStore, container: str, name: str, blocks: Sequence[Block], *, of: Digest | None, file: Path
) -> Digest:
    """Write blocks one behind the other into a new file and return its digest; `of` is the content of old ones."""
    joiner = _Joiner(disk.Writer(file, expected_bytes=sum(block.size_bytes for block in blocks)))
    thread = threading.Thread(target=joiner.write_on, name="joining", daemon=True)
    thread.start()
    try:
        for block in blocks:
            with _opened(blobs, container, name, block, of, is_aligned=joiner.is_aligned) as readinto:
                joiner.take(readinto, block)
        joiner.hand_over()
    finally:
        joiner.filled.put(None)
        thread.join()
        joiner.writer.close()
    if joiner.failures:
        raise joiner.failures[0]
    return Digest(joiner.hasher.hexdigest())


class _Joiner:
    """The buffers between reading and writing; each is filled before it goes on, as direct output ends at pages."""

    def __init__(self, writer: disk.Writer) -> None:
        self.writer = writer
        self.hasher = hashlib.sha256()
        self.filled: SimpleQueue[_Piece | None] = SimpleQueue()
        self.failures: list[BaseException] = []
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(disk.aligned_buffer(_PIECE_BYTES))
        self._buffer, self._used = self._free.get(), 0

    @property
    def is_aligned(self) -> bool:
        """Say whether what is read next goes to the beginning of a page."""
        return self._used % _PAGE_BYTES == 0

    def write_on(self) -> None:
        """Hash and write what is filled, until None comes."""
        while (piece := self.filled.get()) is not None:
            buffer, used = piece
            try:
                if not self.failures:
                    self.hasher.update(buffer[:used])
                    self.writer.write(buffer[:used])
            except BaseException as error:
                self.failures.append(error)
            self._free.put(buffer)

    def take(self, readinto: _ReadInto, block: Block) -> None:
        """Read a block. Raises OSError when it ends early."""
        left = block.size_bytes
        while left and not self.failures:
            count = readinto(self._buffer[self._used : self._used + left])
            if not count:
                raise OSError(f"block {block.id} ends {left} bytes early")
            left -= count
            self._used += count
            if self._used == _PIECE_BYTES:
                self.hand_over()

    def hand_over(self) -> None:
        """Give the buffer on to be written, and take another."""
        self.filled.put((self._buffer, self._used))
        self._buffer, self._used = self._free.get(), 0


@contextmanager
def _opened(
    blobs: BlobStore, container: str, name: str, block: Block, of: Digest | None, *, is_aligned: bool
) -> Iterator[_ReadInto]:
    """Open a block, past the page cache when it went to the disk that way."""
    if block.start is not None:
        assert of is not None
        reading = blobs.open(paths.content(of), start=block.start, length=block.size_bytes)
    else:
        place = blobs.local_path(paths.block(container, name, block.id))
        fd = _direct(place, block.size_bytes) if place and is_aligned else None
        if fd is not None:
            try:
                yield lambda view: os.readv(fd, [view])
            finally:
                os.close(fd)
            return
        reading = blobs.open(paths.block(container, name, block.id))
    with reading:
        yield reading.readinto  # type: ignore[attr-defined]


def _direct(place: Path, size_bytes: int) -> int | None:
    """Open a file for direct reading if it is whole pages that are not cached."""
    if size_bytes % _PAGE_BYTES:
        return None
    with place.open("rb") as file:
        if disk.is_cached(file.fileno(), 0, size_bytes):
            return None
    return disk.open_direct(place)
