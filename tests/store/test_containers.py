"""Containers: named blobs, mounted snapshots, and what is seen through both."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.core.digests import Digest, digest_of
from entrepot.core.errors import (
    AlreadyExists,
    BlobMissing,
    InvalidRequest,
    NotFound,
    RevisionMismatch,
    StateConflict,
)
from entrepot.core.ids import Region
from entrepot.store import disk, snapshots
from entrepot.store.blobs import BlobStore
from entrepot.store.blocklists import Wanted
from entrepot.store.containers import Containers, snapshot_container, snapshot_of_container
from entrepot.store.depots import LocalDepots
from entrepot.store.documents import DocumentStore, Put
from entrepot.store.snapshots import FileEntry, Manifest
from entrepot.store.sql import open_documents

EAST, WEST = Region("eastus"), Region("westus")
C = "container"


@pytest.fixture
def depots(tmp_path: Path) -> Iterator[LocalDepots]:
    opened = LocalDepots(tmp_path / "regions", fsync=False)
    yield opened
    opened.close()


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[DocumentStore]:
    opened = open_documents(tmp_path / "entrepot.db", fsync=False)
    yield opened
    opened.close()


@pytest.fixture
def containers(documents: DocumentStore, depots: LocalDepots) -> Containers:
    made = Containers(documents, depots.of, regions=lambda: (EAST, WEST))
    made.create(C, region=EAST, owner="registries/contoso")
    return made


@pytest.fixture
def east(depots: LocalDepots) -> BlobStore:
    return depots.of(EAST)


def snapshot(blobs: BlobStore, **files: str) -> Digest:
    """Store a snapshot of files; `__` in a name stands for '/', `_` for '.'."""
    entries = []
    for name, text in files.items():
        digest = snapshots.keep(blobs, text.encode())
        path = name.replace("__", "/").replace("_", ".")
        entries.append(FileEntry(path, digest, len(text.encode()), path.endswith(".sh")))
    return snapshots.write(blobs, Manifest(tuple(entries)))


def put(containers: Containers, name: str, text: str = "hello", **more: object) -> str:
    blobs = containers.store(C)
    digest = snapshots.keep(blobs, text.encode())
    return containers.put(C, name, digest, len(text.encode()), **more).etag  # type: ignore[arg-type]


def names(containers: Containers, prefix: str = "", delimiter: str = "", limit: int = 5000) -> list[str]:
    """All names and prefixes of a list, page by page, in order."""
    found: list[str] = []
    marker: str | None = None
    for _ in range(10_000):
        page = containers.list(C, prefix, delimiter, marker, limit)
        assert len(page.items) + len(page.prefixes) <= limit
        found += sorted([*(item.name for item in page.items), *page.prefixes])
        if page.next is None:
            assert found == sorted(found)
            return found
        marker = page.next
    raise AssertionError("the list has no end")


def test_a_container_is_described_as_it_was_made(containers: Containers) -> None:
    info = containers.describe(C)
    assert info is not None
    assert (info.region, info.owner, info.is_sealed) == (EAST, "registries/contoso", False)
    assert containers.describe("unknown") is None
    assert containers.describe("../x") is None


def test_making_a_container_again_changes_nothing_and_another_way_is_a_conflict(containers: Containers) -> None:
    containers.create(C, region=EAST, owner="registries/contoso")
    with pytest.raises(AlreadyExists):
        containers.create(C, region=WEST, owner="registries/contoso")
    with pytest.raises(AlreadyExists):
        containers.create(C, region=EAST, owner="registries/fabrikam")


@pytest.mark.parametrize("name", ["a", "Upper", "has_underscore", "-start", "end-", "two--hyphens", "x" * 64, "a/b"])
def test_a_name_that_azure_would_refuse_is_refused(containers: Containers, name: str) -> None:
    with pytest.raises(InvalidRequest):
        containers.create(name, region=EAST, owner="o")


def test_a_blob_is_found_under_its_name_with_what_was_said_of_it(containers: Containers) -> None:
    put(containers, "a/b.txt", "hello", md5="bWQ1", content_type="text/plain", metadata={"k": "v"})
    item = containers.stat(C, "a/b.txt")
    assert item is not None
    assert (item.digest, item.size_bytes, item.md5) == (digest_of(b"hello"), 5, "bWQ1")
    assert (item.content_type, item.metadata) == ("text/plain", {"k": "v"})
    for absent in ("a", "a/", "a/b.txt/", "a/b", "", "../a", "/a/b.txt"):
        assert containers.stat(C, absent) is None


def test_a_name_for_bytes_that_are_not_there_is_refused(containers: Containers) -> None:
    with pytest.raises(BlobMissing):
        containers.put(C, "a", digest_of(b"absent"), 6)
    put(containers, "a", "hello")
    with pytest.raises(BlobMissing):
        containers.put(C, "b", digest_of(b"hello"), 6)


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/../b", "a/", ""])
def test_an_unsafe_name_is_refused(containers: Containers, name: str) -> None:
    with pytest.raises(InvalidRequest):
        put(containers, name)


def test_each_write_has_a_new_tag(containers: Containers) -> None:
    tags = [put(containers, "a", "1"), put(containers, "a", "1")]
    containers.delete(C, "a")
    tags.append(put(containers, "a", "1"))
    tags.append(containers.restate(C, "a", metadata={"k": "v"}).etag)
    assert len(set(tags)) == 4


def test_conditions_hold_a_write_back(containers: Containers) -> None:
    tag = put(containers, "a", "1", only_if_absent=True)
    with pytest.raises(AlreadyExists):
        put(containers, "a", "2", only_if_absent=True)
    put(containers, "a", "2", if_match=tag)
    with pytest.raises(RevisionMismatch):
        put(containers, "a", "3", if_match=tag)
    with pytest.raises(RevisionMismatch):
        put(containers, "new", "3", if_match=tag)
    with pytest.raises(RevisionMismatch):
        containers.delete(C, "a", if_match=tag)


def test_of_many_writers_that_want_the_name_free_one_wins(containers: Containers) -> None:
    outcomes: list[str] = []

    def write(text: str) -> None:
        try:
            put(containers, "contested", text, only_if_absent=True)
            outcomes.append(text)
        except AlreadyExists:
            pass

    threads = [threading.Thread(target=write, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    item = containers.stat(C, "contested")
    assert item is not None and [digest_of(text.encode()) for text in outcomes] == [item.digest]


def test_a_deleted_blob_is_gone(containers: Containers) -> None:
    put(containers, "a")
    containers.delete(C, "a")
    assert containers.stat(C, "a") is None
    with pytest.raises(NotFound):
        containers.delete(C, "a")
    with pytest.raises(NotFound):
        containers.restate(C, "a", metadata={})


def test_blocks_become_a_blob_in_the_order_that_is_asked_for(containers: Containers, east: BlobStore) -> None:
    for block, text in (("b2", "world"), ("b1", "hello "), ("b1", "Hello "), ("unused", "!")):
        file = east.staging / "block"
        file.write_text(text)
        containers.stage_block(C, "a", block, file)
    assert [(block.id, block.size_bytes) for block in containers.blocks(C, "a")[1]] == [
        ("b1", 6), ("b2", 5), ("unused", 1)
    ]  # fmt: skip
    assert containers.blocks(C, "other") == ([], [])
    item = containers.commit_blocks(C, "a", [Wanted("b1"), Wanted("b2", "Uncommitted")])
    assert item.digest == digest_of(b"Hello world")
    old, waiting = containers.blocks(C, "a")
    assert ([block.id for block in old], waiting) == (["b1", "b2"], [])
    with pytest.raises(BlobMissing):
        containers.commit_blocks(C, "a", [Wanted("b1", "Uncommitted")])


def test_a_blob_is_made_anew_of_its_own_blocks_and_of_further_ones(containers: Containers, east: BlobStore) -> None:
    def stage(block: str, text: str) -> None:
        file = east.staging / "block"
        file.write_text(text)
        containers.stage_block(C, "a", block, file)

    for block, text in (("1", "one,"), ("2", "two,"), ("3", "three,")):
        stage(block, text)
    containers.commit_blocks(C, "a", [Wanted(block) for block in "123"])
    stage("2", "TWO,")
    stage("4", "four")
    wanted = [Wanted("3", "Committed"), Wanted("2", "Committed"), Wanted("2"), Wanted("4")]
    assert containers.commit_blocks(C, "a", wanted).digest == digest_of(b"three,two,TWO,four")
    put(containers, "a", "other")
    assert containers.blocks(C, "a") == ([], []), "another content has no blocks"
    with pytest.raises(BlobMissing):
        containers.commit_blocks(C, "a", [Wanted("3")])


@pytest.mark.parametrize("is_dear", [False, True])
def test_blocks_of_all_lengths_become_one_blob_in_order(
    containers: Containers, tmp_path: Path, is_dear: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk._Memory, "is_dear", is_dear)
    sizes = [4 << 20, 5000, 8192, 9 << 20, 1, 4 << 20, 4096]
    blocks = [random.Random(number).randbytes(size) for number, size in enumerate(sizes)]
    for number, block in enumerate(blocks):
        file = tmp_path / "block"
        writer = disk.Writer(file, expected_bytes=len(block))
        buffer = disk.aligned_buffer(len(block))
        buffer[:] = block
        writer.write(buffer)
        writer.close()
        containers.stage_block(C, "a", f"b{number}", file)
    ids = [f"b{number}" for number in range(len(blocks))]
    whole = containers.commit_blocks(C, "a", [Wanted(id) for id in ids])
    assert (whole.digest, whole.size_bytes) == (digest_of(b"".join(blocks)), sum(sizes))
    again = containers.commit_blocks(C, "a", [Wanted(id, "Committed") for id in reversed(ids)])
    assert again.digest == digest_of(b"".join(reversed(blocks)))


def test_blocks_that_nobody_committed_are_swept_when_they_are_old(containers: Containers, east: BlobStore) -> None:
    file = east.staging / "block"
    file.write_text("x")
    containers.stage_block(C, "a", "b1", file)
    now = time.time()
    assert containers.sweep(EAST, before=now - 60) == 0
    assert containers.sweep(EAST, before=now + 60) == 1
    assert containers.blocks(C, "a") == ([], [])


def test_a_mounted_snapshot_is_seen_as_blobs(containers: Containers, east: BlobStore) -> None:
    containers.mount(C, "model", snapshot(east, a_txt="a", sub__b_txt="b", run_sh="#!"))
    item = containers.stat(C, "model/sub/b.txt")
    assert item is not None and item.digest == digest_of(b"b")
    assert containers.stat(C, "model") is None
    assert containers.stat(C, "model/sub") is None
    assert names(containers) == ["model/a.txt", "model/run.sh", "model/sub/b.txt"]
    assert names(containers, "model/", "/") == ["model/a.txt", "model/run.sh", "model/sub/"]
    assert containers.tree(C, "model").find("run.sh") == FileEntry("run.sh", digest_of(b"#!"), 2, True)


def test_a_mount_of_what_is_not_there_is_refused(containers: Containers, depots: LocalDepots) -> None:
    elsewhere = snapshot(depots.of(WEST), a="a")
    with pytest.raises(BlobMissing):
        containers.mount(C, "model", elsewhere)
    with pytest.raises(InvalidRequest):
        containers.mount(C, "../model", elsewhere)


def test_a_mount_takes_the_place_of_all_that_was_below_its_path(containers: Containers, east: BlobStore) -> None:
    put(containers, "out/old")
    put(containers, "outer")
    containers.mount(C, "out/deep", snapshot(east, d="d"))
    containers.mount(C, "out", snapshot(east, new="new"))
    assert names(containers) == ["out/new", "outer"]
    containers.mount(C, "out", snapshot(east, newer="newer"))
    assert names(containers) == ["out/newer", "outer"]
    containers.mount(C, "", snapshot(east, all="all"))
    assert names(containers) == ["all"]


def test_an_inner_mount_hides_what_the_outer_one_has_there(containers: Containers, east: BlobStore) -> None:
    containers.mount(C, "", snapshot(east, a="1", in__a="1", in__b="1", z="1"))
    containers.mount(C, "in", snapshot(east, c="2"))
    assert names(containers) == ["a", "in/c", "z"]
    assert containers.stat(C, "in/a") is None
    assert containers.tree(C, "").paths == ["a", "in/c", "z"]
    assert containers.tree(C, "in").paths == ["c"]


def test_blobs_win_over_mounts_and_can_be_taken_away(containers: Containers, east: BlobStore) -> None:
    containers.mount(C, "m", snapshot(east, a="old", b="b"))
    put(containers, "m/a", "new")
    item = containers.stat(C, "m/a")
    assert item is not None and item.digest == digest_of(b"new")
    assert names(containers) == ["m/a", "m/b"]
    containers.delete(C, "m/a")
    containers.delete(C, "m/b")
    assert names(containers) == []
    with pytest.raises(NotFound):
        containers.tree(C, "m")
    put(containers, "m/b", "back", only_if_absent=True)
    assert names(containers) == ["m/b"]
    with pytest.raises(AlreadyExists):
        put(containers, "m/b", "again", only_if_absent=True)


def test_metadata_of_a_mounted_file_keeps_its_bytes_and_mode(containers: Containers, east: BlobStore) -> None:
    containers.mount(C, "m", snapshot(east, run_sh="#!"))
    containers.restate(C, "m/run.sh", metadata={"upload_status": "completed"})
    item = containers.stat(C, "m/run.sh")
    assert item is not None and item.metadata == {"upload_status": "completed"}
    assert containers.tree(C, "m").files == (FileEntry("run.sh", digest_of(b"#!"), 2, True),)


def test_a_tree_is_everything_below_a_path_or_the_one_file(containers: Containers, east: BlobStore) -> None:
    put(containers, "in/a.txt", "a")
    put(containers, "in/sub/b.txt", "b")
    put(containers, "index", "c")
    containers.mount(C, "in/m", snapshot(east, m="m"))
    assert containers.tree(C, "in").paths == ["a.txt", "m/m", "sub/b.txt"]
    assert containers.tree(C, "/in/sub/").paths == ["b.txt"]
    assert containers.tree(C, "in/sub/b.txt").paths == ["b.txt"]
    assert containers.tree(C, "in/m/m").paths == ["m"]
    assert containers.tree(C, "").paths == ["in/a.txt", "in/m/m", "in/sub/b.txt", "index"]
    for absent in ("i", "in/su", "../in", "in/m/x"):
        with pytest.raises(NotFound):
            containers.tree(C, absent)


def test_a_mark_for_a_folder_is_no_file_of_the_tree(containers: Containers) -> None:
    put(containers, "in", "", metadata={"hdi_isfolder": "true"})
    put(containers, "in/a", "a")
    assert containers.tree(C, "in").paths == ["a"]


def test_pages_of_any_size_show_the_same_list(containers: Containers, east: BlobStore) -> None:
    chosen = random.Random(7)
    digest = snapshots.keep(east, b"x")
    for n in range(120):
        containers.put(C, f"{chosen.choice('abc')}/{chosen.choice('xyz')}{n % 5}/f{n}", digest, 1)
    containers.mount(C, "b/m", snapshot(east, one="1", two__three="2"))
    containers.mount(C, "b/m/two/inner", snapshot(east, four="4"))
    containers.mount(C, "d", snapshot(east, last="1"))
    for prefix in ("", "a", "a/", "b/", "b/m", "b/m/", "b/x1/", "nothing"):
        for delimiter in ("", "/"):
            whole = names(containers, prefix, delimiter)
            assert all(name.startswith(prefix) for name in whole)
            for limit in (1, 3, 50) if len(whole) < 30 else (17, 70):
                assert names(containers, prefix, delimiter, limit) == whole
    assert names(containers, "", "/") == ["a/", "b/", "c/", "d/"]
    assert {"b/m/one", "b/m/two/inner/four", "b/m/two/three"} < set(names(containers))


def test_a_list_of_thousands_goes_on_where_a_page_ended(
    containers: Containers, east: BlobStore, documents: DocumentStore
) -> None:
    digest = snapshots.keep(east, b"x")
    expected = sorted(f"f/{n}" for n in range(2300))
    body = {"digest": digest, "size": 1, "modified": 0}
    documents.commit([Put(f"containers/{C}/blobs/{name}", body) for name in expected])
    assert names(containers, "", "", 700) == expected
    assert names(containers, "", "/", 1) == ["f/"]


def test_a_foreign_marker_is_refused(containers: Containers) -> None:
    for marker in ("nonsense", "bm9uc2Vuc2U=", "WzEsMl0="):
        with pytest.raises(InvalidRequest):
            containers.list(C, "", "", marker)


def test_a_sealed_container_is_read_but_never_written(containers: Containers, east: BlobStore) -> None:
    put(containers, "a")
    containers.seal(C)
    containers.seal(C)
    assert names(containers) == ["a"]
    digest = snapshot(east, x="x")
    for write in (
        lambda: put(containers, "b"),
        lambda: containers.delete(C, "a"),
        lambda: containers.restate(C, "a", metadata={}),
        lambda: containers.mount(C, "m", digest),
    ):
        with pytest.raises(StateConflict, match="sealed"):
            write()


def test_every_snapshot_has_a_container_of_its_own(containers: Containers, depots: LocalDepots) -> None:
    digest = snapshot(depots.of(WEST), model__a="a", b="b")
    name = snapshot_container(digest)
    assert snapshot_of_container(name) == digest
    info = containers.describe(name)
    assert info is not None and (info.region, info.is_sealed) == (None, True)
    assert [item.name for item in containers.list(name).items] == ["b", "model/a"]
    assert containers.tree(name, "model").paths == ["a"]
    assert containers.stat(name, "model/a") is not None
    with pytest.raises(StateConflict):
        containers.put(name, "c", digest_of(b"a"), 1)


def test_the_container_of_a_snapshot_is_read_in_the_region_that_is_asked_for(
    containers: Containers, depots: LocalDepots
) -> None:
    digest = snapshot(depots.of(WEST), a="a")
    assert containers.store(snapshot_container(digest), EAST) is depots.of(WEST)
    snapshots.copy(depots.of(WEST), depots.of(EAST), digest)
    assert containers.store(snapshot_container(digest), WEST) is depots.of(WEST)
    assert containers.store(snapshot_container(digest)) is depots.of(EAST)


def test_a_container_of_an_unknown_snapshot_is_not_there(containers: Containers) -> None:
    name = snapshot_container(digest_of(b"unknown"))
    assert containers.describe(name) is None
    with pytest.raises(NotFound):
        containers.tree(name, "")
    with pytest.raises(InvalidRequest):
        containers.create(name, region=EAST, owner="o")
    assert snapshot_of_container("s-short") is None


def test_operations_on_an_unknown_container_say_so(containers: Containers) -> None:
    for operation in (
        lambda: containers.stat("unknown", "a"),
        lambda: containers.list("unknown"),
        lambda: containers.tree("unknown", ""),
        lambda: containers.seal("unknown"),
        lambda: containers.put("unknown", "a", digest_of(b""), 0),
        lambda: containers.store("unknown"),
    ):
        with pytest.raises(NotFound, match="unknown"):
            operation()
