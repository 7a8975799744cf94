"""Counts that all workers of a replica share: requests, seconds spent in the model, requests under way.

One page of memory, made before the workers are forked; each worker writes its own row only, so no lock is needed.
"""

from __future__ import annotations

import mmap
import struct
from typing import Dict

_ROW = struct.Struct("=dddd")  # ready, requests, busy seconds, under way


class Counters:
    """A row of counts per worker."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, _ROW.size * workers)

    def write(self, worker: int, requests: int, busy_s: float, under_way: int) -> None:
        """Write a worker's row."""
        _ROW.pack_into(self._memory, worker * _ROW.size, 1.0, requests, busy_s, under_way)

    def reset(self, worker: int) -> None:
        """Mark a worker as not ready; what it counted stays."""
        _, requests, busy_s, _ = _ROW.unpack_from(self._memory, worker * _ROW.size)
        _ROW.pack_into(self._memory, worker * _ROW.size, 0.0, requests, busy_s, 0)

    def earlier(self, worker: int) -> "tuple[int, float]":
        """Return (requests, busy seconds) of a worker's row, where a new process goes on counting."""
        _, requests, busy_s, _ = _ROW.unpack_from(self._memory, worker * _ROW.size)
        return int(requests), busy_s

    def is_ready(self, worker: int) -> bool:
        """Say whether the worker has begun to serve."""
        return bool(_ROW.unpack_from(self._memory, worker * _ROW.size)[0])

    def totals(self) -> Dict[str, float]:
        """Return the sums over all workers."""
        rows = [_ROW.unpack_from(self._memory, worker * _ROW.size) for worker in range(self.workers)]
        ready, requests, busy_s, under_way = (sum(row[column] for row in rows) for column in range(4))
        return {
            "workers": self.workers, "ready": int(ready), "requests": int(requests), "busy_s": busy_s,
            "under_way": int(under_way),
        }  # fmt: skip
