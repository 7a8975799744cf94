"""A user's score script: how it is loaded, what its run() takes, and how one request is run through it.

run() gets the body as text; with `inference-schema` the fields of the JSON body; with @rawhttp the request itself;
and the request's headers besides when it has a parameter `request_headers`.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
from typing import Any, Callable, Dict, List
from urllib.parse import parse_qs

from . import messages
from .answers import Answer, InputError, told

Scope = Dict[str, Any]
Takes = Callable[[Scope, bytes], Dict[str, Any]]


class ScriptError(Exception):
    """The script cannot be served; the message says what it would need."""


class Script:
    """A loaded script. `call` runs one request; what it returns may be awaitable, if run() is a coroutine."""

    def __init__(self, path: str) -> None:
        module = _load(path)
        for name in ("init", "run"):
            if not callable(getattr(module, name, None)):
                raise ScriptError("The scoring script %s has no function %s()" % (os.path.basename(path), name))
        driver = getattr(module, "driver_module", None)  # scripts generated around the user's own name it so
        self.init: Callable[[], Any] = module.init
        self.run: Callable[..., Any] = getattr(driver, "run", module.run)
        self.folder = os.path.dirname(path)
        self.is_raw = False
        self.reads_head = False  # whether what run() gets depends on the request's headers
        self._wants_headers = False
        self._take: Takes = self._as_text
        self._name = ""

    def start(self) -> None:
        """Call init() and look at what run() takes. Raises ScriptError."""
        self.init()
        parameters = list(inspect.signature(self.run).parameters.values())
        kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self.is_raw, is_schema = messages.is_raw(self.run), is_schema_decorated(self.run)
        if any(parameter.kind not in kinds for parameter in parameters):
            raise ScriptError("run() may not have *args, **kwargs or positional-only parameters: name its parameters")
        self._wants_headers = any(parameter.name == "request_headers" for parameter in parameters)
        self.reads_head = self.is_raw or self._wants_headers
        given = [parameter for parameter in parameters if parameter.name != "request_headers"]
        if not given:
            raise ScriptError("run() needs a parameter for the input data, such as run(raw_data)")
        if self.is_raw and is_schema:
            raise ScriptError("run() cannot have both @rawhttp and @input_schema: choose one")
        self._name = given[0].name
        if self.is_raw:
            self._take = self._as_request
        elif is_schema:
            self._take = _Fields(given)

    def call(self, scope: Scope, body: bytes) -> Any:
        """Run one request. Raises InputError for a request that run() does not take, and whatever run() raises."""
        if scope["method"] == "OPTIONS" and not self.is_raw:
            return Answer(200, [])
        arguments = self._take(scope, body)
        if self._wants_headers:
            arguments["request_headers"] = {
                name.decode("latin-1").title(): value.decode("latin-1") for name, value in scope["headers"]
            }
        return self.run(**arguments)

    def _as_text(self, scope: Scope, body: bytes) -> Dict[str, Any]:
        if scope["method"] == "GET":
            return {self._name: json.dumps(query_of(scope))}
        try:
            return {self._name: body.decode("utf-8")}
        except UnicodeDecodeError as error:
            raise InputError("Input cannot be decoded as UTF-8: %s. For binary data use @rawhttp" % error) from None

    def _as_request(self, scope: Scope, body: bytes) -> Dict[str, Any]:
        return {self._name: messages.raw_request(scope, body)}


class _Fields:
    """Takes the parameters out of a JSON body (or the query of a GET) by name."""

    def __init__(self, parameters: List[inspect.Parameter]) -> None:
        self._parameters = [(parameter.name, parameter.default) for parameter in parameters]

    def __call__(self, scope: Scope, body: bytes) -> Dict[str, Any]:
        given = query_of(scope) if scope["method"] == "GET" else json_object(scope, body)
        found = {name: given.get(name, default) for name, default in self._parameters}
        for name, value in found.items():
            if value is inspect.Parameter.empty:
                raise InputError("A value is not provided for the %r parameter." % name)
        return found


def json_object(scope: Scope, body: bytes) -> Dict[str, Any]:
    """Return a JSON object from a body. Raises InputError that says what it is instead."""
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"application/json")
    if b"json" not in kind.lower():
        raise InputError("Expects Content-Type to be application/json, got %s" % kind.decode("latin-1"), status=415)
    if not body:
        raise InputError("POST body is empty. Expecting a JSON dictionary.")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise InputError("POST body could not be decoded as JSON: %s" % error) from None
    if not isinstance(value, dict):
        raise InputError("POST body should be a JSON dictionary, got %s" % type(value).__name__)
    return value


def query_of(scope: Scope) -> Dict[str, Any]:
    """Return a query's parameters, each read as JSON where it is JSON; one that is given twice is a list."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {
        name: _parsed(values[0]) if len(values) == 1 else [_parsed(value) for value in values]
        for name, values in found.items()
    }


def is_schema_decorated(run: Any) -> bool:
    """Say whether run() carries a schema of `inference-schema`; a script that does has imported it."""
    if "inference_schema" not in sys.modules:
        return False
    from importlib import import_module

    return bool(import_module("inference_schema.schema_util").is_schema_decorated(run))


def failure(error: BaseException) -> Answer:
    """Return the answer for what run() raised: the caller learns that it failed, the log why."""
    if isinstance(error, InputError):
        return told(error.status, str(error))
    return told(500, "An unexpected error occurred in scoring script. Check the logs for more info.", is_failure=True)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _load(path: str) -> Any:
    if not os.path.isfile(path):
        folder = os.path.dirname(path)
        have = ", ".join(sorted(os.listdir(folder))[:20]) if os.path.isdir(folder) else "no such folder"
        raise ScriptError("There is no scoring script %s in the code folder, which holds: %s" % (path, have))
    spec = importlib.util.spec_from_file_location("entry_module", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["entry_module"] = module  # what it pickles names it
    spec.loader.exec_module(module)
    return module
