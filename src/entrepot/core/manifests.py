"""Manifests: the trees of files that snapshots are, as pure values; no bytes are read here.

Both sides of a transfer use this module, so that what one side refuses, the other refuses too.
"""

import json
import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from entrepot.core.digests import Digest, canonical_json, digest_of, is_digest
from entrepot.core.errors import InvalidRequest, NotFound

_MAX_PATH_CHARACTERS = 1024  # Azure's limit for a blob name
_MAX_SEGMENT_BYTES = 255  # what Linux file systems allow
# Control characters and backslashes never; no empty, '.' or '..' segment, and so neither an absolute path.
_PATH = re.compile(r"(?:(?!\.{0,2}(?:/|\Z))[^/\\\x00-\x1f\x7f\ud800-\udfff]+(?:/(?!\Z)|\Z))+")


def is_safe_path(path: str) -> bool:
    """Say whether a path stays below whatever folder it is joined to, on every system."""
    if not path or len(path) > _MAX_PATH_CHARACTERS or not _PATH.fullmatch(path):
        return False
    return len(path) <= 63 or all(len(part.encode()) <= _MAX_SEGMENT_BYTES for part in path.split("/"))


def check_path(path: str) -> str:
    """Return a relative path if it is safe. Raises InvalidRequest."""
    if not isinstance(path, str) or not is_safe_path(path):
        raise InvalidRequest(
            f"{path!r} cannot be a file's path: it must be relative, in '/' form, without '.', '..', empty parts, "
            f"backslashes and control characters, and at most {_MAX_PATH_CHARACTERS} characters long"
        )
    return path


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a snapshot."""

    path: str
    digest: Digest
    size_bytes: int
    is_executable: bool = False


@dataclass(frozen=True)
class Manifest:
    """The files of a snapshot, sorted by path (in any order when made). Raises InvalidRequest on unsafe trees."""

    files: tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.files, key=_path_of))
        object.__setattr__(self, "files", ordered)
        folders: set[str] = set()
        before: str | None = None
        for entry in ordered:
            if entry.path == before:
                raise InvalidRequest(f"{entry.path!r} is twice in one manifest")
            before = check_path(entry.path)
            folder, slash, _ = entry.path.rpartition("/")
            while slash and folder not in folders:
                folders.add(folder)
                folder, slash, _ = folder.rpartition("/")
        for entry in ordered:
            if entry.path in folders:
                raise InvalidRequest(f"{entry.path!r} is both a file and a folder in one manifest")

    @cached_property
    def digest(self) -> Digest:
        """The snapshot's name: the SHA-256 of the canonical manifest."""
        return digest_of(self._encoded)

    @cached_property
    def size_bytes(self) -> int:
        """The sum of the files' sizes."""
        return sum(entry.size_bytes for entry in self.files)

    @cached_property
    def paths(self) -> list[str]:
        """The paths, sorted: for binary search."""
        return [entry.path for entry in self.files]

    @cached_property
    def sizes(self) -> dict[Digest, int]:
        """Each distinct digest with its size, in path order of first use."""
        return {entry.digest: entry.size_bytes for entry in self.files}

    def find(self, path: str) -> FileEntry | None:
        """Return the file at exactly this path, or None."""
        at = bisect_left(self.paths, path)
        return self.files[at] if at < len(self.files) and self.paths[at] == path else None

    @cached_property
    def _encoded(self) -> bytes:
        files = [_to_json(entry) for entry in self.files]
        return canonical_json({"files": files})

    def encode(self) -> bytes:
        """Render the canonical JSON: equal trees have equal bytes."""
        return self._encoded

    @staticmethod
    def decode(data: bytes) -> "Manifest":
        """Read a manifest. Raises InvalidRequest on anything that is not one."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"a manifest must be JSON: {error}") from error
        files = document.get("files") if isinstance(document, dict) else None
        if not isinstance(files, list):
            raise InvalidRequest('a manifest must be a JSON object with a list "files"')
        return Manifest(tuple(map(_from_json, files)))

    def subtree(self, prefix: str) -> "Manifest":
        """Return what lies below a folder, paths relative to it; a file's path gives that file under its base name.

        '' gives everything; a prefix that names nothing raises NotFound.
        """
        prefix = prefix.strip("/")
        if not prefix:
            return self
        if entry := self.find(prefix):
            return Manifest((replace(entry, path=prefix.rpartition("/")[2]),))
        start = bisect_left(self.paths, prefix + "/")
        end = bisect_left(self.paths, prefix + "0")  # '0' is the character after '/'
        if start == end:
            raise NotFound(f"there is no file or folder {prefix!r} in snapshot {self.digest[:12]}")
        cut = len(prefix) + 1
        return Manifest(tuple(replace(entry, path=entry.path[cut:]) for entry in self.files[start:end]))

    def prefixed(self, prefix: str) -> "Manifest":
        """Return the same files below a folder."""
        prefix = prefix.strip("/")
        if not prefix:
            return self
        return Manifest(tuple(replace(entry, path=f"{prefix}/{entry.path}") for entry in self.files))


def _path_of(entry: FileEntry) -> str:
    return entry.path


def _to_json(entry: FileEntry) -> dict[str, Any]:
    document: dict[str, Any] = {"path": entry.path, "digest": entry.digest, "size": entry.size_bytes}
    if entry.is_executable:
        document["executable"] = True
    return document


def _from_json(value: Any) -> FileEntry:
    try:
        path, digest, size = value["path"], value["digest"], value["size"]
        is_executable = value.get("executable", False)
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidRequest('each file of a manifest needs "path", "digest" and "size"') from error
    if not isinstance(path, str):
        raise InvalidRequest(f"{path!r} cannot be a file's path: it is not text")
    if not isinstance(digest, str) or not is_digest(digest):
        raise InvalidRequest(f"{digest!r} of {path!r} is not a SHA-256 digest in lower-case hex")
    if type(size) is not int or size < 0 or type(is_executable) is not bool:
        raise InvalidRequest(f'{path!r} has a bad "size" or "executable"')
    return FileEntry(path, Digest(digest), size, is_executable)
