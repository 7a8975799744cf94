"""HTTP itself: framing, limits, keep-alive, and that strangers get nothing."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import pytest

from entrepot.core.digests import digest_of
from entrepot.server.dataplane.sas import Grant
from entrepot.store import snapshots
from entrepot.testing.planes import NOW, Launcher, Plane, Talk


def put(plane: Plane, name: str = "a", *more: str, version: str = "1.1") -> str:
    """The head of a Put Blob with further header lines."""
    lines = [f"PUT /container/{name}?{plane.sas()} HTTP/{version}", "Host: h", "x-ms-blob-type: BlockBlob", *more]
    return "\r\n".join([*lines, "", ""])


def get(plane: Plane, name: str = "a") -> bytes:
    return f"GET /container/{name}?{plane.sas()} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/container/a", ""),
        ("HEAD", "/container/a", ""),
        ("PUT", "/container/a", ""),
        ("GET", "/container", "restype=container&comp=list"),
        ("GET", "/container/", "comp=snapshot"),
        ("POST", "/container", "comp=have"),
        ("GET", "/", ""),
        ("GET", "/unknown/a", ""),
    ],
)
def test_a_stranger_gets_nothing(plane: Plane, method: str, path: str, query: str) -> None:
    for sas in ("", "sv=2024-11-04&sr=c&sp=r&se=2099-01-01T00%3A00%3A00Z&sig=AAAA"):
        reply = plane.ask(method, path, query, sas=sas)
        assert (reply.status, reply.code) == (401, "AuthenticationFailed")


def test_an_old_signature_is_told_when_it_ended(plane: Plane) -> None:
    sas = plane.sas()
    plane.clock.time = NOW + 7200
    reply = plane.ask("GET", "/container/a", sas=sas)
    assert reply.status == 401
    assert b"ended at" in reply.body


def test_a_signature_of_another_container_does_not_open_this_one(plane: Plane) -> None:
    assert plane.ask("GET", "/container/a", sas=plane.sas("other")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "query", "needed"),
    [
        ("GET", "/container/a", "", "r"),
        ("PUT", "/container/b", "", "w"),
        ("DELETE", "/container/a", "", "d"),
        ("GET", "/container", "restype=container&comp=list", "l"),
        ("PUT", "/container/a", "comp=metadata", "w"),
        ("PUT", "/container", "comp=blob", "w"),
        ("GET", "/container", "comp=snapshot", "r"),
    ],
)
def test_each_operation_needs_its_own_permission(plane: Plane, method: str, path: str, query: str, needed: str) -> None:
    plane.ask("PUT", "/container/a", body=b"x")
    others = "".join(set("racwdl") - set(needed) - (set("c") if needed == "w" else set()))
    reply = plane.ask(method, path, query, sas=plane.sas(permissions=others))
    assert (reply.status, reply.code) == (403, "AuthorizationPermissionMismatch")
    assert plane.ask(method, path, query, sas=plane.sas(permissions=needed)).status < 300


def test_permission_to_create_does_not_let_overwrite(plane: Plane) -> None:
    creating = plane.sas(permissions="c")
    assert plane.ask("PUT", "/container/a", body=b"1", sas=creating).status == 201
    assert plane.ask("PUT", "/container/a", body=b"2", sas=creating).code == "BlobAlreadyExists"


def test_a_bearer_token_is_held_against_the_function_that_was_given(launch: Launcher) -> None:
    plane = launch(
        bearer=lambda token, _: {"reader": Grant(frozenset("rl")), "owner": Grant(frozenset("racwdl"))}.get(token)
    )
    assert plane.ask("PUT", "/container/a", body=b"x", sas="", Authorization="Bearer owner").status == 201
    assert plane.ask("GET", "/container/a", sas="", Authorization="Bearer reader").body == b"x"
    assert plane.ask("PUT", "/container/b", sas="", Authorization="Bearer reader").status == 403
    assert plane.ask("GET", "/container/a", sas="", Authorization="Bearer guess").status == 401


def test_one_connection_carries_many_requests(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        for n in range(3):
            talk.send(put(plane, f"b{n}", "Content-Length: 3").encode() + b"abc")
            assert talk.read_reply().status == 201
        talk.send(get(plane, "b0") + get(plane, "b1"))
        assert [talk.read_reply().body for _ in range(2)] == [b"abc", b"abc"]


def test_connection_close_is_honoured(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", "Content-Length: 1", "Connection: close").encode() + b"x")
        reply = talk.read_reply()
        assert (reply.status, reply.headers["connection"]) == (201, "close")
        assert talk.is_closed()


def test_a_client_of_http_1_0_gets_its_answer_and_the_end(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        talk.send(f"GET /container/none?{plane.sas()} HTTP/1.0\r\n\r\n".encode())
        assert talk.read_reply().status == 404
        assert talk.is_closed()


def test_a_body_is_asked_for_only_when_it_is_wanted(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", "Content-Length: 3", "Expect: 100-continue").encode())
        assert talk.read_reply().status == 100
        talk.send(b"abc")
        assert talk.read_reply().status == 201
        talk.send(put(plane, "a", "Content-Length: 3", "Expect: 100-continue", "If-None-Match: *").encode())
        assert talk.read_reply().status == 409
        assert talk.is_closed()


def test_a_chunked_body_is_put_together(plane: Plane) -> None:
    big = b"x" * 100_000
    chunks = b"3\r\nabc\r\n" + b"186a0;note=1\r\n" + big + b"\r\n0\r\nTrailer: t\r\n\r\n"
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", "Transfer-Encoding: chunked").encode() + chunks)
        assert talk.read_reply().status == 201
        talk.send(get(plane))
        assert talk.read_reply().body == b"abc" + big


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 3", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 3"],
        ["Content-Length: 3", "Content-Length: 3"],
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: 3, 3"],
        ["Content-Length: +3"],
        ["Content-Length: 0x3"],
        ["Content-Length: -3"],
        ["Content-Length: ³"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Content-Length : 3"],
        [" Content-Length: 3"],
        ["Content-Length: 3", " folded"],
        ["X\x00: 3"],
        ["X: a\rb"],
        ["Host: again"],
        ["nocolon"],
    ],
)
def test_a_request_that_two_readers_could_read_differently_is_refused(plane: Plane, lines: list[str]) -> None:
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", *lines).encode() + b"3\r\nabc\r\n0\r\n\r\n" + get(plane))
        reply = talk.read_reply()
        assert reply.status == 400
        assert talk.is_closed()
    assert plane.ask("GET", "/container/a").status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"xyz\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"3 \nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"f" * 20 + b"\r\nabc",
        b"3;" + b"x" * 1000,
        b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n",
    ],
)
def test_a_bad_chunk_ends_the_connection(plane: Plane, body: bytes) -> None:
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", "Transfer-Encoding: chunked").encode() + body)
        assert talk.read_reply().status == 400
        assert talk.is_closed()
    assert plane.ask("GET", "/container/a").status == 404


@pytest.mark.parametrize(
    "line",
    ["GET", "GET / HTTP/2.0", "GET  / HTTP/1.1", "get / HTTP/1.1", "GET http://h/ HTTP/1.1", "GET / HTTP/1.1 ", "\x00"],
)
def test_a_line_that_is_no_request_is_refused(plane: Plane, line: str) -> None:
    with Talk(plane.port) as talk:
        talk.send(f"{line}\r\nHost: h\r\n\r\n".encode())
        assert talk.read_reply().status == 400
        assert talk.is_closed()


def test_an_unknown_transfer_coding_is_refused(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", "Transfer-Encoding: gzip, chunked").encode())
        assert talk.read_reply().status == 501
        assert talk.is_closed()


def test_a_request_without_host_is_refused(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        talk.send(f"GET /container/a?{plane.sas()} HTTP/1.1\r\n\r\n".encode())
        assert talk.read_reply().status == 400


def test_headers_without_end_are_cut_off(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        talk.send(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * (80 << 10))
        assert talk.read_reply().status == 431
        assert talk.is_closed()


def test_a_path_that_is_not_utf8_is_refused(plane: Plane) -> None:
    assert plane.ask("GET", "/container/%ff").status == 400


def test_line_breaks_in_a_name_do_not_become_headers(plane: Plane) -> None:
    reply = plane.ask("GET", "/container/%0d%0aSet-Cookie:%20x")
    assert reply.status == 404
    assert "set-cookie" not in reply.headers


def test_a_refused_body_is_not_mistaken_for_the_next_request(plane: Plane) -> None:
    smuggled = get(plane)
    with Talk(plane.port) as talk:
        head = f"POST /container/a?{plane.sas()} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(smuggled)}\r\n\r\n"
        talk.send(head.encode() + smuggled + get(plane, "other"))
        assert talk.read_reply().status == 405
        assert talk.read_reply().status == 404
        talk.socket.shutdown(socket.SHUT_WR)
        assert talk.is_closed()


def test_an_early_refusal_reaches_a_client_that_is_still_sending(launch: Launcher) -> None:
    plane = launch(upload_limit_bytes=1000)
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", f"Content-Length: {8 << 20}").encode())
        sent = threading.Thread(target=_send_quietly, args=(talk, b"x" * (8 << 20)))
        sent.start()
        reply = talk.read_reply()
        assert (reply.status, reply.code) == (413, "RequestBodyTooLarge")
        sent.join()


def test_a_body_that_breaks_off_leaves_nothing(plane: Plane) -> None:
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", f"Content-Length: {3 << 20}").encode() + b"x" * (2 << 20))
    _until(lambda: list(plane.east.staging.iterdir()) == [])
    assert plane.ask("GET", "/container/a").status == 404
    assert plane.ask("PUT", "/container/a", body=b"x").status == 201


def test_who_says_nothing_is_sent_away(launch: Launcher) -> None:
    plane = launch(timeout_s=0.3)
    with Talk(plane.port) as silent, Talk(plane.port) as halting, Talk(plane.port) as stuck:
        halting.send(b"GET /container/a HTTP/1.1\r\nHo")
        stuck.send(put(plane, "a", "Content-Length: 100").encode() + b"x")
        assert silent.is_closed()
        assert halting.is_closed()
        assert stuck.is_closed()
    assert plane.ask("GET", "/container/a").status == 404


def test_without_room_an_upload_is_refused_before_its_body(launch: Launcher) -> None:
    plane = launch(reserve_bytes=1 << 62)
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", "Content-Length: 10000000000").encode())
        reply = talk.read_reply()
        assert (reply.status, reply.code) == (507, "InsufficientStorage")
        assert b"There is no room for 10000000000 bytes: the server's disk can take 0 more" in reply.body
    reply = plane.ask("PUT", "/container", "comp=blob", b"x")
    assert (reply.status, reply.json["error"]["code"]) == (507, "InsufficientStorage")
    assert "There is no room for 1 bytes" in reply.json["error"]["message"]
    assert plane.ask("POST", "/container", "comp=have", b"{}").json["room"] == 0


def test_uploads_on_their_way_count_against_the_room(launch: Launcher) -> None:
    free = launch().east.free_bytes()
    assert free is not None
    plane = launch(reserve_bytes=free - (1 << 30))
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", f"Content-Length: {700 << 20}").encode() + b"x")
        _until(lambda: plane.ask("POST", "/container", "comp=have", b"{}").json["room"] < 700 << 20)
        with Talk(plane.port) as second:
            second.send(put(plane, "b", f"Content-Length: {700 << 20}", "Expect: 100-continue").encode())
            assert second.read_reply().status == 507


def test_an_unknown_container_is_told_to_who_may_ask(plane: Plane) -> None:
    reply = plane.ask("GET", "/unknown/a")
    assert (reply.status, reply.code) == (404, "ContainerNotFound")


def test_an_unknown_verb_is_told(plane: Plane) -> None:
    assert plane.ask("PATCH", "/container/a").status == 405
    assert plane.ask("PUT", "/container/a", "comp=page").status == 405
    assert plane.ask("DELETE", "/container", "restype=container").status == 405


def test_a_sealed_container_refuses_before_the_body(plane: Plane) -> None:
    plane.containers.seal("container")
    with Talk(plane.port) as talk:
        talk.send(put(plane, "a", "Content-Length: 5", "Expect: 100-continue").encode())
        assert talk.read_reply().status == 409
    assert plane.ask("PUT", "/container", "comp=blob", b"x").status == 409


def test_stopping_ends_open_connections_and_frees_the_port(launch: Launcher) -> None:
    plane = launch()
    with Talk(plane.port) as idle, Talk(plane.port) as busy:
        busy.send(put(plane, "a", f"Content-Length: {1 << 30}").encode() + b"x")
        idle.send(get(plane))
        assert idle.read_reply().status == 404
        plane.plane.stop()
        assert idle.is_closed()
        assert busy.is_closed()
    with pytest.raises(ConnectionRefusedError):
        Talk(plane.port)
    plane.plane.stop()


def test_many_clients_at_once_are_all_served(plane: Plane) -> None:
    data = {f"b{n}": bytes([n]) * (2 << 20) for n in range(12)}
    outcomes: list[int] = []

    def work(name: str) -> None:
        outcomes.append(plane.ask("PUT", f"/container/{name}", body=data[name]).status)
        assert plane.ask("GET", f"/container/{name}").body == data[name]

    threads = [threading.Thread(target=work, args=(name,)) for name in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [201] * 12
    found = plane.containers.tree("container", "")
    assert {entry.path: entry.digest for entry in found.files} == {n: digest_of(d) for n, d in data.items()}
    assert snapshots.missing(plane.east, found) == []


def _send_quietly(talk: Talk, data: bytes) -> None:
    with contextlib.suppress(OSError):  # refused in the middle, as it should be
        talk.send(data)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
