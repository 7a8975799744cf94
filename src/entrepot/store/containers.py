"""The blob namespace that Azure clients see: containers of named blobs, as documents that point at digests.

Writing is here; what the names show, through mounts too, is `overlay.py`'s. A container lives in one region.
"""

import base64
import copy
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from entrepot.core.clock import Clock, SystemClock
from entrepot.core.digests import Digest, is_digest
from entrepot.core.errors import (
    AlreadyExists,
    BlobMissing,
    InvalidRequest,
    NotFound,
    RevisionMismatch,
    StateConflict,
)
from entrepot.core.ids import Region
from entrepot.core.manifests import Manifest, check_path, is_safe_path
from entrepot.store import blocklists, paths, snapshots
from entrepot.store.blobs import BlobStore
from entrepot.store.blocklists import Block, Wanted
from entrepot.store.blocklists.joining import joined
from entrepot.store.documents import ABSENT, Change, Delete, Document, DocumentStore, Order, Put, View
from entrepot.store.overlay import LAST, ROOT, BlobItem, Manifests, Mount, Overlay, Walk, item_of
from entrepot.store.spool import Spool

__all__ = ["BlobItem", "ContainerInfo", "Containers", "Listing", "snapshot_container", "snapshot_of_container"]

_IMPLICIT = "s-"
_ATTEMPTS = 20
_INFOS_KEPT = 4096
_BATCH = 500


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """A container. `region` None: a view of a snapshot, in any region that has it. `owner` is a scope's key."""

    name: str
    region: Region | None
    owner: str
    purpose: str
    is_sealed: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list: blobs, common prefixes (when a delimiter was given), and the marker of the next page."""

    items: tuple[BlobItem, ...]
    prefixes: tuple[str, ...] = ()
    next: str | None = None


def snapshot_container(digest: Digest) -> str:
    """Return the name of the implicit, read-only container that shows a snapshot."""
    return _IMPLICIT + base64.b32encode(bytes.fromhex(digest)).decode().rstrip("=").lower()


@functools.lru_cache(4096)
def snapshot_of_container(name: str) -> Digest | None:
    """Return the digest of the snapshot that an implicit container shows, None for other names."""
    if not name.startswith(_IMPLICIT) or len(name) != 54:
        return None
    try:
        text = base64.b32decode(name[2:].upper() + "====").hex()
    except ValueError:
        return None
    return Digest(text) if is_digest(text) and snapshot_container(Digest(text)) == name else None


Stated = Mapping[str, Mapping[str, str]]
Record = Callable[[str, str], Sequence[Change]]
"""Returns the changes that tell of a write to a container and a name in it."""


class Containers:
    """Containers, their blobs and their mounts. `store_of` gives a region's bytes; `regions()` are searched in order
    for the snapshots of implicit containers. `spool` carries small bytes where one process has everything for itself.
    """

    _record: Record | None = None

    def __init__(
        self,
        documents: DocumentStore,
        store_of: Callable[[Region], BlobStore],
        *,
        regions: Callable[[], Sequence[Region]] = tuple,
        clock: Clock | None = None,
        spool: Spool | None = None,
    ) -> None:
        self._documents = documents
        self._spool = spool
        self._store_of = store_of
        self._regions = regions
        self._clock = clock or SystemClock()
        self._manifests = Manifests()
        self._infos: dict[str, tuple[Document, ContainerInfo]] = {}  # good for the document that they were read from

    def recorded(self, record: Record) -> "Containers":
        """Return the same containers; what is written through these is committed together with what `record` gives."""
        again = copy.copy(self)
        again._record = record
        return again

    def create(self, name: str, *, region: Region, owner: str, purpose: str = "") -> None:
        """Make a container; one that is there with the same region and owner stays as it is."""
        paths.check_container_name(name)
        if snapshot_of_container(name):
            raise InvalidRequest(f"{name!r} is kept for the view of a snapshot: choose another container name")
        body = {"name": name, "region": region, "owner": owner, "purpose": purpose, "sealed": False}
        try:
            self._commit(name, "", [Put(_key(name), body, match=ABSENT)])
        except RevisionMismatch as error:
            found = self.describe(name)
            if found is None or (found.region, found.owner) != (region, owner):
                raise AlreadyExists(f"container {name!r} exists already, with another region or owner") from error

    def describe(self, name: str) -> ContainerInfo | None:
        """Return what a container is, or None."""
        if digest := snapshot_of_container(name):
            return ContainerInfo(name, None, "", "snapshot", True) if self._holder(digest) else None
        document = self._documents.get(_key(name)) if is_safe_path(name) and "/" not in name else None
        if document is None:
            return None
        held = self._infos.get(name)
        if held is not None and held[0] == document:
            return held[1]
        body = document.body
        info = ContainerInfo(name, Region(body["region"]), body["owner"], body["purpose"], body["sealed"])
        if len(self._infos) >= _INFOS_KEPT:
            self._infos.clear()
        self._infos[name] = (document, info)
        return info

    def store(self, name: str, region: Region | None = None) -> BlobStore:
        """Return the store that holds a container's bytes; of an implicit container, preferably in `region`."""
        if digest := snapshot_of_container(name):
            holder = self._holder(digest, region)
            if holder is None:
                raise NotFound(f"no region has the snapshot of container {name!r}")
            return holder
        info = self.describe(name)
        if info is None or info.region is None:
            raise NotFound(f"there is no container {name!r}")
        return self._store_of(info.region)

    def stat(self, container: str, name: str) -> BlobItem | None:
        """Return the blob of this name, or None."""
        overlay = self._overlay(container)
        return overlay.stat(name) if is_safe_path(name) else None

    def put(
        self, container: str, name: str, digest: Digest, size_bytes: int, *, md5: str | None = None,
        content_type: str | None = None, metadata: Mapping[str, str] | None = None, only_if_absent: bool = False,
        if_match: str | None = None, stated: Stated | None = None,
    ) -> BlobItem:  # fmt: skip
        """Give bytes that are in the store a name. Raises AlreadyExists, RevisionMismatch, BlobMissing.

        Only the bytes count for `size_bytes`, which is checked; `md5` and the rest are kept as given.
        """
        check_path(name)
        blobs = self._writable(container)
        found = blobs.stat(paths.content(digest))
        if found is None or found.size_bytes != size_bytes:
            raise BlobMissing(f"the store has no {size_bytes} bytes with digest {digest}")
        blobs.sync()
        body = self._body(digest, size_bytes, md5, content_type, metadata, stated)
        return self._write(container, name, lambda _: body, only_if_absent=only_if_absent, if_match=if_match)

    def put_bytes(
        self, container: str, name: str, data: bytes, *, md5: str | None = None, content_type: str | None = None,
        metadata: Mapping[str, str] | None = None, only_if_absent: bool = False, stated: Stated | None = None,
    ) -> BlobItem:  # fmt: skip
        """Keep at most spool.LIMIT_BYTES under a name, with one flush where there is a spool. Raises as `put` does."""
        check_path(name)
        region, spool = self._unsealed(container), self._spool
        digest = snapshots.keep(self._store_of(region), data)
        body = self._body(digest, len(data), md5, content_type, metadata, stated)
        if spool is None:
            self._store_of(region).sync()
            return self._write(container, name, lambda _: body, only_if_absent=only_if_absent)
        carried = spool.carry(region, digest, data)
        item = self._write(container, name, lambda _: body, only_if_absent=only_if_absent, more=(carried,))
        spool.carried(region, digest)
        return item

    def _body(
        self, digest: Digest, size: int, md5: str | None, content_type: str | None,
        metadata: Mapping[str, str] | None, stated: Stated | None,
    ) -> dict[str, Any]:  # fmt: skip
        body = {"digest": digest, "size": size, "modified": self._clock.now(), "md5": md5}
        body |= {"contentType": content_type, "metadata": dict(metadata or {})}
        return body | ({"stated": dict(stated)} if stated else {})

    def stage_block(self, container: str, name: str, block_id: str, file: Path) -> None:
        """Keep a file, which is gone afterwards, as a block of an upload; a second one with the same id replaces it."""
        check_path(name)
        blobs = self._writable(container)
        block = paths.block(container, name, block_id)
        blobs.delete(block)
        blobs.adopt(block, file)

    def blocks(self, container: str, name: str) -> tuple[list[Block], list[Block]]:
        """Return the blocks of which a blob was made, and those that wait for their commit."""
        found = self.stat(container, name)
        document = self._documents.get(_blocks_key(container, name)) if found else None
        waiting = blocklists.waiting(self.store(container), container, name)
        return blocklists.committed(document, found.digest if found else None), waiting

    def commit_blocks(
        self, container: str, name: str, wanted: Sequence[Wanted], *, md5: str | None = None,
        content_type: str | None = None, metadata: Mapping[str, str] | None = None, only_if_absent: bool = False,
        if_match: str | None = None, stated: Stated | None = None,
    ) -> BlobItem:  # fmt: skip
        """Make a blob of blocks, in the given order; then none waits any more. Raises BlobMissing."""
        blobs = self._writable(container)
        before = self.stat(container, name)
        old, waiting = self.blocks(container, name)
        chosen = blocklists.chosen(wanted, waiting=waiting, committed=old)
        file = blobs.staging / f"commit-{uuid4().hex}"
        try:
            digest = joined(blobs, container, name, chosen, of=before.digest if before else None, file=file)
            size = snapshots.keep_file(blobs, digest, file)
        finally:
            file.unlink(missing_ok=True)
        item = self.put(
            container, name, digest, size, md5=md5, content_type=content_type, metadata=metadata,
            only_if_absent=only_if_absent, if_match=if_match, stated=stated,
        )  # fmt: skip
        blocklists.note(self._documents, _blocks_key(container, name), digest, chosen)
        for block in waiting:
            blobs.delete(paths.block(container, name, block.id))
        return item

    def abandon(self, owner: str) -> None:
        """Remove an owner's containers with all that is in them. Bytes stay: other blobs may have the same ones."""
        after: str | None = None
        while True:
            page = self._documents.list("containers", view=View.ALL, order=Order.KEY, after=after, limit=1000)
            for document in page.documents:
                if document.body["owner"] == owner:
                    self._remove(document.key)
            after = page.next
            if after is None:
                return

    def _remove(self, key: str) -> None:
        while found := self._documents.scan(f"{key}/", limit=_BATCH).documents:
            self._documents.commit([Delete(document.key) for document in found])
        self._documents.commit([Delete(key)])

    def sweep(self, region: Region, *, before: float) -> int:
        """Delete the blocks of a region that were sent before a moment and never committed; return how many."""
        blobs, count = self._store_of(region), 0
        for block in blocklists.abandoned(blobs, before=before):
            blobs.delete(block)
            count += 1
        return count

    def restate(
        self,
        container: str,
        name: str,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        md5: str | None = None,
        if_match: str | None = None,
        stated: Stated | None = None,
    ) -> BlobItem:
        """Replace what is said of a blob: all its metadata, its type, its MD5, parts of what is stated; None leaves it.

        Raises NotFound.
        """
        self._writable(container)

        def changed(found: BlobItem | None) -> dict[str, Any]:
            if found is None:
                raise NotFound(f"there is no blob {name!r} in container {container!r}")
            body = {
                "digest": found.digest,
                "size": found.size_bytes,
                "modified": self._clock.now(),
                "md5": md5 or found.md5,
            }
            body |= {"contentType": content_type or found.content_type}
            body |= {"metadata": dict(found.metadata or {} if metadata is None else metadata)}
            body |= {"stated": {**(found.stated or {}), **(stated or {})}}
            return body | ({"executable": True} if found.is_executable else {})

        return self._write(container, name, changed, if_match=if_match)

    def delete(self, container: str, name: str, *, if_match: str | None = None) -> None:
        """Remove a name; the bytes stay as long as others need them. Raises NotFound."""
        self._writable(container)
        overlay = self._overlay(container)
        document = overlay.document(name) if is_safe_path(name) else None
        found = overlay.stat(name) if is_safe_path(name) else None
        if found is None:
            raise NotFound(f"there is no blob {name!r} in container {container!r}")
        key = f"{_key(container)}/blobs/{name}"
        _check_match(key, document, found, if_match)
        revision = document.revision if document else ABSENT
        if overlay.mounted(name):
            self._commit(container, name, [Put(key, {"removed": True}, match=revision)])
        else:
            self._commit(container, name, [Delete(key, match=revision)])

    def list(
        self, container: str, prefix: str = "", delimiter: str = "", marker: str | None = None, limit: int = 5000,
        *, start: str = "",
    ) -> Listing:  # fmt: skip
        """Return a page of the blobs whose name starts with `prefix`, those with a common part up to `delimiter`
        behind it folded into one prefix; the first page begins at `start`. Raises NotFound, and InvalidRequest on a
        foreign marker.
        """
        walk = _decode_marker(marker) if marker or not start else Walk(after=_before(start))
        items: list[BlobItem] = []
        folders: list[str] = []
        last = ""
        for item in self._overlay(container).walk(prefix, walk):
            if walk.skips(item.name):
                continue
            if len(items) + len(folders) >= limit:
                return Listing(tuple(items), tuple(folders), _encode_marker(last, walk.cursor))
            cut = item.name.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                items.append(item)
                last = item.name
            else:
                walk.skip = item.name[: cut + len(delimiter)]
                folders.append(walk.skip)
                last = walk.skip + LAST
        return Listing(tuple(items), tuple(folders))

    def mount(self, container: str, path: str, digest: Digest) -> None:
        """Let a snapshot that is in the store appear at a path ('' is the root), in place of all that was there."""
        self._commit(container, path, self.mounting(container, path, digest))

    def mounting(self, container: str, path: str, digest: Digest) -> Sequence[Change]:
        """Return the changes of a mount, for a commit that also records why. Raises NotFound, BlobMissing."""
        path = path.strip("/")
        if path:
            check_path(path)
        blobs = self._writable(container)
        if not snapshots.exists(blobs, digest):
            raise BlobMissing(f"the snapshot {digest} is not in the region of container {container!r}")
        key = _key(container)
        mount_key = f"{key}/mounts/{path or ROOT}"
        base = f"{path}/" if path else ""
        below = [*self._keys(f"{key}/blobs/{base}"), *self._keys(f"{key}/mounts/{base}")]
        if path and self._documents.get(f"{key}/blobs/{path}"):
            below.append(f"{key}/blobs/{path}")
        changes: list[Change] = [Delete(old) for old in below if old != mount_key]
        return [*changes, Put(mount_key, {"digest": digest, "created": self._clock.now()})]

    def tree(self, container: str, prefix: str) -> Manifest:
        """Return all files below a path (or the one blob of that name) as a manifest. Raises NotFound when empty."""
        path = prefix.strip("/")
        found = self._overlay(container).tree(path) if not path or is_safe_path(path) else None
        if found is None:
            raise NotFound(f"there is nothing at {path or '/'!r} in container {container!r}")
        return found

    def seal(self, container: str) -> None:
        """Refuse all further writes to a container."""
        for _ in range(_ATTEMPTS):
            document = self._documents.get(_key(container))
            if document is None:
                raise NotFound(f"there is no container {container!r}")
            if document.body["sealed"]:
                return
            try:
                self._documents.commit([Put(document.key, document.body | {"sealed": True}, match=document.revision)])
            except RevisionMismatch:
                continue
            return
        raise StateConflict(f"container {container!r} is being changed by many at once: try again")

    def _overlay(self, container: str) -> Overlay:
        blobs = self.store(container)
        digest = snapshot_of_container(container)
        fixed = Mount("", digest, self._snapshot_time(blobs, digest)) if digest else None
        return Overlay(self._documents, self._manifests, blobs, _key(container), fixed=fixed)

    def _snapshot_time(self, blobs: BlobStore, digest: Digest) -> float:
        found = blobs.stat(paths.snapshot(digest))
        return found.modified if found else 0

    def _holder(self, digest: Digest, preferred: Region | None = None) -> BlobStore | None:
        for region in (preferred, *self._regions()) if preferred else self._regions():
            blobs = self._store_of(region)
            if snapshots.exists(blobs, digest):
                return blobs
        return None

    def _writable(self, container: str) -> BlobStore:
        return self._store_of(self._unsealed(container))

    def _unsealed(self, container: str) -> Region:
        """Return the region of a container that takes writes. Raises NotFound, StateConflict."""
        info = self.describe(container)
        if info is None:
            raise NotFound(f"there is no container {container!r}")
        if info.is_sealed or info.region is None:
            raise StateConflict(f"container {container!r} is sealed: its blobs belong to an asset and never change")
        return info.region

    def _write(
        self,
        container: str,
        name: str,
        body_of: Callable[[BlobItem | None], dict[str, Any]],
        *,
        only_if_absent: bool = False,
        if_match: str | None = None,
        more: Sequence[Change] = (),
    ) -> BlobItem:
        """Write a blob document from what is there now, again when another writer came in between."""
        overlay = self._overlay(container)
        key = f"{_key(container)}/blobs/{name}"
        for _ in range(_ATTEMPTS):
            document = overlay.document(name)
            found = item_of(name, document) if document else overlay.mounted(name)
            if only_if_absent and found:
                raise AlreadyExists(f"blob {name!r} exists already in container {container!r}")
            _check_match(key, document, found, if_match)
            try:
                change = Put(key, body_of(found), match=document.revision if document else ABSENT)
                written = self._commit(container, name, [change, *more])[0]
            except RevisionMismatch:
                continue
            item = item_of(name, written)
            assert item is not None
            return item
        raise StateConflict(f"blob {name!r} is being written by many at once: try again")

    def _commit(self, container: str, name: str, changes: Sequence[Change]) -> Sequence[Document]:
        more = self._record(container, name) if self._record else ()
        return self._documents.commit([*changes, *more])

    def _keys(self, prefix: str) -> Iterator[str]:
        cursor = None
        while True:
            page = self._documents.scan(prefix, after=cursor)
            yield from (document.key for document in page.documents)
            if page.next is None:
                return
            cursor = page.next


def _key(container: str) -> str:
    return f"containers/{container}"


def _blocks_key(container: str, name: str) -> str:
    return f"{_key(container)}/blocklists/{name}"


def _check_match(key: str, document: Document | None, found: BlobItem | None, if_match: str | None) -> None:
    if if_match is None or (found and if_match in ("*", found.etag)):
        return
    raise RevisionMismatch(key, expected=None, found=document.revision if document and found else None)


def _before(start: str) -> str:
    """Return what sorts before a name and after all names that do."""
    return start[:-1] + chr(ord(start[-1]) - 1) + LAST if start[-1] > "\0" else start[:-1]


def _encode_marker(last: str, cursor: str | None) -> str:
    return base64.urlsafe_b64encode(json.dumps([last, cursor]).encode()).decode()


def _decode_marker(marker: str | None) -> Walk:
    if not marker:
        return Walk()
    try:
        last, cursor = json.loads(base64.urlsafe_b64decode(marker.encode()))
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"{marker!r} is not a marker of a list of this server") from error
    if not isinstance(last, str) or not isinstance(cursor, str | None):
        raise InvalidRequest(f"{marker!r} is not a marker of a list of this server")
    return Walk(after=last, cursor=cursor)
