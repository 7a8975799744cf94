"""AMLRequest, AMLResponse and @rawhttp under the names that score scripts import, where the environment lacks them.

Made of werkzeug's classes, as Microsoft's are; an environment with the genuine packages keeps using those.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import io
import json
import sys
import types
from importlib import import_module
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import unquote_to_bytes

_PACKAGES = (
    "azureml", "azureml.contrib", "azureml.contrib.services", "azureml_inference_server_http",
    "azureml_inference_server_http.api",
)  # fmt: skip
_REQUESTS = ("azureml.contrib.services.aml_request", "azureml_inference_server_http.api.aml_request")
_RESPONSES = ("azureml.contrib.services.aml_response", "azureml_inference_server_http.api.aml_response")
_RAW = "_rawHttpRequested"  # what @rawhttp sets in its own module, in Microsoft's packages too


def install() -> None:
    """Offer the modules to whoever imports them, after everything that the environment itself has."""
    sys.meta_path.append(_Finder())


def is_raw(run: Any) -> bool:
    """Say whether the script asked for raw requests, by whichever module it took @rawhttp from."""
    return bool(getattr(run, _RAW, False)) or any(
        getattr(sys.modules.get(name), _RAW, False) for name in _REQUESTS if name in sys.modules
    )


def raw_request(scope: Dict[str, Any], body: bytes) -> Any:
    """Return the request as run() gets it under @rawhttp: flask's where it is loaded, else werkzeug's."""
    environ = _environ(scope, body)
    for name in _REQUESTS:
        kind = getattr(sys.modules.get(name), "AMLRequest", None)
        if kind is not None:
            return _built(kind, environ)
    return import_module("werkzeug.wrappers").Request(environ)


def _built(kind: Any, environ: Dict[str, Any]) -> Any:
    # Microsoft's AMLRequest has a constructor without parameters that nobody can call: what run() gets is its base
    base = kind if getattr(kind, "is_ours", False) else kind.__mro__[1]
    return base(environ)


def _environ(scope: Dict[str, Any], body: bytes) -> Dict[str, Any]:
    server = scope.get("server") or ("127.0.0.1", 80)
    environ: Dict[str, Any] = {
        "REQUEST_METHOD": scope["method"], "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"] or scope["path"].encode()).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"), "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1]), "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "wsgi.multithread": False,
        "wsgi.multiprocess": False, "wsgi.run_once": False, "CONTENT_LENGTH": str(len(body)),
    }  # fmt: skip
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key == "CONTENT_LENGTH":
            continue
        key = key if key == "CONTENT_TYPE" else "HTTP_" + key
        text = value.decode("latin-1")
        environ[key] = environ[key] + "," + text if key in environ else text
    return environ


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the packages above when nobody before it did."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Optional[importlib.machinery.ModuleSpec]:
        if fullname not in (*_PACKAGES, *_REQUESTS, *_RESPONSES):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=fullname in _PACKAGES)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Optional[types.ModuleType]:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__name__ in _REQUESTS:
            setattr(module, _RAW, False)
            module.__dict__["AMLRequest"] = _request_class()
            module.__dict__["rawhttp"] = _rawhttp
        elif module.__name__ in _RESPONSES:
            module.__dict__["AMLResponse"] = _response_class()
        elif module.__name__ == "azureml_inference_server_http.api":
            module.__dict__["__all__"] = ["aml_request", "aml_response"]


def _rawhttp(run: Any) -> Any:
    setattr(run, _RAW, True)
    return run


def _request_class() -> Any:
    Request: Any = import_module("werkzeug.wrappers").Request  # noqa: N806 - a class

    class AMLRequest(Request):  # type: ignore[misc]
        """A request with raw HTTP access."""

        is_ours = True

    return AMLRequest


def _response_class() -> Any:
    Response: Any = import_module("werkzeug.wrappers").Response  # noqa: N806 - a class

    class AMLResponse(Response):  # type: ignore[misc]
        """A response whose status, headers and body the script decides."""

        def __init__(
            self, message: Any, status_code: int, response_headers: Optional[Dict[str, str]] = None,
            json_str: bool = False, run_function_failed: bool = False,
        ) -> None:  # fmt: skip
            headers: List[Tuple[str, str]] = [
                (name, part.strip())
                for name, value in (response_headers or {}).items()
                for part in (str(value).split(",") if name.lower() != "content-type" else [str(value)])
            ]
            is_json = json_str or message is None
            body = json.dumps({} if message is None else message) if is_json else message
            names = {name.lower() for name, _ in headers}
            if "content-type" not in names:
                headers.append(("Content-Type", "application/json" if is_json else "text/html; charset=utf-8"))
            super().__init__(body, status=status_code, headers=headers)
            self.headers["x-ms-run-function-failed"] = str(bool(run_function_failed))

    return AMLResponse
