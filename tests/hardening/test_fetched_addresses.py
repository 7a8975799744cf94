"""Server-side request forgery: what a user's address may make the server ask."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from entrepot.core.errors import AddressRefused, InvalidRequest, TooLarge, Unavailable
from entrepot.store.web import addresses
from entrepot.store.web.addresses import Allowed
from entrepot.store.web.fetching import Limits, fetching, read
from tests.hardening.web import answer, serving

Web = tuple[int, list[str]]
LOCAL, PUBLIC, NONE = Allowed.of(["loopback"]), Allowed.of(["loopback", "public"]), Allowed.of([])
LIMITS = Limits(1 << 20, 60.0)
INNER = (
    "169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[::ffff:169.254.169.254]", "[::ffff:10.0.0.1]",
    "[2002:a9fe:a9fe::]", "[64:ff9b::a9fe:a9fe]", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
    "169.254.43518", "10.1", "0", "[fec0::1]", "[::10.0.0.1]",
)  # fmt: skip


@pytest.fixture
def web() -> Iterator[Web]:
    """A web that answers `bytes`."""
    with serving(answer) as found:
        yield found


@pytest.mark.parametrize("host", INNER)
@pytest.mark.parametrize("allowed", [LOCAL, PUBLIC], ids=["default", "public"])
def test_an_inner_address_is_refused_however_it_is_spelled(host: str, allowed: Allowed) -> None:
    for refuse in (addresses.check, addresses.resolve):
        with pytest.raises(AddressRefused, match="fetch_addresses"):
            refuse(f"http://{host}/latest/meta-data", allowed)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "127.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"]
)
def test_loopback_is_loopback_however_it_is_spelled(host: str) -> None:
    addresses.check(f"http://{host}/", LOCAL)
    with pytest.raises(AddressRefused, match="loopback address"):
        addresses.resolve(f"http://{host}/", NONE)


def test_public_addresses_need_the_switch() -> None:
    for url in ("http://93.184.216.34/", "https://[2606:2800:220:1::1]/x"):
        addresses.check(url, PUBLIC)
        with pytest.raises(AddressRefused, match="public address"):
            addresses.check(url, LOCAL)
    with pytest.raises(AddressRefused, match="not on this machine"):
        addresses.check("https://example.com/x", LOCAL)


def test_a_network_is_allowed_by_its_name_alone() -> None:
    allowed = Allowed.of(["10.1.0.0/16"])
    addresses.check("http://10.1.2.3/", allowed)
    addresses.check("http://[::ffff:10.1.2.3]/", allowed)
    for host in ("10.2.0.1", "127.0.0.1"):
        with pytest.raises(AddressRefused):
            addresses.check(f"http://{host}/", allowed)
    with pytest.raises(InvalidRequest, match="fetch_addresses holds"):
        Allowed.of(["10.0.0.1/8"])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://127.0.0.1/", "http:///x", "http://user:pw@127.0.0.1/", "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/", "http://127.0.0.1/\r\nHost: x", "http://127.0.0.1\\@169.254.169.254/", "http://[::1/",
        "http://127.0.0.1/\u0100", "//127.0.0.1/", "",
    ],
)  # fmt: skip
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="no address to fetch from"):
        addresses.check(url, PUBLIC)


def test_a_redirect_is_checked_like_the_first_address() -> None:
    def lead(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 302, b"", Location="http://169.254.169.254/latest/meta-data")

    with serving(lead) as (port, asked), pytest.raises(AddressRefused, match="link-local"):
        read(f"http://127.0.0.1:{port}/a", LOCAL, LIMITS)
    assert asked == ["/a"]


def test_a_redirect_to_what_is_allowed_is_followed_and_a_circle_is_not() -> None:
    def lead(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/end":
            answer(handler)
        else:
            answer(handler, 307, b"", Location="/end" if handler.path == "/a" else "/round")

    with serving(lead) as (port, asked):
        assert read(f"http://127.0.0.1:{port}/a", LOCAL, LIMITS) == b"bytes"
        with pytest.raises(Unavailable, match="at most 5 redirects"):
            read(f"http://127.0.0.1:{port}/round", LOCAL, LIMITS)
    assert asked == ["/a", "/end", *["/round"] * 6]


@pytest.fixture
def rebinding(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A name whose address changes with every question: this machine's first, then the metadata service's."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def told(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host != "rebind.test":
            return real(host, port, *rest, **options)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", told)
    yield asked


def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_connected_to(
    rebinding: list[str], web: Web
) -> None:
    assert read(f"http://rebind.test:{web[0]}/x", LOCAL, LIMITS) == b"bytes"
    assert rebinding == ["rebind.test"]
    with pytest.raises(AddressRefused, match="link-local"):
        read(f"http://rebind.test:{web[0]}/x", LOCAL, LIMITS)
    assert web[1] == ["/x"]


def test_more_bytes_than_may_come_are_refused_with_and_without_a_length(web: Web) -> None:
    def chunked(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"1000\r\n" + bytes(0x1000) + b"\r\n")
        except OSError:
            handler.close_connection = True

    with pytest.raises(TooLarge, match="5 bytes"):
        read(f"http://127.0.0.1:{web[0]}/", LOCAL, Limits(4, 60.0))
    with serving(chunked) as (port, _), pytest.raises(TooLarge):
        read(f"http://127.0.0.1:{port}/", LOCAL, LIMITS)


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_trickles_is_cut_off(part: str) -> None:
    over = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        if part == "body":
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        try:
            while not over.wait(0.05):
                handler.wfile.write(b"x")
        except OSError:
            pass

    try:
        with serving(trickle) as (port, _), pytest.raises(Unavailable, match="cannot be read"):
            read(f"http://127.0.0.1:{port}/", LOCAL, Limits(1 << 20, 0.5))
    finally:
        over.set()


def test_an_answer_that_ends_early_is_no_answer() -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    with serving(short) as (port, _), pytest.raises(Unavailable):
        read(f"http://127.0.0.1:{port}/", LOCAL, LIMITS)


def test_trouble_of_the_reader_is_not_told_as_trouble_of_the_address(web: Web) -> None:
    with pytest.raises(OSError, match="disk full"), fetching(f"http://127.0.0.1:{web[0]}/", LOCAL, LIMITS):
        raise OSError("disk full")
