"""Answers of reads that one process keeps, and drops before a write that would change them can be seen.

Only for a database that this process alone writes: SQLite in a home whose lock the server holds.

Why nothing outdated is ever returned: an answer hangs on one name (a document's key, or a collection). A write
announces its names before its transaction begins; that drops their answers, and none is kept for these names until the
write is over. A read that began before a write was announced or over notices so by `ticket`, and is not kept either.
What a write made of a name is kept at once, unless another wrote it meanwhile: who of the two was last is not known.
"""

import threading
from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from typing import Any

MISSING = object()
"""What `recall` returns for a question whose answer is not kept. None is an answer."""

_NOTHING = (MISSING, 0)
_NONE: Mapping[str, tuple[Any, int]] = {}


class Recent:
    """The last answers, by the name that they hang on and the question. Thread-safe; recalling takes no lock."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._answers: dict[str, dict[Hashable, tuple[Any, int]]] = {}
        self._size_bytes = 0
        self._writing: Counter[str] = Counter()
        self._contended: set[str] = set()  # names that several writes have announced, until all are over
        self._ticket = 0
        self._is_closed = False

    @property
    def ticket(self) -> int:
        """What a read takes before it asks the database, for `keep`."""
        return self._ticket

    def recall(self, name: str, question: Hashable = None) -> Any:
        """Return the answer that is kept, or MISSING."""
        answers = self._answers.get(name)
        return MISSING if answers is None else answers.get(question, _NOTHING)[0]

    def keep(self, ticket: int, name: str, answer: Any, *, question: Hashable = None, size_bytes: int) -> None:
        """Keep the answer of a read that took this ticket, unless a write was announced or over since."""
        with self._lock:
            if ticket != self._ticket or name in self._writing or size_bytes > self._capacity_bytes or self._is_closed:
                return
            self._put(name, question, answer, size_bytes)

    def announce(self, names: Collection[str]) -> None:
        """Drop what hangs on these names, and keep nothing for them until `over`."""
        with self._lock:
            self._ticket += 1
            for name in names:
                self._writing[name] += 1
                if self._writing[name] > 1:
                    self._contended.add(name)
                for _, size_bytes in self._answers.pop(name, {}).values():
                    self._size_bytes -= size_bytes

    def over(self, names: Collection[str], written: Mapping[str, tuple[Any, int]] = _NONE) -> None:
        """End what `announce` began: the write is committed, or will never be.

        `written`: what is to be answered from now on for the plain question of these names, with its size in bytes.
        """
        with self._lock:
            self._ticket += 1
            for name in names:
                self._writing[name] -= 1
                if not self._writing[name]:
                    del self._writing[name]
                    if name in self._contended:
                        self._contended.discard(name)
                    elif name in written and written[name][1] <= self._capacity_bytes and not self._is_closed:
                        self._put(name, None, *written[name])

    def _put(self, name: str, question: Hashable, answer: Any, size_bytes: int) -> None:
        """Keep an answer; the lock is held."""
        self._size_bytes += size_bytes
        if self._size_bytes > self._capacity_bytes:  # forget all: rare, and cheaper than to know the oldest
            self._answers = {}
            self._size_bytes = size_bytes
        answers = self._answers.setdefault(name, {})
        self._size_bytes -= answers.get(question, _NOTHING)[1]
        answers[question] = (answer, size_bytes)

    def close(self) -> None:
        """Forget everything, and keep nothing any more."""
        with self._lock:
            self._is_closed = True
            self._answers = {}
