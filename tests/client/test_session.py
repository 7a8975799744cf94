"""The client's HTTP, over real sockets: a server that answers what a test wrote down."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from entrepot.client.connection import Connection, quote
from entrepot.client.failures import NoServer, ServiceFailure
from entrepot.client.patience import Patience
from entrepot.client.session import API_VERSION, Session

Json = Any


@dataclass
class Script:
    """Answers one connection after the other: each connection has its answers, raw. Keeps what was asked."""

    url: str
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@contextmanager
def scripted(*connections: list[bytes]) -> Iterator[Script]:
    """Serve the answers of each connection in turn, closing it after its last one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        script = Script(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listener, connections, script), daemon=True)
        thread.start()
        yield script
        thread.join(10)


def _serve(listener: socket.socket, connections: tuple[list[bytes], ...], script: Script) -> None:
    for answers in connections:
        opened, _ = listener.accept()
        with opened, opened.makefile("rb") as reading:
            for answer in answers:
                _read_request(reading.readline, reading.read, script)
                opened.sendall(answer)


def _read_request(line: Callable[[], bytes], read: Callable[[int], bytes], script: Script) -> None:
    script.asked.append(line().decode().split(" HTTP")[0])
    length = 0
    while (header := line()).strip():
        if header.lower().startswith(b"content-length:"):
            length = int(header.split(b":")[1])
    script.bodies.append(read(length))


def answer(status: int, body: Json = None, **headers: str) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def session(script: Script) -> Session:
    return Session({"url": script.url}, "token", subscription="sub")


def test_an_answer_may_come_in_chunks_and_in_pieces() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"4\r\n[1,2\r\n2;x=y\r\n,3\r\n1\r\n]\r\n0\r\nTrailer: x\r\n\r\n"
    with scripted([chunked, answer(200, [4])]) as script:
        using = session(script)
        assert using.get("/a") == [1, 2, 3]
        assert using.get("/b") == [4]  # the same connection goes on after the trailers
        using.close()


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    with scripted([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n[5]"], [answer(200, 1)]) as script:
        using = session(script)
        assert using.get("/a") == [5]
        assert using.get("/b") == 1
        using.close()


def test_a_connection_that_the_server_closed_is_opened_again() -> None:
    with scripted([answer(200, 1)], [answer(200, 2)]) as script:
        using = session(script)
        assert using.get("/a") == 1
        assert using.get("/b") == 2
        using.close()
    assert script.asked == ["GET /a?api-version=2024-10-01-preview", "GET /b?api-version=2024-10-01-preview"]


def test_a_post_is_not_sent_twice_when_its_answer_is_lost() -> None:
    with scripted([answer(200, 1)]) as script:
        using = session(script)
        using.get("/a")
        with pytest.raises(NoServer):
            using.post("/b", {"x": 1})
        using.close()


def test_nobody_at_the_address_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoServer, match=rf"No server answers at 127\.0\.0\.1:{port}"):
        Connection(f"http://127.0.0.1:{port}").request("GET", "/", headers={})


def test_a_home_without_a_server_tells_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NoServer, match="No Entrepot server runs") as refusal:
        Session.open(str(tmp_path))
    assert refusal.value.hint == "entrepot up"


def test_what_may_be_repeated_is_sent_again_while_the_server_is_busy() -> None:
    busy = answer(503, {"error": {"code": "Busy", "message": "later"}}, Retry_After="0")
    with scripted([busy, busy, answer(200, "done")]) as script:
        using = session(script)
        assert using.put("/a", {"x": 1}) == "done"
        using.close()
    assert script.bodies == [b'{"x": 1}'] * 3
    with scripted([busy]) as script:
        using = session(script)
        with pytest.raises(ServiceFailure, match="later"):
            using.post("/a", {"x": 1})
        using.close()


def test_an_error_body_becomes_code_message_details_and_hint() -> None:
    body = {
        "error": {
            "code": "Conflict",
            "message": "It exists.",
            "details": [{"code": "X", "message": "command differs"}],
            "additionalInfo": [{"type": "Hint", "info": {"value": "take version 2"}}],
        }
    }
    with scripted([answer(409, body), answer(404, None), b"HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\nouch"]) as script:
        using = session(script)
        with pytest.raises(ServiceFailure) as refusal:
            using.get("/a")
        assert str(refusal.value) == "(Conflict) It exists.\n  command differs"
        assert (refusal.value.code, refusal.value.status, refusal.value.hint) == ("Conflict", 409, "take version 2")
        assert using.find("/a") is None
        with pytest.raises(ServiceFailure, match="GET /a: HTTP 500 ouch"):
            using.get("/a")
        using.close()


def test_an_operation_is_polled_to_its_end_and_the_resource_returned() -> None:
    def told(script: Script) -> list[bytes]:
        return [
            answer(201, {"state": "Accepted"}, Azure_AsyncOperation=f"{script.url}/operations/1", Retry_After="0"),
            answer(200, {"status": "Running"}, Retry_After="0"),
            answer(200, {"status": "Succeeded"}),
            answer(200, {"name": "made"}),
        ]

    answers: list[bytes] = []
    with scripted(answers) as script:
        answers += told(script)
        using = session(script)
        states: list[str] = []
        using.waiting = states.append
        assert using.put("/thing", {}) == {"name": "made"}
        using.close()
    assert states == ["Running"]
    assert [line.split("?")[0] for line in script.asked] == [
        "PUT /thing", "GET /operations/1", "GET /operations/1", "GET /thing",
    ]  # fmt: skip


def test_an_operation_that_fails_raises_its_error() -> None:
    answers: list[bytes] = []
    with scripted(answers) as script:
        failed = {"status": "Failed", "error": {"code": "BadTemplate", "message": "no such function"}}
        answers += [answer(202, None, Azure_AsyncOperation=f"{script.url}/o", Retry_After="0"), answer(200, failed)]
        using = session(script)
        with pytest.raises(ServiceFailure, match="no such function"):
            using.post("/thing", {})
        using.close()


def test_a_location_is_polled_until_it_is_no_longer_202() -> None:
    answers: list[bytes] = []
    with scripted(answers) as script:
        running = answer(202, None, Location=f"{script.url}/l", Retry_After="0")
        answers += [running, running, b"HTTP/1.1 204 No Content\r\n\r\n"]
        using = session(script)
        using.delete("/thing")
        using.close()
    assert [line.split("?")[0] for line in script.asked] == ["DELETE /thing", "GET /l", "GET /l"]


def test_pages_are_followed_wherever_the_server_says_it_is() -> None:
    with scripted(
        [
            answer(200, {"value": [1, 2], "nextLink": "https://elsewhere.test/list?skip=2&api-version=x"}),
            answer(200, {"value": [3]}),
        ]
    ) as script:
        using = session(script)
        assert list(using.pages("/list")) == [1, 2, 3]
        using.close()
    assert script.asked[1] == "GET /list?skip=2&api-version=x"


@pytest.mark.parametrize(("text", "quoted"), [("a-b_c.d~1", "a-b_c.d~1"), ("a b/é+", "a%20b%2F%C3%A9%2B")])
def test_names_are_quoted_for_paths(text: str, quoted: str) -> None:
    assert quote(text) == quoted


def test_a_read_with_patience_outlasts_a_server_that_comes_back_elsewhere_with_another_token(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    told: list[str] = []

    def come_up(script: Script, token: str) -> None:
        (run / "token").write_text(token)
        (run / "server.json").write_text(json.dumps({"url": script.url}))

    with scripted([answer(200, 1), answer(503)]) as first:
        come_up(first, "old")
        using = Session.open(str(tmp_path), subscription="sub")
        using.patience = Patience(told=told.append, limit_s=60)
        assert using.get("/a") == 1
    with scripted([answer(200, 2)]) as second:
        come_up(second, "new")
        assert using.get("/b") == 2
        assert second.asked == [f"GET /b?api-version={API_VERSION}"]
    assert len(told) == 1
    assert "Waiting up to 60 s for it to come back" in told[0]
    using.close()


def test_patience_ends_with_an_error_that_says_how_long_it_was(tmp_path: Path) -> None:
    with scripted() as gone:
        pass
    using = session(gone)
    told: list[str] = []
    using.patience = Patience(told=told.append, limit_s=1)
    with pytest.raises(NoServer, match=r"has not come back in 1 s\. No server answers at") as error:
        using.get("/a")
    assert (len(told), error.value.hint) == (1, "entrepot up")
    with pytest.raises(NoServer, match="No server answers at"):  # what changes something is never repeated unasked
        using.put("/a", {})
    assert len(told) == 1
