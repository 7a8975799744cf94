"""HTTP/1.1 messages as values: requests, answers, refusals. Reading and writing them is `connections.py`'s."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO, Protocol

STREAMED = 1 << 20
"""Bytes that are moved at once."""
_SLOWEST_BYTES_PER_S = 4096
_GRACE_SECONDS = 30


class Refusal(Exception):
    """A request that HTTP itself refuses. `closes`: where the next request begins is not known any more."""

    def __init__(self, status: int, code: str, message: str, *, closes: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.closes = closes


class Disconnected(Exception):
    """The client is gone, or so slow that it is sent away: there is no one to answer."""


def check_pace(started: float, moved: int) -> None:
    """Raise Disconnected when bytes move so slowly that the other side only holds the thread."""
    elapsed = time.monotonic() - started - _GRACE_SECONDS
    if elapsed > 0 and moved < elapsed * _SLOWEST_BYTES_PER_S:
        raise Disconnected("the client is too slow")


class Body(Protocol):
    """A request's body as it arrives. `length` None: chunked, known only at its end."""

    length: int | None

    def readinto(self, view: memoryview) -> int:
        """Fill the view as far as the body goes; return the number of bytes, 0 at the end. Raises Disconnected."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is decoded, header names are lower case, a name given twice in the query counts once."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    id: str

    @property
    def container(self) -> str:
        """The first segment of the path."""
        return self.path.lstrip("/").partition("/")[0]

    @property
    def name(self) -> str:
        """The path behind the container, '' for the container itself."""
        return self.path.lstrip("/").partition("/")[2]

    def read_all(self, limit_bytes: int) -> bytes:
        """Return a body that fits in memory. Raises Refusal when it is longer than the limit."""
        if (self.body.length or 0) > limit_bytes:
            raise Refusal(413, "RequestBodyTooLarge", f"The body may be at most {limit_bytes} bytes long.")
        parts: list[bytes] = []
        size = 0
        buffer = memoryview(bytearray(min(STREAMED, max(self.body.length or STREAMED, 1))))
        while count := self.body.readinto(buffer):
            size += count
            if size > limit_bytes:
                raise Refusal(413, "RequestBodyTooLarge", f"The body may be at most {limit_bytes} bytes long.")
            parts.append(bytes(buffer[:count]))
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of an open file as an answer's body. `is_local`: the kernel can send it by itself."""

    file: BinaryIO
    start: int
    length: int
    is_local: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """Bytes in pieces, of known length together."""

    pieces: Iterator[bytes]
    length: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `length` is told instead of the body's own (for HEAD). `closes`: the connection ends with it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Slice | Parts = b""
    length: int | None = None
    closes: bool = False

    @property
    def body_length(self) -> int:
        """The number of bytes that follow the head."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.length

    def head(self, request_id: str, *, keeps_alive: bool) -> bytes:
        """Return the status line and the headers."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {_one_line(value)}" for name, value in self.headers.items()]
        if self.status not in (204, 304):
            lines.append(f"Content-Length: {self.body_length if self.length is None else self.length}")
        lines.append(f"Date: {formatdate(usegmt=True)}")
        lines.append(f"Server: entrepot\r\nx-ms-request-id: {request_id}")
        lines.append(f"Connection: {'keep-alive' if keeps_alive else 'close'}\r\n\r\n")
        return "\r\n".join(lines).encode("latin-1", "replace")


_REASONS = {status.value: status.phrase for status in HTTPStatus}


def _one_line(value: str) -> str:
    """A header's value can hold what a client once sent: a line break in it must not begin a header."""
    return value.replace("\r", " ").replace("\n", " ")
