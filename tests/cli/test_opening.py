"""`open`: the browser gets a page of the user's own, never the link among its arguments."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.testing.live import LiveServer, live
from tests.identity.robot import Robot

WITHOUT_SCREEN = dict.fromkeys(("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"), "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server."""
    with live(tmp_path_factory.mktemp("open") / "home") as running:
        yield running


def opened(server: LiveServer, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `entrepot open`."""
    command = [str(Path(sys.executable).with_name("entrepot")), "open", "--home", str(server.home), *words]
    environment = {**os.environ, **WITHOUT_SCREEN, **variables}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("words", [("--no-browser",), ()])
def test_without_a_browser_the_link_is_all_of_the_output(server: LiveServer, words: tuple[str, ...]) -> None:
    ended = opened(server, *words)
    robot = Robot(server.file.authority)
    robot.visit(ended.stdout.strip())
    assert robot.status == 200 and list(robot.cookies), "it signs in"
    robot.visit(f"{server.url}/", Accept="text/html")
    assert "Signed in as" in robot.text


def test_a_browser_is_given_a_page_that_only_the_user_can_read(server: LiveServer, tmp_path: Path) -> None:
    told, program = tmp_path / "told", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$@" >{told}\n')
    program.chmod(0o755)
    for _ in range(2):  # the page of the last time is in the way of nobody
        ended = opened(server, BROWSER=str(program))
    page = server.home / "run" / "open.html"
    assert told.read_text() == f"{page.as_uri()}\n"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    found = re.search(r'url=([^"]+)"', page.read_text())
    assert found and found[1] in ended.stderr and ended.stdout == ""
    robot = Robot(server.file.authority)
    robot.visit(found[1], None, **{"Sec-Fetch-Site": "cross-site"})
    assert robot.status == 200 and list(robot.cookies)


def test_what_the_server_writes_down_holds_no_link(server: LiveServer) -> None:
    link = opened(server, "--no-browser").stdout.strip()
    Robot(server.file.authority).visit(link)
    ticket = link.partition("ticket=")[2]
    logs = [path for path in server.home.parent.rglob("*") if path.is_file() and path.name != "open.html"]
    assert logs and not [path for path in logs if ticket.encode() in path.read_bytes()]
