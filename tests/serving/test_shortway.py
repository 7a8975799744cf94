"""Small requests go a short way around uvicorn: nothing of what HTTP promises may be lost on it."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.serving.conftest import LIMIT_S, Host, Serve

ECHO = "import json\ndef init(): pass\ndef run(data): return json.loads(data)"


def request(
    host: Host, body: bytes, *more: str, path: str = "/score", version: str = "1.1", method: str = "POST"
) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/{version}", "Host: replica", f"x-entrepot-replica: {host.key}", *more]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@contextmanager
def connected(host: Host) -> Iterator[socket.socket]:
    """Open a connection to a host that serves."""
    assert host.call("GET", "/").status == 200
    address = host.backend.address(host.launch.id, host.launch.folder)
    assert address is not None
    with socket.create_connection(address, timeout=LIMIT_S) as connection:
        yield connection


def received(connection: socket.socket, *, until: bytes = b"") -> bytes:
    """Return what comes until these bytes, or until the end."""
    data = b""
    while not until or until not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def takes_connections(host: Host) -> bool:
    """Say whether the host still listens."""
    address = host.backend.address(host.launch.id, host.launch.folder)
    if address is None:
        return False
    try:
        socket.create_connection(address, timeout=LIMIT_S).close()
    except ConnectionRefusedError:
        return False
    return True


def test_requests_sent_ahead_are_answered_in_their_order(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        ahead = [request(host, b"%d" % number) for number in range(1, 4)]
        ahead.insert(2, request(host, b"", path="/ready", method="GET"))
        ahead.append(request(host, b'"%b"' % (b"5" * 100_000)))  # too large for the short way
        connection.sendall(b"".join(ahead))
        answers = received(connection, until=b'5"')
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200"] * 5
        assert re.findall(rb"\r\n\r\n(\d|Ready|\"5)", answers) == [b"1", b"2", b"Ready", b"3", b'"5']


def test_nonsense_after_a_request_does_not_take_its_answer_away(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        connection.sendall(request(host, b"1") + b"no HTTP at all\r\n\r\n")
        assert re.findall(rb"HTTP/1.1 (\d+)", received(connection)) == [b"200", b"400"]


def test_a_body_may_come_in_pieces(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        for byte in request(host, b'{"a": [1, 2]}'):
            connection.sendall(bytes([byte]))
        assert received(connection, until=b"]}").endswith(b'{"a": [1, 2]}')


def test_who_waits_for_leave_or_wants_the_connection_closed_gets_it(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        head, _, body = request(host, b"7", "Expect: 100-continue").rpartition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert received(connection, until=b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert received(connection, until=b"\r\n\r\n7")
        connection.sendall(request(host, b"8", "Connection: close"))
        assert received(connection).endswith(b"\r\n\r\n8")
    with connected(host) as connection:
        connection.sendall(request(host, b"9", version="1.0"))
        assert received(connection).endswith(b"\r\n\r\n9")


def test_a_chunked_body_is_read_whole(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        head = request(host, b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
        connection.sendall(head + b"2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n")
        assert received(connection, until=b"2]").endswith(b"\r\n\r\n[1, 2]")


def test_a_stop_waits_for_a_request_whose_body_is_still_coming(serve: Serve) -> None:
    host = serve(ECHO, grace_s=60)
    with connected(host) as connection:
        sent = request(host, b"[1, 2, 3]")
        connection.sendall(sent[:-3])
        assert host.call(body=b"1").json == 1  # so the pieces above were read
        ending = threading.Thread(target=host.stop, kwargs={"grace_s": 60})
        ending.start()
        while takes_connections(host):
            time.sleep(0.01)
        connection.sendall(sent[-3:])
        assert received(connection).endswith(b"[1, 2, 3]")
        ending.join()


def test_a_short_run_is_answered_before_a_long_one_that_came_with_it(serve: Serve) -> None:
    gate = "import os, time\nwhile not os.path.exists('gate'): time.sleep(0.01)"
    host = serve("def init(): pass\ndef run(data):\n    exec(data)\n    return 'done'")
    (host.launch.cwd / "gate").touch()
    assert host.call(body=gate).status == 200
    (host.launch.cwd / "gate").unlink()
    with connected(host) as short, connected(host) as long:
        short.sendall(request(host, b"pass"))
        long.sendall(request(host, gate.encode()))
        assert received(short, until=b'"done"')
        (host.launch.cwd / "gate").touch()
        assert received(long, until=b'"done"')
