"""The ASGI application: finds the route, asks who calls, runs the handler where it belongs, tells errors.

Point reads on the embedded store take 0.01 ms and run in the event loop (a thread hop costs 3.5 times that much);
writes run in a pool, and whatever waits or streams in a larger one. Framework classes would cost a third of the
requests per second, so requests and responses are our own few lines (see calls.py).
"""

import asyncio
import contextlib
import io
import itertools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from entrepot.core.errors import EntrepotError, InvalidName, InvalidRequest, RouteNotFound, TooLarge
from entrepot.core.settings import Settings
from entrepot.domain import audit
from entrepot.domain.concurrency.gathering import PATIENCE_S, Gatherer
from entrepot.domain.hub import Principal
from entrepot.server.calls import JSON_TYPE, Answer, Call, Gathered, Header
from entrepot.server.monitoring.requests import FAMILY
from entrepot.server.places import require_sight
from entrepot.server.routing import MethodNotAllowed, Route, Router
from entrepot.server.site import Site
from entrepot.wire.arm import encode
from entrepot.wire.errors import error_body, internal_error_body, status_of
from entrepot.wire.origins import Origins

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SMALL_BODY_BYTES = 64 << 10
_GATHERING_THREADS = 16
ANONYMOUS = Principal(id="", name="anonymous", kind="Anonymous")
_ONCE = (b"host", b"authorization")
_CLOSE: Header = (b"connection", b"close")
_SECURITY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_CHALLENGE: Header = (b"www-authenticate", b'Bearer realm="entrepot"')

_log = logging.getLogger("entrepot.server")


class _Disconnected(Exception):
    """The client went away before its request was whole: there is nobody to answer."""


class Application:
    """Serves one site. `writers` runs short handlers, `waiters` those that wait or stream."""

    def __init__(self, site: Site, router: Router, *, writers: Executor, waiters: Executor, reads_inline: bool) -> None:
        self._site = site
        self._router = router
        self._requests = site.requests
        self._writers = writers
        self._waiters = waiters
        self._reads_inline = reads_inline
        self._origins = {scheme: site.addresses.origins(scheme) for scheme in ("http", "https")}
        self._id_prefix = str(uuid.uuid4())[:24]
        self._id_number = itertools.count(1)
        self._gatherer = Gatherer(writers, self._prepare, self._act, threads=_GATHERING_THREADS)
        self._is_hastening = False

    @property
    def settings(self) -> Settings:
        """The settings of the server, limits on clients among them."""
        return self._site.hub.settings

    def answer_now(self, scope: Scope) -> Answer | None:
        """Return the complete answer of a read that may run in the event loop, None for all other requests."""
        if not self._reads_inline or scope["method"] != "GET":
            return None
        began = time.perf_counter()
        request_id = self._new_request_id()
        origins = self._origins[scope["scheme"]]
        try:
            if not self._is_inline(scope["path"]):
                return None
            if self._site.authenticator.may_wait(scope["headers"]):
                return None
            route, call = self._called(scope, request_id, origins)
            answer = _handled(route, call)
        except Exception as error:
            answer = _failed(error, request_id, scope)
        self._requests.count(scope, answer.status, began)
        return self._finished(answer, request_id, origins)

    def _is_inline(self, path: str) -> bool:
        try:
            return self._router.match("GET", path)[0].inline
        except EntrepotError:
            return True  # to be refused at once

    def answer_apart(self, scope: Scope, body: bytes, done: Callable[[Answer], None]) -> None:
        """Run a short handler on a thread, then call `done` in this event loop with its complete answer."""
        request = _Apart(scope, body, done, asyncio.get_running_loop())
        if not isinstance(self._router.match(scope["method"], scope["path"])[0].handler, Gathered):
            self._writers.submit(self._run, request)
        elif not self._gatherer.put(request) and not self._is_hastening:
            self._is_hastening = True
            request.loop.call_later(PATIENCE_S, self._hasten, request.loop)

    def _hasten(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_hastening = self._gatherer.hasten()
        if self._is_hastening:
            loop.call_later(PATIENCE_S, self._hasten, loop)

    def is_short(self, scope: Scope) -> bool:
        """Say whether `answer_apart` may answer this: the body is small, the route neither waits nor streams."""
        for name, value in scope["headers"]:
            if name == b"transfer-encoding" or (name == b"content-length" and int(value) > SMALL_BODY_BYTES):
                return False
        try:
            route, _ = self._router.match(scope["method"], scope["path"])
        except EntrepotError:
            return False
        return not (route.is_long or route.takes_stream)

    def _run(self, request: "_Apart") -> None:
        try:
            route, call = self._called_apart(request)
            answer = _handled(route, call)
        except Exception as error:
            answer = _failed(error, request.id, request.scope)
        self._deliver([(request, answer)])

    def _prepare(self, request: "_Apart") -> "tuple[_Apart, Gathered, Any] | None":
        try:
            route, call = self._called_apart(request)
            assert isinstance(route.handler, Gathered)
            with audit.answering(call.request_id):
                return request, route.handler, route.handler.prepare(call)
        except Exception as error:
            self._deliver([(request, _failed(error, request.id, request.scope))])
            return None

    def _act(self, prepared: "Sequence[tuple[_Apart, Gathered, Any]]") -> None:
        """Carry out what was prepared, what is of one kind together, and answer it."""
        for act in {handler.act: None for _, handler, _ in prepared}:
            alike = [found for found in prepared if found[1].act == act]
            try:
                results = act(self._site.hub, [item for _, _, item in alike])
            except Exception as error:
                results = [error] * len(alike)
            answers = []
            for (request, handler, _), result in zip(alike, results, strict=True):
                is_error = isinstance(result, Exception)
                answer = _failed(result, request.id, request.scope) if is_error else handler.answer(result)
                answers.append((request, answer))
            self._deliver(answers)

    def _called_apart(self, request: "_Apart") -> tuple[Route, Call]:
        scope = request.scope
        request.id = self._new_request_id()
        route, call = self._called(scope, request.id, self._origins[scope["scheme"]])
        call.body = request.body
        return route, call

    def _deliver(self, answers: "Sequence[tuple[_Apart, Answer]]") -> None:
        """Hand complete answers to the event loop that waits for them, all in one go: waking it is dear."""
        for request, answer in answers:
            self._requests.count(request.scope, answer.status, request.began)
        finished = [
            (request.done, self._finished(answer, request.id, self._origins[request.scope["scheme"]]))
            for request, answer in answers
        ]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            answers[0][0].loop.call_soon_threadsafe(_all_done, finished)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        answer = self.answer_now(scope)
        if answer is None:
            began = time.perf_counter()
            request_id = self._new_request_id()
            origins = self._origins[scope["scheme"]]
            try:
                answer = await self._answer(scope, receive, request_id, origins)
            except _Disconnected:
                return
            except Exception as error:
                answer = _failed(error, request_id, scope)
            self._requests.count(scope, answer.status, began)
            answer = self._finished(answer, request_id, origins)
        await self._send(answer, send)

    async def _answer(self, scope: Scope, receive: Receive, request_id: str, origins: Origins) -> Answer:
        loop = asyncio.get_running_loop()
        if self._site.authenticator.may_wait(scope["headers"]):
            route, call = await loop.run_in_executor(self._waiters, self._called, scope, request_id, origins)
        else:
            route, call = self._called(scope, request_id, origins)
        if route.takes_stream:
            call.stream = io.BufferedReader(_BodyStream(receive, loop), 1 << 20)
        elif scope["method"] not in ("GET", "HEAD"):
            call.body = await _read_body(receive, call.headers, self.settings.body_limit_bytes)
        pool = self._waiters if route.is_long or route.takes_stream else self._writers
        return await loop.run_in_executor(pool, _handled, route, call)

    def _called(self, scope: Scope, request_id: str, origins: Origins) -> tuple[Route, Call]:
        """Return the route and the call of its handler, by whom it is. Raises EntrepotError."""
        headers = _headers(scope)
        method, path, site = scope["method"], scope["path"], self._site
        address = (scope.get("client") or ("",))[0]
        route, params = self._find(scope, headers)
        scope[FAMILY] = route.family
        who = ANONYMOUS if route.is_anonymous else self._caller(route, headers, request_id, address)
        if who is not ANONYMOUS and route.is_within:
            require_sight(site.hub, who, route, params, request_id)
        return route, Call(
            site, method, path, params, scope["query_string"], headers, who, request_id, origins, address=address
        )

    def _caller(self, route: Route, headers: Mapping[bytes, bytes], request_id: str, address: str) -> Principal:
        """Return who calls; who cannot be told leaves a note of the route that was asked for."""
        site = self._site
        try:
            return site.authenticator.caller(route.method, headers, address=address)
        except EntrepotError:
            told = audit.entry(
                ANONYMOUS, route.action or route.template, target=route.template, outcome=audit.UNAUTHENTICATED,
                now=site.hub.clock.now(), request_id=request_id,
            )  # fmt: skip
            site.hub.notes.note(told)
            raise

    def _find(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[Route, Mapping[str, str]]:
        method, path = scope["method"], scope["path"]
        try:
            return self._router.match(method, path)
        except MethodNotAllowed:
            if method == "HEAD":
                return self._router.match("GET", path)
            self._site.authenticator.caller(method, headers)
            raise
        except RouteNotFound:
            self._site.authenticator.caller(method, headers)  # strangers learn no routes
            for segment in scope.get("raw_path", b"").decode("latin-1").split("/"):
                if "%2f" in segment.lower():
                    raise InvalidName(f"{unquote(segment)!r} holds a '/', which no name or version may") from None
            raise

    def _finished(self, answer: Answer, request_id: str, origins: Origins) -> Answer:
        """Add the headers that every answer has, and put the real origins into its body."""
        body = origins.outward(answer.body)
        headers = (*answer.headers, *(answer.security or _SECURITY), (b"x-ms-request-id", request_id.encode()))
        if answer.chunks is None and answer.status != 204:
            headers = (*headers, (b"content-length", b"%d" % len(body)))
        return Answer(answer.status, body, headers, answer.chunks)

    async def _send(self, answer: Answer, send: Send) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if answer.chunks is None:
            await send({"type": "http.response.body", "body": answer.body})
            return
        await self._send_chunks(answer.chunks, send)

    async def _send_chunks(self, chunks: Iterator[bytes], send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await loop.run_in_executor(self._waiters, next, chunks, b""):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                await loop.run_in_executor(self._waiters, close)

    def _new_request_id(self) -> str:
        return f"{self._id_prefix}{next(self._id_number):012x}"


@dataclass(slots=True)
class _Apart:
    """A request that a thread answers: whom to tell, and in which event loop."""

    scope: Scope
    body: bytes
    done: Callable[[Answer], None]
    loop: asyncio.AbstractEventLoop
    id: str = ""
    began: float = field(default_factory=time.perf_counter)


def _all_done(finished: Sequence[tuple[Callable[[Answer], None], Answer]]) -> None:
    for done, answer in finished:
        done(answer)


class _BodyStream(io.RawIOBase):
    """A request body read from a worker thread; the client is read no faster than the handler reads."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self._rest = memoryview(b"")
        self._is_complete = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._is_complete:
            message = asyncio.run_coroutine_threadsafe(_awaited(self._receive), self._loop).result()
            if message["type"] == "http.disconnect":
                raise InvalidRequest("The body ended before it was complete")
            self._rest = memoryview(message.get("body", b""))
            self._is_complete = not message.get("more_body", False)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


async def _awaited(receive: Receive) -> Message:
    return await receive()


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name. Raises InvalidRequest where a proxy may have read another value than this server."""
    given = scope["headers"]
    headers: dict[bytes, bytes] = dict(given)
    if len(headers) != len(given):
        names = [name for name, _ in given]
        for name in _ONCE:
            if names.count(name) > 1:
                raise InvalidRequest(f"The header {name.decode().capitalize()} is given twice: send it once")
    if b"host" not in headers and scope["http_version"] == "1.1":
        raise InvalidRequest("The header Host is missing")
    return headers


async def _read_body(receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int) -> bytes:
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise TooLarge(f"The body has {int(announced)} bytes; the limit is {limit_bytes}")
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise TooLarge(f"The body has more than {limit_bytes} bytes, which is the limit")
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _handled(route: Route, call: Call) -> Answer:
    with audit.answering(call.request_id):
        return route.handler(call)


def _failed(error: Exception, request_id: str, scope: Scope) -> Answer:
    """Return the answer that tells an error: all of ours, nothing of a failure that we did not expect."""
    if not isinstance(error, EntrepotError):
        _log.error("request %s failed: %s %s", request_id, scope["method"], scope["path"], exc_info=error)
        return Answer(500, encode(internal_error_body(request_id)))
    status = status_of(error)
    headers: tuple[Header, ...] = (JSON_TYPE,)
    if status == 401:
        headers = (*headers, _CHALLENGE)
    if status == 413:
        headers = (*headers, _CLOSE)
    return Answer(status, encode(error_body(error, request_id=request_id)), headers)
