"""The part of the document store's contract about work and about many threads; `documents_contract.py` takes it in."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from entrepot.core.errors import RevisionMismatch, Unavailable
from entrepot.store.documents import (
    ABSENT,
    Document,
    DocumentStore,
    Enqueue,
    Facet,
    Finish,
    Measured,
    Postpone,
    Put,
    ReleaseLeases,
    Work,
)


class WorkContract:
    """Queues and leases. Time is the caller's."""

    def test_an_item_is_leased_once_until_the_lease_runs_out(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k", {"n": 1})])
        (work,) = documents.lease(["q"], owner="one", now=100, seconds=10)
        assert (work.queue, work.key, work.payload, work.attempt) == ("q", "k", {"n": 1}, 1)
        assert work.lease.startswith("one")
        assert documents.lease(["q"], owner="two", now=109.9, seconds=10) == ()
        (again,) = documents.lease(["q"], owner="two", now=110, seconds=10)
        assert (again.id, again.attempt) == (work.id, 2)

    def test_a_lost_lease_cannot_finish_or_postpone(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k")])
        (lost,) = documents.lease(["q"], owner="one", now=100, seconds=10)
        (held,) = documents.lease(["q"], owner="one", now=110, seconds=10)
        for change in (Finish(lost), Postpone(lost, due=1), Postpone(lost, renew_s=5)):
            with pytest.raises(RevisionMismatch):
                documents.commit([Put("k", {}), change])
        assert documents.get("k") is None
        documents.commit([Finish(held)])
        with pytest.raises(RevisionMismatch):
            documents.commit([Finish(held)])
        assert documents.lease(["q"], owner="one", now=1e9, seconds=1) == ()

    def test_the_oldest_due_items_of_the_asked_queues_come_first(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("a", "late", due=50), Enqueue("b", "early", due=10), Enqueue("c", "x", due=1)])
        documents.commit([Enqueue("a", "future", due=1000), Enqueue("a", "now"), Enqueue("b", "mid", due=20)])
        taken = documents.lease(["a", "b"], owner="o", now=100, seconds=500, limit=3)
        assert [work.key for work in taken] == ["now", "early", "mid"]
        taken = documents.lease(["a", "b"], owner="o", now=100, seconds=500, limit=3)
        assert [work.key for work in taken] == ["late"]
        assert documents.lease([], owner="o", now=100, seconds=500) == ()

    def test_a_store_that_is_measured_counts_what_is_in_it(self, documents: DocumentStore) -> None:
        if not isinstance(documents, Measured):
            return
        assert (dict(documents.backlog()), dict(documents.tally("jobs", "status"))) == ({}, {})
        documents.commit([Enqueue("a", "1"), Enqueue("a", "2"), Enqueue("b", "1", due=1e9)])
        documents.lease(["a"], owner="o", now=100, seconds=10)
        assert documents.backlog() == {"a": (1, 1), "b": (1, 0)}
        before = documents.commits.told()[0][-1][1]
        for key, state in (("j/1", "Running"), ("j/2", "Failed"), ("j/3", "Failed"), ("j/2", "Running")):
            documents.commit([Put(key, {}, facets=(Facet("jobs", "status", state), Facet("jobs", "owner", "x")))])
        assert documents.tally("jobs", "status") == {"Running": 2, "Failed": 1}
        within, sum_s = documents.commits.told()
        assert (within[-1][1] - before, sum_s > 0) == (4, True)

    def test_a_waiting_item_is_left_as_it_is(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k", "first", due=5)])
        documents.commit([Enqueue("q", "k", "second"), Enqueue("r", "k", "other queue")])
        assert documents.lease(["q"], owner="o", now=4, seconds=9) == ()
        (work,) = documents.lease(["q"], owner="o", now=5, seconds=9, limit=5)
        assert work.payload == "first"

    def test_an_item_enqueued_while_it_is_worked_on_comes_again(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k", "first")])
        (work,) = documents.lease(["q"], owner="o", now=1, seconds=100)
        documents.commit([Enqueue("q", "k", "second", due=3)])
        assert documents.lease(["q"], owner="o", now=4, seconds=100) == ()
        documents.commit([Finish(work)])
        assert documents.lease(["q"], owner="o", now=2, seconds=100) == ()
        (again,) = documents.lease(["q"], owner="o", now=4, seconds=100)
        assert (again.payload, again.attempt) == ("second", 1)
        documents.commit([Finish(again)])
        assert documents.lease(["q"], owner="o", now=1e9, seconds=1) == ()

    def test_postpone_gives_back_for_later(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k", {"n": 1})])
        (work,) = documents.lease(["q"], owner="o", now=1, seconds=100)
        documents.commit([Postpone(work, due=50)])
        assert documents.lease(["q"], owner="o", now=49, seconds=100) == ()
        (work,) = documents.lease(["q"], owner="o", now=50, seconds=100)
        assert (work.payload, work.attempt) == ({"n": 1}, 2)
        documents.commit([Postpone(work, payload={"n": 2})])
        (work,) = documents.lease(["q"], owner="o", now=50, seconds=100)
        assert (work.payload, work.attempt) == ({"n": 2}, 3)

    def test_postponed_work_that_was_enqueued_again_is_due_with_that(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k", "first")])
        (work,) = documents.lease(["q"], owner="o", now=1, seconds=100)
        documents.commit([Enqueue("q", "k", "second", due=20)])
        documents.commit([Postpone(work, due=1000)])
        assert documents.lease(["q"], owner="o", now=19, seconds=100) == ()
        (work,) = documents.lease(["q"], owner="o", now=20, seconds=100)
        documents.commit([Finish(work)])
        assert documents.lease(["q"], owner="o", now=1e9, seconds=1) == ()

    def test_renewal_prolongs_the_lease(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k")])
        (work,) = documents.lease(["q"], owner="o", now=100, seconds=10)
        documents.commit([Postpone(work, due=105, renew_s=20)])
        assert documents.lease(["q"], owner="p", now=124, seconds=10) == ()
        documents.commit([Finish(work)])

    def test_renewal_without_a_time_counts_from_the_clock(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", "k")])
        (work,) = documents.lease(["q"], owner="o", now=100, seconds=10)
        documents.commit([Postpone(work, renew_s=20)])
        assert documents.lease(["q"], owner="p", now=1_000_000_000, seconds=10) == ()

    def test_released_leases_are_due_at_once(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", name) for name in ("a", "b", "c")])
        (mine,) = documents.lease(["q"], owner="host/1", now=1, seconds=1000)
        (other,) = documents.lease(["q"], owner="host2/1", now=1, seconds=1000)
        (third,) = documents.lease(["q"], owner="host/2", now=1, seconds=1000)
        documents.commit([ReleaseLeases("host/")])
        taken = documents.lease(["q"], owner="host/3", now=2, seconds=1000, limit=5)
        assert [work.key for work in taken] == [mine.key, third.key]
        with pytest.raises(RevisionMismatch):
            documents.commit([Finish(mine)])
        documents.commit([Finish(other)])

    def test_parallel_workers_never_share_an_item(self, documents: DocumentStore) -> None:
        documents.commit([Enqueue("q", str(number)) for number in range(40)])

        def drain(worker: int) -> list[Work]:
            taken: list[Work] = []
            while batch := documents.lease(["q"], owner=f"w{worker}", now=1, seconds=1000, limit=2):
                documents.commit([Finish(work) for work in batch])
                taken += batch
            return taken

        with ThreadPoolExecutor(4) as pool:
            taken = [work.key for batch in pool.map(drain, range(4)) for work in batch]
        assert sorted(taken, key=int) == [str(number) for number in range(40)]

    def test_waiting_ends_when_work_is_enqueued(self, documents: DocumentStore) -> None:
        assert documents.lease(["q"], owner="o", now=1, seconds=1) == ()
        waiter = threading.Thread(target=documents.wait_for_work, args=(60,))
        waiter.start()
        documents.commit([Enqueue("q", "k")])
        waiter.join(30)
        assert not waiter.is_alive()

    def test_work_enqueued_between_lease_and_wait_is_not_missed(self, documents: DocumentStore) -> None:
        finished = threading.Event()
        leased, enqueued = threading.Event(), threading.Event()

        def work() -> None:
            documents.lease(["q"], owner="o", now=1, seconds=1)
            leased.set()
            enqueued.wait(30)
            documents.wait_for_work(60)
            finished.set()

        worker = threading.Thread(target=work)
        worker.start()
        assert leased.wait(30)
        documents.commit([Enqueue("q", "k")])
        enqueued.set()
        assert finished.wait(30)
        worker.join()

    def test_waiting_ends_at_the_timeout(self, documents: DocumentStore) -> None:
        documents.wait_for_work(0.01)
        documents.wait_for_work(0.01)


class ConcurrencyContract:
    """Many threads at once."""

    def test_of_parallel_creators_one_wins(self, documents: DocumentStore) -> None:
        barrier = threading.Barrier(8)

        def create(number: int) -> Document | None:
            barrier.wait(30)
            try:
                return documents.commit([Put("parent", {"by": number}), Put("k", {"by": number}, ABSENT)])[1]
            except RevisionMismatch:
                return None

        with ThreadPoolExecutor(8) as pool:
            made = [document for document in pool.map(create, range(8)) if document]
        assert [documents.get("k")] == made
        parent = documents.get("parent")
        assert parent is not None
        assert (parent.body, parent.revision) == (made[0].body, 1)

    def test_parallel_counters_lose_no_update(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {"n": 0})])

        def count(_: int) -> int:
            for attempt in range(1000):
                found = documents.get("k")
                assert found is not None
                try:
                    documents.commit([Put("k", {"n": found.body["n"] + 1}, match=found.revision)])
                except RevisionMismatch:
                    continue
                return attempt
            raise AssertionError("never got its turn")

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(count, range(30)))
        found = documents.get("k")
        assert found is not None
        assert (found.body["n"], found.revision) == (30, 31)

    def test_commits_that_cross_each_other_all_happen(self, documents: DocumentStore) -> None:
        def write(number: int) -> None:
            pair = ["a", "b"] if number % 2 else ["b", "a"]
            for _ in range(10):
                documents.commit([Put(key, {"by": number}) for key in pair])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        assert [document.revision for document in documents.scan("").documents] == [40, 40]

    def test_sequences_of_one_writer_increase(self, documents: DocumentStore) -> None:
        def write(writer: int) -> list[int]:
            return [documents.commit([Put(f"{writer}/{n}", {}, ABSENT)])[0].sequence for n in range(20)]

        with ThreadPoolExecutor(4) as pool:
            written = list(pool.map(write, range(4)))
        assert all(before < after for sequences in written for before, after in pairwise(sequences))
        assert len({sequence for sequences in written for sequence in sequences}) == 80

    def test_a_closed_store_says_so(self, documents: DocumentStore) -> None:
        documents.commit([Put("k", {})])
        documents.close()
        documents.close()
        with pytest.raises(Unavailable):
            documents.commit([Put("k", {})])
        with pytest.raises(Unavailable):
            documents.get("k")
