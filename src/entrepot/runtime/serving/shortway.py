"""uvicorn's HTTP protocol with a short way for small scoring requests: nearly all that there are.

The general way around run() costs a task in the loop's next round, two ASGI messages and a check of every header that
we wrote ourselves: a tenth of what a small model takes. It leans on names inside one minor version of uvicorn, which
is the one laid beside environments; any other goes the general way.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from importlib import import_module
from typing import Any

from .answers import Answer
from .application import Application

_VERSION = "0.54."
_BODY_LIMIT = 48 << 10  # below what makes uvicorn pause its reading: nobody would resume it here
_STATUS_LINES = {status.value: ("HTTP/1.1 %d %s\r\n" % (status.value, status.phrase)).encode() for status in HTTPStatus}


def protocol() -> Any:
    """Return the protocol class for uvicorn's configuration, or "auto" where the short way does not fit."""
    if not str(import_module("uvicorn").__version__).startswith(_VERSION):
        return "auto"
    try:
        base = import_module("uvicorn.protocols.http.httptools_impl").HttpToolsProtocol
    except ImportError:
        return "auto"
    return type("ShortWay", (_ShortWay, base), {})


class _ShortWay:
    """What is put over uvicorn's protocol."""

    _held: Any = None

    def _start_asgi_task(self: Any, cycle: Any, app: Any) -> None:
        is_plain = isinstance(app, Application) and not cycle.waiting_for_100_continue and not cycle.flow.write_paused
        if not is_plain or not app.is_short(cycle.scope, _BODY_LIMIT):
            super()._start_asgi_task(cycle, app)  # type: ignore[misc]
        elif cycle.more_body:
            self._held = cycle  # until its body is complete
        else:
            self._answer(cycle, app)

    def on_message_complete(self: Any) -> None:
        super().on_message_complete()  # type: ignore[misc]
        held = self._held
        if held is not None and not held.more_body:
            self._held = None
            if not held.disconnected:
                self._answer(held, self.app)

    def _answer(self: Any, cycle: Any, app: Application) -> None:
        found = app.answer_now(cycle.scope, bytes(cycle.body))
        if not isinstance(found, Answer):
            super()._start_asgi_task(cycle, functools.partial(_finish, found))  # type: ignore[misc]
            return
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(_rendered(found, cycle))
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


async def _finish(later: Any, scope: Any, receive: Any, send: Any) -> None:
    await later(receive, send)


def _rendered(answer: Answer, cycle: Any) -> bytes:
    parts = [_STATUS_LINES.get(answer.status) or b"HTTP/1.1 %d \r\n" % answer.status]
    for name, value in cycle.default_headers:
        parts += (name, b": ", value, b"\r\n")
    for name, value in answer.headers:
        parts += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        parts.append(b"connection: close\r\n")
    parts.append(b"content-length: %d\r\n\r\n" % len(answer.body))
    parts.append(answer.body)
    return b"".join(parts)
