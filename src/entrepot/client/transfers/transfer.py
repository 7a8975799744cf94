"""A connection for large bytes to the server's data plane: sends files by sendfile, receives into given memory.

What is said over it is in `uploads.py` and `downloads.py`.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import struct
import sys
import time
from pathlib import Path

from entrepot.client.connection import quote, trusting
from entrepot.client.failures import NoServer, ServiceFailure
from entrepot.client.heartbeat import SILENCE_S, Heartbeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import FileIO
    from typing import Any, TypeVar

    T = TypeVar("T")
    Piece = bytes | Path

PIECE_BYTES = 1 << 20
BIG_BYTES = 8 << 20  # the server's own bound: smaller files travel in packs
PACK_BYTES = 32 << 20
_SENDFILE_BYTES = 8 << 20
_PAUSES_S = (0.2, 1.0, 3.0)


class Channel:
    """Requests to one container, under the signature in its URL. Reconnects when the server closed the connection.

    A server that is silent for `silence_s` is asked for a sign of life; while it gives one, it is waited for.
    """

    def __init__(self, url: str, *, silence_s: float = SILENCE_S) -> None:
        base, _, self._query = url.partition("?")
        scheme, _, rest = base.partition("://")
        authority, _, path = rest.partition("/")
        self._is_tls = scheme == "https"
        self._authority = authority.rpartition("@")[2]
        host, colon, port = self._authority.rpartition(":")
        if not colon or "]" in port:
            host, port = self._authority, "443" if self._is_tls else "80"
        self._address = (host.strip("[]"), int(port))
        self._heartbeat = Heartbeat(self._address, is_tls=self._is_tls, silence_s=silence_s)
        self._container = "/" + path.strip("/")
        self._socket: socket.socket | None = None
        self._rest = b""
        self.headers: dict[str, str] = {}
        self.left = 0  # of the body that is being received

    @property
    def is_loopback(self) -> bool:
        """True when the server is on this machine."""
        return re.fullmatch(r"localhost|::1|127(\.\d{1,3}){3}", self._address[0]) is not None

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._rest = b""

    def ask(
        self, method: str, comp: str, path: str = "", *, body: bytes = b"", again: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """Send a small request and return the JSON of its answer, also of one whose status is in `again`."""

        def attempt() -> dict[str, Any]:
            self.begin(method, comp, path, length=len(body), pieces=[body], accepted=again)
            answer: dict[str, Any] = json.loads(self.read_rest() or b"{}")
            return answer

        return self.retried(attempt)

    def retried(self, attempt: Callable[[], T]) -> T:
        """Run an attempt, again after a pause when the connection broke. Raises NoServer in the end."""
        for pause in (*_PAUSES_S, None):
            try:
                return attempt()
            except (OSError, EOFError) as error:
                self.close()
                if pause is None:
                    raise NoServer(
                        f"The transfer to {self._authority} broke off: {error or 'it was closed'}."
                    ) from error
                time.sleep(pause)
        raise AssertionError("unreachable")

    def begin(
        self,
        method: str,
        comp: str,
        path: str = "",
        *,
        query: str = "",
        headers: tuple[str, ...] = (),
        length: int = 0,
        pieces: Iterable[Piece] = (),
        accepted: tuple[int, ...] = (),
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Send a request and read the head of its answer, whose body is then to be received; return the status.

        Raises ServiceFailure on an error, OSError and EOFError when the connection breaks.
        """
        place = "/".join([self._container, *(quote(part) for part in path.split("/") if part)])
        lines = [f"{method} {place}?comp={comp}{query}&{self._query} HTTP/1.1", f"Host: {self._authority}", *headers]
        if method != "GET":
            lines.append(f"Content-Length: {length}")
        sock = self._connected()
        try:
            self._send_bytes(sock, "\r\n".join([*lines, "", ""]).encode("latin-1"))
            for piece in pieces:
                if not self._send(sock, piece, progress):
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server that refuses answers before it closes: the answer is the better news
        return self._read_head(accepted)

    def receive(self, view: memoryview) -> int:
        """Fill a view as far as the answer's body goes; return the number of bytes, 0 at the end."""
        want = min(len(view), self.left)
        done = min(want, len(self._rest))
        view[:done] = self._rest[:done]
        self._rest = self._rest[done:]
        sock = self._socket
        while done < want and sock is not None:
            # One call for the whole view: the kernel waits for it without waking this thread for each packet.
            flags, rest = 0 if self._is_tls else socket.MSG_WAITALL, view[done:want]
            count = self._heartbeat.outwait(lambda: sock.recv_into(rest, len(rest), flags))  # noqa: B023
            if count == 0:
                raise EOFError("the server closed the connection within a body")
            done += count
        self.left -= done
        return done

    @property
    def can_splice(self) -> bool:
        """True when the body arrives as it is and this kernel can move it."""
        return not self._is_tls and hasattr(os, "splice")

    def splice(self, pipe: int, limit: int) -> int:
        """Move up to `limit` bytes of the rest of the answer's body, at least one, into a pipe; return their number."""
        if self._rest:
            count = os.write(pipe, self._rest[: min(limit, self.left)])
            self._rest = self._rest[count:]
        else:
            sock = self._socket
            assert sock is not None
            count = self._heartbeat.outwait(lambda: os.splice(sock.fileno(), pipe, min(limit, self.left)))
        if count == 0:
            raise EOFError("the server closed the connection within a body")
        self.left -= count
        return count

    def read_exactly(self, size: int) -> bytes:
        """Return so many bytes of the answer's body."""
        buffer = bytearray(size)
        if self.receive(memoryview(buffer)) != size:
            raise EOFError("the answer is shorter than it says")
        return bytes(buffer)

    def read_rest(self) -> bytes:
        """Return the rest of the answer's body."""
        return self.read_exactly(self.left)

    def _connected(self) -> socket.socket:
        if self.left:
            self.close()  # an answer was left unread
        if self._socket is None:
            silence_s = self._heartbeat.silence_s
            sock = socket.create_connection(self._address, timeout=silence_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if sys.platform == "linux":  # time-outs by the kernel leave the socket blocking, which MSG_WAITALL needs
                sock.settimeout(None)
                for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", *_seconds(silence_s)))
            self._socket = _encrypted(sock, self._address[0]) if self._is_tls else sock
            self._rest = b""
        self.left = 0
        return self._socket

    def _send(self, sock: socket.socket, piece: Piece, progress: Callable[[int], None] | None) -> bool:
        """Send bytes or a file; False when the server answered before the end, as it does when it refuses."""
        if isinstance(piece, bytes):
            self._send_bytes(sock, piece)
            if progress:
                progress(len(piece))
            return True
        with piece.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            place = 0
            while place < size:
                count = min(size - place, _SENDFILE_BYTES)
                count = self._send_file(sock, file, place, count)
                if count == 0:
                    break
                place += count
                if progress:
                    progress(count)
                if select.select([sock], [], [], 0)[0]:
                    return False
        return True

    def _send_bytes(self, sock: socket.socket, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._heartbeat.outwait(lambda rest=view: sock.send(rest)) :]  # type: ignore[misc]

    def _send_file(self, sock: socket.socket, file: FileIO, place: int, count: int) -> int:
        """Send a part of a file; return how much of it went."""
        if self._is_tls or sys.platform != "linux":
            return sock.sendfile(file, place, count)  # plain copies under TLS
        # socket.sendfile would wait without end on a socket whose time-outs are the kernel's
        return self._heartbeat.outwait(lambda: os.sendfile(sock.fileno(), file.fileno(), place, count))

    def _read_head(self, accepted: tuple[int, ...]) -> int:
        sock = self._socket
        assert sock is not None
        while b"\r\n\r\n" not in self._rest:
            data = self._heartbeat.outwait(lambda: sock.recv(65536))
            if not data:
                raise EOFError("the server closed the connection")
            self._rest += data
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        pairs = (line.partition(":") for line in lines[1:])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.left = int(self.headers.get("content-length", "0"))
        if status >= 400 and status not in accepted:
            failure = _failure(status, self.read_rest())
            self.close()
            raise failure
        return status


def _seconds(duration_s: float) -> tuple[int, int]:
    """Return whole seconds and microseconds, as the kernel takes them."""
    return int(duration_s), int(duration_s % 1 * 1e6)


def in_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces so that each has about PIECE_BYTES: a system call for each file would be dear."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def _failure(status: int, body: bytes) -> ServiceFailure:
    try:
        error = json.loads(body)["error"]
        return ServiceFailure(error["message"], code=error["code"], status=status)
    except (ValueError, KeyError, TypeError):
        return ServiceFailure(f"The server answered {status} to a transfer.", status=status)


def _encrypted(sock: socket.socket, host: str) -> socket.socket:
    return trusting().wrap_socket(sock, server_hostname=host)
