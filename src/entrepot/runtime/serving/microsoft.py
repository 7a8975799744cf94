"""Microsoft's own inference server (azmlinfsrv), where the environment has it and the deployment asks for it.

Its WSGI application runs under gunicorn as it always does, on the socket of this replica, behind the check of the
replica's key; answers that are no success become 424, as Azure's front end makes them. Requests are counted and
collected here, around it. gunicorn also takes this module for its configuration: `pre_fork` and `post_fork` are hooks.
"""

from __future__ import annotations

import atexit
import hmac
import io
import json
import os
import socket
import sys
import threading
import time
import uuid
from importlib import import_module
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from . import collectors
from .collecting import REQUEST, RESPONSE, Collecting
from .counters import BUSY_S, REQUESTS, UNDER_WAY, Counters

_FIRST_DESCRIPTOR = 3  # where systemd's protocol, which gunicorn speaks, hands sockets over
_DEFAULT_TIMEOUT_S = "300"

Start = Callable[..., Any]
Wsgi = Callable[[Dict[str, Any], Start], Iterable[bytes]]
Pairs = List[Tuple[str, str]]


def run(order: Dict[str, Any], listener: socket.socket, key: str) -> None:
    """Serve until SIGTERM. Exits with a message when the environment lacks the package."""
    try:
        import_module("azureml_inference_server_http.server")
        application = import_module("gunicorn.app.wsgiapp").WSGIApplication
    except ImportError as error:
        message = (
            "entrepot: inference_server is azmlinfsrv, but %s cannot be imported here: put "
            "azureml-inference-server-http into the environment, or leave inference_server out" % error.name
        )
        print(message, file=sys.stderr, flush=True)
        sys.exit(3)
    _replica.begin(order, key)
    os.environ["AML_APP_ROOT"] = order["code"]
    os.environ["AZUREML_ENTRY_SCRIPT"] = os.path.relpath(order["script"], order["code"])
    if listener.fileno() != _FIRST_DESCRIPTOR:
        os.dup2(listener.fileno(), _FIRST_DESCRIPTOR, inheritable=True)
        listener.close()
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    timeout_s = os.environ.get("WORKER_TIMEOUT", _DEFAULT_TIMEOUT_S)
    sys.argv = [
        sys.argv[0], "-c", "python:" + __name__, "-w", str(order["workers"]), "--timeout", timeout_s,
        "--error-logfile", "/dev/null", "--graceful-timeout", str(int(order["grace_s"]) or 1), __name__ + ":loaded()",
    ]  # fmt: skip
    application("%(prog)s [OPTIONS] [APP_MODULE]").run()


def pre_fork(server: Any, worker: Any) -> None:
    """Give a worker the first row of the counters that no other has."""
    taken = [getattr(other, "entrepot_row", None) for other in server.WORKERS.values()]
    worker.entrepot_row = next(row for row in range(len(taken) + 1) if row not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """Tell the worker's process its row."""
    _replica.row = worker.entrepot_row


def loaded() -> Wsgi:
    """Load Microsoft's application, and the model with it, in a worker; return what gunicorn is to call."""
    _replica.load()
    return application


def application(environ: Dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Answer one request: the key, then Microsoft's application."""
    if not hmac.compare_digest(environ.get("HTTP_X_ENTREPOT_REPLICA", "").encode("latin-1"), _replica.key):
        return _told(start_response, "401 Unauthorized", {"message": "The key of this replica is missing or wrong"})
    if environ["PATH_INFO"] == "/ready":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"Ready"]
    if environ["PATH_INFO"] == "/load":
        assert _replica.counters is not None
        return _told(start_response, "200 OK", _replica.counters.totals())
    if environ["PATH_INFO"] != "/score":
        return _replica.call(environ, start_response)
    return _replica.score(environ, start_response)


class _Replica:
    """What this process knows: the arbiter its order, and each worker the application and what it counts."""

    def __init__(self) -> None:
        self.key = b""
        self.row = 0
        self.counters: Optional[Counters] = None
        self._order: Dict[str, Any] = {}
        self._application: Optional[Wsgi] = None
        self._collecting: Optional[Collecting] = None
        self._guard = threading.Lock()
        self._counts: Any = None

    def begin(self, order: Dict[str, Any], key: str) -> None:
        """Note what there is to do, before any worker is forked."""
        self._order = order
        self.key = key.encode()
        self.counters = Counters(order["workers"])

    def load(self) -> None:
        """Become a worker."""
        assert self.counters is not None
        if self._order.get("collect"):
            self._collecting = Collecting(self._order["collect"])
            self._collecting.start()
            atexit.register(collectors.end, self._collecting)
        collectors.install(self._collecting)
        self._application = import_module("azureml_inference_server_http.server.entry").app
        self.counters.ready(self.row)
        self._counts = self.counters.row(self.row)

    def call(self, environ: Dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """Have Microsoft's application answer."""
        assert self._application is not None
        return self._application(environ, start_response)

    def score(self, environ: Dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """Have it answer a scoring request, counted and collected."""
        request_id = environ.setdefault("HTTP_X_REQUEST_ID", str(uuid.uuid4())).encode("latin-1")
        if self._collecting is not None and REQUEST in self._collecting.collections:
            body = environ["wsgi.input"].read()
            environ["wsgi.input"] = io.BytesIO(body)
            self._collecting.request(_scope(environ), body, request_id)
        answered: Pairs = []

        def start(status: str, headers: Pairs, *more: Any) -> Any:
            code = status.split(" ", 1)[0]
            if not code.startswith("2") and code != "424":
                told = [("ms-azureml-model-error-statuscode", code), ("ms-azureml-model-error-reason", "model_error")]
                status, headers = "424 Failed Dependency", [*headers, *told]
            answered[:] = headers
            return start_response(status, headers, *more)

        began = time.perf_counter()
        self._count(0, 0.0, 1)
        try:
            pieces = self.call(environ, start)
        finally:
            self._count(1, time.perf_counter() - began, -1)
        return self._collected(pieces, answered, request_id)

    def _collected(self, pieces: Iterable[bytes], headers: Pairs, request_id: bytes) -> Iterable[bytes]:
        """Collect an answer that is whole; streamed ones, whose length nobody knows, are passed on as they come."""
        is_whole = any(name.lower() == "content-length" for name, _ in headers)
        if self._collecting is None or RESPONSE not in self._collecting.collections or not is_whole:
            return pieces
        body = b"".join(pieces)
        getattr(pieces, "close", lambda: None)()
        self._collecting.response(_encoded(headers), body, request_id)
        return [body]

    def _count(self, requests: int, busy_s: float, under_way: int) -> None:
        with self._guard:
            self._counts[REQUESTS] += requests
            self._counts[BUSY_S] += busy_s
            self._counts[UNDER_WAY] += under_way


_replica = _Replica()


def _scope(environ: Dict[str, Any]) -> Dict[str, Any]:
    """Return what `Collecting` asks of a request."""
    headers = [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")]
    headers += [("content-type", environ["CONTENT_TYPE"])] if environ.get("CONTENT_TYPE") else []
    return {
        "path": environ["PATH_INFO"], "method": environ["REQUEST_METHOD"], "headers": _encoded(headers),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
    }  # fmt: skip


def _encoded(headers: Pairs) -> "List[Tuple[bytes, bytes]]":
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _told(start_response: Start, status: str, told: Dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(told).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
