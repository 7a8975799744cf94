"""Gathering: what comes while a thread works is finished together, in one commit instead of many.

Threads that wait for each other are dear in Python: each hand-over is a fight for the interpreter. So one thread
prepares what comes, one item after the other, and finishes all that is prepared when nothing more waits. An item that
takes long to prepare keeps nobody waiting: after a moment another thread goes on beside it, with what is prepared too.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")
P = TypeVar("P")

_MOST = 64
PATIENCE_S = 0.01


class Gatherer(Generic[T, P]):
    """Prepares items and finishes them together, on up to `threads` threads of an executor.

    `prepare` and `finish` must not raise; what `prepare` returns None for is over. One `finish` runs at a time.
    """

    def __init__(
        self,
        executor: Executor,
        prepare: Callable[[T], P | None],
        finish: Callable[[Sequence[P]], None],
        *,
        threads: int,
    ) -> None:
        self._executor = executor
        self._prepare = prepare
        self._finish = finish
        self._threads = threads
        self._guard = threading.Lock()
        self._finishing = threading.Lock()
        self._waiting: deque[T] = deque()
        self._ready: list[P] = []
        self._running = 0
        self._is_next = False  # a thread waits for its turn to finish, with all that is ready by then
        self._progress = time.monotonic()

    def put(self, item: T) -> bool:
        """Take an item in. False when a thread is at work already: call `hasten` in PATIENCE_S."""
        with self._guard:
            self._waiting.append(item)
            if self._running:
                return False
            self._begin()
        return True

    def hasten(self) -> bool:
        """Begin another thread if what waits has seen no progress of late; say whether to ask again."""
        with self._guard:
            needs_thread = bool(self._waiting or (self._ready and not self._is_next))
            is_late = time.monotonic() - self._progress >= PATIENCE_S
            if needs_thread and is_late and self._running < self._threads:
                self._begin()
            return needs_thread

    def _begin(self) -> None:
        self._executor.submit(self._work)  # raises when the executor ends
        self._running += 1
        self._progress = time.monotonic()

    def _work(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Prepare the next item, or finish what is prepared; False when others do both, and this thread is done."""
        with self._guard:
            self._progress = time.monotonic()
            if self._waiting and len(self._ready) < _MOST:
                item = self._waiting.popleft()
            elif self._ready and not self._is_next:
                item, self._is_next = None, True
            else:
                self._running -= 1
                return False
        if item is None:
            self._finish_ready()
        elif (prepared := self._prepare(item)) is not None:
            with self._guard:
                self._ready.append(prepared)
        return True

    def _finish_ready(self) -> None:
        with self._finishing:
            with self._guard:
                ready, self._ready, self._is_next = self._ready, [], False
            self._finish(ready)
