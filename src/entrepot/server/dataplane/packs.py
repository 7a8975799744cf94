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


def unpack(body: Body, keep: Callable[[bytes], Digest]) -> int:
    """Read a pack and keep each content, after it proved to have its digest; return their number.

    Raises InvalidRequest and DigestMismatch; what was kept before stays.
    """
    index = _read_index(body)
    for digest, size in index:
        data = _read(body, size)
        if digest_of(data) != digest:
            raise DigestMismatch(f"the pack's bytes for {digest} have another digest")
        keep(data)
    if body.readinto(memoryview(bytearray(1))):
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


def _read_index(body: Body) -> list[tuple[Digest, int]]:
    length = int.from_bytes(_read(body, 4), "big")
    if length > _INDEX_LIMIT:
        raise InvalidRequest(f"a pack's index may be at most {_INDEX_LIMIT} bytes long: got {length}")
    try:
        rows = json.loads(_read(body, length))
        index = [(Digest(digest), size) for digest, size in rows]
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest("a pack's index must be a JSON list of [digest, size]") from error
    for digest, size in index:
        if not isinstance(digest, str) or not is_digest(digest):
            raise InvalidRequest(f"{digest!r} in a pack's index is not a digest")
        if type(size) is not int or not 0 <= size <= LARGEST_BYTES:
            raise InvalidRequest(f"{digest} in a pack has a size outside 0 to {LARGEST_BYTES}: send it as a blob")
    return index


def _read(body: Body, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view and (count := body.readinto(view)):
        view = view[count:]
    if view:
        raise InvalidRequest("a pack ends before its last byte")
    return bytes(buffer)
