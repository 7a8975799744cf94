"""One request to an address: connected to what was checked, redirects checked again, bounded in bytes and in time."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import SplitResult, urljoin

from entrepot.core.errors import AddressRefused, NotFound, TooLarge, Unavailable
from entrepot.store.web import addresses
from entrepot.store.web.addresses import Allowed

_CONNECT_S = 10.0
_WAIT_S = 60.0
_PIECE_BYTES = 1 << 20
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
Trust = Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may come, and how long all of it may take."""

    size_bytes: int
    seconds: float


class _Pinned(http.client.HTTPConnection):
    """A connection to one of the addresses that were checked, whatever the name stands for by now."""

    def __init__(self, parts: SplitResult, pinned: Sequence[str], trust: Trust) -> None:
        is_secure = parts.scheme == "https"
        port = parts.port or (443 if is_secure else 80)
        super().__init__(parts.hostname or "", port, timeout=_WAIT_S)
        self._pinned = pinned
        self._trust = trust if is_secure else None
        self.opened: socket.socket | None = None
        self.is_cut = False
        self.default_port = 443 if is_secure else 80  # so that the Host header says a port only where it must

    def connect(self) -> None:
        """Connect to the first of the checked addresses that answers. Raises OSError."""
        self.sock = self.opened = self._connected()
        self.sock.settimeout(_WAIT_S)
        if self._trust is not None:
            secure = self._trust().wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = self.opened = secure
            secure.do_handshake()

    def cut(self) -> None:
        """End the connection from another thread, whatever it waits for."""
        self.is_cut = True
        with suppress(OSError):
            if self.opened is not None:
                socket.socket.shutdown(self.opened, socket.SHUT_RDWR)

    def _connected(self) -> socket.socket:
        for address in self._pinned[:-1]:
            try:
                return socket.create_connection((address, self.port), timeout=_CONNECT_S)
            except OSError:
                continue
        return socket.create_connection((self._pinned[-1], self.port), timeout=_CONNECT_S)


@contextmanager
def fetching(
    url: str, allowed: Allowed, limits: Limits, *, trust: Trust = ssl.create_default_context
) -> Iterator[Iterator[bytes]]:
    """Give the pieces of what an address answers, redirects followed.

    Raises AddressRefused, InvalidRequest, NotFound for another answer than 200, TooLarge, and Unavailable.
    """
    ends = time.monotonic() + limits.seconds
    for _ in range(_MOST_REDIRECTS + 1):
        parts = addresses.split(url)
        connection = _Pinned(parts, addresses.resolve(url, allowed), trust)
        with _asked(connection, url, ends) as answer:
            target = answer.getheader("location")
            if answer.status not in _REDIRECTS or not target:
                if answer.status != 200:
                    raise NotFound(f"{url} answers {answer.status} {answer.reason}")
                yield _pieces(connection, answer, url, limits.size_bytes)
                return
        to = urljoin(url, target)
        if parts.scheme == "https" and not to.lower().startswith("https:"):
            raise AddressRefused(f"{url} leads from https to {to[:200]!r}, which is not followed")
        url = to
    raise Unavailable(f"{url} leads on and on: at most {_MOST_REDIRECTS} redirects are followed")


def read(url: str, allowed: Allowed, limits: Limits, *, trust: Trust = ssl.create_default_context) -> bytes:
    """Return all of a small answer. Raises as `fetching` does."""
    with fetching(url, allowed, limits, trust=trust) as pieces:
        return b"".join(pieces)


def post(
    url: str, body: bytes, headers: Mapping[str, str], allowed: Allowed, limits: Limits, *,
    trust: Trust = ssl.create_default_context,
) -> tuple[int, bytes]:  # fmt: skip
    """Send a small body and return the status and all of the answer; a redirect is not followed.

    Raises AddressRefused, InvalidRequest, TooLarge, and Unavailable.
    """
    parts = addresses.split(url)
    connection = _Pinned(parts, addresses.resolve(url, allowed), trust)
    with _asked(connection, url, time.monotonic() + limits.seconds, method="POST", body=body, headers=headers) as told:
        return told.status, b"".join(_pieces(connection, told, url, limits.size_bytes))


@contextmanager
def _asked(
    connection: _Pinned, url: str, ends: float, *, method: str = "GET", body: bytes | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[http.client.HTTPResponse]:  # fmt: skip
    """Send the request and give the answer; whoever is still sending it at the end is cut off."""
    parts = addresses.split(url)
    watch = threading.Timer(max(0.0, ends - time.monotonic()), connection.cut)
    watch.daemon = True
    watch.start()
    try:
        with _told(url):
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body=body, headers=dict(headers))
            answer = connection.getresponse()
        with answer:
            yield answer
    finally:
        watch.cancel()
        connection.close()


def _pieces(connection: _Pinned, answer: http.client.HTTPResponse, url: str, limit_bytes: int) -> Iterator[bytes]:
    length = answer.length  # None when it is told by chunks or by the end
    if length is not None and length > limit_bytes:
        raise TooLarge(f"{url} has {length} bytes; at most {limit_bytes} may come")
    size = 0
    while piece := _piece(answer, url):
        size += len(piece)
        if size > limit_bytes:
            raise TooLarge(f"{url} has more than {limit_bytes} bytes, and no more may come")
        yield piece
    if connection.is_cut:  # which looks like the end of a body without a length
        raise Unavailable(f"{url} cannot be read in the time it may take: {size} bytes came")
    if length is not None and size < length:
        raise Unavailable(f"{url} ended after {size} of its {length} bytes")


def _piece(answer: http.client.HTTPResponse, url: str) -> bytes:
    with _told(url):
        return answer.read(_PIECE_BYTES)


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unavailable(f"{url} cannot be read, or not in the time it may take: {error}") from error
