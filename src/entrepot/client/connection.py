"""HTTP/1.1 over one kept-alive socket: what a command needs and no more.

http.client imports email and ssl, 25 to 35 ms before the first byte is sent; this speaks to our own server only.
TLS costs its import where the address is https.
"""

from __future__ import annotations

import socket

from entrepot.client.failures import NoServer
from entrepot.client.heartbeat import LIMIT_S, SILENCE_S, Heartbeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

CONNECT_S = 10.0
IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE")
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quote(text: str, *, safe: str = "") -> str:
    """Percent-encode text for one segment of a path or one value of a query."""
    if UNRESERVED.issuperset(text):
        return text
    return "".join(c if c in UNRESERVED or c in safe else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


class Answer:
    """An answer: status, headers by lower-case name, and the whole body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Connection:
    """One connection to an http or https address, opened at first use and opened again when the server closed it.

    `context` checks the certificate of an https address; None: as `trusting` says. A server that is silent for
    `silence_s` is asked for a sign of life; without one, or after `timeout_s`, its answer is no longer waited for.
    """

    __slots__ = ("_buffer", "_context", "_heartbeat", "_host", "_is_tls", "_port", "_socket")

    def __init__(
        self,
        url: str,
        *,
        context: ssl.SSLContext | None = None,
        silence_s: float = SILENCE_S,
        timeout_s: float = LIMIT_S,
    ) -> None:
        scheme, _, rest = url.partition("://")
        authority = rest.partition("/")[0]
        host, colon, port = authority.rpartition(":")
        self._is_tls = scheme == "https"
        if not colon or "]" in port:
            host, port = authority, "443" if self._is_tls else "80"
        self._context = context
        self._host = host.strip("[]")
        self._port = int(port)
        address = (self._host, self._port)
        self._heartbeat = Heartbeat(address, is_tls=self._is_tls, silence_s=silence_s, limit_s=timeout_s)
        self._socket: socket.socket | None = None
        self._buffer = b""

    def close(self) -> None:
        """Close the socket, if one is open."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer = b""

    def request(self, method: str, target: str, *, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request and return the answer. Raises NoServer when nothing answers."""
        fresh = self._socket is None
        try:
            return self._tried(method, target, headers, body)
        except (OSError, EOFError) as error:
            if fresh or isinstance(error, TimeoutError) or method not in IDEMPOTENT:
                raise self._nobody(error) from error
        try:  # the server had closed the idle connection
            return self._tried(method, target, headers, body)
        except (OSError, EOFError) as error:
            raise self._nobody(error) from error

    def _tried(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            return self._exchange(method, target, headers, body)
        except BaseException:
            self.close()  # an answer that comes after all is not the next request's
            raise

    def _nobody(self, error: BaseException) -> NoServer:
        return NoServer(f"No server answers at {self._host}:{self._port}: {_reason(error)}.", hint="entrepot up")

    def _exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._socket is None:
            self._socket = self._open()
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method in ("PUT", "POST", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        self._send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self._receive(method)

    def _send(self, data: bytes) -> None:
        opened, view = self._socket, memoryview(data)
        assert opened is not None
        while view:
            view = view[self._heartbeat.outwait(lambda rest=view: opened.send(rest)) :]  # type: ignore[misc]

    def _open(self) -> socket.socket:
        if self._host.replace(".", "").isdigit():  # looking up a number would import the tables for names in Unicode
            opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            opened.settimeout(CONNECT_S)
            try:
                opened.connect((self._host, self._port))
            except BaseException:
                opened.close()
                raise
        else:
            opened = socket.create_connection((self._host, self._port), timeout=CONNECT_S)
        opened.settimeout(self._heartbeat.silence_s)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._encrypted(opened) if self._is_tls else opened

    def _encrypted(self, opened: socket.socket) -> socket.socket:
        self._context = self._context or trusting()
        try:
            return self._context.wrap_socket(opened, server_hostname=self._host)
        except BaseException:
            opened.close()
            raise

    def _receive(self, method: str) -> Answer:
        while True:
            head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(head[0].split(" ", 2)[1])
            if status >= 200:
                break
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            body = self._to_the_end()
            headers["connection"] = "close"
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    def _fill(self) -> bytes:
        data = self._read()
        if not data:
            raise EOFError("the server closed the connection")
        return data

    def _read(self) -> bytes:
        assert self._socket is not None
        opened = self._socket
        return self._heartbeat.outwait(lambda: opened.recv(65536))

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._buffer += self._fill()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            data = self._fill()
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            parts.append(self._exactly(size))
            self._exactly(2)
        while self._until(b"\r\n"):
            continue  # trailers
        return b"".join(parts)

    def _to_the_end(self) -> bytes:
        parts = [self._buffer]
        while data := self._read():
            parts.append(data)
        return b"".join(parts)


def trusting() -> ssl.SSLContext:
    """Return what checks a server's certificate: the authorities of REQUESTS_CA_BUNDLE, else the system's."""
    import os
    import ssl

    return ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE") or None)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
