"""Combining callers: everyone gets their own result, those that wait share a turn, errors stay with their owners."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.domain.concurrency.combining import Combiner
from entrepot.domain.concurrency.locks import Locks


def test_those_that_wait_share_the_next_turn() -> None:
    combiner: Combiner[int, int] = Combiner()
    begun, gate = threading.Event(), threading.Event()
    batches: list[int] = []

    def work(items: Sequence[int]) -> list[int | Exception]:
        batches.append(len(items))
        begun.set()
        gate.wait(20)
        return [item * 2 for item in items]

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(combiner.run, "k", 1, work)
        assert begun.wait(20)
        others = [pool.submit(combiner.run, "k", n, work) for n in range(2, 10)]
        while len(combiner._waiting["k"]) < 8:
            pass
        gate.set()
        assert [first.result(20), *(other.result(20) for other in others)] == [n * 2 for n in range(1, 10)]
    assert batches == [1, 8]


def test_names_do_not_wait_for_each_other() -> None:
    combiner: Combiner[int, int] = Combiner()
    both = threading.Barrier(2, timeout=20)

    def work(items: Sequence[int]) -> list[int | Exception]:
        both.wait()
        return list(items)

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(combiner.run, key, 1, work) for key in ("a", "b")]
        assert [run.result(20) for run in runs] == [1, 1]


def test_an_error_goes_to_its_owner_and_a_failing_turn_to_all_in_it() -> None:
    combiner: Combiner[int, int] = Combiner()

    def choosy(items: Sequence[int]) -> list[int | Exception]:
        return [InvalidRequest(f"not {item}") if item % 2 else item for item in items]

    assert combiner.run("k", 2, choosy) == 2
    with pytest.raises(InvalidRequest, match="not 3"):
        combiner.run("k", 3, choosy)

    def broken(items: Sequence[int]) -> list[int | Exception]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        combiner.run("k", 1, broken)
    assert combiner.run("k", 4, choosy) == 4


def test_many_turns_lose_nobody() -> None:
    combiner: Combiner[int, int] = Combiner()
    total = [0]

    def work(items: Sequence[int]) -> list[int | Exception]:
        before = total[0]
        total[0] = before + sum(items)  # unsafe unless one turn is at a time
        return list(items)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda n: combiner.run("k", n, work), range(2000))) == list(range(2000))
    assert total[0] == sum(range(2000))


def test_a_lock_is_one_per_name_and_forgotten_when_free() -> None:
    locks = Locks()
    counted = [0]

    def add(_: int) -> None:
        with locks.of("a"):
            before = counted[0]
            counted[0] = before + 1

    with locks.of("b"), ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(500)))
    assert counted == [500]
    assert locks._held == {}
