"""One client's connection: reads requests strictly, writes answers, and sends away who is too slow.

Whatever leaves open where a request ends (two lengths, an odd chunk) is refused and ends the connection, so that
nothing can be smuggled past a proxy.
"""

import contextlib
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from entrepot.server.dataplane.departures import ColdReads, send_file
from entrepot.server.dataplane.messages import (
    STREAMED,
    Answer,
    Disconnected,
    Parts,
    Refusal,
    Request,
    Slice,
    check_pace,
)

HEAD_LIMIT = 64 << 10
_HEAD_SECONDS = 20
_LINGER_SECONDS = 3.0
_JOINED_BYTES = 32 << 10  # up to here a copy costs less than a second call and a second packet
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.([01])\Z")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?\Z")


class Connection:
    """A connected socket, plain or TLS, used by one thread. `timeout_s` bounds each wait for the client."""

    def __init__(self, sock: socket.socket, *, timeout_s: float, cold_reads: ColdReads) -> None:
        self._sock = sock
        self._is_plain = not isinstance(sock, ssl.SSLSocket)
        self._cold_reads = cold_reads
        self._rest = b""
        self._timeout_s = timeout_s
        self._set_wait(socket.SO_RCVTIMEO, timeout_s)
        self._set_wait(socket.SO_SNDTIMEO, timeout_s)

    def read_request(self) -> "tuple[Request, Framed, bool] | None":
        """Return the next request, its body, and whether the client keeps the connection; None when it is closed."""
        head = self._read_head()
        if head is None:
            return None
        method, target, minor, headers = _parse_head(head)
        body = Framed(self, _framing(headers), expects=headers.get("expect", "").lower() == "100-continue")
        path, _, query = target.partition("?")
        fields: dict[str, str] = {}
        try:
            for name, value in parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100):
                fields.setdefault(name, value)
            request = Request(method, unquote(path, errors="strict"), fields, headers, body, str(uuid4()))
        except ValueError as error:
            raise Refusal(400, "InvalidUri", "The address is not UTF-8 in URL form.") from error
        words = {word.strip() for word in headers.get("connection", "").lower().split(",")}
        return request, body, "close" not in words and (minor == "1" or "keep-alive" in words)

    def receive(self, view: memoryview, *, fully: bool) -> int:
        """Fill a view, as far as possible at once or `fully`; return the number of bytes. Raises Disconnected."""
        if self._rest:
            count = min(len(view), len(self._rest))
            view[:count] = self._rest[:count]
            self._rest = self._rest[count:]
            return count
        # One call for a whole view: the kernel waits for it without waking this thread for each packet.
        flags = socket.MSG_WAITALL if fully and self._is_plain else 0
        try:
            count = self._sock.recv_into(view, len(view), flags)
        except (OSError, ValueError) as error:
            raise Disconnected("the client is gone or too slow") from error
        if count == 0:
            raise Disconnected("the client closed the connection within a body")
        return count

    def read_line(self, limit: int) -> bytes:
        """Return a line of a chunked body, without its end. Raises Refusal when it is longer than the limit."""
        while (end := self._rest.find(b"\r\n")) < 0:
            if len(self._rest) > limit:
                raise Refusal(400, "InvalidInput", "A chunk's head is too long.")
            self._rest += self._receive_some()
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line

    def send(self, answer: Answer, request_id: str, *, keeps_alive: bool, is_head: bool = False) -> None:
        """Write an answer. Raises Disconnected."""
        head = answer.head(request_id, keeps_alive=keeps_alive)
        body = answer.body
        try:
            if is_head or isinstance(body, bytes):
                self._sock.sendall(head if is_head or not body else head + bytes(body))  # type: ignore[arg-type]
            elif isinstance(body, Parts):
                self._sock.sendall(head)
                for piece in body.pieces:
                    self._sock.sendall(piece)
            else:
                self._send_slice(head, body)
        except (OSError, ValueError) as error:
            raise Disconnected("the client is gone or too slow") from error
        finally:
            if isinstance(body, Slice):
                body.file.close()

    def send_continue(self) -> None:
        """Tell a client that waits for it to send its body."""
        try:
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        except (OSError, ValueError) as error:
            raise Disconnected("the client is gone") from error

    def linger(self) -> None:
        """Let the client read an early answer: closing while its bytes arrive would throw the answer away."""
        deadline = time.monotonic() + _LINGER_SECONDS
        with contextlib.suppress(OSError, ValueError):
            self._set_wait(socket.SO_RCVTIMEO, _LINGER_SECONDS)
            self._sock.shutdown(socket.SHUT_WR)
            buffer = bytearray(STREAMED)
            while time.monotonic() < deadline and self._sock.recv_into(buffer):
                pass

    def close(self) -> None:
        """End the connection; also wakes the thread that waits on it."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._sock.close()

    def _send_slice(self, head: bytes, body: Slice) -> None:
        if body.is_local and body.length <= _JOINED_BYTES:
            data = os.pread(body.file.fileno(), body.length, body.start)
            if len(data) < body.length:
                raise Disconnected("the file ended early")
            self._sock.sendall(head + data)
            return
        if not (body.is_local and self._is_plain):
            self._sock.sendall(head)
            body.file.seek(body.start) if body.is_local else None
            left = body.length
            while left:
                piece = body.file.read(min(left, STREAMED))
                if not piece:
                    raise Disconnected("the file ended early")
                self._sock.sendall(piece)
                left -= len(piece)
            return
        self._sock.sendall(head, socket.MSG_MORE if body.length else 0)
        send_file(self._sock, body.file, body.start, body.length, cold_reads=self._cold_reads)

    def _read_head(self) -> bytes | None:
        deadline: float | None = None
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            if len(self._rest) > HEAD_LIMIT:
                raise Refusal(431, "RequestHeaderFieldsTooLarge", f"Headers may be at most {HEAD_LIMIT} bytes long.")
            if self._rest and deadline is None:
                deadline = time.monotonic() + _HEAD_SECONDS
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Disconnected("the headers came too slowly")
                self._set_wait(socket.SO_RCVTIMEO, min(left, self._timeout_s))
            try:
                self._rest += self._receive_some()
            except Disconnected:
                if self._rest:
                    raise
                return None
        if deadline is not None:
            self._set_wait(socket.SO_RCVTIMEO, self._timeout_s)
        head, self._rest = self._rest[:end], self._rest[end + 4 :]
        return head

    def _receive_some(self) -> bytes:
        try:
            data = self._sock.recv(HEAD_LIMIT)
        except (OSError, ValueError) as error:
            raise Disconnected("the client is gone or too slow") from error
        if not data:
            raise Disconnected("the client closed the connection")
        return data

    def _set_wait(self, option: int, seconds: float) -> None:
        # Kernel time-outs, not settimeout(): the socket stays blocking, which sendfile and MSG_WAITALL need.
        whole = int(seconds)
        self._sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", whole, int((seconds - whole) * 1e6) or 1))


class Framed:
    """A request's body on its connection: a Content-Length or chunks."""

    def __init__(self, connection: Connection, length: int | None, *, expects: bool) -> None:
        self.length = length
        self._connection = connection
        self._expects = expects and length != 0
        self._left = length or 0  # of the body, or of the chunk
        self._is_done = length == 0
        self._is_first_chunk = True
        self._received = 0
        self._started = time.monotonic()

    @property
    def is_unread(self) -> bool:
        """Say whether the client has still to be asked for, or is still sending, some of it."""
        return not self._is_done

    @property
    def left(self) -> int | None:
        """The bytes still to come, None when chunked."""
        return self._left if self.length is not None else None

    @property
    def awaits_continue(self) -> bool:
        """Say whether the client holds the body back until it is told to send it."""
        return self._expects

    def readinto(self, view: memoryview) -> int:
        """Fill the view as far as the body goes; return the number of bytes, 0 at the end."""
        if self._expects:
            self._expects = False
            self._connection.send_continue()
        done = 0
        while done < len(view) and not self._is_done:
            if self.length is None and self._left == 0 and not self._next_chunk():
                break
            count = self._connection.receive(view[done : done + self._left], fully=True)
            done += count
            self._left -= count
            self._received += count
            self._is_done = self.length is not None and self._left == 0
            check_pace(self._started, self._received)
        return done

    def drain(self, limit: int) -> bool:
        """Read and forget what is left, up to a limit; say whether the body is at its end."""
        buffer = memoryview(bytearray(min(STREAMED, limit)))
        while limit > 0 and not self._is_done:
            limit -= self.readinto(buffer) or 1
        return self._is_done

    def _next_chunk(self) -> bool:
        """Read the next chunk's head; False at the last one."""
        if not self._is_first_chunk and self._connection.read_line(2) != b"":
            raise Refusal(400, "InvalidInput", "A chunk is longer than it says.")
        self._is_first_chunk = False
        match = _CHUNK.match(self._connection.read_line(256))
        if match is None:
            raise Refusal(400, "InvalidInput", "A chunk's head is not a hexadecimal length.")
        self._left = int(match[1], 16)
        if self._left:
            return True
        for _ in range(32):
            if self._connection.read_line(4096) == b"":
                self._is_done = True
                return False
        raise Refusal(400, "InvalidInput", "There are too many lines behind the last chunk.")


def _parse_head(head: bytes) -> tuple[str, str, str, Mapping[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    match = _REQUEST_LINE.match(lines[0])
    if match is None:
        raise Refusal(400, "InvalidInput", "The first line must be a method, a path and HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        field = _HEADER.match(line)
        if field is None:
            raise Refusal(400, "InvalidHeaderValue", "A header is malformed.")
        name, value = field[1].lower(), field[2]
        if name in headers:
            if name in ("content-length", "transfer-encoding", "host", "authorization"):
                raise Refusal(400, "InvalidHeaderValue", f"The header {name} is given twice.")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if match[3] == "1" and "host" not in headers:
        raise Refusal(400, "InvalidHeaderValue", "The header Host is missing.")
    return match[1], match[2], match[3], headers


def _framing(headers: Mapping[str, str]) -> int | None:
    """Return the body's length, None for chunks."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise Refusal(400, "InvalidHeaderValue", "Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != "chunked":
            raise Refusal(501, "NotImplemented", f"The transfer coding {coding!r} is not known here: send chunked.")
        return None
    if length is None:
        return 0
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        raise Refusal(400, "InvalidHeaderValue", f"Content-Length {length!r} is not a number.")
    return int(length)
