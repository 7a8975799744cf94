"""What a model returns, made into an HTTP answer: JSON as Microsoft's server writes it, responses of any framework.

Anything but success becomes 424 with the model's own status in two headers, as Azure's front end does it.
"""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, Iterator, List, Optional, Tuple, Union

Headers = List[Tuple[bytes, bytes]]
Stream = Union[Iterator[Any], AsyncIterator[Any]]

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
MODEL_ERROR = 424
_OURS = frozenset((b"content-length", b"connection", b"transfer-encoding", b"keep-alive", b"server", b"date"))


class InputError(Exception):
    """The caller's request is not what the model takes; `status` is the model's answer to it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Answer:
    """A status, headers and a body, which is bytes or, in `stream`, an iterator of pieces."""

    __slots__ = ("body", "headers", "is_failure", "says_outcome", "status", "stream")

    def __init__(
        self, status: int, headers: Headers, body: bytes = b"", *, stream: Optional[Stream] = None,
        is_failure: bool = False,
    ) -> None:  # fmt: skip
        self.status = status
        self.headers = headers
        self.body = body
        self.stream = stream
        self.is_failure = is_failure
        self.says_outcome = False  # whether `headers` have x-ms-run-function-failed already


def told(status: int, message: str, *, is_failure: bool = False) -> Answer:
    """Return an answer that is a message, as all errors are."""
    return Answer(status, [JSON], json.dumps({"message": message}).encode(), is_failure=is_failure)


def of_result(result: Any) -> Answer:
    """Return the answer for what run() returned: a response, a stream, or a value for JSON (None is `{}`)."""
    if isinstance(result, Answer):
        return result
    if hasattr(result, "status_code") and hasattr(result, "headers"):
        return _of_response(result)
    if hasattr(result, "__next__") or hasattr(result, "__anext__"):
        return Answer(200, [TEXT], stream=result)
    return Answer(200, [JSON], encoded({} if result is None else result))


def encoded(value: Any) -> bytes:
    """Return a value as JSON. Raises TypeError that says what run() may return."""
    return _encode(value).encode()


def as_model_error(answer: Answer) -> Answer:
    """Return a model's answer as clients get it: success as it is, all else as 424 that names the model's status."""
    if 200 <= answer.status < 300 or answer.status == MODEL_ERROR:
        return answer
    headers = [
        *answer.headers,
        (b"ms-azureml-model-error-statuscode", str(answer.status).encode()),
        (b"ms-azureml-model-error-reason", b"model_error"),
    ]
    return Answer(MODEL_ERROR, headers, answer.body, stream=answer.stream, is_failure=answer.is_failure)


def piece_of(value: Any) -> bytes:
    """Return one piece of a stream as bytes: text in UTF-8, other values as a line of JSON."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return _encode(value).encode() + b"\n"


def _of_response(response: Any) -> Answer:
    """Read a response of flask, werkzeug, starlette or anything like them."""
    answer = _without_outcome(response)
    answer.says_outcome = any(name == b"x-ms-run-function-failed" for name, _ in answer.headers)
    return answer


def _without_outcome(response: Any) -> Answer:
    items = response.headers.items()
    headers = [
        (str(name).lower().encode("latin-1"), str(value).encode("latin-1", "replace"))
        for name, value in items
        if str(name).lower().encode("latin-1") not in _OURS
    ]
    if any(byte in name or byte in value for name, value in headers for byte in (b"\r", b"\n", b"\0")):
        raise ValueError("a header of the response has a line break in it")
    is_failure = response.status_code >= 500
    if getattr(response, "is_streamed", False):  # werkzeug: an iterator whose length is not known
        return Answer(response.status_code, headers, stream=iter(response.iter_encoded()), is_failure=is_failure)
    if hasattr(response, "get_data"):
        return Answer(response.status_code, headers, response.get_data(), is_failure=is_failure)
    if hasattr(response, "body_iterator"):  # starlette's StreamingResponse
        return Answer(response.status_code, headers, stream=response.body_iterator, is_failure=is_failure)
    body = getattr(response, "body", None)
    if body is None:
        body = getattr(response, "content", b"")
    return Answer(response.status_code, headers, piece_of(body), is_failure=is_failure)


def _plain(value: Any) -> Any:
    """Return what JSON can hold for values of numpy and pandas, which models return all the time."""
    for name in ("tolist", "to_dict", "isoformat"):
        convert = getattr(value, name, None)
        if convert is not None:
            return convert(orient="records") if name == "to_dict" and hasattr(value, "columns") else convert()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(
        "run() returned a value that JSON cannot hold, of type %s: return lists, dictionaries, numbers and texts, "
        "or an AMLResponse" % type(value).__name__
    )


_encode = json.JSONEncoder(default=_plain).encode  # made once: `json.dumps` with a default makes one at each call
