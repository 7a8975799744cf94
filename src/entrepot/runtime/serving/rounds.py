"""Requests that come in one round of the event loop: all are read before the first of them is run.

Run after run, and answer after answer, without the system's code for connections between them, the processor finds in
its caches what it needs: a seventh of a scikit-learn model's request. An answer waits for seven others at most, and
only where no run of late took a millisecond; one that does after all is not foreseen.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Deque, List, Tuple

from .application import Application

_HELD = 8  # answers that are written together
_BRISK = 100  # so many runs in a row must have been short before an answer waits for the next
_ROUND_S = 0.005  # after which the loop looks at connections again, which may be those of probes


class Round:
    """The requests of a worker's connections that were read and are to be run."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._waiting: Deque[Tuple[Any, Any]] = deque()

    def add(self, protocol: Any, known: Any) -> None:
        """Have a request run, with all that were read, once the loop has read the rest; see `Heads.recall`."""
        if not self._waiting:
            asyncio.get_event_loop().call_soon(self._run_on)
        self._waiting.append((protocol, known))

    def run(self, limit_s: float = float("inf")) -> None:
        """Run what waits, until so much time has passed."""
        end = time.perf_counter() + limit_s
        held: List[Tuple[Any, bytes]] = []
        try:
            while self._waiting and time.perf_counter() < end:
                protocol, known = self._waiting.popleft()
                answer = protocol.answered(known)
                if answer is not None:
                    held.append((protocol.transport, answer))
                if len(held) >= _HELD or self._application.brisk < _BRISK:
                    _write(held)
        finally:
            _write(held)

    def _run_on(self) -> None:
        self.run(_ROUND_S)
        if self._waiting:
            asyncio.get_event_loop().call_soon(self._run_on)


def _write(held: List[Tuple[Any, bytes]]) -> None:
    for transport, answer in held:
        if not transport.is_closing():
            transport.write(answer)
    held.clear()
