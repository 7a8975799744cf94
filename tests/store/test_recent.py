"""What a store remembers of its reads is never older than what was committed."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.core.errors import RevisionMismatch, Unavailable
from entrepot.store.documents import ABSENT, Delete, DocumentStore, Put, View
from entrepot.store.recent import MISSING, Recent
from entrepot.store.sql import open_documents


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[DocumentStore]:
    opened = open_documents(tmp_path / "entrepot.db", fsync=False, is_alone=True)
    yield opened
    opened.close()


def test_an_answer_is_dropped_when_a_write_is_announced_and_none_is_kept_until_it_is_over() -> None:
    recent = Recent(1000)
    recent.keep(recent.ticket, "a", 1, size_bytes=1)
    recent.keep(recent.ticket, "b", 2, size_bytes=1)
    recent.announce({"a"})
    recent.keep(recent.ticket, "a", 1, size_bytes=1)
    assert (recent.recall("a"), recent.recall("b")) == (MISSING, 2)
    recent.over({"a"})
    recent.keep(recent.ticket, "a", None, size_bytes=1)
    assert recent.recall("a") is None


def test_a_read_that_a_write_overtook_is_not_kept() -> None:
    recent = Recent(1000)
    before = recent.ticket
    recent.announce({"a"})
    during = recent.ticket
    recent.over({"a"})
    recent.keep(before, "a", 1, size_bytes=1)
    recent.keep(during, "a", 1, size_bytes=1)
    assert recent.recall("a") is MISSING


def test_of_two_writes_of_one_name_the_last_one_ends_the_wait() -> None:
    recent = Recent(1000)
    recent.announce({"a"})
    recent.announce({"a"})
    recent.over({"a"})
    recent.keep(recent.ticket, "a", 1, size_bytes=1)
    assert recent.recall("a") is MISSING
    recent.over({"a"})
    recent.keep(recent.ticket, "a", 2, size_bytes=1)
    assert recent.recall("a") == 2


def test_what_a_write_made_is_kept_unless_another_wrote_the_same_name_meanwhile() -> None:
    recent = Recent(10)
    recent.announce({"a", "b"})
    recent.announce({"b"})
    recent.over({"a", "b"}, {"a": (1, 4), "b": (1, 4), "c": (1, 4)})
    assert [recent.recall(name) for name in "abc"] == [1, MISSING, MISSING]
    recent.over({"b"}, {"b": (2, 4)})
    assert recent.recall("b") is MISSING  # the first may have been the last
    recent.announce({"b"})
    assert recent.recall("a") == 1
    recent.over({"b"}, {"b": (3, 4)})
    assert recent.recall("b") == 3
    recent.announce({"b"})
    recent.over({"b"}, {"b": (4, 11)})
    assert recent.recall("b") is MISSING


def test_what_was_put_and_deleted_at_once_is_read_again(documents: DocumentStore) -> None:
    documents.commit([Put("c/a", {"n": 1}), Put("c/b", {}), Delete("c/a")])
    assert documents.get("c/a") is None
    documents.commit([Delete("c/b"), Put("c/b", {"n": 2}), Put("c/b", {"n": 3})])
    found = documents.get("c/b")
    assert found is not None
    assert found.body == {"n": 3}


def test_what_is_kept_stays_within_its_bytes() -> None:
    recent = Recent(10)
    for name in "abc":
        recent.keep(recent.ticket, name, name, size_bytes=4)
    recent.keep(recent.ticket, "large", 1, size_bytes=11)
    assert [recent.recall(name) for name in ("a", "b", "c", "large")] == [MISSING, MISSING, "c", MISSING]
    for _ in range(5):  # the same answer again takes no more room
        recent.keep(recent.ticket, "c", "c", size_bytes=4)
        recent.keep(recent.ticket, "d", "d", size_bytes=4)
    assert (recent.recall("c"), recent.recall("d")) == ("c", "d")


def test_a_repeated_read_sees_every_write_of_its_own_process(documents: DocumentStore) -> None:
    def read() -> tuple[object, list[str]]:
        found = documents.get("c/a")
        listed = documents.list("c", view=View.ALL).documents
        return found and found.body, [document.key for document in listed]

    assert (read(), read()) == ((None, []), (None, []))
    documents.commit([Put("c/a", {"n": 1}, match=ABSENT)])
    assert (read(), read()) == (({"n": 1}, ["c/a"]), ({"n": 1}, ["c/a"]))
    with pytest.raises(RevisionMismatch):
        documents.commit([Put("c/a", {"n": 2}), Put("c/a", {"n": 3}, match=ABSENT)])
    assert read() == ({"n": 1}, ["c/a"])
    documents.commit([Put("c/b", {})])
    assert read() == ({"n": 1}, ["c/b", "c/a"])
    documents.commit([Delete("c/a")])
    assert read() == (None, ["c/b"])


def test_readers_beside_writers_never_go_back_in_time(documents: DocumentStore) -> None:
    """Each reader sees only growing numbers, by key and in the list, and never less than what was acknowledged."""
    keys = [f"c/{number}" for number in range(4)]
    acknowledged = dict.fromkeys(keys, 0)
    documents.commit([Put(key, {"n": 0}) for key in keys])
    wrong: list[str] = []
    is_over = threading.Event()

    def write(key: str) -> None:
        for number in range(1, 150):
            documents.commit([Put(key, {"n": number})])
            acknowledged[key] = number

    def read(seed: int) -> None:
        chosen, seen = random.Random(seed), dict.fromkeys(keys, 0)
        while not is_over.is_set():
            key = chosen.choice(keys)
            least = max(seen[key], acknowledged[key])
            if chosen.random() < 0.5:
                document = documents.get(key)
            else:
                document = next(found for found in documents.list("c").documents if found.key == key)
            assert document is not None
            seen[key] = document.body["n"]
            if seen[key] < least:
                wrong.append(f"{key}: {seen[key]} after {least}")

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    writers = [threading.Thread(target=write, args=(key,)) for key in keys]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert acknowledged == dict.fromkeys(keys, 149)


def test_a_closed_store_answers_nothing_from_memory(tmp_path: Path) -> None:
    documents = open_documents(tmp_path / "entrepot.db", fsync=False, is_alone=True)
    documents.commit([Put("c/a", {})])
    assert documents.get("c/a") is not None
    documents.close()
    with pytest.raises(Unavailable):
        documents.get("c/a")
