"""Manifests as values, and snapshots on their way in, out and between stores."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.core.digests import Digest, digest_of
from entrepot.core.errors import BlobMissing, DigestMismatch, InvalidRequest, NotFound
from entrepot.core.manifests import is_safe_path
from entrepot.store import paths, snapshots
from entrepot.store.local import LocalStore
from entrepot.store.snapshots import CopyReport, FileEntry, Manifest

HELLO = digest_of(b"hello")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    opened = LocalStore(tmp_path / "east", fsync=False)
    yield opened
    opened.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LocalStore]:
    opened = LocalStore(tmp_path / "west", fsync=False)
    yield opened
    opened.close()


def entry(path: str, data: bytes = b"hello", *, is_executable: bool = False) -> FileEntry:
    return FileEntry(path, digest_of(data), len(data), is_executable)


def make_tree(root: Path) -> Path:
    for path, text in (("a.txt", "a"), ("sub/b.txt", "b"), ("sub/deep/c.txt", "c"), ("twin.txt", "a")):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    return root


def texts(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}


@pytest.mark.parametrize("path", ["a", "a/b", "a.b/..c", "...", "..a/b", "ü/é", "a b", "a" * 255])
def test_a_path_that_stays_below_its_folder_is_safe(path: str) -> None:
    assert is_safe_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/a", "a/", "a//b", "..", "../a", "a/..", "a/../b", ".", "a/./b", "./a", "a\\b", "a\nb", "a\x00",
     "a" * 256, "é" * 128, "a/" * 600 + "a", "a\udc80"],
)  # fmt: skip
def test_a_path_that_might_leave_its_folder_is_not_safe(path: str) -> None:
    assert not is_safe_path(path)
    with pytest.raises(InvalidRequest):
        Manifest((entry(path),))


@given(st.text(max_size=30))
def test_no_safe_path_leaves_its_folder(path: str) -> None:
    if is_safe_path(path):
        assert os.path.normpath(f"/base/{path}") == f"/base/{path}"


def test_equal_trees_have_equal_bytes_in_whatever_order_they_were_found() -> None:
    one = Manifest((entry("b"), entry("a"), entry("c/d")))
    two = Manifest((entry("c/d"), entry("a"), entry("b")))
    assert one.encode() == two.encode()
    assert one.digest == two.digest == digest_of(one.encode())
    assert one == two


def test_content_path_and_executable_bit_all_change_the_digest() -> None:
    plain = Manifest((entry("a"),))
    others = [Manifest((entry("b"),)), Manifest((entry("a", b"x"),)), Manifest((entry("a", is_executable=True),))]
    assert len({plain.digest, *(other.digest for other in others)}) == 4


names = st.lists(st.text("ab.ü", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join).filter(is_safe_path)


@given(st.dictionaries(names, st.booleans(), max_size=12))
def test_a_manifest_survives_its_encoding(found: dict[str, bool]) -> None:
    try:
        manifest = Manifest(tuple(entry(path, is_executable=flag) for path, flag in found.items()))
    except InvalidRequest:
        assert any(a != b and b.startswith(a + "/") for a in found for b in found)
        return
    assert Manifest.decode(manifest.encode()) == manifest


def test_one_path_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        Manifest((entry("a"), entry("a", b"x")))


def test_a_path_that_is_file_and_folder_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="both a file and a folder"):
        Manifest((entry("a"), entry("a.b"), entry("a/b/c")))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"files": {}}',
        b'{"files": [1]}',
        json.dumps({"files": [{"path": "a", "digest": "xyz", "size": 1}]}).encode(),
        json.dumps({"files": [{"path": "a", "digest": HELLO.upper(), "size": 1}]}).encode(),
        json.dumps({"files": [{"path": "a", "digest": HELLO, "size": -1}]}).encode(),
        json.dumps({"files": [{"path": "a", "digest": HELLO, "size": True}]}).encode(),
        json.dumps({"files": [{"path": 1, "digest": HELLO, "size": 1}]}).encode(),
        json.dumps({"files": [{"path": "../a", "digest": HELLO, "size": 1}]}).encode(),
        json.dumps({"files": [{"path": "a", "digest": HELLO, "size": 1, "executable": 1}]}).encode(),
    ],
)
def test_what_is_no_manifest_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Manifest.decode(document)


def test_a_subtree_is_relative_to_its_folder() -> None:
    manifest = Manifest((entry("a"), entry("sub/b"), entry("sub/deep/c"), entry("sub.txt"), entry("subway/d")))
    assert manifest.subtree("sub").paths == ["b", "deep/c"]
    assert manifest.subtree("sub/deep/").paths == ["c"]
    assert manifest.subtree("") is manifest
    assert manifest.subtree("sub/b").paths == ["b"]
    assert manifest.subtree("sub").prefixed("sub").files == manifest.files[2:4]
    with pytest.raises(NotFound, match="'su'"):
        manifest.subtree("su")


def test_a_tree_comes_out_as_it_went_in(store: LocalStore, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    manifest = snapshots.ingest(store, source)
    snapshots.materialise(store, manifest, tmp_path / "out")
    assert texts(tmp_path / "out") == texts(source)
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not (tmp_path / "out/a.txt").stat().st_mode & 0o222
    assert snapshots.read(store, manifest.digest) == manifest
    assert texts(source)


def test_a_single_file_becomes_a_tree_of_one(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x" * (3 << 20))
    manifest = snapshots.ingest(store, tmp_path / "model.bin")
    assert manifest.files == (entry("model.bin", b"x" * (3 << 20)),)


def test_an_empty_folder_is_an_empty_snapshot(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    manifest = snapshots.ingest(store, tmp_path / "empty")
    assert manifest.files == ()
    assert snapshots.exists(store, manifest.digest)


def test_adopting_moves_the_files_into_the_store(store: LocalStore, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    expected = texts(source)
    manifest = snapshots.ingest(store, source, adopt=True)
    assert texts(source) == {}
    snapshots.materialise(store, manifest, tmp_path / "out")
    assert texts(tmp_path / "out") == expected


def test_writable_files_are_independent_of_the_store(store: LocalStore, tmp_path: Path) -> None:
    manifest = snapshots.ingest(store, make_tree(tmp_path / "source"))
    snapshots.materialise(store, manifest, tmp_path / "out", writable=True)
    with (tmp_path / "out/a.txt").open("w") as file:
        file.write("changed")
    with store.open(paths.content(digest_of(b"a"))) as kept:
        assert kept.read() == b"a"
    snapshots.materialise(store, manifest, tmp_path / "out")
    assert (tmp_path / "out/a.txt").read_text() == "a"


def test_a_link_inside_the_folder_is_followed(store: LocalStore, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    (source / "link.txt").symlink_to("a.txt")
    (source / "folder").symlink_to("sub")
    for adopt in (False, True):
        manifest = snapshots.ingest(store, source, adopt=adopt)
        found = manifest.find("link.txt")
        assert found is not None and found.digest == digest_of(b"a")
        assert manifest.find("folder/deep/c.txt") is not None


def test_a_link_out_of_the_folder_is_refused(store: LocalStore, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    (tmp_path / "secret").write_text("secret")
    (source / "link.txt").symlink_to("../secret")
    with pytest.raises(InvalidRequest, match=r"link\.txt.* leads out of the folder"):
        snapshots.ingest(store, source)


def test_links_that_lead_nowhere_or_round_are_refused(store: LocalStore, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    (source / "link").symlink_to("nothing")
    with pytest.raises(InvalidRequest, match="leads nowhere"):
        snapshots.ingest(store, source)
    (source / "link").unlink()
    (source / "sub/round").symlink_to(source)
    with pytest.raises(InvalidRequest, match="folder that it lies in"):
        snapshots.ingest(store, source)


def test_a_pipe_is_refused(store: LocalStore, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    os.mkfifo(source / "pipe")
    with pytest.raises(InvalidRequest, match="neither a file nor a folder"):
        snapshots.ingest(store, source)


def test_a_missing_folder_is_refused(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is not there"):
        snapshots.ingest(store, tmp_path / "nothing")


def test_a_manifest_with_a_hole_is_not_written(store: LocalStore) -> None:
    manifest = Manifest((entry("a"), entry("b", b"absent")))
    snapshots.keep(store, b"hello")
    with pytest.raises(BlobMissing) as caught:
        snapshots.write(store, manifest)
    assert caught.value.details[0]["missing"] == [digest_of(b"absent")]
    assert not snapshots.exists(store, manifest.digest)


def test_a_manifest_with_a_false_size_is_not_written(store: LocalStore) -> None:
    snapshots.keep(store, b"hello")
    with pytest.raises(DigestMismatch, match="6 bytes"):
        snapshots.write(store, Manifest((FileEntry("a", HELLO, 6),)))


def test_a_manifest_that_was_changed_on_disk_is_not_believed(store: LocalStore) -> None:
    manifest = Manifest(())
    store.put(paths.snapshot(manifest.digest), b'{"files":[] }')
    with pytest.raises(DigestMismatch):
        snapshots.read(store, manifest.digest)


def test_an_unknown_snapshot_is_missing(store: LocalStore) -> None:
    assert not snapshots.exists(store, HELLO)
    with pytest.raises(BlobMissing):
        snapshots.read(store, HELLO)


def test_a_copy_brings_what_is_missing_and_then_nothing(store: LocalStore, other: LocalStore, tmp_path: Path) -> None:
    manifest = snapshots.ingest(store, make_tree(tmp_path / "source"))
    snapshots.keep(other, b"a")
    assert snapshots.copy(store, other, manifest.digest).blobs == 3
    assert snapshots.copy(store, other, manifest.digest) == CopyReport(0, 0)
    snapshots.materialise(other, manifest, tmp_path / "out")
    assert texts(tmp_path / "out") == texts(tmp_path / "source")


def test_a_copy_that_breaks_off_shows_nothing_and_goes_on_later(
    store: LocalStore, other: LocalStore, tmp_path: Path
) -> None:
    manifest = snapshots.ingest(store, make_tree(tmp_path / "source"))
    lost = paths.content(digest_of(b"c"))
    with store.open(lost) as file:
        data = file.read()
    store.delete(lost)
    with pytest.raises(BlobMissing):
        snapshots.copy(store, other, manifest.digest)
    assert not snapshots.exists(other, manifest.digest)
    store.put(lost, data)
    assert snapshots.copy(store, other, manifest.digest).blobs < 4
    assert snapshots.exists(other, manifest.digest)


def test_big_content_leaves_a_mark_of_its_size(store: LocalStore, other: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * paths.BIG_BYTES)
    manifest = snapshots.ingest(store, tmp_path / "big")
    snapshots.copy(store, other, manifest.digest)
    for blobs in (store, other):
        assert blobs.stat(paths.size_mark(paths.BIG_BYTES)) is not None


def test_a_name_that_is_not_utf8_is_refused(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / os.fsdecode(b"\xff")).touch()
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        snapshots.ingest(store, tmp_path / "source")


def test_digests_of_names_are_found_again() -> None:
    assert paths.digest_in(paths.content(HELLO)) == HELLO
    assert paths.digest_in(paths.snapshot(Digest(HELLO))) == HELLO
    assert paths.digest_in("sizes/123") is None
