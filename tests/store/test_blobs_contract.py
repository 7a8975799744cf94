"""Both BlobStores pass the contract: files with and without fsync, and an object store in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.store.blobs import BlobStore
from entrepot.store.cloud import CloudStore, connect
from entrepot.store.local import LocalStore
from entrepot.testing.blobs_contract import BlobsContract


class TestLocalStore(BlobsContract):
    """Files, named when they are flushed."""

    @pytest.fixture(params=[True, False], ids=["fsync", "no-fsync"])
    def blobs(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[BlobStore]:
        store = LocalStore(tmp_path / "store", fsync=request.param)
        yield store
        store.close()

    @pytest.fixture
    def other(self, tmp_path: Path) -> Iterator[BlobStore]:
        store = LocalStore(tmp_path / "other")
        yield store
        store.close()


class TestCloudStore(BlobsContract):
    """An object store; the other store is a prefix of the same bucket."""

    @pytest.fixture
    def bucket(self) -> object:
        return connect("memory://")

    @pytest.fixture
    def blobs(self, tmp_path: Path, bucket: object) -> BlobStore:
        return CloudStore(bucket, prefix="eastus", staging=tmp_path / "staging")  # type: ignore[arg-type]

    @pytest.fixture
    def other(self, tmp_path: Path, bucket: object) -> BlobStore:
        return CloudStore(bucket, prefix="westus", staging=tmp_path / "staging2")  # type: ignore[arg-type]


class TestCloudStoreBesideFiles(TestCloudStore):
    """An object store that copies from files, through this process."""

    @pytest.fixture
    def other(self, tmp_path: Path, bucket: object) -> Iterator[BlobStore]:
        store = LocalStore(tmp_path / "other")
        yield store
        store.close()
