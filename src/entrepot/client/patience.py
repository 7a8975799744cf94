"""Outlasting a server that is away: restarted, it goes on with its jobs, perhaps at another address."""

from __future__ import annotations

import time

from entrepot.client.failures import NoServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from entrepot.client.connection import Answer

LIMIT_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
AWAY = (502, 503, 504)
"""What a server that is ending answers, or a proxy whose server is gone."""


class Patience:
    """Asks again, at growing intervals, for up to `limit_s` per absence; `told` hears once of each that it waits."""

    def __init__(self, *, told: Callable[[str], None], limit_s: float = LIMIT_S) -> None:
        self._told = told
        self._limit_s = limit_s

    def outlast(self, ask: Callable[[], Answer], reconnect: Callable[[], None]) -> Answer:
        """Return the answer of a request that may be repeated. Raises NoServer when the server stays away."""
        end, pause = 0.0, FIRST_PAUSE_S
        while True:
            try:
                if end:
                    reconnect()
                answer = ask()
                if answer.status not in AWAY:
                    return answer
                failure = NoServer(f"The server answers with status {answer.status}.", hint="entrepot status")
            except NoServer as error:
                failure = error
            if not end:
                end = time.monotonic() + self._limit_s
                self._told(f"{failure.message} Waiting up to {_span(self._limit_s)} for it to come back.")
            if time.monotonic() >= end:
                gone = f"The server has not come back in {_span(self._limit_s)}. {failure.message}"
                raise NoServer(gone, hint=failure.hint)
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_S)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
