"""What only files can do: durability in the right order, links instead of copies, and cleaning up after the dead."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import Region
from entrepot.store import disk
from entrepot.store.depots import CloudDepots, LocalDepots, open_depots
from entrepot.store.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    opened = LocalStore(tmp_path / "store")
    yield opened
    opened.close()


def staged(root: Path) -> list[Path]:
    return [file for file in (root / ".staging").rglob("*") if file.is_file() and file.suffix != ".lock"]


def test_a_name_appears_on_disk_only_at_the_flush(store: LocalStore, tmp_path: Path) -> None:
    store.put("sha256/ab/c", b"bytes")
    assert store.stat("sha256/ab/c") is not None
    assert not (tmp_path / "store/sha256").exists()
    store.sync()
    assert (tmp_path / "store/sha256/ab/c").read_bytes() == b"bytes"
    assert staged(tmp_path / "store") == []


def watch(monkeypatch: pytest.MonkeyPatch, name: str, seen: Callable[[], None]) -> None:
    """Call `seen` before each call of a function of `disk`, which still does its work."""
    original = getattr(disk, name)

    def watched(argument: object) -> None:
        seen()
        original(argument)

    monkeypatch.setattr(disk, name, watched)


def test_bytes_are_flushed_before_the_name_is_given(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path / "store/sha256/ab/c"
    events: list[tuple[str, bool]] = []
    watch(monkeypatch, "flush_data", lambda: events.append(("data", name.exists())))
    watch(monkeypatch, "flush_folder", lambda: events.append(("names", name.exists())))
    store.put("sha256/ab/c", b"bytes")
    store.sync()
    assert events[0] == ("data", False) and set(events[1:]) == {("names", True)}, events


def test_many_small_puts_share_one_flush(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    watch(monkeypatch, "flush_file_system", lambda: flushed.append("all"))
    watch(monkeypatch, "flush_data", lambda: flushed.append("one"))
    for n in range(100):
        store.put(f"sha256/{n:02x}/{n}", b"x")
    store.sync()
    assert flushed == ["all", "all"]
    assert sum(1 for _ in store.list("sha256/")) == 100


def test_files_in_the_store_are_read_only(store: LocalStore, tmp_path: Path) -> None:
    store.put("one", b"1")
    file = tmp_path / "mine"
    file.write_bytes(b"2")
    file.chmod(0o666)
    store.adopt("two", file)
    store.sync()
    assert {oct((tmp_path / "store" / name).stat().st_mode & 0o777) for name in ("one", "two")} == {"0o444"}


def test_adopting_a_file_that_has_another_name_does_not_share_it(store: LocalStore, tmp_path: Path) -> None:
    file, twin = tmp_path / "file", tmp_path / "twin"
    file.write_bytes(b"before")
    os.link(file, twin)
    store.adopt("name", file)
    store.sync()
    twin.write_bytes(b"after!")
    assert (tmp_path / "store/name").read_bytes() == b"before"


def test_adopting_a_symbolic_link_is_refused(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidRequest, match="not a regular file"):
        store.adopt("name", tmp_path / "link")


def test_a_copy_on_the_same_disk_moves_no_bytes(store: LocalStore, tmp_path: Path) -> None:
    other = LocalStore(tmp_path / "other")
    other.put("name", b"bytes")
    other.sync()
    assert store.copy_from(other, "name") == 0
    store.sync()
    assert (tmp_path / "store/name").samefile(tmp_path / "other/name")
    other.close()


def test_an_opened_blob_is_a_real_file(store: LocalStore) -> None:
    store.put("name", b"0123456789")
    with store.open("name", start=4) as file:
        assert os.pread(file.fileno(), 3, 4) == b"456"
        assert file.read() == b"456789"


def test_staged_files_of_a_killed_process_are_removed_at_the_next_start(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from entrepot.store.local import LocalStore\n"
        "store = LocalStore(pathlib.Path(sys.argv[1]))\n"
        "store.put('acknowledged', b'kept'); store.sync()\n"
        "store.put('pending', b'lost')\n"
        "(store.staging / 'half').write_bytes(b'half')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "store")], check=False)
    assert {file.name for file in staged(tmp_path / "store")} >= {"half"}
    store = LocalStore(tmp_path / "store")
    assert staged(tmp_path / "store") == []
    assert store.stat("acknowledged") is not None
    assert store.stat("pending") is None
    store.close()


def test_opening_a_store_twice_leaves_the_other_process_its_staged_files(tmp_path: Path) -> None:
    first = LocalStore(tmp_path / "store")
    first.put("name", b"bytes")
    second = LocalStore(tmp_path / "store")
    second.close()
    first.sync()
    assert (tmp_path / "store/name").read_bytes() == b"bytes"
    first.close()


def test_closing_finishes_what_was_put_and_leaves_nothing_behind(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put("name", b"bytes")
    store.close()
    store.close()
    assert (tmp_path / "store/name").read_bytes() == b"bytes"
    assert list((tmp_path / "store/.staging").iterdir()) == []


@pytest.mark.parametrize("sizes", [[33 << 20, 12345], [1 << 20] * 33 + [5], [100, 1 << 20, 33 << 20]])
def test_a_writer_keeps_every_byte_whatever_the_pieces(tmp_path: Path, sizes: list[int]) -> None:
    buffer = disk.aligned_buffer(max(sizes))
    buffer[:] = (os.urandom(1 << 16) * (len(buffer) // (1 << 16) + 1))[: len(buffer)]
    writer = disk.Writer(tmp_path / "file", expected_bytes=sum(sizes))
    for size in sizes:
        writer.write(buffer[:size])
    writer.close()
    assert (tmp_path / "file").read_bytes() == b"".join(bytes(buffer[:size]) for size in sizes)


def test_depots_keep_regions_apart(tmp_path: Path) -> None:
    depots = LocalDepots(tmp_path, fsync=False)
    east, west = depots.of(Region("eastus")), depots.of(Region("westus"))
    east.put("name", b"bytes")
    assert west.stat("name") is None
    assert depots.of(Region("eastus")) is east
    depots.close()


def test_depots_of_a_bucket_keep_regions_apart_and_copy_inside_it(tmp_path: Path) -> None:
    depots = open_depots(tmp_path, url="memory://")
    assert isinstance(depots, CloudDepots)
    east, west = depots.of(Region("eastus")), depots.of(Region("westus"))
    east.put("name", b"bytes")
    assert west.stat("name") is None
    assert west.copy_from(east, "name") == 0
    assert west.stat("name") is not None
    depots.close()


def test_a_url_that_is_no_object_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="use memory://, s3://"):
        open_depots(tmp_path, url="ftp://host/path")
