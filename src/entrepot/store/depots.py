"""The blob stores of all regions: folders below one root, or prefixes below one object store URL."""

import threading
from pathlib import Path

from entrepot.core.ids import Region
from entrepot.store.blobs import BlobStore
from entrepot.store.local import LocalStore
from entrepot.store.paths import STAGING


class LocalDepots:
    """Each region is the folder `<root>/<region>`, opened at first use."""

    def __init__(self, root: Path, *, fsync: bool = True) -> None:
        self._root = root
        self._fsync = fsync
        self._lock = threading.Lock()
        self._opened: dict[Region, LocalStore] = {}
        self._found = _folders(root)

    def of(self, region: Region) -> BlobStore:
        """Return the region's store."""
        if found := self._opened.get(region):
            return found
        with self._lock:
            if region not in self._opened:
                self._opened[region] = LocalStore(self._root / region, fsync=self._fsync)
                self._found |= {region}
            return self._opened[region]

    def known(self) -> tuple[Region, ...]:
        """Return the regions that have a folder, by name."""
        return tuple(sorted(self._found))

    def close(self) -> None:
        """Finish what was put and remove the staging folders."""
        with self._lock:
            for store in self._opened.values():
                store.close()
            self._opened.clear()


class CloudDepots:
    """Each region is a prefix of one bucket; `staging_root` holds the files on their way to it."""

    def __init__(self, url: str, staging_root: Path) -> None:
        from entrepot.store import cloud  # obstore takes 60 ms to import, and a home of files needs none

        self._open = cloud.CloudStore
        self._bucket = cloud.connect(url)
        self._staging_root = staging_root
        self._lock = threading.Lock()
        self._opened: dict[Region, BlobStore] = {}

    def of(self, region: Region) -> BlobStore:
        """Return the region's store."""
        with self._lock:
            if region not in self._opened:
                staging = self._staging_root / region / STAGING
                self._opened[region] = self._open(self._bucket, prefix=region, staging=staging)
            return self._opened[region]

    def known(self) -> tuple[Region, ...]:
        """Return the regions that were used since the start, by name; a bucket's prefixes are not listed."""
        with self._lock:
            return tuple(sorted(self._opened))

    def close(self) -> None:
        """Forget the stores."""
        with self._lock:
            self._opened.clear()


def _folders(root: Path) -> frozenset[Region]:
    """Return the regions that an earlier process used. One process at a time has the folder."""
    try:
        return frozenset(Region(place.name) for place in root.iterdir() if place.is_dir())
    except FileNotFoundError:
        return frozenset()


def open_depots(root: Path, *, url: str = "", fsync: bool = True) -> LocalDepots | CloudDepots:
    """Return local depots below `root`, or those of a URL (memory://, s3://bucket/prefix, az://..., gs://...)."""
    return CloudDepots(url, root) if url else LocalDepots(root, fsync=fsync)
