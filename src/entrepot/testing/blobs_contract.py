"""What every BlobStore must do, as tests. An implementation's own test class inherits them and gives two fixtures:

class TestMine(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore: ...

    @pytest.fixture
    def other(self, tmp_path: Path) -> BlobStore: ...  # a second, empty store
"""

import io
import os
import threading
from pathlib import Path

import pytest

from entrepot.core.errors import BlobMissing, InvalidRequest
from entrepot.store.blobs import BlobStore

BIG = 40 << 20  # more than any store moves at once


class BlobsContract:
    """The protocol's promises, one test each."""

    def test_a_blob_reads_back_as_it_was_put(self, blobs: BlobStore) -> None:
        assert blobs.put("sha256/ab/c", b"hello") == 5
        with blobs.open("sha256/ab/c") as file:
            assert file.read() == b"hello"
        found = blobs.stat("sha256/ab/c")
        assert found is not None and (found.name, found.size_bytes) == ("sha256/ab/c", 5) and found.modified > 0

    def test_a_stream_longer_than_memory_should_hold_reads_back(self, blobs: BlobStore) -> None:
        data = os.urandom(1 << 20) * (BIG >> 20) + b"tail"
        assert blobs.put("big", io.BytesIO(data)) == len(data)
        with blobs.open("big") as file:
            assert file.read() == data

    def test_an_empty_blob_is_a_blob(self, blobs: BlobStore) -> None:
        blobs.put("empty", b"")
        found = blobs.stat("empty")
        assert found is not None and found.size_bytes == 0
        with blobs.open("empty") as file:
            assert file.read() == b""

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [(0, None, b"0123456789"), (3, None, b"3456789"), (3, 4, b"3456"), (8, 100, b"89"), (10, 5, b""), (2, 0, b"")],
    )
    def test_a_range_is_what_lies_in_it(
        self, blobs: BlobStore, start: int, length: int | None, expected: bytes
    ) -> None:
        blobs.put("digits", b"0123456789")
        with blobs.open("digits", start=start, length=length) as file:
            assert file.read() == expected

    def test_a_missing_blob_has_no_stat_and_cannot_be_opened(self, blobs: BlobStore) -> None:
        blobs.put("folder/blob", b"x")
        assert blobs.stat("missing") is None
        assert blobs.stat("folder") is None
        with pytest.raises(BlobMissing):
            blobs.open("missing")
        with pytest.raises(BlobMissing):
            blobs.open("folder")

    def test_the_first_put_wins(self, blobs: BlobStore) -> None:
        blobs.put("name", b"first")
        assert blobs.put("name", b"other!") == 5
        blobs.sync()
        assert blobs.put("name", b"other!") == 5
        with blobs.open("name") as file:
            assert file.read() == b"first"

    def test_many_writers_of_one_name_leave_one_whole_blob(self, blobs: BlobStore) -> None:
        writings = [bytes([65 + n]) * 200_000 for n in range(8)]

        def write(data: bytes) -> None:
            blobs.put("contested", data)
            blobs.sync()

        threads = [threading.Thread(target=write, args=(data,)) for data in writings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with blobs.open("contested") as file:
            assert file.read() in writings

    def test_an_adopted_file_moves_in(self, blobs: BlobStore) -> None:
        file = blobs.staging / "arrived"
        file.write_bytes(b"from outside")
        assert blobs.adopt("adopted", file) == 12
        assert not file.exists()
        with blobs.open("adopted") as reading:
            assert reading.read() == b"from outside"

    def test_adopting_what_is_there_already_drops_the_file(self, blobs: BlobStore, tmp_path: Path) -> None:
        blobs.put("name", b"first")
        file = tmp_path / "second"
        file.write_bytes(b"second")
        assert blobs.adopt("name", file) == 5
        assert not file.exists()
        with blobs.open("name") as reading:
            assert reading.read() == b"first"

    def test_a_local_path_leads_to_the_bytes(self, blobs: BlobStore) -> None:
        blobs.put("name", b"bytes")
        path = blobs.local_path("name")
        assert path is None or path.read_bytes() == b"bytes"
        assert blobs.local_path("missing") is None

    def test_a_copy_from_another_store_is_whole_and_done_once(self, blobs: BlobStore, other: BlobStore) -> None:
        other.put("name", b"bytes")
        other.put("unsynced", b"more")
        blobs.copy_from(other, "name")
        blobs.copy_from(other, "unsynced")
        other.delete("name")
        with blobs.open("name") as file:
            assert file.read() == b"bytes"
        with blobs.open("unsynced") as file:
            assert file.read() == b"more"
        assert blobs.copy_from(other, "name") == 0

    def test_a_copy_of_what_the_other_lacks_is_refused(self, blobs: BlobStore, other: BlobStore) -> None:
        with pytest.raises(BlobMissing):
            blobs.copy_from(other, "missing")
        assert blobs.stat("missing") is None

    def test_a_deleted_blob_is_gone_and_may_come_again(self, blobs: BlobStore) -> None:
        blobs.put("name", b"one")
        blobs.delete("name")
        blobs.delete("name")
        assert blobs.stat("name") is None
        blobs.put("name", b"two")
        blobs.sync()
        blobs.delete("name")
        assert blobs.stat("name") is None

    def test_a_list_is_in_name_order_and_below_its_prefix(self, blobs: BlobStore) -> None:
        names = ["a", "a.b", "a/b", "a/b/c2", "a/b1", "a0", "b/x"]
        names.remove("a")  # a file system has no file and folder of one name
        names.remove("a/b")
        for name in reversed(names):
            blobs.put(name, name.encode())
        assert [stat.name for stat in blobs.list("")] == sorted(names)
        assert [stat.name for stat in blobs.list("a/")] == ["a/b/c2", "a/b1"]
        assert [stat.name for stat in blobs.list("a/b")] == ["a/b/c2", "a/b1"]
        assert [stat.name for stat in blobs.list("a/b/")] == ["a/b/c2"]
        assert [stat.name for stat in blobs.list("zzz")] == []
        assert [stat.size_bytes for stat in blobs.list("b/")] == [3]

    @pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out", "", "a//b", ".staging/x", "a\x00b"])
    def test_a_name_that_would_leave_the_store_is_refused(self, blobs: BlobStore, name: str) -> None:
        with pytest.raises(InvalidRequest):
            blobs.put(name, b"x")
        with pytest.raises(InvalidRequest):
            blobs.open(name)
        with pytest.raises(InvalidRequest):
            blobs.local_path(name)

    def test_free_room_is_a_number_or_unlimited(self, blobs: BlobStore) -> None:
        free = blobs.free_bytes()
        assert free is None or free > 0

    def test_a_failing_source_leaves_nothing(self, blobs: BlobStore) -> None:
        class Failing(io.RawIOBase):
            def __init__(self) -> None:
                self.left = 3

            def readable(self) -> bool:
                return True

            def read(self, size: int = -1) -> bytes:
                self.left -= 1
                if self.left == 0:
                    raise OSError("the source broke")
                return b"x" * 1000

        with pytest.raises(OSError, match="the source broke"):
            blobs.put("broken", Failing())  # type: ignore[arg-type]
        assert blobs.stat("broken") is None
        assert list(blobs.list("")) == []
