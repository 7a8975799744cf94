"""The files that Envoy watches: written when they change, renamed into place, in an order that loses no request.

What a route will need is there before the route; what no route needs any more goes some seconds after it. Envoy does
not read files in the order in which they were renamed: whoever wants one read before another waits for a mark between.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrepot.server.gateway.rendering import CLUSTERS, EPOCH, ROUTES, Files, epoch, resources
from entrepot.server.keys import private_folder

Json = Any

LINGER_S = 5.0


class WatchedFolder:
    """Keeps a folder as rendered. One thread uses it."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self._written: dict[str, bytes] = {}
        self._clusters: dict[str, Json] = {}
        self._leaving: dict[str, float] = {}

    @property
    def is_settled(self) -> bool:
        """True when nothing waits to be taken away."""
        return not self._leaving

    def write_clusters(self, files: Files) -> bool:
        """Make the clusters those rendered, and such as routes may still need; say whether that changed the file."""
        private_folder(self.folder)
        now = self._clock()
        for name in self._clusters.keys() - files.clusters.keys():
            self._leaving.setdefault(name, now + LINGER_S)
        for name in files.clusters:
            self._leaving.pop(name, None)
        for name in [name for name, until in self._leaving.items() if until <= now]:
            del self._leaving[name], self._clusters[name]
        self._clusters |= files.clusters
        return self._put(CLUSTERS, resources([self._clusters[name] for name in sorted(self._clusters)]))

    def write_routes(self, files: Files) -> bool:
        """Make the routes those rendered; say whether that changed the file."""
        return self._put(ROUTES, files.routes)

    def mark(self, text: str) -> None:
        """Have the probe answer this once Envoy has read it."""
        self._put(EPOCH, epoch(text))

    def _put(self, name: str, data: bytes) -> bool:
        if self._written.get(name) == data:
            return False
        draft = self.folder / f".{name}.draft"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
        draft.replace(self.folder / name)
        self._written[name] = data
        return True
