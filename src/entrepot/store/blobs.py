"""The BlobStore protocol: named bytes of one region, immutable once put.

Names are slash-separated, made only by `paths.py`. Implementations: `local.py` (files) and `cloud.py` (obstore:
memory, S3, Azure, GCS). Bytes that the product keeps are named by their SHA-256.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class BlobStat:
    """What a store tells of a blob without reading it."""

    name: str
    size_bytes: int
    modified: float


class BlobStore(Protocol):
    """Bytes of one region. All methods are synchronous and thread-safe; a missing name raises BlobMissing.

    `staging` is a folder of this process for files on their way in: `adopt` moves them from there at no cost. Files
    left in it by a process that died are removed when the store is opened again. `is_local`: what `open` returns for a
    whole blob is a real file.
    """

    staging: Path
    is_local: bool

    def stat(self, name: str) -> BlobStat | None:
        """Return the blob's size and time, or None."""
        ...

    def open(self, name: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open a blob, or a range of it, for reading. A local store returns a real file for a whole one."""
        ...

    def put(self, name: str, source: BinaryIO | bytes) -> int:
        """Store bytes under a name unless it exists; return the size. Readers see all of it or nothing."""
        ...

    def adopt(self, name: str, file: Path) -> int:
        """Store a local file, which is gone afterwards, moving it where the store can; return the size."""
        ...

    def local_path(self, name: str) -> Path | None:
        """Return the read-only local file of a blob where there is one (to link or mount), else None."""
        ...

    def copy_from(self, other: "BlobStore", name: str) -> int:
        """Copy a blob of another store under the same name unless it exists; return the bytes moved."""
        ...

    def sync(self) -> None:
        """Make every earlier put durable, and visible to other processes (one flush for a batch)."""
        ...

    def delete(self, name: str) -> None:
        """Remove a blob; a missing one is no error."""
        ...

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """Yield the blobs whose name starts with `prefix`, in name order."""
        ...

    def free_bytes(self) -> int | None:
        """Return the room left, None when the store has no such limit."""
        ...
