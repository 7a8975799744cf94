"""Small bytes travel in the commit that names them, and are on the disk soon after, whatever happens in between."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.core.digests import Digest, digest_of
from entrepot.core.errors import NoRoom
from entrepot.core.ids import Region
from entrepot.store import paths
from entrepot.store.containers import Containers
from entrepot.store.depots import LocalDepots
from entrepot.store.documents import DocumentStore
from entrepot.store.local import LocalStore
from entrepot.store.spool import Spool
from entrepot.store.sql import open_documents

EAST = Region("eastus")
DATA = b"small bytes"
NAME = paths.content(digest_of(DATA))


class Home:
    """What a process opens; `crash` leaves it as a dead process would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.documents: DocumentStore = open_documents(root / "entrepot.db", fsync=False)
        self.depots = LocalDepots(root / "regions")
        self.spool = Spool(self.documents, self.depots.of)
        self.containers = Containers(self.documents, self.depots.of, regions=lambda: (EAST,), spool=self.spool)
        self.containers.create("uploads", region=EAST, owner="registries/contoso")

    @property
    def carried(self) -> list[str]:
        return [document.key for document in self.documents.scan("spool/").documents]

    def on_disk(self) -> bool:
        return (self.root / "regions/eastus" / NAME).exists()

    def close(self) -> None:
        self.spool.close()
        self.depots.close()
        self.documents.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path)
    yield opened
    opened.close()


def content(home: Home, digest: Digest) -> bytes:
    with home.depots.of(EAST).open(paths.content(digest)) as file:
        return file.read()


def forget(home: Home) -> None:
    """Lose what a process that dies loses: bytes that have no name on the disk yet."""
    store = home.depots.of(EAST)
    assert isinstance(store, LocalStore)
    store._pending.clear()


def test_what_was_put_is_read_at_once_and_reaches_the_disk_by_itself(home: Home) -> None:
    item = home.containers.put_bytes("uploads", "a.txt", DATA)
    assert content(home, item.digest) == DATA
    assert home.containers.stat("uploads", "a.txt") == item
    for settler in [thread for thread in threading.enumerate() if thread.name == "spool"]:
        settler.join(60)
    assert home.on_disk() and home.carried == []


def test_bytes_that_died_with_their_process_come_back_at_the_next_start(home: Home) -> None:
    home.spool._is_closed = True  # nothing settles: the process dies before
    item = home.containers.put_bytes("uploads", "a.txt", DATA)
    forget(home)
    assert home.depots.of(EAST).stat(NAME) is None and not home.on_disk()
    assert Spool(home.documents, home.depots.of).restore() == 1
    assert home.on_disk() and content(home, item.digest) == DATA
    assert home.carried == []
    assert Spool(home.documents, home.depots.of).restore() == 0


def test_the_database_carries_until_the_disk_has_flushed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.spool._is_closed = True
    home.containers.put_bytes("uploads", "a.txt", DATA)

    def full(store: LocalStore) -> None:
        raise NoRoom("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "sync", full)
        with pytest.raises(NoRoom):
            home.spool.settle()
    assert len(home.carried) == 1
    assert home.spool.settle() == 1
    assert home.on_disk() and home.carried == []


def test_the_same_bytes_again_and_under_other_names_are_carried_once(home: Home) -> None:
    home.spool._is_closed = True
    for name in ("a.txt", "b.txt", "a.txt"):
        home.containers.put_bytes("uploads", name, DATA)
    assert home.carried == [f"spool/eastus/{digest_of(DATA)}"]
    home.spool.settle()
    home.containers.put_bytes("uploads", "c.txt", DATA)
    home.spool.settle()
    assert home.on_disk() and home.carried == []


def test_closing_leaves_nothing_to_restore(tmp_path: Path) -> None:
    first = Home(tmp_path)
    for number in range(200):
        first.containers.put_bytes("uploads", f"{number}", f"{number}".encode())
    first.close()
    again = Home(tmp_path)
    assert again.spool.restore() == 0
    assert sum(1 for _ in again.depots.of(EAST).list("sha256/")) == 200
    again.close()


def test_without_a_spool_bytes_are_on_the_disk_before_they_have_a_name(tmp_path: Path) -> None:
    documents, depots = open_documents(tmp_path / "entrepot.db", fsync=False), LocalDepots(tmp_path / "regions")
    containers = Containers(documents, depots.of, regions=lambda: (EAST,))
    containers.create("uploads", region=EAST, owner="registries/contoso")
    containers.put_bytes("uploads", "a.txt", DATA)
    assert (tmp_path / "regions/eastus" / NAME).exists() and documents.scan("spool/").documents == ()
    depots.close()
    documents.close()
