"""SHA-256 digests of local files, remembered for big ones in `<home>/cache/hashes.sqlite`.

An entry counts as long as path, size, times and inode are the same. Losing the cache loses only time.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from entrepot.client.failures import FileFailure
from entrepot.client.ignore import LocalFile, local_files
from entrepot.core.digests import Digest, digest_of
from entrepot.core.manifests import FileEntry, Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

REMEMBERED_BYTES = 4 << 20
"""Smaller files are hashed again: that is quicker than looking."""
_SETTLED_NS = 100_000_000  # a file younger than this may change again within the clock's tick
_TABLE = """create table if not exists hashes
(path text primary key, size integer, mtime_ns integer, ctime_ns integer, inode integer, digest text) without rowid"""


class HashCache:
    """Digests of big files by path. Opens its database at first need; without a database it knows nothing."""

    def __init__(self, folder: Path | None = None, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._now_ns = now_ns
        self._database: sqlite3.Connection | None = None
        self._is_broken = False

    def get(self, file: LocalFile) -> Digest | None:
        """Return the digest of a file that did not change since it was hashed, else None."""
        database = self._opened() if file.size_bytes >= REMEMBERED_BYTES else None
        if database is None:
            return None
        row = None
        with suppress(Exception):
            row = database.execute(
                "select digest from hashes where path = ? and size = ? and mtime_ns = ? and ctime_ns = ? and inode = ?",
                (str(file.place), file.size_bytes, file.mtime_ns, file.ctime_ns, file.inode),
            ).fetchone()
        return Digest(row[0]) if row else None

    def put(self, file: LocalFile, digest: Digest) -> None:
        """Remember a digest, unless the file is so new that a later change could have the same time."""
        if self._now_ns() - max(file.mtime_ns, file.ctime_ns) < _SETTLED_NS:
            return
        database = self._opened() if file.size_bytes >= REMEMBERED_BYTES else None
        if database is None:
            return
        with suppress(Exception), database:
            database.execute(
                "insert or replace into hashes values (?, ?, ?, ?, ?, ?)",
                (str(file.place), file.size_bytes, file.mtime_ns, file.ctime_ns, file.inode, digest),
            )

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _opened(self) -> sqlite3.Connection | None:
        if self._database is None and not self._is_broken:
            import sqlite3

            try:
                folder = self._folder or _default_folder()
                folder.mkdir(parents=True, exist_ok=True)
                self._database = sqlite3.connect(folder / "hashes.sqlite", timeout=2)
                self._database.execute("pragma synchronous = off")
                self._database.execute(_TABLE)
            except (OSError, sqlite3.Error):
                self.close()
                self._is_broken = True
        return self._database


def digest_of_file(file: LocalFile, cache: HashCache) -> Digest:
    """Return a file's digest, from the cache where it is known. Raises FileFailure when it changes meanwhile."""
    if file.size_bytes < REMEMBERED_BYTES:
        data = file.place.read_bytes()
        if len(data) != file.size_bytes:
            raise _changed(file)
        return digest_of(data)
    if found := cache.get(file):
        return found
    with file.place.open("rb", buffering=0) as reading:
        digest = Digest(hashlib.file_digest(reading, "sha256").hexdigest())
    check_unchanged(file)
    cache.put(file, digest)
    return digest


def check_unchanged(file: LocalFile) -> None:
    """Raise FileFailure when a file is not any more what it was when it was found."""
    status = file.place.stat()
    if (status.st_size, status.st_mtime_ns, status.st_ino) != (file.size_bytes, file.mtime_ns, file.inode):
        raise _changed(file)


def _changed(file: LocalFile) -> FileFailure:
    return FileFailure(f"{file.place} changed while it was being read.", hint="try again when nobody writes to it")


def snapshot_digest(path: Path) -> Digest:
    """Return the digest of the snapshot that an upload of this path would make."""
    cache = HashCache()
    try:
        found = local_files(path)
        entries = [FileEntry(f.path, digest_of_file(f, cache), f.size_bytes, f.is_executable) for f in found]
    finally:
        cache.close()
    return Manifest(tuple(entries)).digest


def _default_folder() -> Path:
    from entrepot.core.settings import default_home

    return default_home() / "cache"
