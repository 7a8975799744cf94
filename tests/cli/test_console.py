"""What a terminal shows while something takes long, and what it doesn't when nobody watches."""

import io
import itertools
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entrepot.cli.console import Console
from entrepot.cli.host import SHELL
from entrepot.cli.progress import Bar, Spinner, size_text
from entrepot.testing.live import LiveServer
from tests.cli.conftest import Run

COMMAND = str(Path(sys.executable).with_name("entrepot"))


def test_a_bar_shows_share_size_rate_and_the_time_left_and_goes_away() -> None:
    shown = io.StringIO()
    bar = Bar("Uploading m", is_colourful=False, stream=shown, clock=itertools.count(0.0, 1.0).__next__)
    bar(250_000_000, 1_000_000_000)
    assert "Uploading m [####" in shown.getvalue()
    assert " 25% 250 MB of 1.0 GB, 250 MB/s, 3 s left" in shown.getvalue()
    bar.close()
    assert shown.getvalue().endswith("\r\x1b[K")


def test_what_is_quick_shows_no_bar_at_all() -> None:
    shown = io.StringIO()
    bar = Bar("Uploading m", is_colourful=False, stream=shown, clock=lambda: 7.0)
    bar(1, 2)
    bar.close()
    assert shown.getvalue() == ""


def test_a_spinner_tells_the_state_and_the_seconds() -> None:
    shown = io.StringIO()
    spinner = Spinner("Waiting", stream=shown, clock=itertools.count(0.0, 2.0).__next__)
    spinner("Running")
    assert "Waiting: Running (2 s)" in shown.getvalue()
    spinner("a state that is longer than any terminal" * 20)
    columns = shutil.get_terminal_size().columns
    assert len(shown.getvalue().rpartition("\x1b[K")[2]) < max(columns, 30)
    assert shown.getvalue().endswith(" (4 s)")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (250_000_000, "250 MB"), (10**13, "10.0 TB")]
)
def test_sizes_are_told_as_disks_are_sold(size: int, text: str) -> None:
    assert size_text(size) == text


def test_nobody_watching_means_no_bar_and_no_module_for_it() -> None:
    program = "import sys; from entrepot.cli.console import Console; c = Console(); print(c.bar('x'), c.spinner('x'), "
    program += "'entrepot.cli.progress' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "None None False\n"


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console()
    console.is_terminal = True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console.is_colourful
    monkeypatch.setenv("NO_COLOR", "1")
    assert not console.is_colourful


@pytest.mark.parametrize(("answer", "is_deleted"), [(b"n\n", False), (b"y\n", True)])
def test_a_terminal_is_asked_before_something_is_destroyed(az: Run, answer: bytes, is_deleted: bool) -> None:
    az("group", "create", "-n", "asked", "-l", "eastus")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "group", "delete", "-n", "asked"], stdin=theirs, stdout=theirs, stderr=theirs
    ) as asking:
        os.close(theirs)
        said = b""
        while b"(y/n)" not in said:
            said += os.read(ours, 1000)
        os.write(ours, answer)
        assert asking.wait(30) == (0 if is_deleted else 1)
    os.close(ours)
    assert az("group", "exists", "-n", "asked").json is not is_deleted


def test_an_interrupt_stops_the_following_and_not_the_job(az: Run, served: LiveServer) -> None:
    Path("job.yml").write_text(
        "command: echo begun && sleep 30\nenvironment: {image: docker.io/python}\ncompute: azureml:cpu-cluster\n"
    )
    name = az("ml", "job", "create", "-f", "job.yml", "--query", "name", "-o", "tsv").out.strip()
    with subprocess.Popen(
        [COMMAND, "ml", "job", "stream", "-n", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as following:
        assert following.stdout is not None
        for line in following.stdout:
            if "begun" in line:
                break
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=30)
    assert following.returncode == 130
    assert "the job goes on" in said
    assert "Traceback" not in said
    assert az("ml", "job", "show", "-n", name).json["status"] == "Running"
    az("ml", "job", "cancel", "-n", name)
    for _ in range(200):
        if az("ml", "job", "show", "-n", name).json["status"] == "Canceled":
            return
        time.sleep(0.05)
    raise AssertionError("the job was not canceled")


def test_hints_of_the_server_name_the_command_that_was_called(az: Run) -> None:
    told = az("ml", "model", "show", "-n", "nope", "-v", "1").err
    assert "hint: entrepot ml model list shows what there is" in told
    told = az("ml", "job", "show", "-n", "nope").err
    assert "hint: entrepot ml job list shows what there is" in told


def test_quoted_lines_of_logs_keep_their_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    Console(spoken=SHELL.spoken).error(
        "It failed: run az ml job list.\n    az ml job list: not found", hint="az cloud show"
    )
    assert capsys.readouterr().err == (
        "ERROR: It failed: run entrepot ml job list.\n    az ml job list: not found\nhint: az cloud show\n"
    )
