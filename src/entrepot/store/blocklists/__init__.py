"""Blocks of which blobs are made: those that wait for their commit, and those of which a blob was made.

A blob's own blocks are noted in a document beside its own, which is good for as long as the blob has that digest.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from entrepot.core.digests import CHUNK_BYTES, Digest
from entrepot.core.errors import BlobMissing
from entrepot.store import paths
from entrepot.store.blobs import BlobStore
from entrepot.store.documents import Document, DocumentStore, Put

COMMITTED, UNCOMMITTED, LATEST = "Committed", "Uncommitted", "Latest"
_MOST_NOTED = 10_000  # longer lists are forgotten: nobody has been seen to ask for them


@dataclass(frozen=True, slots=True)
class Block:
    """A block by the id that the client gave it. `start` is where it lies in the blob, None while it waits."""

    id: str
    size_bytes: int
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A block as a block list names it: `kind` is Committed, Uncommitted or Latest."""

    id: str
    kind: str = LATEST


def waiting(blobs: BlobStore, container: str, name: str) -> list[Block]:
    """Return the blocks of a blob that wait for their commit, by id."""
    found = blobs.list(paths.blocks(container, name))
    return [Block(paths.block_id(block.name), block.size_bytes) for block in found]


def committed(document: Document | None, digest: Digest | None) -> list[Block]:
    """Return the blocks of which a blob with this digest was made, in order; none when it was made otherwise."""
    if document is None or document.body["digest"] != digest:
        return []
    blocks, start = [], 0
    for id, size_bytes in document.body["blocks"]:
        blocks.append(Block(id, size_bytes, start))
        start += size_bytes
    return blocks


def note(documents: DocumentStore, key: str, digest: Digest, blocks: Sequence[Block]) -> None:
    """Keep of which blocks a blob was made."""
    if 0 < len(blocks) <= _MOST_NOTED:
        documents.commit([Put(key, {"digest": digest, "blocks": [[block.id, block.size_bytes] for block in blocks]})])


def chosen(wanted: Iterable[Wanted], *, waiting: Sequence[Block], committed: Sequence[Block]) -> list[Block]:
    """Return the blocks that a block list names, in order. Raises BlobMissing naming the first that is not there."""
    new: Mapping[str, Block] = {block.id: block for block in waiting}
    old: Mapping[str, Block] = {block.id: block for block in committed}
    places = {COMMITTED: (old,), UNCOMMITTED: (new,), LATEST: (new, old)}
    found = []
    for one in wanted:
        block = next((place[one.id] for place in places[one.kind] if one.id in place), None)
        if block is None:
            raise BlobMissing(f"Block {one.id} was not sent.")
        found.append(block)
    return found


def joined(
    blobs: BlobStore, container: str, name: str, blocks: Sequence[Block], *, of: Digest | None, file: Path
) -> Digest:
    """Write blocks one behind the other into a new file and return its digest; `of` is the content of old ones."""
    hasher = hashlib.sha256()
    with file.open("xb", buffering=0) as writing:
        for block in blocks:
            if block.start is None:
                reading = blobs.open(paths.block(container, name, block.id))
            else:
                assert of is not None
                reading = blobs.open(paths.content(of), start=block.start, length=block.size_bytes)
            left = block.size_bytes
            with reading:
                # a local store's file goes on behind a range of it
                while left and (chunk := reading.read(min(CHUNK_BYTES, left))):
                    left -= len(chunk)
                    hasher.update(chunk)
                    view = memoryview(chunk)
                    while view:
                        view = view[writing.write(view) :]
    return Digest(hasher.hexdigest())


def abandoned(blobs: BlobStore, *, before: float) -> Iterable[str]:
    """Yield the names of blocks that were last written before a moment."""
    return (block.name for block in list(blobs.list("blocks/")) if block.modified < before)
