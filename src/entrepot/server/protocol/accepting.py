"""Accepting connections of the API: each is counted by its client's address before TLS or a protocol is begun."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from entrepot.server.protocol.door import Door, Visit

if TYPE_CHECKING:
    from entrepot.server.protocol.guarding import GuardedProtocol

_AT_ONCE = 64  # connections that are accepted before others are served again
_PAUSE_S = 0.25
_HANDSHAKE_S = 20.0

_log = logging.getLogger("entrepot.server")


class Accepting:
    """Accepts at one listening socket until it is closed; has what uvicorn asks of a server."""

    def __init__(
        self,
        listener: socket.socket,
        protocol: "Callable[[], GuardedProtocol]",
        door: Door,
        *,
        context: ssl.SSLContext | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._door = door
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = True
        self._listen()

    def close(self) -> None:
        """Accept no more. What was accepted goes on."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Return at once: there is nothing to wait for."""

    def _listen(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, (address, *_) = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of file descriptors: what waits stays in the backlog
                _log.error("no connection can be accepted just now: %s", error)
                self._loop.remove_reader(self._listener)
                self._loop.call_later(_PAUSE_S, self._listen)
                return
            visit = self._door.enter(address)
            if visit is None:
                sock.close()
                continue
            task = self._loop.create_task(self._admit(sock, visit))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _admit(self, sock: socket.socket, visit: Visit) -> None:
        """Give a connection to a protocol, which ends the visit when it has lost it."""

        def told() -> asyncio.Protocol:
            made = self._protocol()
            made.visit = visit
            return made

        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handshake_s = _HANDSHAKE_S if self._context else None
            await self._loop.connect_accepted_socket(told, sock, ssl=self._context, ssl_handshake_timeout=handshake_s)
        except OSError:  # gone meanwhile, or no TLS
            sock.close()
            visit.end()
