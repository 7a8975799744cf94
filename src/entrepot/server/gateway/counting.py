"""What all gateways of a server counted: its own, and those elsewhere that follow it and tell with each question."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from entrepot.domain.endpoints.tallies import Counts, Tally
from entrepot.server.gateway.gateway import Gateway
from entrepot.server.gateway.rendering import cluster_name

_FOLLOWS_S = 10.0  # who has not asked for so long does not follow


@dataclass(frozen=True, slots=True)
class _Heard:
    tallies: Mapping[str, Tally]
    at: float


class Tellers:
    """Remembers the last that each gateway told, also of those that ended: their counts are not taken back."""

    def __init__(self, own: Gateway, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = own
        self._clock = clock
        self._guard = threading.Lock()
        self._heard: dict[str, _Heard] = {}
        self._own_names: set[str] = set()

    def heard(self, name: str, tallies: Mapping[str, Tally]) -> None:
        """Note what a gateway elsewhere counted since it began under this name."""
        with self._guard:
            self._heard[name] = _Heard(tallies, self._clock())

    def all(self) -> dict[str, Mapping[str, Tally]]:
        """Return what each gateway counted since it began, by its name and by cluster."""
        name, tallies = self._own.name, self._own.tallies()
        with self._guard:
            if name and tallies and name == self._own.name:
                self._heard[name] = _Heard(tallies, self._clock())
                self._own_names.add(name)
            return {name: found.tallies for name, found in self._heard.items()}

    def of(self, slug: str, deployment: str) -> Counts:
        """Return what each gateway counted of one deployment."""
        cluster = cluster_name(slug, deployment)
        return {name: found[cluster] for name, found in self.all().items() if cluster in found}

    @property
    def followers(self) -> int:
        """How many gateways elsewhere follow this server now."""
        now = self._clock()
        with self._guard:
            return sum(
                name not in self._own_names and now - found.at < _FOLLOWS_S for name, found in self._heard.items()
            )
