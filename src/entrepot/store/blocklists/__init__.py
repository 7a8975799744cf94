"""Blocks of which blobs are made: those that wait for their commit, and those of which a blob was made.

A blob's own blocks are noted in a document beside its own, which is good for as long as the blob has that digest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from entrepot.core.digests import Digest
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


def abandoned(blobs: BlobStore, *, before: float) -> Iterable[str]:
    """Yield the names of blocks that were last written before a moment."""
    return (block.name for block in list(blobs.list("blocks/")) if block.modified < before)
