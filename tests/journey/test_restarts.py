"""Following jobs while their server is killed, ended and started again on other ports."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.testing.live import wait_until
from tests.journey.console import COMMAND, CommandLine, clean_environment

LINES = 120
COUNTING = f"for i in $(seq {LINES}); do echo counted $i; sleep 0.25; done"


@pytest.fixture
def az(tmp_path: Path) -> Iterator[CommandLine]:
    az = CommandLine(tmp_path / "home", folder=tmp_path)
    az.text("up", "--detach")
    try:
        az("group", "create", "-n", "rg", "-l", "eastus")
        az("configure", "--defaults", "group=rg", "workspace=dev")
        az("ml", "workspace", "create", "-n", "dev", "-l", "eastus")
        yield az
    finally:
        az.run("down")


class Follower:
    """`job stream` in a process of its own; what it has written so far."""

    def __init__(self, az: CommandLine, job: str) -> None:
        self._process = subprocess.Popen(
            [str(COMMAND), "ml", "job", "stream", "-n", job], env=clean_environment(az.home), cwd=az.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.out, self.err = "", ""
        self._readers = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.out += line

    def _read_err(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.err += line

    def end(self) -> int:
        """Wait for its end; return the exit code."""
        for reader in self._readers:
            reader.join(300)
        return self._process.wait(60)


def test_streams_go_on_where_they_were_when_their_server_is_killed_and_when_it_is_ended(az: CommandLine) -> None:
    environment = "{image: docker.io/python}"
    (az.folder / "one.yml").write_text(
        f"command: {COUNTING}\nenvironment: {environment}\ncompute: azureml:cpu-cluster\n"
    )
    (az.folder / "two.yml").write_text(
        "type: pipeline\nsettings: {default_compute: 'azureml:cpu-cluster'}\njobs:\n"
        f"  first: {{type: command, command: sleep 20, environment: {environment}}}\n"
        f"  second: {{type: command, command: echo after, environment: {environment}}}\n"
    )
    urls = {az("status")["url"]}
    log, steps = (Follower(az, az("ml", "job", "create", "-f", file)["name"]) for file in ("one.yml", "two.yml"))
    wait_until(
        lambda: "counted 3\n" in log.out and "first: running" in steps.out, timeout_s=120, what="the first lines"
    )

    os.kill(az("status")["pid"], signal.SIGKILL)
    wait_until(lambda: "Waiting up to" in log.err and "Waiting up to" in steps.err, timeout_s=60, what="a word of it")
    az.text("up", "--detach")
    urls.add(az("status")["url"])
    seen = log.out.count("\n")
    wait_until(lambda: log.out.count("\n") > seen, timeout_s=60, what="the next lines")
    az.text("down")
    az.text("up", "--detach")
    urls.add(az("status")["url"])

    assert (log.end(), steps.end()) == (0, 0), f"{log.err}\n{steps.err}"
    assert re.findall(r"^counted (\d+)$", log.out, re.MULTILINE) == [str(i + 1) for i in range(LINES)]
    assert (steps.out.count("first: running"), steps.out.count("first: done"), steps.out.count("second: done")) == (
        1,
        1,
        1,
    )
    assert 1 <= log.err.count("Waiting up to 5 minutes") <= 2, log.err
    assert len(urls) > 1  # else nothing was found again by its home
