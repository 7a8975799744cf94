"""Combining: callers that want to change the same thing at the same time become one change, made by one of them.

Each durable commit costs a flush of the disk. Taking turns, callers on one name would pay one flush each; combined,
all that wait meanwhile share the next.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST = 64


class _Slot(Generic[T, R]):
    """One caller's item and what became of it."""

    __slots__ = ("answer", "item", "turn")

    def __init__(self, item: T) -> None:
        self.item = item
        self.answer: R | Exception | None = None
        self.turn: threading.Event | None = None


class Combiner(Generic[T, R]):
    """Runs work on the items of all callers of one key, a batch at a time; batches of other keys run beside it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, list[_Slot[T, R]]] = {}

    def run(self, key: str, item: T, work: Callable[[Sequence[T]], Sequence[R | Exception]]) -> R:
        """Have an item worked on and return its result. `work` returns a result or an error for each item of a batch.

        The caller whose turn it is works for all that wait; its own item is among them.
        """
        slot: _Slot[T, R] = _Slot(item)
        with self._guard:
            waiting = self._waiting.get(key)
            if waiting is None:
                waiting = self._waiting[key] = [slot]
            else:
                slot.turn = threading.Event()
                waiting.append(slot)
        if slot.turn is not None:
            slot.turn.wait()
        if slot.answer is None:
            self._lead(key, work)
        if isinstance(slot.answer, Exception):
            raise slot.answer
        assert slot.answer is not None
        return slot.answer

    def _lead(self, key: str, work: Callable[[Sequence[T]], Sequence[R | Exception]]) -> None:
        with self._guard:
            waiting = self._waiting[key]
            batch = waiting[:_MOST]
            del waiting[: len(batch)]
        try:
            answers: Sequence[R | Exception] = work([slot.item for slot in batch])
        except Exception as error:
            answers = [error] * len(batch)
        except BaseException as error:
            answers = [RuntimeError(f"interrupted: {error!r}")] * len(batch)
            raise
        finally:
            for slot, answer in zip(batch, answers, strict=True):
                slot.answer = answer
            self._pass_on(key, batch)

    def _pass_on(self, key: str, batch: Sequence[_Slot[T, R]]) -> None:
        with self._guard:
            waiting = self._waiting[key]
            if waiting:
                woken = [*batch, waiting[0]]  # the first of those that came meanwhile leads next
            else:
                del self._waiting[key]
                woken = list(batch)
        for slot in woken:
            if slot.turn is not None:
                slot.turn.set()
