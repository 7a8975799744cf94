"""Requests that a proxy and a server could read differently, and paths that hide where they lead: API and gateway.

The data plane's own tests of this are in tests/dataplane/test_listener.py.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.testing.live import LiveServer, live
from tests.endpoints.test_gateway import Site, site, taxi

__all__ = ["site", "taxi"]

LIMIT_S = 30
CHUNKED = "Transfer-Encoding: chunked"
AMBIGUOUS = {
    "both lengths": ("Content-Length: 4", CHUNKED),
    "both lengths, the other way round": (CHUNKED, "Content-Length: 4"),
    "two lengths": ("Content-Length: 0", "Content-Length: 5"),
    "the same length twice": ("Content-Length: 0", "Content-Length: 0"),
    "a list of lengths": ("Content-Length: 0, 5",),
    "a signed length": ("Content-Length: +0",),
    "a negative length": ("Content-Length: -1",),
    "a length with an underscore": ("Content-Length: 1_0",),
    "a hexadecimal length": ("Content-Length: 0x0",),
    "an unknown coding": ("Transfer-Encoding: xchunked",),
    "identity": ("Transfer-Encoding: identity",),
    "two codings": (CHUNKED, "Transfer-Encoding: identity"),
    "a list of codings": ("Transfer-Encoding: chunked, identity",),
    "a blank before the colon": ("Transfer-Encoding : chunked",),
    "a vertical tab": ("Transfer-Encoding: \x0bchunked",),
    "NUL in a header": ("X-A: a\0b",),
    "a control character in a header": ("X-A: a\x01b",),
    "a carriage return in a name": ("X-A\r: b",),
}
FOLDED = {
    "a folded header": ("X-A: b\r\n Content-Length: 5",),
    "a folded coding": ("Transfer-Encoding:\r\n chunked",),
    "a bare line feed": (f"X-A: a\n{CHUNKED}",),
    "a bare carriage return": (f"X-A: a\r{CHUNKED}",),
}
BAD_CHUNKS = {
    "a length with a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a length that overflows": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a bare line feed behind the length": b"5\nhello\r\n0\r\n\r\n",
    "a line feed in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than it says": b"5\r\nhelloXX0\r\n\r\n",
    "a negative length": b"-5\r\nhello\r\n0\r\n\r\n",
}


def talked(port: int, data: bytes) -> bytes:
    """Send bytes and return all that comes until the other side ends the connection."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as sock:
        sock.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                got += piece
    return got


def statuses(got: bytes) -> list[int]:
    return [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", *headers, "\r\n")).encode("latin-1") + body


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live(tmp_path_factory.mktemp("server") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def port(server: LiveServer) -> int:
    return urlsplit(server.url).port or 0


@pytest.mark.parametrize("headers", [*AMBIGUOUS.values(), *FOLDED.values()], ids=[*AMBIGUOUS, *FOLDED])
def test_the_server_refuses_what_can_be_read_in_two_ways_and_reads_nothing_behind_it(
    port: int, headers: tuple[str, ...]
) -> None:
    hidden = request("GET", "/health", "Host: x", "Connection: close")
    got = talked(port, request("POST", "/x", "Host: x", *headers, body=b"0\r\n\r\n" + hidden))
    assert statuses(got) == [400]


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_the_server_ends_the_connection_at_a_bad_chunk(port: int, chunks: bytes) -> None:
    hidden = request("GET", "/health", "Host: x", "Connection: close")
    got = talked(port, request("POST", "/x", "Host: x", CHUNKED, body=chunks + hidden))
    assert 200 not in statuses(got) and statuses(got)[-1:] == [400]


@pytest.mark.parametrize(
    "headers",
    [("Connection: close",), ("Host: x", "Host: y", "Connection: close"),
     ("Host: x", "Authorization: Bearer a", "Authorization: Bearer b", "Connection: close")],
    ids=["none", "two hosts", "two credentials"],
)  # fmt: skip
def test_host_and_credentials_are_there_once(port: int, headers: tuple[str, ...]) -> None:
    for path in ("/health", "/subscriptions?api-version=2022-12-01"):
        assert statuses(talked(port, request("GET", path, *headers))) == [400]


def test_extensions_and_trailers_of_chunks_change_nothing(server: LiveServer, port: int) -> None:
    path = "/subscriptions/s1/resourceGroups/chunked?api-version=2022-12-01"
    body = b'16;a=b;c="d"\r\n{"location": "eastus"}\r\n0\r\nAuthorization: Bearer evil\r\n\r\n'
    head = ("Host: x", f"Authorization: Bearer {server.token}", "Content-Type: application/json")
    after = request("GET", "/health", "Host: x", "Connection: close")
    got = talked(port, request("PUT", path, *head, CHUNKED, body=body + after))
    assert statuses(got) == [201, 200], got


@pytest.mark.parametrize(
    "path", ["/x/../subscriptions", "/x/%2e%2e/subscriptions", "/subscriptions/%2e%2e/subscriptions",
             "/subscriptions%00", "/./subscriptions", "/health/../subscriptions", "/health/%2e%2e/subscriptions"],
)  # fmt: skip
def test_a_path_opens_nothing_by_what_it_hides(server: LiveServer, port: int, path: str) -> None:
    assert statuses(talked(port, request("GET", path, "Host: x", "Connection: close"))) == [401]
    known = ("Host: x", f"Authorization: Bearer {server.token}", "Connection: close")
    assert statuses(talked(port, request("GET", path, *known))) == [404]


@pytest.mark.parametrize("path", ["//subscriptions", "/%2fsubscriptions", "/subscriptions%2f", "/SUBSCRIPTIONS//"])
def test_other_spellings_of_a_path_ask_for_the_same_right(server: LiveServer, port: int, path: str) -> None:
    assert statuses(talked(port, request("GET", path, "Host: x", "Connection: close"))) == [401]


class Tape:
    """A replica that writes down the very bytes that reach it, and answers `ok` to each request that it is sent."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.bytes: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self.listener.accept()[0],), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            data = b""
            while piece := sock.recv(65536):
                self.bytes.append(piece)
                data += piece
                head, end, body = data.partition(b"\r\n\r\n")
                is_whole = b"0\r\n\r\n" in body or b"\ntransfer-encoding: chunked" not in head.lower()
                if end and is_whole:
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    data = b""


@pytest.fixture
def tape(site: Site, taxi: EndpointRef) -> Iterator[Tape]:
    """All of taxi's traffic goes to a tape."""
    made = Tape()
    ref: DeploymentRef = site.house.deploy(taxi, "tape")
    site.house.serve(ref, made.address)
    site.divided(taxi, blue=0, green=0, tape=100)
    yield made
    made.listener.close()


def known(site: Site, taxi: EndpointRef) -> tuple[str, str]:
    return ("Host: x", f"Authorization: Bearer {site.key(taxi)}")


def test_the_gateway_refuses_what_can_be_read_in_two_ways(site: Site, taxi: EndpointRef, tape: Tape) -> None:
    path, port = site.path(taxi), site.gateway.ports[0]
    hidden = request("POST", path, *known(site, taxi), "Content-Length: 0", "Connection: close")
    for name, headers in AMBIGUOUS.items():
        got = talked(port, request("POST", path, *known(site, taxi), *headers, body=b"0\r\n\r\n" + hidden))
        assert statuses(got) in ([400], [501]), name
    assert tape.bytes == []


def test_what_the_gateway_passes_on_can_be_read_in_one_way_only(site: Site, taxi: EndpointRef, tape: Tape) -> None:
    path, port = site.path(taxi), site.gateway.ports[0]
    for name, headers in FOLDED.items():
        tape.bytes.clear()
        is_chunked = "coding" in name or "line feed" in name
        body = b"2\r\nhi\r\n0\r\n\r\n" if is_chunked else b""
        got = talked(port, request("POST", path, *known(site, taxi), *headers, "Connection: close", body=body))
        assert statuses(got) == [200], (name, got)
        head, _, rest = b"".join(tape.bytes).partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        assert all(re.fullmatch(rb"[^ \t\r\n][^\r\n]*", line) for line in lines), name
        assert rest == (b"2\r\nhi\r\n0\r\n\r\n" if is_chunked else b""), name


def test_the_gateway_ends_the_connection_at_a_bad_chunk(site: Site, taxi: EndpointRef, tape: Tape) -> None:
    path, port = site.path(taxi), site.gateway.ports[0]
    hidden = request("POST", path, *known(site, taxi), "Content-Length: 0", "Connection: close")
    for name, chunks in BAD_CHUNKS.items():
        got = talked(port, request("POST", path, *known(site, taxi), CHUNKED, body=chunks + hidden))
        assert statuses(got) == [400], name


@pytest.mark.parametrize(
    "spelling",
    ["/{slug}%2fscore", "//{slug}/score", "/{slug}//score", "/{slug}/score/", "/{slug}/score%00", "/{slug}/score;a=b",
     "/{slug}/score/../../admin", "/{SLUG}/score", "/{slug}/..%2f..%2fgateway/authorize", "/{slug}%5cscore", "/load",
     "/ready", "/{slug}/load", "/{slug}/ready", "/gateway/authorize", "/{slug}/%2e%2e/%2e%2e/load",
     "/{slug}/score%2f..%2fload"],
)  # fmt: skip
def test_a_path_leads_to_nothing_but_what_an_endpoint_answers(
    site: Site, taxi: EndpointRef, tape: Tape, spelling: str
) -> None:
    slug = site.path(taxi).split("/")[1]
    path = spelling.replace("{slug}", slug).replace("{SLUG}", slug.upper())
    head = (*known(site, taxi), "Content-Length: 0", "Connection: close")
    assert statuses(talked(site.gateway.ports[0], request("POST", path, *head)))[0] in (400, 404)
    assert tape.bytes == []


def test_a_path_to_another_endpoint_needs_the_other_ones_key(site: Site, taxi: EndpointRef, tape: Tape) -> None:
    other = site.house.endpoint("another")
    site.house.serve(site.house.deploy(other, "blue"), site.blue.address)
    site.divided(other, blue=100)
    mine, theirs = (site.path(ref).split("/")[1] for ref in (taxi, other))
    for path in (f"/{mine}/../{theirs}/score", f"/{mine}/%2e%2e/{theirs}/score", f"/{mine}/.%2E/{theirs}/score"):
        head = (*known(site, taxi), "Content-Length: 0", "Connection: close")
        assert statuses(talked(site.gateway.ports[0], request("POST", path, *head))) == [401], path


@pytest.mark.parametrize("name", ["x-entrepot-pick", "X-ENTREPOT-PICK", "x-entrepot-replica", "X-Entrepot-Replica"])
def test_headers_of_the_house_are_not_taken_from_callers(site: Site, taxi: EndpointRef, tape: Tape, name: str) -> None:
    head = (*known(site, taxi), f"{name}: blue", "Content-Length: 0", "Connection: close")
    assert statuses(talked(site.gateway.ports[0], request("POST", site.path(taxi), *head))) == [200]
    told = b"".join(tape.bytes).lower()
    assert b"x-entrepot-pick" not in told and told.count(b"x-entrepot-replica: ") == 1 and b": blue" not in told
    assert b"authorization" not in told


def test_a_connection_header_takes_no_check_away(site: Site, taxi: EndpointRef, tape: Tape) -> None:
    for named in ("authorization", "x-entrepot-replica", "content-length", "host"):
        head = (*known(site, taxi), f"Connection: close, {named}", "Content-Length: 0")
        got = talked(site.gateway.ports[0], request("POST", site.path(taxi), *head))
        assert statuses(got)[0] in (200, 400, 401), named
    for piece in tape.bytes:
        assert b"x-entrepot-replica: " in piece.lower()
