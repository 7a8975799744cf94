"""Counts that all workers of a replica share: requests, seconds spent in the model, requests under way.

With them goes what the system knows of the workers: processor time and memory.

One page of memory, made before the workers are forked; each worker writes its own row only, so no lock is needed.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Any, Dict

_ROW = struct.Struct("=dddd")  # process (0: not ready), requests, busy seconds, under way
REQUESTS, BUSY_S, UNDER_WAY = 1, 2, 3  # places in a row
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Counters:
    """A row of counts per worker."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, _ROW.size * workers)

    def ready(self, worker: int) -> None:
        """Mark a worker, this process, as ready; what the row counted stays."""
        _, requests, busy_s, _ = self._row(worker)
        _ROW.pack_into(self._memory, worker * _ROW.size, os.getpid(), requests, busy_s, 0)

    def row(self, worker: int) -> Any:
        """Return a worker's row of numbers: there it counts REQUESTS, BUSY_S and UNDER_WAY, and its next process on."""
        return memoryview(self._memory).cast("d")[4 * worker : 4 * (worker + 1)]

    def reset(self, worker: int) -> None:
        """Mark a worker as not ready; what it counted stays."""
        _, requests, busy_s, _ = self._row(worker)
        _ROW.pack_into(self._memory, worker * _ROW.size, 0.0, requests, busy_s, 0)

    def is_ready(self, worker: int) -> bool:
        """Say whether the worker has begun to serve."""
        return bool(self._row(worker)[0])

    def totals(self) -> Dict[str, float]:
        """Return the sums over all workers."""
        rows = [self._row(worker) for worker in range(self.workers)]
        requests, busy_s, under_way = (sum(row[column] for row in rows) for column in (1, 2, 3))
        used = [_usage(int(row[0])) for row in rows if row[0]]
        return {
            "workers": self.workers, "ready": len(used), "requests": int(requests), "busy_s": busy_s,
            "under_way": int(under_way), "cpu_s": sum(cpu_s for cpu_s, _ in used),
            "memory_bytes": sum(memory for _, memory in used),
        }  # fmt: skip

    def _row(self, worker: int) -> "tuple[float, float, float, float]":
        process, requests, busy_s, under_way = _ROW.unpack_from(self._memory, worker * _ROW.size)
        return process, requests, busy_s, under_way


def _usage(process: int) -> "tuple[float, int]":
    """Return the processor seconds and the resident bytes of a process; nothing where the system does not tell."""
    try:
        with open("/proc/%d/stat" % process) as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE
