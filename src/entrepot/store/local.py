"""The BlobStore of one folder on a local disk.

A put writes a file in the staging folder and is visible in this process at once; its name appears in the folder at
the next `sync`, after its bytes are on the disk. So a name always leads to whole bytes, even after a power cut.
"""

import contextlib
import errno
import fcntl
import io
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from entrepot.core.digests import CHUNK_BYTES
from entrepot.core.errors import BlobMissing, InvalidRequest, NoRoom
from entrepot.store import disk, paths
from entrepot.store.blobs import BlobStat, BlobStore

_FLUSH_AT_PUT_BYTES = 1 << 20  # larger files are flushed by the thread that brings them, beside others
_FLUSH_ONE_BY_ONE = 16  # more small files than this are flushed by one syncfs
_FLUSHERS = 8
_MODE = 0o444


class LocalStore:
    """Blobs as read-only files below `root`. `fsync` False gives up durability over power cuts, nothing else."""

    is_local = True

    def __init__(self, root: Path, *, fsync: bool = True) -> None:
        self._root = root.absolute()
        self._fsync = fsync
        self._staging_root = self._root / paths.STAGING
        self._staging_root.mkdir(parents=True, exist_ok=True)
        self.staging, self._lock_fd = _claim_staging(self._staging_root)
        self._base = f"{self._root}/"
        self._pending: dict[str, tuple[str, int]] = {}  # name -> staged file, size; in the order of the puts
        self._flushing = threading.Lock()
        self._flushers = ThreadPoolExecutor(_FLUSHERS, thread_name_prefix="flush")  # no thread before the first use
        self._numbers = count()
        _reap(self._staging_root, self.staging)

    def stat(self, name: str) -> BlobStat | None:
        """Return the blob's size and time, or None."""
        for place in self._places(name):
            try:
                found = os.stat(place)  # noqa: PTH116 - a Path costs more than the call, and this is called most
            except (FileNotFoundError, NotADirectoryError):
                continue
            if stat.S_ISREG(found.st_mode):
                return BlobStat(name, found.st_size, found.st_mtime)
        return None

    def open(self, name: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Open a blob as a real file, at `start`; with `length`, as a reader of that range."""
        for place in self._places(name):
            try:
                file = Path(place).open("rb")  # noqa: SIM115 - the caller closes it
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            file.seek(start)
            return file if length is None else io.BufferedReader(_Range(file, length), CHUNK_BYTES)
        raise BlobMissing(f"{name} is not in {self._root}")

    def put(self, name: str, source: BinaryIO | bytes) -> int:
        """Store bytes under a name unless it exists; return the size."""
        if found := self.stat(name):
            return found.size_bytes
        staged = self._new_staged()
        size = 0
        with _room(staged):
            fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
            try:
                if isinstance(source, bytes):
                    size = _write_all(fd, source)
                else:
                    while chunk := source.read(CHUNK_BYTES):
                        size += _write_all(fd, chunk)
            finally:
                os.close(fd)
        return self._enter(name, staged, size)

    def adopt(self, name: str, file: Path) -> int:
        """Move a local file into the store; return the size. From another disk, or when it has other names: copy."""
        if found := self.stat(name):
            file.unlink()
            return found.size_bytes
        found_file = file.lstat()
        if not stat.S_ISREG(found_file.st_mode):
            raise InvalidRequest(f"{file} is not a regular file")
        staged = self._new_staged()
        if found_file.st_nlink > 1 or not _rename(file, staged):
            with _room(staged):
                disk.copy_file(file, Path(staged))
            file.unlink()
        Path(staged).chmod(_MODE)
        return self._enter(name, staged, found_file.st_size)

    def local_path(self, name: str) -> Path | None:
        """Return the blob's read-only file, or None when the blob is absent."""
        place, *pending = self._places(name)
        final = Path(place)
        if pending and not final.exists():
            self.sync()
        return final if final.exists() else None

    def copy_from(self, other: BlobStore, name: str) -> int:
        """Copy a blob of another store unless it exists; return the bytes moved.

        On the same disk it becomes a second name of the same read-only file: nothing is moved.
        """
        if self.stat(name):
            return 0
        source = other.local_path(name)
        if source is None:
            with other.open(name) as reading:
                return self.put(name, reading)
        staged = self._new_staged()
        try:
            os.link(source, staged)
        except OSError:
            with _room(staged):
                size = disk.copy_file(source, Path(staged), mode=_MODE)
            return self._enter(name, staged, size)
        self._enter(name, staged, source.stat().st_size)
        return 0

    def sync(self) -> None:
        """Flush the bytes of every earlier put, then give them their names, then flush the names."""
        with self._flushing:
            batch = dict(self._pending)
            if not batch:
                return
            small = [file for file, size in batch.values() if size < _FLUSH_AT_PUT_BYTES]
            if len(small) > _FLUSH_ONE_BY_ONE:
                disk.flush_file_system(self._root)
            else:
                self._each(disk.flush_data, [Path(file) for file in small])
            folders: set[Path] = set()
            for name, (file, _) in batch.items():
                folders |= self._name(name, file)
            if len(folders) > _FLUSH_ONE_BY_ONE:
                disk.flush_file_system(self._root)
            else:
                self._each(disk.flush_folder, list(folders))
            for name in batch:
                self._pending.pop(name, None)

    def _each(self, flush: Callable[[Path], None], places: list[Path]) -> None:
        """Flush places beside each other: a journal takes what comes together in one go."""
        if len(places) < 2:
            for place in places:
                flush(place)
            return
        list(self._flushers.map(flush, places))

    def delete(self, name: str) -> None:
        """Remove a blob; a missing one is no error."""
        with self._flushing:
            for place in self._places(name):
                Path(place).unlink(missing_ok=True)
            self._pending.pop(name, None)

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """Yield the blobs whose name starts with `prefix`, in name order."""
        self.sync()
        folder = prefix.rpartition("/")[0]
        yield from self._walk(folder, prefix)

    def free_bytes(self) -> int | None:
        """Return the room that the disk has for this user."""
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        """Finish what was put and let go of the staging folder."""
        if self._lock_fd < 0:
            return
        self.sync()
        self._flushers.shutdown()
        _drop_staging(self.staging)
        os.close(self._lock_fd)
        self._lock_fd = -1

    def _places(self, name: str) -> tuple[str, ...]:
        """The files where a blob may be found: named, staged, and named again, as a sync may come in between."""
        final = f"{self._base}{paths.check_blob_name(name)}"
        pending = self._pending.get(name)
        return (final, pending[0], final) if pending else (final,)

    def _new_staged(self) -> str:
        return f"{self.staging}/put-{next(self._numbers)}"

    def _enter(self, name: str, staged: str, size: int) -> int:
        """Make a staged file the blob of this name, now or at the next sync."""
        if not self._fsync or paths.is_scratch(name):
            self._name(name, staged)
            return size
        if size >= _FLUSH_AT_PUT_BYTES:
            disk.flush_data(Path(staged))
        if self._pending.setdefault(name, (staged, size))[0] != staged:
            Path(staged).unlink()
        return size

    def _name(self, name: str, staged: str) -> set[Path]:
        """Give the staged file its name unless that is taken; return the folders that changed."""
        final = f"{self._base}{name}"
        folder = Path(final.rpartition("/")[0])
        changed = {folder}
        for _ in range(2):
            try:
                disk.rename_if_free(staged, final)
            except FileExistsError:
                Path(staged).unlink()
            except FileNotFoundError:
                above = folder
                while not above.exists():
                    above = above.parent
                    changed.add(above)
                folder.mkdir(parents=True, exist_ok=True)
                continue
            break
        return changed

    def _walk(self, folder: str, prefix: str) -> Iterator[BlobStat]:
        try:
            with os.scandir(self._root / folder) as found:
                # A folder sorts as `name/`, as its blobs do among the other names.
                entries = sorted((entry.name + "/" * entry.is_dir(), entry) for entry in found)
        except (FileNotFoundError, NotADirectoryError):
            return
        base = f"{folder}/" if folder else ""
        for label, entry in entries:
            name = base + label
            if label == f"{paths.STAGING}/" or not (name.startswith(prefix) or prefix.startswith(name)):
                continue
            if label.endswith("/"):
                yield from self._walk(name[:-1], prefix)
                continue
            with contextlib.suppress(FileNotFoundError):
                found_stat = entry.stat()
                yield BlobStat(name, found_stat.st_size, found_stat.st_mtime)


class _Range(io.RawIOBase):
    """The next `length` bytes of a file."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        super().__init__()
        self._file = file
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)[: self._left]  # type: ignore[arg-type]
        done = self._file.readinto(view)  # type: ignore[attr-defined]
        self._left -= done
        return int(done)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def _room(staged: str) -> Iterator[None]:
    """Leave no staged file behind on failure, and tell of a full disk by its name."""
    try:
        yield
    except OSError as error:
        Path(staged).unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"the disk of {Path(staged).parents[2]} is full") from error
        raise
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise


def _rename(source: Path, target: str) -> bool:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _write_all(fd: int, data: bytes) -> int:
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])
    return done


def _claim_staging(root: Path) -> tuple[Path, int]:
    """Make a staging folder of this process, held by a lock that ends with it."""
    while True:
        folder = root / uuid4().hex
        fd = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:  # else another process took the new lock file for a dead one's
            folder.mkdir()
            return folder, fd
        os.close(fd)


def _drop_staging(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)


def _reap(root: Path, own: Path) -> None:
    """Remove the staging folders of processes that are gone."""
    for lock in root.glob("*.lock"):
        folder = lock.with_suffix("")
        if folder == own:
            continue
        with contextlib.suppress(OSError):
            fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _drop_staging(folder)
            finally:
                os.close(fd)
