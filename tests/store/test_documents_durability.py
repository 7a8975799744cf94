"""What was acknowledged survives `kill -9`, and nothing half-made is ever seen. Processes share one database."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from entrepot.core.errors import NoRoom, RevisionMismatch, Unavailable
from entrepot.store.documents import ABSENT, Append, Change, DocumentStore, Enqueue, Facet, Finish, Link, Put
from entrepot.store.sql import open_documents
from entrepot.store.sql_sqlite import _Job

# Four threads commit numbered groups of changes; a line on stdout says that one has been acknowledged.
WRITER = """
import os, sys, threading
from entrepot.store.documents import Append, Delete, Enqueue, Facet, Link, Put
from entrepot.store.sql import open_documents

documents = open_documents(sys.argv[1])
first = int(sys.argv[2])

def write(thread):
    for number in range(first, first + 100_000):
        name = f"{thread}-{number}"
        documents.commit([
            Put(f"a/{name}", {"n": number}, 0, facets=(Facet("s", "name", name),)),
            Put(f"b/{name}", {"n": number}, 0),
            Link(f"a/{name}", "used", f"b/{name}"),
            Append("audit", name),
            Enqueue("q", name),
            Put("head", {"name": name}),
        ])
        os.write(1, f"{name}\\n".encode())

for thread in range(4):
    threading.Thread(target=write, args=(thread,)).start()
"""


def kill_a_writer(url: str, first: int, *, after_s: float) -> set[str]:
    """Start a writer, kill it `after_s` after its first acknowledgement, return all names it acknowledged."""
    command = [sys.executable, "-c", WRITER, url, str(first)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]
    reader = threading.Thread(target=lambda: lines.extend(writer.stdout or ()))
    reader.start()
    time.sleep(after_s)
    os.kill(writer.pid, signal.SIGKILL)
    assert writer.wait(30) == -signal.SIGKILL
    reader.join(30)
    writer.stdout.close()
    return {line.decode().strip() for line in lines if line.endswith(b"\n")}


def audit(documents: DocumentStore, acknowledged: set[str]) -> None:
    """Fail unless every acknowledged commit is there and every commit that is there is whole."""
    names = {document.key[2:] for document in documents.scan("a/", limit=1_000_000).documents}
    assert acknowledged <= names
    assert {document.key[2:] for document in documents.scan("b/", limit=1_000_000).documents} == names
    entries = documents.read("audit", limit=1_000_000)
    assert {entry.body for entry in entries} == names
    assert [entry.position for entry in entries] == list(range(1, len(names) + 1))
    queued = documents.lease(["q"], owner="o", now=time.time(), seconds=0, limit=1_000_000)
    assert {work.key for work in queued} == names
    for name in names:
        assert [document.key for document in documents.find("s", "name", name).documents] == [f"a/{name}"]
        assert [link.target for link in documents.links(f"a/{name}")] == [f"b/{name}"]
    head = documents.get("head")
    assert head is not None
    assert head.revision == len(names)


@pytest.mark.parametrize(("dialect", "rounds"), [("sqlite", 8), ("postgresql", 3)])
def test_a_killed_writer_loses_nothing_acknowledged(
    dialect: str, rounds: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "entrepot.db") if dialect == "sqlite" else request.getfixturevalue("postgres_url")
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    acknowledged: set[str] = set()
    for number in range(rounds):
        acknowledged |= kill_a_writer(url, number * 100_000, after_s=chance.uniform(0, 0.12))
        documents = open_documents(url)
        try:
            audit(documents, acknowledged)
        except AssertionError as error:
            raise AssertionError(f"round {number} of seed {seed}: {error}") from error
        finally:
            documents.close()
    assert len(acknowledged) > rounds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "entrepot.db"


@pytest.fixture
def documents(file: Path) -> Iterator[DocumentStore]:
    documents = open_documents(file)
    yield documents
    documents.close()


def test_sqlite_writes_ahead_and_syncs_every_commit(file: Path, documents: DocumentStore) -> None:
    # Pragmas are the connection's own, so ask the writer's: the one that a commit's work runs on.
    writer = documents._database._writer  # type: ignore[attr-defined]
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_of_a_group_only_the_failed_commit_is_undone(file: Path, documents: DocumentStore) -> None:
    """While another process holds the file, commits queue up behind it and then go as one group."""
    documents.commit([Put("taken", {})])
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcomes: dict[int, object] = {}

    def commit(number: int) -> None:
        changes: list[Change] = [Put(f"k/{number}", {}), Append("s", number)]
        if number % 2:
            changes.append(Put("taken", {}, ABSENT))
        try:
            outcomes[number] = documents.commit(changes)
        except RevisionMismatch as error:
            outcomes[number] = error

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    wait_for_waiting(documents, 9)  # the first leads, and is held up
    other.execute("ROLLBACK")
    other.close()
    for thread in threads:
        thread.join(30)
    assert {n for n, outcome in outcomes.items() if isinstance(outcome, RevisionMismatch)} == {1, 3, 5, 7, 9}
    assert sorted(d.key for d in documents.scan("k/").documents) == [f"k/{n}" for n in (0, 2, 4, 6, 8)]
    assert sorted(entry.body for entry in documents.read("s")) == [0, 2, 4, 6, 8]


def test_a_caller_that_is_interrupted_while_it_waits_holds_nobody_up(
    file: Path, documents: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C takes back what nobody has begun; whoever was to lead the next group still does."""
    interrupted, wait = threading.Event(), _Job.wait

    def wait_for_ctrl_c(job: _Job[object]) -> None:
        if threading.current_thread().name not in ("waits", "leads"):
            return wait(job)
        if threading.current_thread().name == "leads":
            wait(job)
        interrupted.set()
        raise KeyboardInterrupt

    def commit(key: str) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            documents.commit([Put(key, {})])

    monkeypatch.setattr(_Job, "wait", wait_for_ctrl_c)
    documents.commit([Put("k/0", {})])
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    threads = [threading.Thread(target=commit, args=(f"k/{name}",), name=name) for name in ("first", "leads", "last")]
    for number, thread in enumerate(threads):
        thread.start()
        wait_for_waiting(documents, number)
    commit_of_waits = threading.Thread(target=commit, args=("k/waits",), name="waits")
    commit_of_waits.start()
    commit_of_waits.join(30)
    other.execute("ROLLBACK")
    other.close()
    for thread in threads:
        thread.join(30)
    assert interrupted.is_set()
    assert {document.key for document in documents.scan("k/").documents} == {"k/0", "k/first", "k/leads", "k/last"}
    documents.commit([Put("k/after", {})])


def wait_for_waiting(documents: DocumentStore, count: int) -> None:
    """Return when so many commits wait behind the one that leads."""
    database = documents._database  # type: ignore[attr-defined]
    end = time.monotonic() + 60
    while not (database._is_led and len(database._waiting) == count):
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_full_disk_is_no_room_and_leaves_the_store_usable(documents: DocumentStore) -> None:
    documents.commit([Put("k", {})])
    writer = documents._database._writer  # type: ignore[attr-defined]
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    with pytest.raises(NoRoom):
        documents.commit([Put("large", {"text": "x" * 100_000})])
    assert documents.get("large") is None
    writer.execute("PRAGMA max_page_count = 1000000").fetchall()
    documents.commit([Put("large", {"text": "x" * 100_000})])
    assert documents.get("large") is not None


def test_readers_see_commits_of_other_processes(file: Path, documents: DocumentStore) -> None:
    assert documents.get("a/0-0") is None
    acknowledged = kill_a_writer(str(file), 0, after_s=0.01)
    audit(documents, acknowledged)


def test_threads_that_ended_leave_no_connection_open(file: Path, documents: DocumentStore) -> None:
    def open_files() -> int:
        return sum(str(file) in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())

    documents.commit([Put("k", {})])
    documents.get("k")
    before = open_files()
    for _ in range(20):
        thread = threading.Thread(target=documents.get, args=("k",))
        thread.start()
        thread.join()
    assert open_files() <= before + 2


def test_work_enqueued_by_another_process_wakes_a_waiting_one(postgres_url: str) -> None:
    worker, server = open_documents(postgres_url), open_documents(postgres_url)
    taken: list[str] = []

    def work() -> None:
        deadline = time.monotonic() + 60
        while not taken and time.monotonic() < deadline:
            worker.wait_for_work(60)
            for item in worker.lease(["q"], owner="o", now=1, seconds=60):
                worker.commit([Finish(item)])
                taken.append(item.key)

    worker.wait_for_work(60)  # ends when it has begun to listen, which counts as having missed something
    thread = threading.Thread(target=work)
    thread.start()
    server.commit([Enqueue("q", "k")])
    thread.join(30)
    assert taken == ["k"]
    worker.close()
    server.close()


def test_reads_outlive_a_restart_of_connections(postgres_url: str) -> None:
    documents = open_documents(postgres_url)
    documents.commit([Put("k", {}, facets=(Facet("s", "n", "v"),)), Link("k", "used", "l")])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert documents.get("k") is not None
    documents.commit([Put("k", {"n": 2})])
    documents.close()


def test_a_commit_on_a_broken_connection_says_so_and_the_next_one_works(postgres_url: str) -> None:
    documents = open_documents(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Unavailable):
        documents.commit([Put("k", {})])
    documents.commit([Put("k", {})])
    documents.close()
