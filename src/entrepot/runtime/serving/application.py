"""The ASGI application of a worker: who may ask, the few paths there are, one request through the model.

run() goes inline, one request at a time, as scripts expect; with `threads`, in that many threads. Nothing here is
of a framework: at thousands of requests a second on one processor, a framework would cost more than most models.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import inspect
import json
import sys
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable, Dict, Optional

from . import scripts, swagger
from .answers import JSON, TEXT, Answer, Headers, InputError, as_model_error, encoded, of_result, piece_of, told
from .collecting import Collecting
from .counters import BUSY_S, REQUESTS, UNDER_WAY, Counters
from .heads import Heads

Scope = Dict[str, Any]
Message = Dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Later = Callable[[Receive, Send], Awaitable[None]]

KEY_HEADER = b"x-entrepot-replica"
_KNOWN = frozenset((KEY_HEADER, b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"traceid"))
REMEMBERED = frozenset((KEY_HEADER, b"x-request-id"))  # all known headers that a head in `heads` may have
_LONG = frozenset((b"expect", b"upgrade", b"transfer-encoding"))
_LONGEST_ID = 100
_RAISED = (Exception, SystemExit)  # a script that calls exit() for one request fails that request, not the next ones
_SHORT_S = 0.001
_SUCCEEDED = (b"x-ms-run-function-failed", b"False")
_FAILED = (b"x-ms-run-function-failed", b"True")
_VALUES = frozenset((dict, list, str, int, float, bool))  # what run() returns mostly, and JSON holds
_ANSWER = (  # to a request with a known head: id, id, milliseconds, length, body
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: %b\r\nx-ms-request-id: %b\r\n"
    b"x-ms-run-fn-exec-ms: %.3f\r\nx-ms-run-function-failed: False\r\ncontent-length: %d\r\n\r\n%b"
)


class _DisconnectedError(Exception):
    """The client went away before its request was complete."""


class Application:
    """Answers the requests of one worker."""

    def __init__(
        self, scorer: Any, *, key: str, counters: Counters, worker: int, threads: int, body_limit: int, title: str,
        root: str, collecting: Optional[Collecting] = None,
    ) -> None:  # fmt: skip
        self._scorer = scorer
        self._key = key.encode()
        self._counters = counters
        self._worker = worker
        self._under_way = 0
        self._name = str(uuid.uuid4())[:24].encode()  # ids of requests count up from here
        self._named = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="run") if threads else None
        self._body_limit = body_limit
        self._title = title
        self._root = root
        self._collecting = collecting
        self._row = counters.row(worker)
        self.heads = Heads() if collecting is None and not scorer.reads_head else None
        self.brisk = 0  # how many runs in a row were short

    def ready(self) -> None:
        """Tell the counters that this worker serves."""
        self._counters.ready(self._worker)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served here, not %s" % scope["type"])
        path = scope["path"]
        known = {name: value for name, value in scope["headers"] if name in _KNOWN}
        if not hmac.compare_digest(known.get(KEY_HEADER, b""), self._key):
            await _send(send, told(401, "The key of this replica is missing or wrong: ask through the gateway"), [])
        elif path == "/score":
            await self._score(scope, receive, send, known)
        else:
            await _send(send, self._answer(path, scope), [])

    def _answer(self, path: str, scope: Scope) -> Answer:
        if scope["method"] not in ("GET", "HEAD"):
            known = path in ("/", "/ready", "/load", "/swagger.json")
            return told(405, "Method not allowed") if known else _not_found(path)
        if path == "/":
            return Answer(200, [TEXT], b"Healthy")
        if path == "/ready":
            return Answer(200, [TEXT], b"Ready")
        if path == "/load":
            return Answer(200, [JSON], json.dumps(self._counters.totals()).encode())
        if path == "/swagger.json":
            query = scope["query_string"]
            return swagger.describe(self._scorer, title=self._title, query=query, root=self._root)
        return _not_found(path)

    async def _score(self, scope: Scope, receive: Receive, send: Send, known: Dict[bytes, bytes]) -> None:
        if scope["method"] not in ("POST", "GET", "OPTIONS") and not self._scorer.is_raw:
            await _send(send, as_model_error(told(405, "Method not allowed")), [])
            return
        extra = self._identified(known)
        if isinstance(extra, Answer):
            await _send(send, extra, [])
            return
        try:
            body = await self._body(scope, receive)
        except _DisconnectedError:
            return
        if body is None:
            limit = told(413, "The request's body is over the limit of %d bytes" % self._body_limit)
            await _send(send, limit, [*extra, (b"connection", b"close")])
            return
        self._begin()
        began = time.perf_counter()
        if self._collecting is not None:
            self._collecting.request(scope, body, extra[0][1])
        try:
            answer = self._dressed(await self._run(scope, body), extra, began)
            await self._give(answer, receive, send)
        finally:
            self._end(time.perf_counter() - began)

    def known_if_short(self, headers: Headers, length_limit: int) -> Optional[Dict[bytes, bytes]]:
        """Return the headers that are known here when a POST to /score may go to `answer_now`, else None.

        It may when it has the key, its length is given and small, and it waits for no leave to send its body.
        """
        if self._pool is not None:
            return None
        known, length = {}, b""
        for name, value in headers:
            if name in _KNOWN:
                known[name] = value
            elif name == b"content-length":
                length = value
            elif name in _LONG:
                return None
        is_small = len(length) < 10 and length.isdigit() and int(length) <= length_limit
        return known if is_small and hmac.compare_digest(known.get(KEY_HEADER, b""), self._key) else None

    def answer_now(self, scope: Scope, body: bytes, known: Dict[bytes, bytes]) -> "Answer | Later":
        """Run a short request to its answer, or to what is left to do when run() is a coroutine or streams."""
        extra = self._identified(known)
        if isinstance(extra, Answer):
            return extra
        self._begin()
        began = time.perf_counter()
        if self._collecting is not None:
            self._collecting.request(scope, body, extra[0][1])
        try:
            result = self._scorer.call(scope, body)
        except _RAISED as error:
            result = _failed(error)
        return self._outcome(result, extra, began)

    def answer_known(self, scope: Scope, request_id: bytes, body: bytes) -> "bytes | Answer | Later":
        """Do as `answer_now` for a request with a head in `heads`; bytes are a whole answer as it goes out."""
        self._begin()
        began = time.perf_counter()
        try:
            result = self._scorer.call(scope, body)
            found = encoded(result) if type(result) in _VALUES else None
        except _RAISED as error:
            result, found = _failed(error), None
        if found is None:
            known = {b"x-request-id": request_id} if request_id else {}
            extra = self._identified({KEY_HEADER: b"", **known})
            assert not isinstance(extra, Answer)
            return self._outcome(result, extra, began)
        if not request_id:
            self._named += 1
            request_id = self._name + b"%012x" % self._named
        passed_s = time.perf_counter() - began
        self._end(passed_s)
        return _ANSWER % (request_id, request_id, passed_s * 1000, len(found), found)

    def _outcome(self, result: Any, extra: Headers, began: float) -> "Answer | Later":
        """Return the answer that a result of run() makes, or what is left to do."""
        if hasattr(result, "__await__"):
            return functools.partial(self._later, result, extra, began)
        try:
            answer = of_result(result)
        except _RAISED as error:
            answer = _failed(error)
        answer = self._dressed(answer, extra, began)
        if answer.stream is not None:
            return functools.partial(self._later, answer, [], began)
        self._end(time.perf_counter() - began)
        return answer

    async def _later(self, result: Any, extra: Headers, began: float, receive: Receive, send: Send) -> None:
        try:
            if not isinstance(result, Answer):
                try:
                    answer = of_result(await result)
                except _RAISED as error:
                    answer = _failed(error)
                result = self._dressed(answer, extra, began)
            await self._give(result, receive, send)
        finally:
            self._end(time.perf_counter() - began)

    def _dressed(self, answer: Answer, extra: Headers, began: float) -> Answer:
        """Return a model's answer with the headers that tell of its run."""
        extra.append((b"x-ms-run-fn-exec-ms", b"%.3f" % ((time.perf_counter() - began) * 1000)))
        if not answer.says_outcome:
            extra.append(_FAILED if answer.is_failure else _SUCCEEDED)
        if answer.status != 200:
            answer = as_model_error(answer)
        if self._collecting is not None and answer.stream is None:
            self._collecting.response(answer.headers, answer.body, extra[0][1])
        answer.headers = [*answer.headers, *extra]
        return answer

    async def _give(self, answer: Answer, receive: Receive, send: Send) -> None:
        if answer.stream is None:
            await _send(send, answer, [])
        else:
            await self._stream(receive, send, answer)

    def _identified(self, known: Dict[bytes, bytes]) -> "Headers | Answer":
        """Return the headers that tell which request was answered, as Microsoft's server gives them, or a refusal."""
        if len(known) == 1:  # the key alone: nobody gave the request an id
            self._named += 1
            request = self._name + b"%012x" % self._named
            return [(b"x-request-id", request), (b"x-ms-request-id", request)]
        for name, value in known.items():
            if len(value) > _LONGEST_ID and name != KEY_HEADER:
                return told(431, "%s must not exceed %d characters" % (name.decode(), _LONGEST_ID))
        request = known.get(b"x-request-id") or str(uuid.uuid4()).encode()
        client = known.get(b"x-ms-client-request-id") or known.get(b"x-ms-request-id", b"")
        headers = [(b"x-request-id", request)]
        headers.append((b"x-ms-request-id", known.get(b"x-ms-request-id") or client or request))
        if client:
            headers.append((b"x-ms-client-request-id", client))
        if b"traceid" in known:
            headers.append((b"traceid", known[b"traceid"]))
        return headers

    async def _body(self, scope: Scope, receive: Receive) -> Optional[bytes]:
        """Return the whole body, None when it is over the limit."""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectedError
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return body if len(body) <= self._body_limit else None
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if announced.isdigit() and int(announced) > self._body_limit:
            return None
        pieces, size = [body], len(body)
        while message.get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._body_limit:
                return None
        return b"".join(pieces)

    async def _run(self, scope: Scope, body: bytes) -> Answer:
        try:
            if self._pool is None:
                result = self._scorer.call(scope, body)
            else:
                loop = asyncio.get_event_loop()
                result = await loop.run_in_executor(self._pool, self._scorer.call, scope, body)
            if hasattr(result, "__await__"):
                result = await result
            return of_result(result)
        except _RAISED as error:
            return _failed(error)

    async def _stream(self, receive: Receive, send: Send, answer: Answer) -> None:
        """Send pieces as they come; a client that goes away ends the iteration."""
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        gone = asyncio.ensure_future(_await_disconnect(receive))
        try:
            async for piece in self._pieces(answer.stream):
                if gone.done():
                    break
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)  # the pieces of an iterator that never waits go out one by one too
            else:
                await send({"type": "http.response.body", "body": b""})
        except Exception:
            traceback.print_exc()
            raise  # the connection breaks: a cut-off stream must not look complete
        finally:
            gone.cancel()
            for name in ("close", "aclose"):
                close = getattr(answer.stream, name, None)
                if close is not None:
                    result = close()
                    if inspect.isawaitable(result):
                        await result
                    break

    async def _pieces(self, stream: Any) -> Any:
        if hasattr(stream, "__anext__") or hasattr(stream, "__aiter__"):
            async for piece in stream:
                yield piece_of(piece)
            return
        iterator = iter(stream)
        end = object()
        while True:
            if self._pool is None:
                piece = next(iterator, end)
            else:
                piece = await asyncio.get_event_loop().run_in_executor(self._pool, next, iterator, end)
            if piece is end:
                return
            yield piece_of(piece)

    def _begin(self) -> None:
        self._under_way += 1
        self._row[UNDER_WAY] = self._under_way

    def _end(self, passed_s: float) -> None:
        self._under_way -= 1
        self.brisk = self.brisk + 1 if passed_s < _SHORT_S else 0
        row = self._row
        row[REQUESTS] += 1
        row[BUSY_S] += passed_s
        row[UNDER_WAY] = self._under_way


def _failed(error: BaseException) -> Answer:
    """Return the answer for whatever a user's code raised; the log gets the trace."""
    if not isinstance(error, InputError):
        traceback.print_exc()
        sys.stderr.flush()
    return scripts.failure(error)


async def _await_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, answer: Answer, extra: Headers) -> None:
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [*answer.headers, *extra, length]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _not_found(path: str) -> Answer:
    return told(404, "There is no %s here: this replica answers /score, /swagger.json and /" % path)
