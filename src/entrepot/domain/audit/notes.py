"""Entries on their way to the trail that nobody waits for, and how many refusals of a principal are told one by one."""

import threading
import time
from collections.abc import Callable
from typing import Any

from entrepot.domain.audit import ALLOWED, STREAM
from entrepot.store.documents import Append, DocumentStore

Json = Any

TOLD_PER_MINUTE = 100
"""Refusals of one principal that have entries of their own; of more, it is told how many there were of what."""

_MINUTE_S = 60.0


class Notes:
    """What is to be written soon: refused reads, and writes that come by the thousand. Thread-safe.

    The same again before it is written is counted, not repeated. Beyond so many refusals in a minute those of a
    principal are counted by action, in one entry a minute for each, so that asking is not a way to fill the disk;
    nothing is dropped, and what was allowed is always told.
    """

    def __init__(self, told_per_minute: int = TOLD_PER_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self.told_per_minute = told_per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, ...], dict[str, Json]] = {}
        self._sums: dict[tuple[str, ...], dict[str, Json]] = {}
        self._told: dict[str, int] = {}
        self._minute = clock()

    def note(self, entry: dict[str, Json]) -> None:
        """Remember an entry until the next `write`."""
        who = entry["principal"]["id"]
        which = (who, entry["action"], entry["target"], entry["outcome"])
        with self._lock:
            known = self._waiting.get(which)
            if known is not None:
                known["count"] = known.get("count", 1) + entry.get("count", 1)
            elif entry["outcome"] == ALLOWED or self._admits(who):
                self._waiting[which] = entry
            else:
                self._add(entry)

    def admits(self, entry: dict[str, Json]) -> bool:
        """Say whether a refusal may have an entry of its own now, and count it as told."""
        with self._lock:
            return self._admits(entry["principal"]["id"])

    def write(self, documents: DocumentStore, *, is_last: bool = False) -> None:
        """Append what was noted since the last time, in one commit; what was counted, once a minute and at the last."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            sums: dict[tuple[str, ...], dict[str, Json]] = {}
            if is_last or self._clock() - self._minute >= _MINUTE_S:
                self._minute, self._told = self._clock(), {}
                sums, self._sums = self._sums, {}
        entries = [*waiting.values(), *sums.values()]
        if not entries:
            return
        try:
            documents.commit([Append(STREAM, entry) for entry in entries])
        except BaseException:
            with self._lock:
                _put_back(waiting, self._waiting)
                _put_back(sums, self._sums)
            raise

    def _admits(self, who: str) -> bool:
        told = self._told.get(who, 0)
        if told >= self.told_per_minute:
            return False
        self._told[who] = told + 1
        return True

    def _add(self, entry: dict[str, Json]) -> None:
        """Count a refusal among those of its principal and action."""
        which = (entry["principal"]["id"], entry["action"], entry["outcome"])
        known = self._sums.get(which)
        if known is None:
            first = {"target": entry["target"], "requestId": entry["requestId"]}
            known = self._sums[which] = {
                **entry,
                "target": "/",
                "requestId": "",
                "count": 0,
                "details": {"first": first},
            }
        known["count"] += entry.get("count", 1)
        known["details"]["until"] = entry["time"]


def _put_back(entries: dict[tuple[str, ...], dict[str, Json]], into: dict[tuple[str, ...], dict[str, Json]]) -> None:
    for which, entry in entries.items():
        later = into.get(which)
        into[which] = entry
        if later is not None:
            entry["count"] = entry.get("count", 1) + later.get("count", 1)
