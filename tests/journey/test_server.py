"""`up`, `status` and `down`, as a user and as a service manager use them."""

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.journey.console import COMMAND, CommandLine, clean_environment


@contextmanager
def foreground(az: CommandLine) -> Iterator["tuple[subprocess.Popen[str], str]"]:
    """Run `entrepot up` and give its process and the URL that it printed."""
    process = subprocess.Popen(
        [str(COMMAND), "up"],
        env=clean_environment(az.home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, _, url = process.stdout.readline().strip().partition(" ")
        assert word == "ready"
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_answers_where_it_says_and_ends_cleanly_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    az = CommandLine(tmp_path / "home")
    with foreground(az) as (process, url):
        place = urlsplit(url)
        assert place.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
        assert az("status")["url"] == url
        process.send_signal(number)
        assert process.wait(60) == 0
    assert az.run("status").code == 3


def test_up_where_a_server_runs_says_so(tmp_path: Path) -> None:
    az = CommandLine(tmp_path / "home")
    with foreground(az) as (process, url):
        assert az.text("up", "--detach") == f"ready {url}"  # detached: whoever wants a server has one
        assert str(process.pid) in az.refusal("up")


def test_down_stops_a_detached_server_and_its_work_is_there_at_the_next_start(tmp_path: Path) -> None:
    az = CommandLine(tmp_path / "home")
    az.text("up", "--detach")
    az("group", "create", "-n", "kept", "-l", "eastus")
    az.text("down")
    assert az.run("status").code == 3
    az.text("up", "--detach")
    assert az("group", "show", "-n", "kept")["name"] == "kept"
    az.text("down")


def test_the_files_that_give_access_are_their_owners_only(tmp_path: Path) -> None:
    az = CommandLine(tmp_path / "home")
    az.text("up", "--detach")
    try:
        for file in ("run/token", "run/server.json", "keys/sas.key", "tls/server.key", "tls/ca.key"):
            assert (az.home / file).stat().st_mode & 0o077 == 0, file
        assert json.loads((az.home / "run" / "server.json").read_text())["url"] == az("status")["url"]
    finally:
        az.text("down")
