"""azureml.ai.monitoring for score scripts: our own Collector where the environment lacks Microsoft's package, and a
listener for that package where it has it.

What scripts may say of it: learn.microsoft.com/azure/machine-learning/how-to-collect-production-data.
"""

from __future__ import annotations

import http.server
import importlib.abc
import importlib.machinery
import json
import os
import sys
import tempfile
import threading
import time
import types
import uuid
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

from .collecting import REQUEST, RESPONSE, Collecting

_PACKAGES = ("azureml", "azureml.ai", "azureml.ai.monitoring")
_CONTEXT = "azureml.ai.monitoring.context"
_PAYLOADS = (REQUEST, RESPONSE)
_FLUSH_S = 2.0


def install(collecting: Optional[Collecting]) -> None:
    """Offer the modules to whoever imports them, after everything that the environment itself has."""
    Collector.collecting = collecting
    sys.meta_path.append(_Finder())
    if collecting is not None:
        _listen(collecting)


class CorrelationContext:
    """What tells which inputs and outputs belong together."""

    def get_id(self) -> str:
        """Return the id."""
        return ""

    def __str__(self) -> str:
        return self.get_id()


class BasicCorrelationContext(CorrelationContext):
    """An id of the script's choice, or a new one; a time in whole epoch seconds; headers, which become fields."""

    def __init__(
        self, id: Optional[str] = None, timestamp: Optional[int] = None, headers: Optional[Dict[str, Any]] = None
    ) -> None:  # fmt: skip
        self.id = id if id else str(uuid.uuid4())
        self.timestamp = timestamp if timestamp else int(time.time())
        self.headers = headers if headers else {}

    def get_id(self) -> str:
        """Return the id."""
        return self.id

    def get_timestamp(self) -> int:
        """Return the time."""
        return self.timestamp

    def get_headers(self) -> Dict[str, Any]:
        """Return the headers."""
        return self.headers


def get_context() -> BasicCorrelationContext:
    """Return a new context."""
    return BasicCorrelationContext()


class Collector:
    """Collects data frames under a name. `on_error` gets what is wrong; without it, it is raised."""

    collecting: Optional[Collecting] = None  # the worker's, once it is installed

    def __init__(self, *, name: str, on_error: Optional[Callable[[Exception], Any]] = None) -> None:
        self.name = name
        self._on_error = on_error
        self._is_enabled()

    def collect(self, data: Any, correlation_context: Any = None) -> Any:
        """Collect a pandas DataFrame; return the context, for what belongs together with it."""
        context = correlation_context if correlation_context is not None else get_context()
        if not self._is_enabled():
            return context
        kind = type(data)
        if kind.__name__ != "DataFrame" or kind.__module__.partition(".")[0] != "pandas":
            self._fail(TypeError("Only a pandas.DataFrame can be collected, not %s" % kind.__name__))
            return context
        assert self.collecting is not None
        more: Dict[str, Any] = {str(key): str(value) for key, value in getattr(context, "headers", {}).items()}
        if hasattr(context, "get_timestamp"):
            more["time"] = context.get_timestamp()
        self.collecting.logged(
            self.name.lower(), data.to_json(orient="records"), correlation=context.get_id(),
            kind="pandas.core.frame.DataFrame", more=more,
        )  # fmt: skip
        return context

    def _is_enabled(self) -> bool:
        if not self.name:
            return self._fail(Exception("A Collector needs a name"))
        known = self.collecting.collections if self.collecting is not None else {}
        if self.name.lower() in known and self.name.lower() not in _PAYLOADS:
            return True
        enabled = ", ".join(name for name in known if name not in _PAYLOADS) or "none"
        message = "The collection %r is not enabled in the deployment's data_collector; enabled are: %s"
        return self._fail(Exception(message % (self.name, enabled)))

    def _fail(self, error: Exception) -> bool:
        if self._on_error is None:
            raise error
        self._on_error(error)
        return False


def of_model(collecting: Collecting) -> Callable[[Any, Any], None]:
    """Return what collects the inputs and outputs of an MLflow model, as model_inputs and model_outputs."""

    def collect(inputs: Any, outputs: Any) -> None:
        correlation = str(uuid.uuid4())
        for name, value in (("model_inputs", inputs), ("model_outputs", outputs)):
            if name in collecting.collections:
                pandas = sys.modules["pandas"]
                frame = value if isinstance(value, pandas.DataFrame) else pandas.DataFrame(value)
                text = frame.to_json(orient="records")
                collecting.logged(name, text, correlation=correlation, kind="pandas.core.frame.DataFrame")

    return collect


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules when nobody before it did."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Optional[importlib.machinery.ModuleSpec]:
        if fullname not in (*_PACKAGES, _CONTEXT):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=fullname in _PACKAGES)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Optional[types.ModuleType]:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ == "azureml.ai.monitoring":
            module.__dict__.update(Collector=Collector, __all__=["Collector"])
        elif module.__name__ == _CONTEXT:
            given = (CorrelationContext, BasicCorrelationContext, get_context)
            module.__dict__.update({one.__name__: one for one in given}, __all__=[one.__name__ for one in given])


def end(collecting: Collecting) -> None:
    """Write all that was collected, also what Microsoft's package has queued, and close the files."""
    teardown = getattr(sys.modules.get("azureml.ai.monitoring.init"), "teardown", None)
    if teardown is not None:
        sending = threading.Thread(target=teardown, kwargs={"wait_for_flush": True}, daemon=True)
        sending.start()
        sending.join(_FLUSH_S)
    collecting.end()


def _listen(collecting: Collecting) -> None:
    """Take what Microsoft's package sends to a neighbour of its process, and tell it where that is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            name = str(self.headers.get("ce-type") or "").rpartition(".")[2].lower()
            if self.path == "/modeldata/log" and name in collecting.collections:
                collecting.put(name, _event(self.headers.items()), body)  # that package has sampled already
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="collectors", daemon=True).start()
    wanted = {
        name: {"enabled": True, "sampleRatePercentage": rate * 100} for name, rate in collecting.collections.items()
    }
    handle, path = tempfile.mkstemp(prefix="collections-", suffix=".json")
    with os.fdopen(handle, "w") as file:
        json.dump({"collections": wanted, "runMode": "cloud"}, file)
    os.environ.update(
        AZUREML_MDC_CONFIG_PATH=path, AZUREML_MDC_HOST="127.0.0.1", AZUREML_MDC_PORT=str(server.server_address[1])
    )


def _event(headers: "Iterable[Tuple[str, str]]") -> Dict[str, Any]:
    """Return the fields of what Microsoft's package sends: its own, and those of the script's context."""
    event: Dict[str, Any] = {"datacontenttype": "application/json"}
    for header, value in headers:
        name = header.lower()
        if name == "content-type":
            event["datacontenttype"] = value
        elif name == "ce-time":
            event["time"] = float(value)
        elif name.startswith("ce-") and name != "ce-type":
            for field in _FIELDS.get(name, (header[3:],)):
                event[field] = value
    return event


_FIELDS = {
    "ce-x-request-id": ("correlationid", "xrequestid"), "ce-model-version": ("modelversion",),
    "ce-collect-data-type": ("collectdatatype",), "ce-agent": ("agent",),
}  # fmt: skip
