"""uvicorn's HTTP protocol with short ways for the requests that neither wait nor stream: nearly all.

A point read takes 0.01 ms, a tenth of what the general way around it takes: a task in the loop's next round, two
ASGI messages, and a check of every header that we made ourselves. So reads are answered as soon as their headers are
complete, and small writes handed to a thread when their body is. All else goes uvicorn's way.
"""

from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from entrepot.server.app import Application, Scope
from entrepot.server.calls import Answer
from entrepot.server.protocol.guarding import GuardedProtocol

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class EagerProtocol(GuardedProtocol):
    """Answers inline reads at once and short writes without a task."""

    _held: tuple[RequestResponseCycle, Any] | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope = cast(Scope, cycle.scope)
        if not isinstance(app, Application) or cycle.flow.write_paused:
            super()._start_asgi_task(cycle, app)
        elif answer := app.answer_now(scope):
            self._complete(cycle, answer)
        elif cycle.waiting_for_100_continue or not app.is_short(scope):
            super()._start_asgi_task(cycle, cast(Any, app))
        elif cycle.more_body:
            self._held = (cycle, app)  # until its body is complete
        else:
            self._hand_over(cycle, app)

    def on_headers_complete(self) -> None:
        """Let what comes behind a body in chunks be no header: no proxy before this server has looked at it."""
        super().on_headers_complete()
        self.headers = []

    def on_message_complete(self) -> None:
        """Hand the request whose body is complete now to a thread."""
        super().on_message_complete()
        if self._held is not None and not self._held[0].more_body:
            cycle, app = self._held
            self._held = None
            self._hand_over(cycle, app)

    def _hand_over(self, cycle: RequestResponseCycle, app: Application) -> None:
        app.answer_apart(cast(Scope, cycle.scope), bytes(cycle.body), partial(self._complete, cycle))

    def _complete(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        assert answer.chunks is None, "only routes that are long may stream"
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected:
            return
        cycle.transport.write(_rendered(answer, cycle))
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def _rendered(answer: Answer, cycle: RequestResponseCycle) -> bytes:
    parts = [_STATUS_LINES[answer.status]]
    for name, value in cycle.default_headers:
        parts += (name, b": ", value, b"\r\n")
    for name, value in answer.headers:
        parts += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        parts.append(b"connection: close\r\n")
    parts.append(b"\r\n")
    if cycle.scope["method"] != "HEAD":
        parts.append(answer.body)
    return b"".join(parts)
