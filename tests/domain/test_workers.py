"""Workers: work is taken at once, tried again when it fails, kept while it runs, resumed after a crash."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.domain.hub import Hub
from entrepot.domain.work import Workers
from entrepot.store.documents import Enqueue, Put, Work

PATIENCE_S = 20.0


def until(claim: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def started(hub: Hub) -> Iterator[Callable[..., Workers]]:
    """Start workers that are stopped at the end."""
    all_workers: list[Workers] = []

    def start(handler: Callable[[Hub, Work], None], *, slots: int = 2, owner: str = "server") -> Workers:
        workers = Workers(hub, {"q": handler}, {"q": slots}, owner=owner)
        workers.start()
        all_workers.append(workers)
        return workers

    yield start
    for workers in all_workers:
        workers.stop()


def enqueue(hub: Hub, *keys: str) -> None:
    hub.documents.commit([Enqueue("q", key, {"key": key}) for key in keys])


def is_empty(hub: Hub) -> bool:
    far = hub.clock.now() + 10_000
    return not hub.documents.lease(["q"], owner="peek", now=far, seconds=0)


def test_all_work_is_done_once_and_removed(hub: Hub, started: Callable[..., Workers]) -> None:
    done: list[str] = []
    workers = started(lambda _, work: done.append(work.payload["key"]))
    keys = [str(n) for n in range(40)]
    for key in keys:
        enqueue(hub, key)
    until(lambda: len(done) == 40)
    workers.stop()
    assert sorted(done) == sorted(keys)
    assert is_empty(hub)


def test_no_more_than_the_slots_run_at_once_and_they_are_all_used(hub: Hub, started: Callable[..., Workers]) -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)
    guard, running, most = threading.Lock(), [0], [0]

    def handle(_: Hub, work: Work) -> None:
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
        both.wait()
        with guard:
            running[0] -= 1
        done.append(work.key)

    done: list[str] = []
    started(handle, slots=2)
    enqueue(hub, *[str(n) for n in range(8)])
    until(lambda: len(done) == 8)
    assert most[0] == 2


def test_a_full_queue_does_not_hold_up_another(hub: Hub) -> None:
    gate, done = threading.Event(), threading.Event()
    handlers = {"slow": lambda _h, _w: gate.wait(PATIENCE_S), "quick": lambda _h, _w: done.set()}
    workers = Workers(hub, handlers, {})  # type: ignore[arg-type]
    workers.start()
    hub.documents.commit([Enqueue("slow", "1"), Enqueue("slow", "2")])
    hub.documents.commit([Enqueue("quick", "1")])
    assert done.wait(PATIENCE_S)
    gate.set()
    workers.stop()


def test_work_that_fails_is_tried_again(hub: Hub, started: Callable[..., Workers]) -> None:
    attempts: list[int] = []

    def handle(_: Hub, work: Work) -> None:
        attempts.append(work.attempt)
        if work.attempt == 1:
            raise InvalidRequest("not yet")

    started(handle)
    enqueue(hub, "a")
    until(lambda: len(attempts) == 2)
    assert attempts == [1, 2]


def test_work_of_a_process_that_died_is_done_at_the_next_start(hub: Hub, started: Callable[..., Workers]) -> None:
    enqueue(hub, "a")
    (lost,) = hub.documents.lease(["q"], owner="server/", now=hub.clock.now(), seconds=10_000)
    done: list[int] = []
    started(lambda _, work: done.append(work.attempt))
    until(lambda: bool(done))
    assert done == [lost.attempt + 1]


def test_work_of_another_living_server_is_left_alone(hub: Hub, started: Callable[..., Workers]) -> None:
    enqueue(hub, "a")
    hub.documents.lease(["q"], owner="server-2/", now=hub.clock.now(), seconds=10_000)
    done: list[str] = []
    started(lambda _, work: done.append(work.key), owner="server")
    enqueue(hub, "b")
    until(lambda: bool(done))
    assert done == ["b"]


def test_work_that_a_handler_enqueues_is_done_too(hub: Hub, started: Callable[..., Workers]) -> None:
    done: list[str] = []

    def handle(found: Hub, work: Work) -> None:
        done.append(work.key)
        if len(work.key) < 5:
            enqueue(found, work.key + "+")

    started(handle, slots=1)
    enqueue(hub, "a")
    until(lambda: len(done) == 5)
    assert done == ["a", "a+", "a++", "a+++", "a++++"]


def test_stopping_lets_running_work_end_and_takes_no_more(hub: Hub, started: Callable[..., Workers]) -> None:
    begun, gate = threading.Event(), threading.Event()

    def handle(found: Hub, work: Work) -> None:
        begun.set()
        gate.wait(PATIENCE_S)
        found.documents.commit([Put(f"done/{work.key}", {})])

    workers = started(handle, slots=1)
    enqueue(hub, "a", "b")
    assert begun.wait(PATIENCE_S)
    stopper = threading.Thread(target=workers.stop)
    stopper.start()
    until(workers.stopping.is_set)
    gate.set()
    stopper.join(PATIENCE_S)
    assert not stopper.is_alive()
    keys = [document.key for document in hub.documents.scan("done/").documents]
    assert len(keys) == 1
    assert not is_empty(hub)  # the other one waits for the next start
