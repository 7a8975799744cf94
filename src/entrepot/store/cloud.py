"""The BlobStore of an object store: memory, S3, Azure Blob and GCS, through obstore.

Their puts are durable and whole by themselves, so `sync` has nothing to do. Names are as in `local.py`, below a prefix.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import MemoryStore, ObjectStore, from_url

from entrepot.core.digests import CHUNK_BYTES
from entrepot.core.errors import BlobMissing, InvalidRequest
from entrepot.store import paths
from entrepot.store.blobs import BlobStat, BlobStore

_PART_BYTES = 16 << 20
_SCHEMES = ("memory", "s3", "s3a", "az", "azure", "adl", "abfs", "abfss", "gs", "http", "https")


class CloudStore:
    """Blobs below a prefix of a bucket. `staging` is a local folder for files on their way to it."""

    is_local = False

    def __init__(self, store: ObjectStore, *, prefix: str, staging: Path) -> None:
        self._store = store
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.staging = staging
        staging.mkdir(parents=True, exist_ok=True)

    def stat(self, name: str) -> BlobStat | None:
        """Return the blob's size and time, or None."""
        try:
            return _stat_of(name, obstore.head(self._store, self._place(name)))
        except FileNotFoundError:
            return None

    def open(self, name: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open a blob, or a range of it, as a stream."""
        found = self.stat(name)
        if found is None:
            raise BlobMissing(f"{name} is not in {self._store!r}")
        end = found.size_bytes if length is None else min(start + length, found.size_bytes)
        if start >= end:
            return io.BytesIO()
        answer = obstore.get(self._store, self._place(name), options={"range": (start, end)})
        return io.BufferedReader(_Stream(iter(answer.stream(min_chunk_size=CHUNK_BYTES))), CHUNK_BYTES)

    def put(self, name: str, source: BinaryIO | bytes) -> int:
        """Store bytes under a name unless it exists; return the size."""
        if found := self.stat(name):
            return found.size_bytes
        # Only single requests can be put-if-absent; two writers of one name write the same bytes, so parts may race.
        head = source if isinstance(source, bytes) else _read_fully(source, _PART_BYTES)
        if isinstance(source, bytes) or len(head) < _PART_BYTES:
            with contextlib.suppress(AlreadyExistsError):
                obstore.put(self._store, self._place(name), head, mode="create", use_multipart=False)
            return len(head)
        with obstore.open_writer(self._store, self._place(name), buffer_size=_PART_BYTES) as writing:
            size = 0
            while head:
                writing.write(head)
                size += len(head)
                head = source.read(CHUNK_BYTES)
        return size

    def adopt(self, name: str, file: Path) -> int:
        """Upload a local file, which is gone afterwards; return the size."""
        with file.open("rb") as reading:
            size = self.put(name, reading)
        file.unlink()
        return size

    def local_path(self, name: str) -> Path | None:
        """Return None: there are no local files."""
        paths.check_blob_name(name)
        return None

    def copy_from(self, other: BlobStore, name: str) -> int:
        """Copy a blob of another store unless it exists, inside the object store where both are in the same bucket."""
        if self.stat(name):
            return 0
        if isinstance(other, CloudStore) and other._store is self._store:
            try:
                obstore.copy(self._store, other._place(name), self._place(name))
            except FileNotFoundError as error:
                raise BlobMissing(f"{name} is not in {self._store!r}") from error
            return 0
        with other.open(name) as reading:
            return self.put(name, reading)

    def sync(self) -> None:
        """Do nothing: puts are durable when they return."""

    def delete(self, name: str) -> None:
        """Remove a blob; a missing one is no error."""
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, self._place(name))

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """Yield the blobs whose name starts with `prefix`, in name order."""
        # Object stores list below whole segments; the rest of the prefix is compared here.
        folder = (self._prefix + prefix).rpartition("/")[0]
        found: list[BlobStat] = []
        for page in obstore.list(self._store, prefix=folder or None):
            names = ((meta["path"][len(self._prefix) :], meta) for meta in page)
            found += [_stat_of(name, meta) for name, meta in names if name.startswith(prefix)]
        yield from sorted(found, key=lambda stat: stat.name)

    def free_bytes(self) -> int | None:
        """Return None: there is no limit that could be asked for."""
        return None

    def _place(self, name: str) -> str:
        return self._prefix + paths.check_blob_name(name)


def connect(url: str) -> ObjectStore:
    """Open the bucket of a URL such as `s3://bucket/path`, `az://...`, `gs://...` or `memory://`.

    Credentials come from the environment. Raises InvalidRequest.
    """
    if "://" not in url or url.partition("://")[0] not in _SCHEMES:
        raise InvalidRequest(f"{url!r} is not the URL of an object store: use memory://, s3://, az:// or gs://")
    return MemoryStore() if url.startswith("memory:") else from_url(url)


class _Stream(io.RawIOBase):
    """Chunks, read as a file."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _read_fully(source: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _stat_of(name: str, meta: Any) -> BlobStat:
    return BlobStat(name, meta["size"], meta["last_modified"].timestamp())
