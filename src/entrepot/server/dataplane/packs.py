"""Packs: many small contents in one body.

Four bytes of length (big endian), `[[digest, size], ...]` as JSON, then the bytes.
"""

import json
from collections.abc import Callable, Iterator, Sequence

from entrepot.core.digests import Digest, digest_of, is_digest
from entrepot.core.errors import DigestMismatch, InvalidRequest
from entrepot.server.dataplane.messages import STREAMED, Body, Parts
from entrepot.store import paths
from entrepot.store.blobs import BlobStore

LARGEST_BYTES = 8 << 20
"""Larger contents travel alone."""
_INDEX_LIMIT = 32 << 20


def unpack(body: Body, keep: Callable[[bytes, Digest], object]) -> int:
    """Read a pack and keep each content, after it proved to have its digest; return their number.

    Raises InvalidRequest and DigestMismatch; what was kept before stays.
    """
    reader = _Reader(body)
    index = _read_index(reader)
    for digest, size in index:
        data = reader.read(size)
        if digest_of(data) != digest:
            raise DigestMismatch(f"the pack's bytes for {digest} have another digest")
        keep(data, digest)
    if not reader.is_at_end():
        raise InvalidRequest("a pack is longer than its index says")
    return len(index)


def pack(blobs: BlobStore, contents: Sequence[tuple[Digest, int]]) -> Parts:
    """Return a pack of stored contents, read as it is sent."""
    index = json.dumps([[digest, size] for digest, size in contents], separators=(",", ":")).encode()
    head = len(index).to_bytes(4, "big") + index
    return Parts(_pieces(blobs, head, contents), len(head) + sum(size for _, size in contents))


def _pieces(blobs: BlobStore, head: bytes, contents: Sequence[tuple[Digest, int]]) -> Iterator[bytes]:
    parts, size = [head], len(head)
    for digest, _ in contents:
        with blobs.open(paths.content(digest)) as file:
            while data := file.read(STREAMED):
                parts.append(data)
                size += len(data)
                if size >= STREAMED:
                    yield b"".join(parts)
                    parts, size = [], 0
    yield b"".join(parts)


class _Reader:
    """Cuts a body into pieces of given sizes, taking it from the socket in big ones."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._buffer = bytearray(STREAMED)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes. Raises InvalidRequest when the body ends before."""
        if self._end - self._start >= size:
            self._start += size
            return bytes(self._view[self._start - size : self._start])
        whole = bytearray(size)
        done = self._end - self._start
        whole[:done] = self._view[self._start : self._end]
        self._start = self._end = 0
        if size - done >= STREAMED:
            done += self._body.readinto(memoryview(whole)[done:])
        else:
            self._end = self._body.readinto(self._view)
            self._start = min(size - done, self._end)
            whole[done : done + self._start] = self._view[: self._start]
            done += self._start
        if done < size:
            raise InvalidRequest("a pack ends before its last byte")
        return bytes(whole)

    def is_at_end(self) -> bool:
        """Say whether nothing is left."""
        return self._start == self._end and self._body.readinto(self._view[:1]) == 0


def _read_index(reader: _Reader) -> list[tuple[Digest, int]]:
    length = int.from_bytes(reader.read(4), "big")
    if length > _INDEX_LIMIT:
        raise InvalidRequest(f"a pack's index may be at most {_INDEX_LIMIT} bytes long: got {length}")
    try:
        rows = json.loads(reader.read(length))
        index = [(Digest(digest), size) for digest, size in rows]
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest("a pack's index must be a JSON list of [digest, size]") from error
    for digest, size in index:
        if not isinstance(digest, str) or not is_digest(digest):
            raise InvalidRequest(f"{digest!r} in a pack's index is not a digest")
        if type(size) is not int or not 0 <= size <= LARGEST_BYTES:
            raise InvalidRequest(f"{digest} in a pack has a size outside 0 to {LARGEST_BYTES}: send it as a blob")
    return index
