"""Durations, counted into buckets: cheap enough for every request, and all that a histogram needs."""

import threading
from bisect import bisect_left
from collections.abc import Sequence


class Durations:
    """Counts by upper bound in seconds, and their sum. Any thread may add."""

    __slots__ = ("_counts", "_guard", "_sum_s", "bounds_s")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self.bounds_s) + 1)
        self._sum_s = 0.0
        self._guard = threading.Lock()

    def add(self, seconds: float) -> None:
        """Count one."""
        with self._guard:
            self._counts[bisect_left(self.bounds_s, seconds)] += 1
            self._sum_s += seconds

    def told(self) -> tuple[list[tuple[float, int]], float]:
        """Return [(bound, how many took at most so long)], rising and ending with infinity, and the sum in seconds."""
        with self._guard:
            counts, sum_s = list(self._counts), self._sum_s
        found, total = [], 0
        for bound, count in zip((*self.bounds_s, float("inf")), counts, strict=True):
            total += count
            found.append((bound, total))
        return found, sum_s
