"""Gathering: what comes meanwhile is finished together, and nobody waits for who takes long."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrepot.domain.concurrency.gathering import PATIENCE_S, Gatherer

WAIT_S = 60


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def wait_for(gatherer: Gatherer[int, int], done: threading.Event) -> None:
    """Do what the event loop does: ask again and again whether a thread must be added."""
    end = time.monotonic() + WAIT_S
    while not done.wait(PATIENCE_S):
        gatherer.hasten()
        assert time.monotonic() < end


def test_what_comes_while_one_is_finished_is_finished_together(executor: ThreadPoolExecutor) -> None:
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def finish(items: Sequence[int]) -> None:
        batches.append(list(items))
        begun.set()
        assert gate.wait(WAIT_S)
        if sum(map(len, batches)) == 9:
            done.set()

    gatherer: Gatherer[int, int] = Gatherer(executor, lambda item: item * 2, finish, threads=8)
    assert gatherer.put(1)
    assert begun.wait(WAIT_S)
    assert not any(gatherer.put(item) for item in range(2, 10))
    gate.set()
    assert done.wait(WAIT_S)
    assert batches == [[2], [4, 6, 8, 10, 12, 14, 16, 18]]


def test_what_takes_long_to_prepare_keeps_nobody_waiting(executor: ThreadPoolExecutor) -> None:
    slow, done, all_done = threading.Event(), threading.Event(), threading.Event()
    finished: list[int] = []

    def prepare(item: int) -> int:
        if item == 2:
            assert slow.wait(WAIT_S)
        return item

    def finish(items: Sequence[int]) -> None:
        finished.extend(items)
        if {1, 3, 4} <= set(finished):
            done.set()
        if len(finished) == 4:
            all_done.set()

    gatherer: Gatherer[int, int] = Gatherer(executor, prepare, finish, threads=8)
    for item in (1, 2, 3, 4):
        gatherer.put(item)
    wait_for(gatherer, done)
    assert 2 not in finished
    slow.set()
    wait_for(gatherer, all_done)


def test_a_slow_finish_is_followed_by_one_thread_not_by_many(executor: ThreadPoolExecutor) -> None:
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def finish(items: Sequence[int]) -> None:
        batches.append(sorted(items))
        begun.set()
        assert gate.wait(WAIT_S)
        if sum(map(len, batches)) == 4:
            done.set()

    gatherer: Gatherer[int, int] = Gatherer(executor, lambda item: item, finish, threads=8)
    gatherer.put(1)
    assert begun.wait(WAIT_S)
    for item in (2, 3, 4):
        gatherer.put(item)
    end = time.monotonic() + WAIT_S
    while gatherer.hasten():  # until a second thread has prepared all three and waits for its turn
        time.sleep(PATIENCE_S)
        assert time.monotonic() < end
    assert gatherer._running == 2
    gate.set()
    assert done.wait(WAIT_S)
    assert batches == [[1], [2, 3, 4]]


def test_what_is_over_in_preparation_is_not_finished(executor: ThreadPoolExecutor) -> None:
    done = threading.Event()
    finished: list[int] = []

    def finish(items: Sequence[int]) -> None:
        finished.extend(items)
        done.set()

    gatherer: Gatherer[int, int] = Gatherer(executor, lambda item: item if item != 1 else None, finish, threads=1)
    for item in (1, 2):
        gatherer.put(item)
    assert done.wait(WAIT_S)
    assert finished == [2]
