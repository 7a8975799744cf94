"""Downloading a tree of a container: the manifest, small files in packs, big ones in one stream each.

Files are written under a temporary name and proved by their digest on the way; nothing is written outside the target.
A broken download goes on where it stopped. One thing is spared on small machines: see `is_proving`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from entrepot.client.failures import FileFailure, ServiceFailure
from entrepot.client.sink import receive_file
from entrepot.client.transfer import BIG_BYTES, PACK_BYTES, PIECE_BYTES, Channel
from entrepot.core.digests import Digest, digest_file, digest_of
from entrepot.core.errors import EntrepotError
from entrepot.core.manifests import FileEntry, Manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Progress = Callable[[int, int], None]

_CORES_FOR_PROOF = 4


def is_proving(channel: Channel) -> bool:
    """Say whether big files are to be hashed as they arrive.

    Hashing is the slowest part. Where server and client share a few cores, it would more than double the time, and
    prove only that this machine's disk and loopback can be relied on: the server hashed the bytes when they came.
    """
    return not channel.is_loopback or (os.cpu_count() or 1) >= _CORES_FOR_PROOF


def download(
    sas_url: str, path: str, target: Path, *, progress: Progress | None = None, proves: bool | None = None
) -> dict[str, Any]:
    """Write the files at a path of a container (or the one file there) below the folder `target`.

    Returns {"digest": of the tree, "size": in bytes, "files": their number, "received": bytes that came}. Files that
    are there already with the same bytes stay. `proves`: hash big files too (None: `is_proving` decides).
    Raises FileFailure, ServiceFailure, NoServer.
    """
    with Channel(sas_url) as channel:
        manifest = channel.retried(lambda: _manifest(channel, path))
        work = _Download(channel, path, target, manifest, progress)
        work.is_proving = is_proving(channel) if proves is None else proves
        work.run()
    return {
        "digest": manifest.digest,
        "size": manifest.size_bytes,
        "files": len(manifest.files),
        "received": work.received,
    }


def _manifest(channel: Channel, path: str) -> Manifest:
    channel.begin("GET", "snapshot", path)
    try:
        return Manifest.decode(channel.read_rest())
    except EntrepotError as error:
        raise ServiceFailure(f"The server sent a manifest that is not safe: {error.message}") from error


class _Download:
    """One download on its way."""

    def __init__(
        self, channel: Channel, path: str, target: Path, manifest: Manifest, progress: Progress | None
    ) -> None:
        self.received = 0
        self.is_proving = True
        self._channel = channel
        self._path = path
        self._target = target
        self._manifest = manifest
        self._progress = progress
        self._done = 0
        self._folders: set[str] = {""}

    def run(self) -> None:
        self._target.mkdir(parents=True, exist_ok=True)
        wanted: dict[Digest, list[FileEntry]] = {}
        for entry in self._manifest.files:
            self._make_folder(entry.path.rpartition("/")[0])
            if self._is_there(entry):
                self._tell(entry.size_bytes)
            else:
                wanted.setdefault(entry.digest, []).append(entry)
        self._check_room(sum(entry.size_bytes for entries in wanted.values() for entry in entries))
        batch: list[tuple[Digest, int]] = []
        for digest, entries in wanted.items():
            size = entries[0].size_bytes
            if size >= BIG_BYTES:
                self._fetch_big(entries)
                continue
            batch.append((digest, size))
            if sum(size for _, size in batch) >= PACK_BYTES:
                self._fetch_pack(batch, wanted)
                batch = []
        if batch:
            self._fetch_pack(batch, wanted)

    def _fetch_pack(self, batch: list[tuple[Digest, int]], wanted: dict[Digest, list[FileEntry]]) -> None:
        left = dict(batch)

        def attempt() -> None:
            body = json.dumps({"digests": list(left)}).encode()
            self._channel.begin("POST", "pack", self._path, length=len(body), pieces=[body])
            index = json.loads(self._channel.read_exactly(int.from_bytes(self._channel.read_exactly(4), "big")))
            for digest, size in index:
                if left.get(digest) != size:
                    raise ServiceFailure("The server sent a pack that was not asked for.")
                data = self._channel.read_exactly(size)
                _check(digest, digest_of(data))
                for entry in wanted[digest]:
                    self._write(entry, data)
                del left[digest]
                self.received += size

        self._channel.retried(attempt)
        if left:
            raise ServiceFailure(f"The server left out {len(left)} files of a pack.")

    def _fetch_big(self, entries: list[FileEntry]) -> None:
        first, *others = entries
        part = self._part(first)
        self._channel.retried(lambda: self._receive(first, part))
        self._enter(first, part)
        for entry in others:
            copy = self._part(entry)
            with suppress(FileNotFoundError):
                copy.unlink()
            _copy(self._target / first.path, copy)
            self._enter(entry, copy)
            self._tell(entry.size_bytes)

    def _receive(self, entry: FileEntry, part: Path) -> None:
        """Bring the rest of a big file into its temporary file and prove the whole."""
        hasher = hashlib.sha256()
        start = _resume(part, hasher, entry.size_bytes)
        is_proved = self.is_proving or start > 0
        before = self._done
        self._tell(start)
        headers = (f"Range: bytes={start}-",) if start else ()
        self._channel.begin("GET", "blob", self._path, query=f"&digest={entry.digest}", headers=headers)
        if self._channel.left != entry.size_bytes - start:
            raise ServiceFailure(f"The server sent {self._channel.left} bytes of {entry.path}, not what was asked for.")
        try:
            receive_file(self._channel, part, start, hasher if is_proved else None, self._tell)
        except (OSError, EOFError):
            self._done = before
            raise
        self.received += entry.size_bytes - start
        try:
            if is_proved:
                _check(entry.digest, hasher.hexdigest())
        except ServiceFailure:
            part.unlink()
            raise

    def _write(self, entry: FileEntry, data: bytes) -> None:
        part = self._part(entry)
        part.write_bytes(data)
        self._enter(entry, part)
        self._tell(entry.size_bytes)

    def _enter(self, entry: FileEntry, part: Path) -> None:
        """Give a whole file its name."""
        if entry.is_executable:
            part.chmod(part.stat().st_mode | 0o111)
        try:
            part.replace(self._target / entry.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise FileFailure(f"{self._target / entry.path} cannot be written: {error.strerror}.") from error

    def _part(self, entry: FileEntry) -> Path:
        place = self._target / entry.path
        part = place.with_name(f".{entry.digest[:20]}-{len(place.name)}.part")
        if part.is_symlink():
            part.unlink()
        return part

    def _make_folder(self, folder: str) -> None:
        """Make a folder below the target; refuse to follow a symbolic link that is there."""
        if folder in self._folders:
            return
        self._make_folder(folder.rpartition("/")[0])
        place = self._target / folder
        with suppress(FileExistsError):
            place.mkdir()
        if not stat.S_ISDIR(place.lstat().st_mode):
            raise FileFailure(f"{place} is not a folder, and files are to be written below it.")
        self._folders.add(folder)

    def _is_there(self, entry: FileEntry) -> bool:
        place = self._target / entry.path
        try:
            status = place.lstat()
        except FileNotFoundError:
            return False
        if stat.S_ISDIR(status.st_mode):
            raise FileFailure(f"{place} is a folder, and a file of that name is to be written.")
        is_file = stat.S_ISREG(status.st_mode) and status.st_size == entry.size_bytes
        return (
            is_file
            and bool(status.st_mode & stat.S_IXUSR) == entry.is_executable
            and digest_file(place) == entry.digest
        )

    def _check_room(self, needed: int) -> None:
        found = os.statvfs(self._target)
        free = found.f_bavail * found.f_frsize
        if needed > free:
            raise FileFailure(f"There is no room for {needed} bytes in {self._target}: its disk has {free} left.")

    def _tell(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(min(self._done, self._manifest.size_bytes), self._manifest.size_bytes)


def _check(expected: str, found: str) -> None:
    if expected != found:
        raise ServiceFailure(f"Bytes that should have the digest {expected} arrived with {found}: try again.")


def _resume(part: Path, hasher: hashlib._Hash, size_bytes: int) -> int:
    """Hash what an earlier try left in a temporary file, in whole pieces; return how far it goes."""
    with suppress(FileNotFoundError), part.open("r+b", buffering=0) as file:
        start = min(os.fstat(file.fileno()).st_size, size_bytes - 1) // PIECE_BYTES * PIECE_BYTES
        file.truncate(start)
        for _ in range(start // PIECE_BYTES):
            hasher.update(file.read(PIECE_BYTES))
        return start
    return 0


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copyfile(source, target)
