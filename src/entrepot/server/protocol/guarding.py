"""uvicorn's HTTP protocol, with bounds on what a client may make it hold: bytes of a head, and time for everything.

uvicorn waits for ever for a first request, for the rest of a head, for a body and for an answer to be read, and keeps a
head of any size. Bodies are bounded where they are read.
"""

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from entrepot.core.settings import Settings
from entrepot.server.protocol.door import Visit
from entrepot.wire.arm import encode

_LOOK_S = 1.0
_GRACE_S = 30.0
_READING_S = 60.0
_LINGER_S = 3.0
_FRAMING = 8  # bytes of framing to a byte of body: chunks of one byte have five


class GuardedProtocol(HttpToolsProtocol):
    """Looks at its connection now and then, and ends it when the client is too slow."""

    _look: TimerHandle | None = None
    _head_since = 0.0  # 0: no head is awaited
    _head_bytes = 0  # that came before what comes now
    _now_bytes = 0
    _body_since = 0.0  # 0: no body is awaited
    _body_bytes = 0
    _framing_bytes = 0  # of chunks, and what comes behind the last one
    _unread: tuple[float, int] | None = None  # since when an answer waits in the buffer, and how much did then
    _is_refused = False
    visit: Visit | None = None

    @property
    def _settings(self) -> Settings:
        settings: Settings = self.app.settings
        return settings

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to look."""
        super().connection_made(transport)
        self._head_since = self.loop.time()
        self._look = self.loop.call_later(_LOOK_S, self._look_at)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        super().connection_lost(exc)
        if self.visit is not None:
            self.visit.end()
        if self._look is not None:
            self._look.cancel()

    def data_received(self, data: bytes) -> None:
        """Count what comes of a head that is not complete."""
        if self._is_refused:
            return
        if not self._body_since and not self._head_since:
            self._head_since, self._head_bytes = self.loop.time(), 0
        is_awaited, is_body, before = bool(self._head_since), bool(self._body_since), self._body_bytes
        self._now_bytes = len(data)
        super().data_received(data)
        if is_body and self._body_since:
            self._framing_bytes += len(data) - (self._body_bytes - before)
            if self._framing_bytes > self._settings.head_limit_bytes + _FRAMING * self._body_bytes:
                self.transport.abort()
        if is_awaited and self._head_since:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.head_limit_bytes:
                self._refuse()

    def on_message_begin(self) -> None:
        """Await a head."""
        super().on_message_begin()
        if not self._head_since:
            self._head_since, self._head_bytes = self.loop.time(), 0

    def on_headers_complete(self) -> None:
        """Refuse a head that came at once and is too long; else await a body."""
        if self._is_refused:
            return
        self._head_since = 0.0
        if self._head_bytes + self._now_bytes > self._settings.head_limit_bytes:  # else no head in it is too long
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._settings.head_limit_bytes:
                self._refuse()
                return
        self._body_since, self._body_bytes, self._framing_bytes = self.loop.time(), 0, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what comes of a body."""
        if not self._is_refused:
            self._body_bytes += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Await nothing more."""
        if not self._is_refused:
            self._body_since = 0.0
            super().on_message_complete()

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._unread = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, also when its last answer was never read."""
        if not self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _look_at(self) -> None:
        now = self.loop.time()
        if self._is_too_slow(now, self._settings.slowest_bytes_per_s):
            self.transport.abort()
            return
        self._look = self.loop.call_later(_LOOK_S, self._look_at)

    def _is_too_slow(self, now: float, slowest: int) -> bool:
        if self._head_since and now - self._head_since > self._settings.head_timeout_s:
            return True
        if self._body_since and self.flow.read_paused:
            self._body_since, self._body_bytes, self._framing_bytes = now, 0, 0  # it is we who do not read
        late_s = now - self._body_since - _GRACE_S if self._body_since else 0.0
        return (late_s > 0 and self._body_bytes < late_s * slowest) or self._is_unread(now, slowest)

    def _is_unread(self, now: float, slowest: int) -> bool:
        waiting = self.transport.get_write_buffer_size()
        if not waiting or self._unread is None:
            self._unread = (now, waiting) if waiting else None
            return False
        since, before = self._unread
        if now - since < _READING_S:
            return False
        self._unread = (now, waiting)
        return before - waiting < min(before, slowest * _READING_S)

    def _refuse(self) -> None:
        """Answer 431 and end, giving the client the time to read that."""
        self._is_refused, self._head_since, self._body_since = True, 0.0, 0.0
        limit = self._settings.head_limit_bytes
        message = f"The first line and the headers of a request may have {limit} bytes together"
        body: Any = encode({"error": {"code": "RequestHeaderFieldsTooLarge", "message": message}})
        head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
        self.transport.write(head + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.abort)
        else:
            self.transport.close()
