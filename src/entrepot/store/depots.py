"""The blob stores of all regions: folders below one root, or prefixes below one object store URL."""

import threading
from collections.abc import Callable
from pathlib import Path

from entrepot.core.ids import Region
from entrepot.store.blobs import BlobStore
from entrepot.store.local import LocalStore


class LocalDepots:
    """Each region is the folder `<root>/<region>`, opened at first use."""

    def __init__(self, root: Path, *, fsync: bool = True) -> None:
        self._root = root
        self._fsync = fsync
        self._lock = threading.Lock()
        self._opened: dict[Region, LocalStore] = {}

    def of(self, region: Region) -> BlobStore:
        """Return the region's store."""
        if found := self._opened.get(region):
            return found
        with self._lock:
            if region not in self._opened:
                self._opened[region] = LocalStore(self._root / region, fsync=self._fsync)
            return self._opened[region]

    def close(self) -> None:
        """Finish what was put and remove the staging folders."""
        with self._lock:
            for store in self._opened.values():
                store.close()
            self._opened.clear()


class RemoteDepots:
    """Each region is what `open_region` gives for it, asked once."""

    def __init__(self, open_region: Callable[[Region], BlobStore]) -> None:
        self._open_region = open_region
        self._lock = threading.Lock()
        self._opened: dict[Region, BlobStore] = {}

    def of(self, region: Region) -> BlobStore:
        """Return the region's store."""
        with self._lock:
            if region not in self._opened:
                self._opened[region] = self._open_region(region)
            return self._opened[region]

    def close(self) -> None:
        """Forget the stores."""
        with self._lock:
            self._opened.clear()


Depots = LocalDepots | RemoteDepots


def open_depots(root: Path, *, url: str = "", fsync: bool = True) -> Depots:
    """Return local depots below `root`, or those of a URL (memory://, s3://bucket/prefix, az://..., gs://...).

    With a URL, `root` holds the files on their way to it.
    """
    if not url:
        return LocalDepots(root, fsync=fsync)
    from entrepot.store.cloud import open_store  # obstore takes 60 ms to import and a home of files needs none

    return RemoteDepots(lambda region: open_store(url, prefix=region, staging=root / region))
