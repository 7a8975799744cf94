"""Clients by the hundred: bounded by address and in all; a server without file descriptors loses nothing."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from entrepot.server.protocol.door import Door, party
from entrepot.testing.live import LiveServer, live, wait_until

LIMIT_S = 60.0
GROUPS = "/subscriptions/s1/resourcegroups"


@contextlib.contextmanager
def connected(url: str, count: int) -> Iterator[list[socket.socket]]:
    """Give as many connections to an address; what the server does with them is its affair."""
    place = urlsplit(url)
    assert place.hostname and place.port
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=LIMIT_S))
            for _ in range(count)
        ]


def is_ended(sock: socket.socket) -> bool:
    """Say whether the server ended a connection that asked for nothing yet."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def answers(server: LiveServer) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.call("GET", "/health", timeout_s=5).status == 200
    return False


def test_an_address_has_so_many_connections_and_gets_them_back() -> None:
    door = Door(per_address=2, total=100)
    first, second = door.enter("192.0.2.1"), door.enter("192.0.2.1")
    assert first and second and door.enter("192.0.2.1") is None and door.enter("::ffff:192.0.2.1") is None
    assert door.enter("192.0.2.2")
    first.end()
    first.end()
    assert door.enter("192.0.2.1") and door.enter("192.0.2.1") is None


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    door = Door(per_address=1, total=100)
    assert door.enter("2001:db8::1") and door.enter("2001:db8::ffff:1%eth0") is None and door.enter("2001:db8:0:1::1")
    assert party("::ffff:192.0.2.1") == party("192.0.2.1") == "192.0.2.1"


def test_this_machine_is_bounded_by_the_total_alone() -> None:
    door = Door(per_address=1, total=3)
    assert all(door.enter(address) for address in ("127.0.0.1", "127.0.0.1", "::1"))
    assert door.enter("127.0.0.1") is None and door.enter("192.0.2.1") is None


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that may open 420 files, and so have 82 connections."""
    with live(tmp_path_factory.mktemp("small") / "home", most_files=420, head_timeout_s=LIMIT_S) as server:
        yield server


@pytest.mark.parametrize("port", ["url", "https_url", "blob_url", "https_blob_url"])
def test_more_connections_than_fit_are_ended_at_once_and_others_come_back(small: LiveServer, port: str) -> None:
    with connected(getattr(small.file, port), 150) as flood:
        wait_until(lambda: sum(map(is_ended, flood)) >= 60, timeout_s=LIMIT_S, what="refusals")
        assert sum(map(is_ended, flood)) <= 75
        assert not answers(small), "it is full"
    wait_until(lambda: answers(small), timeout_s=LIMIT_S, what="an answer")


def test_what_is_no_tls_gives_its_place_back(small: LiveServer) -> None:
    for _ in range(3):
        with connected(small.file.https_url, 60) as flood:
            for sock in flood:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            wait_until(lambda: all(map(is_ended, flood)), timeout_s=LIMIT_S, what="the end of all")
    context = ssl.create_default_context(cafile=small.file.authority)
    place = urlsplit(small.file.https_url)
    asking = http.client.HTTPSConnection(str(place.hostname), place.port, context=context, timeout=LIMIT_S)
    asking.request("GET", "/health")
    assert asking.getresponse().status == 200
    asking.close()


def test_a_server_without_file_descriptors_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    with live(tmp_path / "home", most_files=76, head_timeout_s=LIMIT_S) as server:
        made = []

        def make(name: str) -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if server.call("PUT", f"{GROUPS}/{name}", {"location": "eastus"}, timeout_s=2).status == 201:
                    made.append(name)

        make("before")
        with connected(server.url, 40) as flood, connected(server.file.blob_url, 40):
            for number in range(8):
                make(f"during{number}")
                flood.pop().close()
        wait_until(lambda: answers(server), timeout_s=LIMIT_S, what="an answer")
        make("after")
        assert server.process.poll() is None and {"before", "after"} <= {*made}
        there = {one["name"] for one in server.call("GET", GROUPS).json["value"]}
        assert {*made} <= there
        log = (tmp_path / "home.log").read_text()
        assert "Too many open files" in log or "unable to open database file" in log, "they did not run out"
        assert server.call("POST", "/audit/v1.0/verify").json["isIntact"]
    with live(tmp_path / "home") as again:
        assert {*made} <= {one["name"] for one in again.call("GET", GROUPS).json["value"]}
