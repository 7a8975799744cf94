"""A server that is silent: at work, or stopped. A slow one is waited for, a stopped one is told of."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from entrepot.client.connection import Connection
from entrepot.client.failures import NoServer
from entrepot.client.transfers.transfer import Channel
from entrepot.testing.live import LiveServer, live
from tests.journey.console import CommandLine

SHORT_S = 0.2
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


@contextmanager
def answering(ask: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """Serve each connection in a thread of its own: `ask` gets it with the first bytes of its request."""

    def serve() -> None:
        while True:
            try:
                opened, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(opened,), daemon=True).start()

    def answer(opened: socket.socket) -> None:
        with opened, suppress(OSError):  # who asked may be gone
            ask(opened, opened.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _slowly(opened: socket.socket, request: bytes) -> None:
    """Answer at once what is not slow, and what is slow in two parts, long after it was asked."""
    if not request.startswith((b"GET /slow", b"PUT /slow")):
        opened.sendall(ANSWER + b"well")
        return
    time.sleep(5 * SHORT_S)
    opened.sendall(ANSWER + b"at")
    time.sleep(5 * SHORT_S)
    opened.sendall(b"il")


def test_an_answer_that_takes_long_is_waited_for_while_the_server_lives() -> None:
    with answering(_slowly) as url:
        connection = Connection(url, silence_s=SHORT_S)
        assert connection.request("GET", "/slow", headers={}).body == b"atil"
        connection.close()


def test_a_transfer_that_takes_long_is_waited_for_while_the_server_lives() -> None:
    with answering(_slowly) as url, Channel(f"{url}/slow?sig=x", silence_s=SHORT_S) as channel:
        channel.begin("GET", "x")
        assert channel.read_rest() == b"atil"


def test_a_file_is_sent_however_slowly_the_server_takes_it(tmp_path: Path) -> None:
    size, taken = 24 << 20, []

    def take(opened: socket.socket, request: bytes) -> None:
        if not request.startswith(b"PUT"):
            opened.sendall(ANSWER + b"well")
            return
        have = len(request.partition(b"\r\n\r\n")[2])
        time.sleep(5 * SHORT_S)  # by then all buffers are full
        while have < size:
            have += len(opened.recv(1 << 20))
        taken.append(have)
        opened.sendall(ANSWER + b"{  }")

    with (tmp_path / "big").open("wb") as file:
        file.truncate(size)
    with answering(take) as url, Channel(f"{url}/box?sig=x", silence_s=SHORT_S) as channel:
        channel.begin("PUT", "x", length=size, pieces=[tmp_path / "big"])
        channel.read_rest()
    assert taken == [size]


def test_even_a_server_that_lives_is_not_waited_for_without_end() -> None:
    with answering(_slowly) as url:
        connection = Connection(url, silence_s=SHORT_S, timeout_s=2 * SHORT_S)
        with pytest.raises(NoServer, match="lives, but has not answered this in 0 s") as told:
            connection.request("GET", "/slow", headers={})
        assert "look before you ask again" in told.value.hint
        connection.close()


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[LiveServer]:
    """A whole server that takes connections and does nothing: a debugger or a full cgroup stopped it."""
    with live(tmp_path / "home") as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            yield server
        finally:
            os.kill(server.process.pid, signal.SIGCONT)


def test_a_stopped_server_is_told_of_with_what_to_do_and_answers_when_it_goes_on(stopped: LiveServer) -> None:
    connection = Connection(stopped.url, silence_s=SHORT_S)
    with pytest.raises(NoServer, match="takes connections but has not answered") as told:
        connection.request("GET", "/health", headers={})
    assert "kill -CONT" in told.value.hint
    assert "entrepot down" in told.value.hint
    os.kill(stopped.process.pid, signal.SIGCONT)
    assert connection.request("GET", "/health", headers={}).status == 200
    connection.close()


def test_a_big_upload_to_a_stopped_server_ends_with_the_same_words(stopped: LiveServer, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 << 20)
    with (
        Channel(f"{stopped.url}/box?sig=x", silence_s=SHORT_S) as channel,
        pytest.raises(NoServer, match="takes connections but has not answered"),
    ):
        channel.retried(lambda: channel.begin("PUT", "x", length=64 << 20, pieces=[tmp_path / "big"]))


def test_a_stopped_server_can_be_ended(tmp_path: Path) -> None:
    az = CommandLine(tmp_path / "home")
    az.text("up", "--detach")
    os.kill(az("status")["pid"], signal.SIGSTOP)
    assert "takes connections but has not answered for 20 s" in az.refusal("account", "show")
    assert "Stopped the server" in az.run("down").err
    assert az.run("status").code == 3
