"""Snapshots: manifests in a BlobStore, whose files are there too. The manifest is always written last.

Trees come in from a local folder (`ingest`), go out to one (`materialise`) and move between stores (`copy`).
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from entrepot.core.digests import CHUNK_BYTES, Digest, digest_file, digest_of
from entrepot.core.errors import BlobMissing, DigestMismatch, InvalidRequest
from entrepot.core.manifests import FileEntry, Manifest, check_path
from entrepot.store import disk, paths
from entrepot.store.blobs import BlobStore

__all__ = [
    "CopyReport",
    "FileEntry",
    "Manifest",
    "check_path",
    "copy",
    "exists",
    "ingest",
    "keep",
    "keep_file",
    "materialise",
    "missing",
    "read",
    "write",
]

_IN_MEMORY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy had to do: how many blobs the target lacked, and the bytes that were moved for them."""

    blobs: int
    bytes_moved: int


def keep(blobs: BlobStore, data: bytes, *, digest: Digest | None = None) -> Digest:
    """Store content from memory under its digest, computed unless it is given; durable after the store's next sync."""
    digest = digest or digest_of(data)
    blobs.put(paths.content(digest), data)
    _mark_size(blobs, len(data))
    return digest


def keep_file(blobs: BlobStore, digest: Digest, file: Path) -> int:
    """Store a file whose digest is known, which is gone afterwards; return its size."""
    size = blobs.adopt(paths.content(digest), file)
    _mark_size(blobs, size)
    return size


def missing(blobs: BlobStore, manifest: Manifest) -> list[Digest]:
    """Return the digests of the manifest whose bytes are not in the store. Raises DigestMismatch on a false size."""
    absent = []
    for digest, size in manifest.sizes.items():
        found = blobs.stat(paths.content(digest))
        if found is None:
            absent.append(digest)
        elif found.size_bytes != size:
            raise DigestMismatch(f"the manifest says {size} bytes for {digest}, which has {found.size_bytes}")
    return absent


def write(blobs: BlobStore, manifest: Manifest) -> Digest:
    """Store a manifest, durably, after its files' bytes. Raises BlobMissing when some are absent."""
    name = paths.snapshot(manifest.digest)
    if absent := missing(blobs, manifest):
        raise BlobMissing(
            f"{len(absent)} of the manifest's blobs are not here, such as {absent[0]}",
            details=[{"missing": list(absent)}],
        )
    blobs.put(name, manifest.encode())
    blobs.sync()
    return manifest.digest


def read(blobs: BlobStore, digest: Digest) -> Manifest:
    """Return the manifest of a snapshot. Raises BlobMissing."""
    with blobs.open(paths.snapshot(digest)) as file:
        data = file.read()
    if digest_of(data) != digest:
        raise DigestMismatch(f"the stored manifest {digest} was changed: its bytes have another digest")
    return Manifest.decode(data)


def exists(blobs: BlobStore, digest: Digest) -> bool:
    """Say whether a snapshot is in the store; then so are all its files."""
    return blobs.stat(paths.snapshot(digest)) is not None


def ingest(blobs: BlobStore, root: Path, *, adopt: bool = False) -> Manifest:
    """Store a local folder or file as a snapshot and return its manifest.

    `adopt` may move the files instead of copying them. Symbolic links are followed inside `root` only: others, and
    what is neither file nor folder, raise InvalidRequest.
    """
    found = list(_walk(root))
    if len({file for _, file in found}) < len(found):
        adopt = False  # a link makes two paths of one file, which can be moved only once
    manifest = Manifest(tuple(_ingest_file(blobs, file, path, adopt=adopt) for path, file in found))
    write(blobs, manifest)
    return manifest


def materialise(blobs: BlobStore, manifest: Manifest, target: Path, *, writable: bool = False) -> None:
    """Lay a snapshot out as files below `target`; files already there under the same paths are replaced.

    Read-only files are further names of the store's own where that can be, so they must not be written to;
    `writable` gives independent copies.
    """
    target.mkdir(parents=True, exist_ok=True)
    made: set[str] = {""}
    for entry in manifest.files:
        folder = entry.path.rpartition("/")[0]
        if folder not in made:
            (target / folder).mkdir(parents=True, exist_ok=True)
            made.add(folder)
        _lay_out(blobs, entry, target / entry.path, writable=writable)


def copy(source: BlobStore, target: BlobStore, digest: Digest) -> CopyReport:
    """Bring a snapshot from one store to another: missing blobs first, the manifest last. Safe to repeat."""
    if exists(target, digest):
        return CopyReport(0, 0)
    manifest = read(source, digest)
    absent = missing(target, manifest)
    moved = 0
    for blob in absent:
        moved += target.copy_from(source, paths.content(blob))
        _mark_size(target, manifest.sizes[blob])
    write(target, manifest)
    return CopyReport(len(absent), moved)


def _mark_size(blobs: BlobStore, size_bytes: int) -> None:
    if size_bytes >= paths.BIG_BYTES:
        blobs.put(paths.size_mark(size_bytes), b"")


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative path, file) of everything below root, or of root itself under its base name."""
    if root.is_file():
        yield _text(root.name), root.resolve()
        return
    if not root.is_dir():
        raise InvalidRequest(f"{root} is not there, or neither a file nor a folder")
    yield from _walk_folder(root.resolve(), root.resolve(), "", ())


def _walk_folder(root: Path, folder: Path, base: str, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = base + _text(entry.name)
        place = Path(entry.path)
        if entry.is_symlink():
            place = _inside(root, place)
        if place.is_dir():
            if place in (*above, folder):
                raise InvalidRequest(f"{path!r} is a symbolic link to a folder that it lies in")
            check_path(path)  # which bounds the depth, too
            yield from _walk_folder(root, place, f"{path}/", (*above, folder))
        elif place.is_file():
            yield path, place
        else:
            raise InvalidRequest(f"{path!r} is neither a file nor a folder")


def _inside(root: Path, link: Path) -> Path:
    try:
        place = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise InvalidRequest(f"the symbolic link {link.relative_to(root)} leads nowhere") from error
    if not place.is_relative_to(root):
        raise InvalidRequest(f"the symbolic link {link.name!r} leads out of the folder, to {place}")
    return place


def _text(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"the file name {os.fsencode(name)!r} is not UTF-8") from error
    return name


def _ingest_file(blobs: BlobStore, file: Path, path: str, *, adopt: bool) -> FileEntry:
    status = file.stat()
    is_executable = bool(status.st_mode & stat.S_IXUSR)
    if adopt:
        digest = digest_file(file)
        size = keep_file(blobs, digest, file)
    elif status.st_size <= _IN_MEMORY_BYTES:
        data = file.read_bytes()
        digest, size = keep(blobs, data), len(data)
    else:
        digest, size = _stage(blobs, file)
    return FileEntry(path, digest, size, is_executable)


def _stage(blobs: BlobStore, file: Path) -> tuple[Digest, int]:
    """Copy and hash in one pass, so that a file that changes meanwhile still gets the digest of what is stored."""
    staged = blobs.staging / f"ingest-{uuid4().hex}"
    hasher = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    try:
        with file.open("rb", buffering=0) as reading, staged.open("xb", buffering=0) as writing:
            while count := reading.readinto(buffer):
                hasher.update(buffer[:count])
                rest = buffer[:count]
                while rest:
                    rest = rest[writing.write(rest) :]
        digest = Digest(hasher.hexdigest())
        return digest, keep_file(blobs, digest, staged)
    finally:
        staged.unlink(missing_ok=True)


def _lay_out(blobs: BlobStore, entry: FileEntry, target: Path, *, writable: bool) -> None:
    name = paths.content(entry.digest)
    with suppress(FileNotFoundError):
        target.unlink()
    source = blobs.local_path(name)
    mode = (0o755 if entry.is_executable else 0o644) if writable else (0o555 if entry.is_executable else 0o444)
    if source is None:
        with blobs.open(name) as reading, target.open("xb") as writing:
            while chunk := reading.read(CHUNK_BYTES):
                writing.write(chunk)
        target.chmod(mode)
        return
    if not writable and not entry.is_executable:
        with suppress(OSError):
            os.link(source, target)
            return
    disk.copy_file(source, target, mode=mode)
    target.chmod(mode)
