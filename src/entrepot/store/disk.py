"""What the local store asks of Linux: cheap copies, early write-back and flushes, each with a fall-back."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import time
from pathlib import Path
from uuid import uuid4

_FICLONE = 0x40049409  # linux/fs.h
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_WRITE_BACK = 2  # SYNC_FILE_RANGE_WRITE: start, don't wait
_WRITE_BACK_BYTES = 8 << 20
_DIRECT_FROM_BYTES = 32 << 20
_SHORTEST_DIRECT_BYTES = 1 << 20
_BLOCK_BYTES = 4096
_TRIAL_BYTES = 8 << 20
_CHEAP_BYTES_PER_S = 1 << 30  # of processor time; fresh memory where it is cheap allows four times that
_NOT_HERE = (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOTTY, errno.EPERM, errno.EBADF)
_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)
_syncfs = getattr(_libc, "syncfs", None)
_renameat2 = getattr(_libc, "renameat2", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def remove_tree(folder: Path) -> None:
    """Remove a folder as far as permitted; links are not followed. A missing one is no error."""
    for _ in range(2):
        with contextlib.suppress(RecursionError):
            shutil.rmtree(folder, ignore_errors=True)
        if folder.is_symlink() or not folder.exists():
            return
        _flatten(folder)


def _flatten(root: Path) -> None:
    """Bring all inner folders up to `root`: programs make trees deeper than Python recurses and paths are long."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError):
            folder.chmod(0o700)
            for entry in [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]:
                inner = Path(entry.path)
                inner.chmod(0o700)  # or it could neither be moved nor read
                waiting.append(inner.rename(root / f".removed-{uuid4().hex}"))


def aligned_buffer(size_bytes: int) -> memoryview:
    """Return memory that begins at a page, as direct input and output need."""
    return memoryview(mmap.mmap(-1, size_bytes))


def open_direct(file: Path) -> int | None:
    """Open a file for reading past the page cache, None where that cannot be."""
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError:
        return None


def is_cached(fd: int, start: int, length: int) -> bool:
    """Say whether a range seems to be in the page cache, from its beginning, middle and end."""
    probe = bytearray(1)
    try:
        places = (start, start + length // 2, start + max(0, length - 1))
        return all(os.preadv(fd, [probe], place, os.RWF_NOWAIT) for place in places)
    except BlockingIOError:
        return False
    except OSError:
        return True


class _Memory:
    """What the last big files showed of this machine's memory; files too short for a trial go by it."""

    is_dear = False


class Writer:
    """Writes a new file from its beginning to its end, in pieces from `aligned_buffer`.

    The page cache is good for who reads the file next, and its flush begins at once. But where memory is dear (a
    virtual machine that gives its free memory back pays for each fresh page, ten times the price of the copy), a big
    file goes past the cache as soon as that shows, and those of a megabyte and more that follow do from the start.
    """

    def __init__(self, file: Path, *, expected_bytes: int, mode: int = 0o444) -> None:
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        self._is_on_trial = expected_bytes >= _DIRECT_FROM_BYTES
        is_long = _DIRECT_FROM_BYTES > expected_bytes >= _SHORTEST_DIRECT_BYTES
        self._is_direct = is_long and _Memory.is_dear and self._set_direct(True)
        self._spent_s = 0.0
        self._size = self._begun = self._judged = 0

    def write(self, view: memoryview) -> None:
        """Append bytes."""
        if self._is_direct and len(view) % _BLOCK_BYTES:
            self._is_direct = not self._set_direct(False)
        began = time.thread_time()
        while view:
            try:
                count = os.write(self._fd, view)
            except OSError as error:
                if not self._is_direct or error.errno != errno.EINVAL:
                    raise
                self._is_direct = not self._set_direct(False)
                continue
            self._size += count
            view = view[count:]
        if self._is_on_trial:
            self._judge(time.thread_time() - began)
        if not self._is_direct and self._size - self._begun >= _WRITE_BACK_BYTES and _sync_file_range is not None:
            _sync_file_range(self._fd, self._begun, self._size - self._begun, _WRITE_BACK)
            self._begun = self._size

    def _judge(self, spent_s: float) -> None:
        """After each stretch, go past the page cache if filling it cost the processor too much."""
        self._spent_s += spent_s
        if self._size - self._judged < _TRIAL_BYTES:
            return
        _Memory.is_dear = self._spent_s > (self._size - self._judged) / _CHEAP_BYTES_PER_S
        if _Memory.is_dear and self._size % _BLOCK_BYTES == 0:
            self._is_on_trial = False
            self._is_direct = self._set_direct(True)
        self._spent_s, self._judged = 0.0, self._size

    def close(self) -> None:
        """Close the file; it is not flushed."""
        os.close(self._fd)

    def _set_direct(self, is_direct: bool) -> bool:
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | os.O_DIRECT if is_direct else flags & ~os.O_DIRECT)
        except OSError:
            return False
        return True


def flush_file_system(folder: Path) -> None:
    """Write everything of the folder's file system to the disk: cheaper than many single flushes."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _syncfs is None or _syncfs(fd) != 0:
            os.sync()
    finally:
        os.close(fd)


def flush_data(file: Path) -> None:
    """Write one file's bytes to the disk."""
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


def flush_folder(folder: Path) -> None:
    """Write a folder's entries to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def rename_if_free(source: str, target: str) -> None:
    """Move a file to a name of the same file system unless that is taken. Raises FileExistsError, FileNotFoundError."""
    if _renameat2 is not None:
        if _renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NOT_HERE:
            raise OSError(code, os.strerror(code), source, None, target)
    os.link(source, target)
    Path(source).unlink()


def copy_bytes(source: int, target: int, size_bytes: int) -> None:
    """Copy a whole open file to an empty one: shared blocks where the file system can, else inside the kernel."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
    else:
        return None
    done = 0
    while done < size_bytes:
        try:
            moved = os.copy_file_range(source, target, size_bytes - done, done, done)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            return _copy_plainly(source, target, done)
        if moved == 0:
            return None
        done += moved
    return None


def copy_file(source: Path, target: Path, *, mode: int = 0o644) -> int:
    """Copy a file to a new one; return its size. A failed copy leaves nothing."""
    with source.open("rb") as reading:
        size = os.fstat(reading.fileno()).st_size
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            copy_bytes(reading.fileno(), fd, size)
        except BaseException:
            with contextlib.suppress(OSError):
                target.unlink()
            raise
        finally:
            os.close(fd)
    return size


def _copy_plainly(source: int, target: int, start: int) -> None:
    with os.fdopen(os.dup(source), "rb") as reading, os.fdopen(os.dup(target), "r+b") as writing:
        reading.seek(start)
        writing.seek(start)
        shutil.copyfileobj(reading, writing, 1 << 20)
