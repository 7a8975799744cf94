"""Small bytes on their way to a local disk: they travel in the commit that names them.

A disk's flush takes longer than all else that a small blob costs. Its file and its folder would want two before the
database's own; so the commit carries the bytes, too, and files are flushed later, many at once. Only for a database
and a disk that one process has for itself: others would not find bytes that have no name on the disk yet.
"""

import base64
import logging
import threading
from collections.abc import Callable

from entrepot.core.digests import Digest
from entrepot.core.ids import Region
from entrepot.store import snapshots
from entrepot.store.blobs import BlobStore
from entrepot.store.documents import Delete, DocumentStore, Put

LIMIT_BYTES = 64 << 10
"""Longer bytes are better flushed as files."""
_ROOT = "spool"
_PAUSE_S = 1.0
_MOST = 4096  # contents that are carried, at 64 KiB each; then the flush does not wait for a pause
_BATCH = 64  # deletions in a commit, for which other writers wait
_log = logging.getLogger(__name__)


class Spool:
    """The bytes of one process that the database still carries for `store_of(region)`. Thread-safe."""

    def __init__(self, documents: DocumentStore, store_of: Callable[[Region], BlobStore]) -> None:
        self._documents = documents
        self._store_of = store_of
        self._changed = threading.Condition()
        self._carried: dict[str, Region] = {}
        self._count = 0  # of all that was ever carried
        self._settler: threading.Thread | None = None
        self._is_closed = False

    def carry(self, region: Region, digest: Digest, data: bytes) -> Put:
        """Return the change that makes bytes durable which are in the store. Tell `carried` when it is committed."""
        return Put(f"{_ROOT}/{region}/{digest}", {"data": base64.b64encode(data).decode()})

    def carried(self, region: Region, digest: Digest) -> None:
        """Note a change of `carry` that was committed: the disk takes over from the database soon."""
        with self._changed:
            self._carried[f"{_ROOT}/{region}/{digest}"] = region
            self._count += 1
            if self._settler is None and not self._is_closed:
                self._settler = threading.Thread(target=self._settle_on, name="spool", daemon=True)
                self._settler.start()

    def settle(self) -> int:
        """Flush what is carried to the disk, and carry it no longer; return the number of contents."""
        with self._changed:
            carried, self._carried = self._carried, {}
        try:
            for region in set(carried.values()):
                self._store_of(region).sync()
            keys = list(carried)
            for start in range(0, len(keys), _BATCH):
                self._documents.commit([Delete(key) for key in keys[start : start + _BATCH]])
        except BaseException:
            with self._changed:
                self._carried |= carried
            raise
        return len(keys)

    def restore(self) -> int:
        """Bring what an earlier process left behind to the disk; return the number of contents."""
        count = 0
        while found := self._documents.scan(f"{_ROOT}/", limit=_BATCH).documents:
            for document in found:
                region = Region(document.key.split("/")[1])
                snapshots.keep(self._store_of(region), base64.b64decode(document.body["data"]))
            for region in {Region(document.key.split("/")[1]) for document in found}:
                self._store_of(region).sync()
            self._documents.commit([Delete(document.key) for document in found])
            count += len(found)
        return count

    def close(self) -> None:
        """Settle, and end. What cannot be settled is restored at the next start."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            settler = self._settler
        if settler is not None:
            settler.join()

    def _settle_on(self) -> None:
        """Settle in the pauses, or flushes would hold up an upload, until nothing is carried.

        A disk that fails is asked again.
        """
        while True:
            with self._changed:
                if not self._carried:
                    self._settler = None
                    return
                seen = -1
                while seen != self._count and len(self._carried) < _MOST and not self._is_closed:
                    seen = self._count
                    self._changed.wait_for(lambda: self._is_closed, _PAUSE_S)
            try:
                self.settle()
            except Exception:
                _log.exception("small blobs are not flushed yet; the database still carries them")
                if self._is_closed:
                    return
