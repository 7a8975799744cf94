"""Clients that send too much, too slowly, or never read: they are sent away, and others are served meanwhile."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.testing.live import LiveServer, live

LIMIT_S = 60.0
HEAD = (
    b"PUT /subscriptions/x/resourcegroups/y?api-version=2021-04-01 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    home: Path = tmp_path_factory.mktemp("slow") / "home"
    with live(home, head_timeout_s=2.0, body_limit_bytes=100_000) as found:
        yield found


@pytest.fixture
def dial(server: LiveServer) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        host, _, port = server.url.removeprefix("http://").partition(":")
        opened.append(socket.create_connection((host, int(port)), timeout=LIMIT_S))
        return opened[-1]

    yield connect
    for sock in opened:
        sock.close()


def _ends(sock: socket.socket) -> bytes:
    """Return what came until the server ended the connection; a time-out is a failure."""
    told = b""
    try:
        while data := sock.recv(1 << 16):
            told += data
    except ConnectionError:
        pass
    return told


def test_heads_that_trickle_are_sent_away_while_others_are_served(
    server: LiveServer, dial: Callable[[], socket.socket]
) -> None:
    slow = [dial() for _ in range(200)]
    for sock in slow:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\nX: ")
    assert server.call("GET", "/subscriptions").status == 200
    end = time.monotonic() + LIMIT_S
    with pytest.raises(ConnectionError):  # every byte comes in time, the head never does
        while time.monotonic() < end:
            slow[0].sendall(b"y")
            time.sleep(0.2)
    assert [_ends(sock) for sock in slow[1:]] == [b""] * 199
    assert server.call("GET", "/subscriptions").status == 200


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "blank lines"])
def test_a_connection_that_asks_for_nothing_is_ended(dial: Callable[[], socket.socket], sent: bytes) -> None:
    sock = dial()
    sock.sendall(sent)
    assert _ends(sock) == b""


@pytest.mark.parametrize(
    "lines",
    [
        b"X: " + b"a" * 70_000,
        b"\r\n".join(b"X-%d: %s" % (n, b"a" * 50) for n in range(2000)),
        b"X: " + b"a" * 2_000_000,
    ],
    ids=["one", "many", "endless"],
)  # fmt: skip
def test_a_head_beyond_the_limit_is_answered_431(dial: Callable[[], socket.socket], lines: bytes) -> None:
    sock = dial()
    sock.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n\r\n")
    assert _ends(sock).startswith(b"HTTP/1.1 431 ")


def test_an_address_beyond_the_limit_is_answered_431(dial: Callable[[], socket.socket]) -> None:
    sock = dial()
    sock.sendall(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert _ends(sock).startswith(b"HTTP/1.1 431 ")


def test_a_body_beyond_the_limit_is_answered_413_with_a_length_and_in_chunks(
    server: LiveServer, dial: Callable[[], socket.socket]
) -> None:
    head = HEAD % server.token.encode()
    told = dial()
    told.sendall(head + b"Content-Length: 100001\r\n\r\n")
    assert told.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
    chunked = dial()
    chunked.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(ConnectionError):  # without a length it is counted, and the sender is cut off
        for _ in range(10_000):
            chunked.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")


@pytest.mark.parametrize(
    "tail", [b"0\r\n" + b"X: y\r\n" * 200_000, b"0\r\nX: ", b"1;"], ids=["lines", "line", "extension"]
)
def test_what_comes_around_the_chunks_has_an_end(
    server: LiveServer, dial: Callable[[], socket.socket], tail: bytes
) -> None:
    sock = dial()
    sock.sendall(HEAD % server.token.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(ConnectionError):
        sock.sendall(tail)
        for _ in range(1000):
            sock.sendall(b"y" * 100_000)


def test_bodies_that_trickle_and_answers_that_are_never_read_are_sent_away(
    server: LiveServer, dial: Callable[[], socket.socket]
) -> None:
    slow, deaf = dial(), dial()
    slow.sendall(HEAD % server.token.encode() + b"Content-Length: 50000\r\n\r\n")
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + server.token.encode() + b"\r\n\r\n"
    ended: set[str] = set()
    end = time.monotonic() + 3 * LIMIT_S
    while len(ended) < 2 and time.monotonic() < end:
        for name, sock, data in (("slow", slow, b" "), ("deaf", deaf, asked)):
            try:
                sock.send(data)
            except BlockingIOError:
                pass  # nobody reads it any more, as nobody reads the answers
            except ConnectionError:
                ended.add(name)
        time.sleep(0.2)
    assert ended == {"slow", "deaf"}
    assert server.call("GET", "/subscriptions").status == 200
