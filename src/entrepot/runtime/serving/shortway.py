"""uvicorn's HTTP protocol with a short way for small scoring requests: nearly all that there are.

The general way around run() costs a task in the loop's next round, two ASGI messages and a check of every header that
we wrote ourselves: a tenth of what a small model takes. A request whose head was seen before does without the parser
too (heads.py), and runs with all that came in the same round (rounds.py). It leans on names inside one minor version
of uvicorn, which is the one laid beside environments; any other goes the general way.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from importlib import import_module
from typing import Any, Dict, List, Optional, Tuple

from .answers import Answer
from .application import REMEMBERED, Application
from .rounds import Round

_VERSION = "0.54."
_BODY_LIMIT = 48 << 10  # below what makes uvicorn pause its reading: nobody would resume it here
_STATUS_LINES = {status.value: ("HTTP/1.1 %d %s\r\n" % (status.value, status.phrase)).encode() for status in HTTPStatus}


def protocol(application: Application) -> Any:
    """Return the class by which uvicorn is to serve an application, "auto" where the short way does not fit."""
    if not str(import_module("uvicorn").__version__).startswith(_VERSION):
        return "auto"
    try:
        base = import_module("uvicorn.protocols.http.httptools_impl").HttpToolsProtocol
    except ImportError:
        return "auto"
    return type("ShortWay", (_ShortWay, base), {"_round": Round(application)})


class _ShortWay:
    """What is put over uvicorn's protocol: a request is only noted until it is known which way it goes."""

    _url = b""
    _pieces: Optional[List[bytes]] = None  # of the body of a request that goes the short way
    _later: Any = None
    _heads: Any = None
    _round: Round
    _waiting = b""  # the data of a request that was read and is to be run
    _found: Any = None  # what the request that the parser is about to hear of was answered already
    _data = b""
    _first = b""  # the data in which the request under way began
    _is_between = True  # whether the parser waits for a request
    _is_last = False

    def connection_made(self: Any, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._heads = self.app.heads if isinstance(self.app, Application) else None

    def data_received(self: Any, data: bytes) -> None:
        if self._waiting:
            self._round.run()
        known = self._heads.recall(data) if self._is_between and self._heads is not None else None
        if known is not None and self._is_idle() and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._waiting = data
            self._round.add(self, known)
        else:
            self._parse(data)

    def answered(self: Any, known: Any) -> Optional[bytes]:
        """Run a request with a known head and return what is to be written, None when that is done or on its way."""
        data, self._waiting = self._waiting, b""
        if self.transport.is_closing():
            return None
        found = self.app.answer_known(*known)
        if type(found) is bytes:
            return found
        self._found = found
        self._parse(data)
        return None

    def eof_received(self: Any) -> Any:
        if self._waiting:
            self._round.run()
        return super().eof_received()  # type: ignore[misc]

    def _parse(self: Any, data: bytes) -> None:
        self._data = data
        super().data_received(data)  # type: ignore[misc]
        self._data = self._first = b""

    def on_message_begin(self: Any) -> None:
        self._is_between = False
        self._first = self._data
        self._known: Dict[bytes, bytes] = {}
        self._url = b""
        self._seen: List[Tuple[bytes, bytes]] = []

    def on_url(self: Any, url: bytes) -> None:
        self._url += url

    def on_header(self: Any, name: bytes, value: bytes) -> None:
        self._seen.append((name.lower(), value))

    def on_headers_complete(self: Any) -> None:
        known = self.app.known_if_short(self._seen, _BODY_LIMIT) if self._is_free() else None
        if known is None:
            self._repeat()
        else:
            self._known, self._pieces = known, []

    def on_body(self: Any, body: bytes) -> None:
        if self._pieces is None:
            super().on_body(body)  # type: ignore[misc]
        else:
            self._pieces.append(body)

    def on_message_complete(self: Any) -> None:
        self._is_between = True
        if self._pieces is None:
            super().on_message_complete()  # type: ignore[misc]
            return
        body, self._pieces = b"".join(self._pieces), None
        found, self._found = self._found, None
        if found is None:
            scope = self._scope()
            if self._first is self._data and self._heads is not None and self._known.keys() <= REMEMBERED:
                self._heads.remember(self._data, scope, body)
            found = self.app.answer_now(scope, body, self._known)
        if isinstance(found, Answer):
            if not self.transport.is_closing():
                self.transport.write(_rendered(found, self.server_state.default_headers))
            if self._is_last:
                self.transport.close()
            return
        self._later = functools.partial(_finish, found)
        self._repeat()
        super().on_body(body)  # type: ignore[misc]
        super().on_message_complete()  # type: ignore[misc]

    def shutdown(self: Any) -> None:
        """End the connection after the request under way."""
        if self._waiting:
            self._round.run()
        if self._pieces is None:
            super().shutdown()  # type: ignore[misc]
        else:
            self._is_last = True

    def _is_free(self: Any) -> bool:
        """Say whether nothing stands against the short way but, perhaps, the request's headers."""
        parser = self.parser
        if self._url != b"/score" or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return False
        return parser.should_keep_alive() and self._is_idle() and isinstance(self.app, Application)

    def _is_idle(self: Any) -> bool:
        """Say whether nothing waits to be answered or to be written."""
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def _repeat(self: Any) -> None:
        """Have uvicorn hear of the request from its beginning."""
        super().on_message_begin()  # type: ignore[misc]
        super().on_url(self._url)  # type: ignore[misc]
        for name, value in self._seen:
            super().on_header(name, value)  # type: ignore[misc]
        super().on_headers_complete()  # type: ignore[misc]

    def _start_asgi_task(self: Any, cycle: Any, app: Any) -> None:
        later, self._later = self._later, None
        super()._start_asgi_task(cycle, later or app)  # type: ignore[misc]

    def _scope(self: Any) -> Dict[str, Any]:
        return {
            "type": "http", "method": "POST", "path": "/score", "raw_path": b"/score", "query_string": b"",
            "headers": self._seen, "server": self.server, "client": self.client, "scheme": self.scheme,
        }  # fmt: skip


async def _finish(later: Any, scope: Any, receive: Any, send: Any) -> None:
    await later(receive, send)


def _rendered(answer: Answer, more: List[Tuple[bytes, bytes]]) -> bytes:
    parts = [_STATUS_LINES.get(answer.status) or b"HTTP/1.1 %d \r\n" % answer.status]
    parts += [b"%b: %b\r\n" % pair for pair in (*more, *answer.headers)]
    parts.append(b"content-length: %d\r\n\r\n" % len(answer.body))
    parts.append(answer.body)
    return b"".join(parts)
