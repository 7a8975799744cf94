"""A head that was seen before is not parsed again: nobody may notice but by the time it takes."""

import asyncio
import re
import socket
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn
from uvicorn.server import ServerState

from entrepot.runtime.serving import shortway
from entrepot.runtime.serving.application import Application
from entrepot.runtime.serving.counters import Counters
from entrepot.runtime.serving.heads import Heads
from entrepot.runtime.serving.scripts import Script
from tests.serving.conftest import Host, Serve
from tests.serving.test_shortway import ECHO, connected, received, request

ANSWER = re.compile(rb"HTTP/1.1 (\d+)[^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)


def named(host: Host, body: bytes, request_id: str, *more: str) -> bytes:
    """Return a request as the gateway sends it."""
    return request(host, body, f"x-request-id: {request_id}", *more).replace(b"Content-Length", b"content-length")


def answered(connection: socket.socket, sent: bytes, *, end: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a request; return the status, the headers and the body of its answer, which ends so."""
    connection.sendall(sent)
    whole = b""
    while not whole.endswith(end):
        whole += connection.recv(65536) or pytest.fail(f"the connection ended after {whole!r}")
    match = ANSWER.match(whole)
    assert match is not None, whole
    headers = dict(line.split(": ", 1) for line in match[2].decode().split("\r\n"))
    return int(match[1]), headers, whole[match.end() :]


def test_each_request_with_a_known_head_keeps_its_id_and_its_body(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        seen = []
        for number in range(10, 20):
            name = str(uuid.uuid4())
            status, headers, body = answered(connection, named(host, b"%d" % number, name), end=b"\r\n\r\n%d" % number)
            assert (status, headers["x-request-id"], headers["x-ms-request-id"]) == (200, name, name)
            assert headers["content-length"] == "2"
            seen.append((sorted(headers), body))
        assert seen == [(seen[0][0], b"%d" % number) for number in range(10, 20)]
        assert host.call("GET", "/load").json["requests"] == 10
        longer = named(host, b"[1, 2, 3]", str(uuid.uuid4()))
        assert answered(connection, longer, end=b"3]")[2] == b"[1, 2, 3]"


def test_who_gives_no_id_gets_a_new_one_each_time(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        found = [answered(connection, request(host, b"77"), end=b"\r\n\r\n77")[1]["x-request-id"] for _ in range(3)]
        assert len(set(found)) == 3


def test_a_known_head_with_another_key_is_refused(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        for _ in range(2):
            assert answered(connection, named(host, b"12", str(uuid.uuid4())), end=b"\r\n\r\n12")[0] == 200
        wrong = named(host, b"12", str(uuid.uuid4())).replace(host.key.encode(), b"0" * len(host.key))
        assert answered(connection, wrong, end=b'gateway"}')[0] == 401


def test_a_known_head_may_come_without_its_body_or_with_the_next_request(serve: Serve) -> None:
    host = serve(ECHO)
    with connected(host) as connection:
        sent = [named(host, b"%d" % number, str(uuid.uuid4())) for number in range(10, 15)]
        for one in sent[:2]:
            assert answered(connection, one, end=one[-6:])[0] == 200
        connection.sendall(sent[2][:-1])
        assert host.call(body=b"1").json == 1  # so the piece above was read
        assert answered(connection, sent[2][-1:], end=b"12")[2] == b"12"
        connection.sendall(sent[3] + sent[4])
        assert re.findall(rb"\r\n\r\n(\d\d)", received(connection, until=b"\r\n\r\n14")) == [b"13", b"14"]
        assert answered(connection, sent[0], end=b"\r\n\r\n10")[0] == 200


def test_a_body_that_looks_like_a_known_request_stays_a_body(serve: Serve) -> None:
    host = serve("def init(): pass\ndef run(data): return len(data)")
    with connected(host) as connection:
        inner = named(host, b"12", str(uuid.uuid4()))
        for _ in range(2):
            assert answered(connection, inner, end=b"\r\n\r\n2")[0] == 200
        outer = named(host, inner, str(uuid.uuid4()))
        connection.sendall(outer[: -len(inner)])
        assert host.call(body=b"1").json == 1  # so the head above was read
        assert answered(connection, inner, end=b"\r\n\r\n%d" % len(inner))[0] == 200
        assert answered(connection, inner, end=b"\r\n\r\n2")[0] == 200


def test_runs_that_fail_wait_or_stream_are_answered_by_known_heads_too(serve: Serve) -> None:
    script = (
        "import asyncio, json\ndef init(): pass\n"
        "async def later(value):\n    await asyncio.sleep(0.01)\n    return value\n"
        "def run(data):\n"
        "    if data == 'fail': raise ValueError(data)\n"
        "    if data == 'wait': return later('waited')\n"
        "    if data == 'flow': return iter(['str', 'eam'])\n"
        "    if data == 'none': return None\n"
        "    if data == 'odd?': return object()\n"
        "    return data\n"
    )
    answers = [
        (b"text", 200, b'"text"'), (b"fail", 424, b'info."}'), (b"wait", 200, b'"waited"'), (b"none", 200, b"{}"),
        (b"odd?", 424, b'info."}'), (b"flow", 200, b"0\r\n\r\n"), (b"\xff\xfe\xfd\xfc", 424, b'@rawhttp"}'),
    ]  # fmt: skip
    host = serve(script)
    with connected(host) as connection:
        for _ in range(3):
            for sent, status, end in answers:
                name = str(uuid.uuid4())
                found, headers, _ = answered(connection, named(host, sent, name), end=end)
                assert (found, headers["x-request-id"]) == (status, name), sent
                assert headers["x-ms-run-function-failed"] == str(sent in (b"fail", b"odd?")), sent
        assert host.call("GET", "/load").json["under_way"] == 0


def test_what_comes_at_once_on_many_connections_is_answered_to_each(serve: Serve) -> None:
    host = serve(ECHO)
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(host)) for _ in range(12)]
        for turn in range(20):  # in the later ones answers wait for each other
            sent = [(connection, str(uuid.uuid4())) for connection in connections]
            for connection, name in sent:
                connection.sendall(named(host, b'"%b-%02d"' % (name.encode(), turn), name))
            for connection, name in sent:
                status, headers, body = answered(connection, b"", end=b'-%02d"' % turn)
                assert (status, headers["x-request-id"], body) == (200, name, b'"%b-%02d"' % (name.encode(), turn))
        for number, connection in enumerate(connections):
            connection.sendall(named(host, b"1%d" % number, str(uuid.uuid4())))
            connection.shutdown(socket.SHUT_WR)
        for number, connection in enumerate(connections):
            assert received(connection).endswith(b"\r\n\r\n1%d" % number)
        assert host.call("GET", "/load").json["under_way"] == 0


def test_a_connection_that_is_to_end_answers_what_it_has_read(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(ECHO)
    script = Script(str(tmp_path / "score.py"))
    script.start()
    application = Application(
        script, key="key", counters=Counters(1), worker=0, threads=0, body_limit=100, title="", root=""
    )
    sent = b"POST /score HTTP/1.1\r\nx-entrepot-replica: key\r\ncontent-length: 2\r\n\r\n%d"

    async def go() -> bytes:
        kind = shortway.protocol(application)
        config = uvicorn.Config(application, http=kind, ws="none", lifespan="off", log_config=None, proxy_headers=False)
        config.load()
        ours, theirs = socket.socketpair()
        protocol = kind(config=config, server_state=ServerState(), app_state={})
        await asyncio.get_running_loop().create_connection(lambda: protocol, sock=ours)
        protocol.data_received(sent % 12)
        protocol.data_received(sent % 34)
        protocol.shutdown()
        reader, writer = await asyncio.open_connection(sock=theirs)
        answers = await reader.read()
        writer.close()
        return answers

    assert re.findall(rb"\r\n\r\n(\d\d)", asyncio.run(go())) == [b"12", b"34"]


def test_a_script_that_reads_headers_gets_those_of_its_own_request(serve: Serve) -> None:
    host = serve("def init(): pass\ndef run(data, request_headers): return request_headers['X-Request-Id']")
    with connected(host) as connection:
        for _ in range(3):
            name = str(uuid.uuid4())
            assert answered(connection, named(host, b"1", name), end=name.encode() + b'"')[2] == b'"%b"' % name.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"POST /score HTTP/1.1\r\nx-request-id: not-of-the-gateway\r\n\r\nabc",
        b"POST /score HTTP/1.1\r\nx-request-id: %b\r\nx-request-id: %b\r\n\r\nabc" % ((b"0" * 36,) * 2),
        b"POST /score HTTP/1.1\r\nX-Request-Id: %b\r\n\r\nabc" % (b"0" * 36),
        b"GET /score HTTP/1.1\r\n\r\nabc",
        b"POST /score HTTP/1.1\r\n\r\nabcd",
        b"POST /score HTTP/1.1\r\n",
    ],
)
def test_what_cannot_be_told_by_its_bytes_is_not_remembered(data: bytes) -> None:
    heads = Heads()
    lines = [line.partition(b": ") for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    scope = {"headers": [(name.lower(), value) for name, _, value in lines]}
    heads.remember(data, scope, b"abc")
    assert heads.recall(data) is None


def test_a_known_head_is_recalled_with_any_id_of_the_gateway_and_no_other() -> None:
    heads, data = Heads(), b"POST /score HTTP/1.1\r\nx-request-id: %b\r\nb: c\r\n\r\n%b"
    scope = {"headers": [(b"x-request-id", b"0" * 36), (b"b", b"c")]}
    heads.remember(data % (b"0" * 36, b"abc"), scope, b"abc")
    assert heads.recall(data % (b"1-" * 18, b"def")) == (scope, b"1-" * 18, b"def")
    assert heads.recall(data % (b"\r" * 36, b"def")) is None
    assert heads.recall(data % (b"0" * 35 + b"g", b"def")) is None
    assert heads.recall(data % (b"0" * 35, b"def")) is None
    assert heads.recall(data % (b"0" * 37, b"def")) is None
    assert heads.recall(data % (b"0" * 36, b"defg")) is None
    assert heads.recall((data % (b"0" * 36, b"def")).replace(b"b: c", b"b: d")) is None
