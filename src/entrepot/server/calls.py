"""One request and its answer, as route handlers see them. No routing, no rules, no sockets.

A handler is a plain synchronous function `Call -> Answer`; `app.py` decides on which thread it runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qsl

from entrepot.core.errors import InvalidRequest
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document
from entrepot.wire.arm import encode, resource_body
from entrepot.wire.json_text import decode_json
from entrepot.wire.origins import Origins

if TYPE_CHECKING:
    from entrepot.server.site import Site

Json = Any
Header = tuple[bytes, bytes]

JSON_TYPE: Header = (b"content-type", b"application/json; charset=utf-8")
TEXT_TYPE: Header = (b"content-type", b"text/plain; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `chunks`, when given, is streamed instead of `body` and closed afterwards.

    `security` takes the place of the headers that forbid browsers everything: for pages.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[Header, ...] = (JSON_TYPE,)
    chunks: Iterator[bytes] | None = None
    security: tuple[Header, ...] | None = None


@dataclass
class Call:
    """One authenticated request. `stream` is the body of routes that take it unread; `body` that of all others."""

    site: "Site"
    method: str
    path: str
    params: Mapping[str, str]
    query_bytes: bytes
    headers: Mapping[bytes, bytes]
    principal: Principal
    request_id: str
    origins: Origins
    body: bytes = b""
    stream: BinaryIO | None = None
    address: str = ""  # of the client, for limits on guessing

    @property
    def hub(self) -> Hub:
        """The product's dependencies, for domain calls."""
        return self.site.hub

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters; of a repeated one the last."""
        if not self.query_bytes:
            return {}
        return dict(parse_qsl(self.query_bytes.decode("utf-8", "replace"), keep_blank_values=True))

    @cached_property
    def json(self) -> Json:
        """The body as JSON, with every address of this server made neutral. Raises InvalidRequest with the position."""
        return decode_json(self.origins.inward(self.body))

    @property
    def fields(self) -> dict[str, Json]:
        """The body as any JSON object; no body counts as an empty one. Raises InvalidRequest."""
        value = self.json if self.body.strip() else {}
        if not isinstance(value, dict):
            raise InvalidRequest(f"The body must be a JSON object: got {type(value).__name__}")
        return value

    @property
    def object(self) -> dict[str, Json]:
        """The body as ARM's object, in which `properties`, `tags` and the like are objects. Raises InvalidRequest."""
        return resource_body(self.fields)

    @property
    def properties(self) -> dict[str, Json]:
        """The body's `properties` object, which ARM bodies carry. Raises InvalidRequest."""
        value = self.object.get("properties")
        if not isinstance(value, dict):
            raise InvalidRequest("The body must be a JSON object with an object 'properties'", target="properties")
        return value

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """Return a numeric query parameter, brought into [low, high]. Raises InvalidRequest when it is no number."""
        text = self.query.get(name)
        if not text:
            return default
        try:
            return min(max(float(text), low), high)
        except ValueError:
            raise InvalidRequest(f"{name}={text!r} is not a number", target=name) from None

    def url(self, path: str) -> str:
        """Return the absolute address, at the origin that was asked, of a path of this server."""
        return self.origins.api + path


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A handler whose calls are carried out together when they come together: they share one commit.

    `prepare` does all of a call's own work, `act` carries out what was prepared, with a result or an error for each.
    """

    prepare: Callable[[Call], Any]
    act: Callable[[Hub, Sequence[Any]], Sequence[Any]]
    answer: Callable[[Any], Answer]

    def __call__(self, call: Call) -> Answer:
        """Answer one call alone."""
        (result,) = self.act(call.hub, [self.prepare(call)])
        if isinstance(result, Exception):
            raise result
        return self.answer(result)


def reply(value: Json, *, status: int = 200, headers: tuple[Header, ...] = ()) -> Answer:
    """Answer a JSON value."""
    return Answer(status, encode(value), (JSON_TYPE, *headers))


def reply_document(document: Document, *, status: int = 200) -> Answer:
    """Answer a stored document, from its bytes."""
    return Answer(status, document.raw)


def reply_raw(body: bytes, *, status: int = 200, headers: tuple[Header, ...] = (JSON_TYPE,)) -> Answer:
    """Answer bytes that are JSON already."""
    return Answer(status, body, headers)


def reply_empty(status: int = 204, *, headers: tuple[Header, ...] = ()) -> Answer:
    """Answer without a body."""
    return Answer(status, b"", headers)
