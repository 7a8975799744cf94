"""A server elsewhere, as what a gateway follows: asked again and again, and remembered while it does not answer.

What was told last is in a file, so that a gateway that starts while the server is down serves what it knew.
"""

import http.client
import json
import logging
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from entrepot.core.errors import Unauthenticated
from entrepot.domain.endpoints.routing import EndpointRoute
from entrepot.domain.endpoints.tallies import Tally
from entrepot.server.gateway.sources import NOTHING_KNOWN, Api
from entrepot.server.keys import write_private
from entrepot.wire.endpoints import gateways as wire
from entrepot.wire.endpoints.gateways import Report, State

_TIMEOUT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_REMEMBERED = "followed.json"

log = logging.getLogger("entrepot.gateway")

Told = Callable[[], tuple[str, Mapping[str, Tally]]]
"""Tells the gateway's name and what it counted."""


class Followed:
    """Keeps asking in a thread of its own. `find` tells where the server is now: one may come back on another port."""

    def __init__(self, find: Callable[[], Api], secret: str, folder: Path) -> None:
        self._find = find
        self._secret = secret
        self._file = folder / _REMEMBERED
        self._api = find()
        self._state = self._remembered()
        self._told: Told = lambda: ("", {})
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.refusal: Unauthenticated | None = None

    @property
    def api(self) -> Api:
        """Where the server was found last."""
        return self._api

    def epoch(self) -> int:
        """Return how far the server had come."""
        return self._state.epoch

    def endpoints(self) -> Sequence[EndpointRoute]:
        """Return the endpoints that it told last."""
        return self._state.endpoints

    def start(self, told: Told) -> None:
        """Begin to ask."""
        self._told = told
        self._thread = threading.Thread(target=self._loop, name="following", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, but tell the server the last that was counted, if it answers."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join()
        connection = _connection(self._api)
        try:
            self._ask(connection)
        except (Unauthenticated, OSError, http.client.HTTPException, ValueError) as error:
            log.warning("the last counts could not be told: %s", error)
        finally:
            connection.close()

    def _loop(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                self._ask_on()
            except Unauthenticated as error:
                self.refusal = error
                self._tell(error.message)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._tell(f"the server at {self._api.host}:{self._api.port} cannot be followed: {error}")
            else:
                pause_s = _FIRST_PAUSE_S
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _ask_on(self) -> None:
        """Ask over one connection for as long as it answers."""
        self._api = self._find()
        connection = _connection(self._api)
        try:
            while not self._stopping.is_set():
                self._ask(connection)
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        name, tallies = self._told()
        body = wire.report(Report(name, self._state.epoch, tallies))
        headers = {"x-entrepot-gateway": self._secret, "Content-Type": "application/json"}
        connection.request("POST", "/gateway/follow", body=body, headers=headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status == http.client.UNAUTHORIZED:
            raise Unauthenticated("The server refuses the key: it is in keys/gateway.key of the server's home")
        if answer.status == http.client.OK:
            self._state = wire.read_state(data)
            write_private(self._file, data.decode())
        elif answer.status != http.client.NO_CONTENT:
            raise OSError(f"it answered {answer.status}: {data[:200].decode(errors='replace')}")
        if self._trouble:
            log.info("the server at %s:%d is followed again", self._api.host, self._api.port)
        self._trouble, self.refusal = "", None

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("%s; what it told last is served on", trouble)
        self._trouble = trouble

    def _remembered(self) -> State:
        try:
            return wire.read_state(self._file.read_bytes())
        except (OSError, ValueError):
            return State(NOTHING_KNOWN, ())


def _connection(api: Api) -> http.client.HTTPConnection:
    if not api.authority:
        return http.client.HTTPConnection(api.host, api.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context(cafile=api.authority)
    return http.client.HTTPSConnection(api.host, api.port, timeout=_TIMEOUT_S, context=context)


def found_in(home: Path) -> Callable[[], Api]:
    """Return what finds the server of a home of this machine, running or not. Raises OSError, ValueError."""

    def find() -> Api:
        told = json.loads((home / "run" / "server.json").read_text())
        host, _, port = str(told["url"]).rpartition("://")[2].rpartition(":")
        return Api(host.strip("[]"), int(port))

    return find
