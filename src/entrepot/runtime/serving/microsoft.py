"""Microsoft's own inference server (azmlinfsrv), where the environment has it and the deployment asks for it.

Its WSGI application runs under gunicorn as it always does, on the socket of this replica, behind the check of the
replica's key; answers that are no success become 424, as Azure's front end makes them.
"""

from __future__ import annotations

import hmac
import json
import os
import socket
import sys
from importlib import import_module
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

_FIRST_DESCRIPTOR = 3  # where systemd's protocol, which gunicorn speaks, hands sockets over

_key = b""
_application: Optional[Callable[..., Iterable[bytes]]] = None

Start = Callable[..., Any]


def run(order: Dict[str, Any], listener: socket.socket, key: str) -> None:
    """Serve until SIGTERM. Exits with a message when the environment lacks the package."""
    global _key
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
    _key = key.encode()
    os.environ["AML_APP_ROOT"] = order["code"]
    os.environ["AZUREML_ENTRY_SCRIPT"] = os.path.relpath(order["script"], order["code"])
    if listener.fileno() != _FIRST_DESCRIPTOR:
        os.dup2(listener.fileno(), _FIRST_DESCRIPTOR, inheritable=True)
        listener.close()
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    timeout_s = os.environ.get("WORKER_TIMEOUT", "300")
    sys.argv = [
        sys.argv[0], "-w", str(order["workers"]), "--timeout", timeout_s, "--error-logfile", "/dev/null",
        "--graceful-timeout", str(int(order["grace_s"]) or 1), __name__ + ":loaded()",
    ]  # fmt: skip
    application("%(prog)s [OPTIONS] [APP_MODULE]").run()


def loaded() -> Callable[..., Iterable[bytes]]:
    """Load Microsoft's application, and the model with it, in a worker; return what gunicorn is to call."""
    global _application
    _application = import_module("azureml_inference_server_http.server.entry").app
    return application


def application(environ: Dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Answer one request: the key, then Microsoft's application."""
    if not hmac.compare_digest(environ.get("HTTP_X_ENTREPOT_REPLICA", "").encode("latin-1"), _key):
        return _told(start_response, "401 Unauthorized", "The key of this replica is missing or wrong")
    if environ["PATH_INFO"] == "/ready":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"Ready"]
    assert _application is not None
    if environ["PATH_INFO"] != "/score":
        return _application(environ, start_response)

    def start(status: str, headers: List[Tuple[str, str]], *more: Any) -> Any:
        code = status.split(" ", 1)[0]
        if not code.startswith("2") and code != "424":
            told = [("ms-azureml-model-error-statuscode", code), ("ms-azureml-model-error-reason", "model_error")]
            status, headers = "424 Failed Dependency", [*headers, *told]
        return start_response(status, headers, *more)

    return _application(environ, start)


def _told(start_response: Start, status: str, message: str) -> Iterable[bytes]:
    body = json.dumps({"message": message}).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
