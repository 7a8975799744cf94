"""The server's own requests, counted by family of routes, method and class of status, with their durations.

Some hundred numbers in all, whoever asks for whatever: nothing of a path is kept.
"""

import threading
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from entrepot.core.durations import Durations

FAMILY = "entrepot.family"
"""Where a request's scope says of which family its route is; without, no route was found."""

_BOUNDS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
UNKNOWN = "none"


class Requests:
    """Counts of one process. Any thread may add."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, Durations] = {}

    def count(self, scope: MutableMapping[str, Any], status: int, began: float) -> None:
        """Count an answer to a request that began then, by `time.perf_counter`."""
        family = scope.get(FAMILY, UNKNOWN)
        durations = self._durations.get(family)
        if durations is None:
            durations = self._durations.setdefault(family, Durations(_BOUNDS_S))
        durations.add(time.perf_counter() - began)
        key = (family, scope["method"], status // 100)
        with self._guard:
            self._counts[key] = self._counts.get(key, 0) + 1

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Return {(family, method, class of status such as 2xx): answers}."""
        with self._guard:
            counts = list(self._counts.items())
        return {(family, method, f"{status}xx"): count for (family, method, status), count in counts}

    def durations(self) -> Mapping[str, Durations]:
        """Return the durations by family."""
        return dict(self._durations)
