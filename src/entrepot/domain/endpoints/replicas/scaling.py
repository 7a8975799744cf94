"""How many replicas the load asks for: from how busy they were, between `min_instances` and `max_instances`.

Up at once, down only when fewer were enough for a while; none at all after idling, where none is allowed.
"""

import math
from collections.abc import Mapping

from entrepot.domain.endpoints.replicas.probes import Load
from entrepot.domain.endpoints.replicas.recipes import Scale

_CALM_S = 60.0


class Scaler:
    """What was seen of a deployment's load."""

    def __init__(self, wanted: int, *, now: float) -> None:
        self.wanted = wanted
        self._seen: dict[str, tuple[float, Load]] = {}
        self._needed: list[tuple[float, int]] = []
        self._busy_at = now

    def look(self, loads: Mapping[str, Load], scale: Scale, *, now: float) -> int:
        """Take in the replicas' loads by id and return how many there should be, at least one."""
        busy, capacity, measured = 0.0, 0, 0
        for id, load in loads.items():
            then, earlier = self._seen.get(id, (now, load))
            if load.requests != earlier.requests or load.under_way:
                self._busy_at = now
            if now - then >= scale.interval_s:
                passed = max(0.0, load.busy_s - earlier.busy_s) / (now - then)
                busy += max(passed, min(load.under_way, load.workers) if load.busy_s == earlier.busy_s else 0.0)
                capacity += load.workers
                measured += 1
                self._seen[id] = (now, load)
            elif id not in self._seen:
                self._seen[id] = (now, load)
        for id in [id for id in self._seen if id not in loads]:
            del self._seen[id]
        if measured:
            workers = capacity / measured
            self._needed.append((now, math.ceil(busy / workers / scale.target - 1e-9)))
        self._needed = [(then, count) for then, count in self._needed if now - then <= _CALM_S]
        self.wanted = self._bounded(scale)
        return self.wanted

    def idle_s(self, now: float) -> float:
        """Return how long there has been no request."""
        return now - self._busy_at

    def stir(self, now: float) -> None:
        """Note that there is a request, whose replica has yet to wake."""
        self._busy_at = now

    def _bounded(self, scale: Scale) -> int:
        least = max(1, scale.least)
        if not self._needed:
            return min(max(self.wanted, least), scale.most)
        needed = max(count for _, count in self._needed)  # the most of the last minute: no fewer than that
        return min(max(needed, least), scale.most)
