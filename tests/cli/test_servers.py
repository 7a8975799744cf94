"""`up`, `down`, `status`: the life of a home's server."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Ended


def run(*words: str) -> Ended:
    """Carry out a command line in a process of its own, which is gone when it returns."""
    command = [str(Path(sys.executable).with_name("entrepot")), *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_server_comes_up_in_the_background_tells_where_and_goes_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_HOME", str(tmp_path / "home"))
    assert run("status").code == 3
    up = run("up", "--detach", "--port", "0", "--https-port", "0")
    assert up.code == 0, up.err
    try:
        status = run("status").json
        assert up.out == f"ready {status['url']}\n"
        assert (status["state"], status["home"]) == ("running", str(tmp_path / "home"))
        assert run("up", "--detach").out == up.out  # again: it is there
        assert run("up", "--detach", "--port", up.out.strip().rpartition(":")[2]).out == up.out
        assert "runs already" in run("up", "--detach", "--port", "1").err
        assert "runs already" in run("up").err
        assert (tmp_path / "home" / "logs" / "server.log").exists()
        assert (tmp_path / "home").stat().st_mode & 0o077 == 0  # other users of the machine read nothing
    finally:
        down = run("down")
    assert down.code == 0
    assert run("status").code == 3
    assert run("down").code == 0


def test_two_who_start_a_server_at_once_get_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_HOME", str(tmp_path / "home"))
    words = [sys.executable, "-m", "entrepot.cli.main", "up", "--detach", "--port", "0", "--https-port", "0"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        told = [each.communicate() for each in both]
        assert [each.returncode for each in both] == [0, 0], told
        assert told[0][0] == told[1][0] == f"ready {run('status').json['url']}\n"
    finally:
        run("down")


@pytest.mark.parametrize("home", ["/proc/entrepot", "{file}/home"])
def test_a_home_that_cannot_be_made_is_told_in_one_line(home: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    ended = run("up", "--detach", "--home", home.format(file=file))
    assert ended.code == 1
    assert ended.err.startswith(f"ERROR: {home.format(file=file)}: ")


def test_a_server_that_cannot_start_is_told_with_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("no_such_setting = 1\n")
    ended = run("up", "--detach", "--port", "0")
    assert ended.code == 1
    assert "no_such_setting" in ended.err


@pytest.mark.parametrize("port", ["x", "70000"])
def test_what_is_no_port_is_a_usage_failure(port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_HOME", str(tmp_path))
    assert run("up", "--port", port).code == 2
