"""What a container's names show: blob documents over mounted snapshots, merged in name order.

A blob document wins over a mount; a mount hides what outer mounts have below its path. Only reading; writing is
`containers.py`'s.
"""

import heapq
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from entrepot.core.digests import Digest
from entrepot.core.manifests import FileEntry, Manifest
from entrepot.store import snapshots
from entrepot.store.blobs import BlobStore
from entrepot.store.documents import Document, DocumentStore

LAST = "\U0010ffff"
"""Sorts after every character that a name may hold, so `prefix + LAST` sorts after all names with the prefix."""
ROOT = "."
"""The last key segment of a mount at the root; no path has such a segment."""
DEFAULT_TYPE = "application/octet-stream"
_CACHED_FILES = 300_000
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class BlobItem:
    """A named blob of a container. `modified` in epoch seconds, `md5` in base64 as Azure writes it.

    `stated` is kept for whoever asks: {"headers": {...}, "tags": {...}, "copy": {...}}, each of names and texts.
    """

    name: str
    digest: Digest
    size_bytes: int
    etag: str
    modified: float
    md5: str | None = None
    content_type: str = DEFAULT_TYPE
    metadata: Mapping[str, str] | None = None
    is_executable: bool = False
    stated: Mapping[str, Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A path at which a snapshot appears; '' is the root."""

    path: str
    digest: Digest
    created: float

    @property
    def base(self) -> str:
        """What the names below the mount begin with."""
        return f"{self.path}/" if self.path else ""


@dataclass(slots=True)
class Walk:
    """Where a walk begins, and what its reader and it tell each other on the way.

    Names up to `after` are left out. `cursor` is the documents' page that holds the next name: a later walk with both
    goes on from there. The reader sets `skip` when names with that prefix are of no more interest.
    """

    after: str = ""
    cursor: str | None = None
    skip: str | None = None

    def skips(self, name: str) -> bool:
        """Say whether a name may be left out."""
        return self.skip is not None and name.startswith(self.skip)


class Manifests:
    """The decoded manifests that were used last, bounded by their number of files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Digest, Manifest] = OrderedDict()
        self._files = 0

    def read(self, blobs: BlobStore, digest: Digest) -> Manifest:
        """Return a manifest, from memory if it was read before. Raises BlobMissing."""
        with self._lock:
            if manifest := self._kept.get(digest):
                self._kept.move_to_end(digest)
                return manifest
        manifest = snapshots.read(blobs, digest)
        with self._lock:
            if digest not in self._kept:
                self._kept[digest] = manifest
                self._files += len(manifest.files) + 1
            while self._files > _CACHED_FILES and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._files -= len(old.files) + 1
        return manifest


class Overlay:
    """The names of one container, as they are now."""

    def __init__(
        self, documents: DocumentStore, manifests: Manifests, blobs: BlobStore, key: str, *, fixed: Mount | None = None
    ) -> None:
        self._documents = documents
        self._manifests = manifests
        self._blobs = blobs
        self._key = key
        self._fixed = fixed  # of an implicit container, which has no documents

    def stat(self, name: str) -> BlobItem | None:
        """Return the blob of this name, or None."""
        if document := self.document(name):
            return item_of(name, document)
        return self.mounted(name)

    def document(self, name: str) -> Document | None:
        """Return the blob document of this name, which may say that the name is removed, or None."""
        return None if self._fixed else self._documents.get(f"{self._key}/blobs/{name}")

    def mounted(self, name: str) -> BlobItem | None:
        """Return what a mount shows under this name, documents aside."""
        mount = self.mount_over(name.rpartition("/")[0])
        if mount is None:
            return None
        entry = self._manifests.read(self._blobs, mount.digest).find(name[len(mount.base) :])
        return _mounted_item(mount, entry) if entry else None

    def mount_over(self, folder: str) -> Mount | None:
        """Return the innermost mount at this folder or above it."""
        if self._fixed:
            return self._fixed
        while True:
            if document := self._documents.get(f"{self._key}/mounts/{folder or ROOT}"):
                return _mount_of(folder, document)
            if not folder:
                return None
            folder = folder.rpartition("/")[0]

    def tree(self, path: str) -> Manifest | None:
        """Return all files below a folder, or the one file of this path; None when there is nothing."""
        mount = self.mount_over(path)
        if mount and not self._has_more(path):
            manifest = self._manifests.read(self._blobs, mount.digest)
            relative = path[len(mount.base) :] if path != mount.path else ""
            has_some = not relative or _has_below(manifest, relative)
            return manifest.subtree(relative) if has_some else None
        if path and (item := self.stat(path)) and not _is_folder_mark(item):
            return _alone(_entry_of(item, path.rpartition("/")[2]))
        base = f"{path}/" if path else ""
        found = [_entry_of(item, item.name[len(base) :]) for item in self.walk(base) if not _is_folder_mark(item)]
        return Manifest(tuple(found)) if found else None

    def walk(self, prefix: str, walk: Walk | None = None) -> Iterator[BlobItem]:
        """Yield the blobs whose name starts with `prefix`, in name order."""
        walk = walk or Walk()
        mounts = self._mounts(prefix)
        paths = {mount.path for mount in mounts}
        streams = [self._of_mount(mount, paths, prefix, walk) for mount in mounts]
        if not self._fixed:
            streams.append(self._of_documents(prefix, walk))
        last = None
        for name, _, item in heapq.merge(*streams, key=lambda found: found[:2]):
            if item is _BOUND or name == last:
                continue
            last = name
            if item is not None:
                yield item

    def _has_more(self, path: str) -> bool:
        """Say whether a folder holds more than its mount shows: blob documents or inner mounts."""
        if self._fixed:
            return False
        base = f"{path}/" if path else ""
        if path and self.document(path):
            return True
        if self._documents.scan(f"{self._key}/blobs/{base}", limit=1).documents:
            return True
        inner = self._documents.scan(f"{self._key}/mounts/{base}", limit=2).documents
        return any(document.key != f"{self._key}/mounts/{ROOT}" for document in inner)

    def _mounts(self, prefix: str) -> list[Mount]:
        """Return the mounts that may show names with this prefix, in the order of their paths."""
        if self._fixed:
            return [self._fixed]
        start = f"{self._key}/mounts/"
        found: dict[str, Mount] = {}
        if outer := self.mount_over(prefix.rpartition("/")[0]):
            found[outer.path] = outer
        page = self._documents.scan(start + prefix, limit=_PAGE)
        while True:
            for document in page.documents:
                path = document.key[len(start) :]
                found.setdefault("" if path == ROOT else path, _mount_of("" if path == ROOT else path, document))
            if page.next is None:
                return list(found.values())
            page = self._documents.scan(start + prefix, after=page.next, limit=_PAGE)

    def _of_mount(
        self, mount: Mount, paths: set[str], prefix: str, walk: Walk
    ) -> Iterator[tuple[str, int, BlobItem | None]]:
        # The bound lets the merge come here before the manifest is read: most lists end earlier.
        yield mount.base, 0, _BOUND
        if mount.path and (walk.skips(mount.base) or walk.after.startswith(mount.base + LAST)):
            return
        manifest = self._manifests.read(self._blobs, mount.digest)
        cut = len(mount.base)
        low = bisect_left(manifest.paths, prefix[cut:])
        if walk.after > mount.base:
            low = max(low, bisect_right(manifest.paths, _below(walk.after, mount.base)))
        is_alone = not any(path.startswith(mount.base) and path != mount.path for path in paths)
        for entry in manifest.files[low:]:
            name = mount.base + entry.path
            if not name.startswith(prefix):
                return
            if is_alone or _innermost(name, paths) == mount.path:
                yield name, 1, _mounted_item(mount, entry)

    def _of_documents(self, prefix: str, walk: Walk) -> Iterator[tuple[str, int, BlobItem | None]]:
        start = f"{self._key}/blobs/"
        while True:
            page = self._documents.scan(start + prefix, after=walk.cursor, limit=_PAGE)
            for document in page.documents:
                name = document.key[len(start) :]
                if name > walk.after and not walk.skips(name):
                    yield name, 0, item_of(name, document)
            if page.next is None:
                return
            walk.cursor = page.next


_BOUND = BlobItem("", Digest(""), 0, "", 0)


def item_of(name: str, document: Document) -> BlobItem | None:
    """Return the blob that a document describes, or None when it says that the name is removed."""
    body = document.body
    if body.get("removed"):
        return None
    return BlobItem(
        name,
        Digest(body["digest"]),
        body["size"],
        etag_of(document),
        body["modified"],
        body.get("md5"),
        body.get("contentType") or DEFAULT_TYPE,
        body.get("metadata") or {},
        body.get("executable", False),
        body.get("stated") or {},
    )


def etag_of(document: Document) -> str:
    """Return the entity tag of a document: new at each write, never used twice."""
    return f'"0x{document.sequence:X}.{document.revision:X}"'


def _mounted_item(mount: Mount, entry: FileEntry) -> BlobItem:
    etag = f'"0x{entry.digest[:16].upper()}"'
    return BlobItem(
        mount.base + entry.path, entry.digest, entry.size_bytes, etag, mount.created, is_executable=entry.is_executable
    )


def _mount_of(path: str, document: Document) -> Mount:
    body = document.body
    return Mount(path, Digest(body["digest"]), body["created"])


def _entry_of(item: BlobItem, path: str) -> FileEntry:
    return FileEntry(path, item.digest, item.size_bytes, item.is_executable)


@lru_cache(maxsize=1024)
def _alone(entry: FileEntry) -> Manifest:
    """Return the manifest of one file; it cannot change, and its digest is worked out once."""
    return Manifest((entry,))


def _is_folder_mark(item: BlobItem) -> bool:
    """Some clients (adlfs, azcopy) write an empty blob with this metadata for a folder."""
    return item.size_bytes == 0 and (item.metadata or {}).get("hdi_isfolder", "").lower() == "true"


def _has_below(manifest: Manifest, path: str) -> bool:
    at = bisect_left(manifest.paths, path)
    if at < len(manifest.paths) and manifest.paths[at] == path:
        return True
    at = bisect_left(manifest.paths, f"{path}/")
    return at < len(manifest.paths) and manifest.paths[at].startswith(f"{path}/")


def _below(after: str, base: str) -> str:
    """Return the part of a cursor that counts inside a mount; LAST when the cursor is behind the whole mount."""
    return after[len(base) :] if after.startswith(base) else LAST


def _innermost(name: str, paths: set[str]) -> str | None:
    folder = name.rpartition("/")[0]
    while folder:
        if folder in paths:
            return folder
        folder = folder.rpartition("/")[0]
    return "" if "" in paths else None
