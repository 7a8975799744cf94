"""A server that took a connection and is silent: is it at work, or does it hang? Asked beside the request that waits.

A request may rightly take minutes; a server that is well answers another one at once, and one that is stopped does not.
"""

from __future__ import annotations

import socket

from entrepot.client.failures import NoServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

SILENCE_S = 20.0
"""How long a silence may be before the server is asked for a sign of life."""
PROBE_S = 10.0
LIMIT_S = 600.0
"""How long one silence may be, whatever else the server answers."""


class Heartbeat:
    """Watches over the silences of one server, at (host, port)."""

    __slots__ = ("_address", "_is_tls", "_limit_s", "silence_s")

    def __init__(
        self, address: tuple[str, int], *, is_tls: bool, silence_s: float = SILENCE_S, limit_s: float = LIMIT_S
    ) -> None:
        self._address = address
        self._is_tls = is_tls
        self._limit_s = limit_s
        self.silence_s = min(silence_s, limit_s)

    def outwait(self, act: Callable[[], T]) -> T:
        """Run one call on a socket, again for as long as it times out and the server lives. Raises NoServer."""
        silences = 0
        while True:
            try:
                return act()
            except OSError as error:
                if not is_timeout(error):
                    raise
                silences += 1
                self.insist(silences * self.silence_s)

    def insist(self, silent_s: float) -> None:
        """Return when the server lives and may still answer. Raises NoServer that says what to do."""
        if not self._answers():
            raise NoServer(
                f"The server at {self._name} takes connections but has not answered for {silent_s:.0f} s, nor anything "
                "else just now: it is stopped, or has too much to do.",
                hint="entrepot status names its process: kill -CONT lets a stopped one go on; "
                "entrepot down and entrepot up start it anew",
            )
        if silent_s >= self._limit_s:
            raise NoServer(
                f"The server at {self._name} lives, but has not answered this in {silent_s:.0f} s.",
                hint="what was asked for may yet be done: look before you ask again",
            )

    @property
    def _name(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    def _answers(self) -> bool:
        """Say whether a new connection gets any answer at all."""
        try:
            with socket.create_connection(self._address, timeout=PROBE_S) as probe:
                if self._is_tls:
                    return _shakes_hands(probe)
                probe.sendall(f"GET / HTTP/1.1\r\nHost: {self._name}\r\nConnection: close\r\n\r\n".encode())
                return bool(probe.recv(1))
        except OSError:
            return False


def is_timeout(error: OSError) -> bool:
    """Say whether a call on a socket ran out of time: Python's clock, the kernel's, or the kernel's under TLS."""
    return isinstance(error, TimeoutError | BlockingIOError) or type(error).__name__.startswith("SSLWant")


def _shakes_hands(probe: socket.socket) -> bool:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is said over it: any handshake is a sign of life
    try:
        with context.wrap_socket(probe):
            return True
    except ssl.SSLError:
        return True
