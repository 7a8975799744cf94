"""The server process: it starts and ends cleanly, alone in its home, and is found by its run files."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.server.runfiles import read_server_file
from entrepot.testing.live import LiveServer, live, start, wait_until


def test_run_files_lead_to_the_server_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    with live(tmp_path / "home") as server:
        file = read_server_file(server.home)
        assert file == server.file and file.pid == server.process.pid
        modes = {name: stat.S_IMODE((server.home / "run" / name).stat().st_mode) for name in ("server.json", "token")}
        assert modes == {"server.json": 0o600, "token": 0o600}
    assert read_server_file(tmp_path / "home") is None


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o750), (0o777, 0o770), (0o700, 0o700)])
def test_a_home_that_everybody_may_enter_is_closed_to_them(tmp_path: Path, before: int, after: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(before)
    with live(home):
        assert stat.S_IMODE(home.stat().st_mode) == after
    assert ("closed to them" in (tmp_path / "home.log").read_text()) == (before != after)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with live(tmp_path / "home") as server:
        assert server.call("GET", "/health").status == 200
        assert server.stop(number) == 0
        assert not (server.home / "run" / "server.json").exists()


def test_a_second_start_serves_what_the_first_one_stored(tmp_path: Path) -> None:
    path = "/subscriptions/s1/resourceGroups/kept"
    with live(tmp_path / "home") as server:
        assert server.call("PUT", path, {"location": "eastus"}).status == 201
        first = (server.token, server.call("GET", path).json)
    with live(tmp_path / "home") as server:
        assert (server.token, server.call("GET", path).json) == first


def test_what_was_acknowledged_before_a_kill_is_there_afterwards(tmp_path: Path) -> None:
    server = start(tmp_path / "home")
    assert server.call("PUT", "/subscriptions/s1/resourceGroups/kept", {"location": "eastus"}).status == 201
    server.process.kill()
    server.process.wait()
    assert server.process.stdout is not None
    server.process.stdout.close()
    with live(tmp_path / "home") as again:
        assert again.call("GET", "/subscriptions/s1/resourceGroups/kept").status == 200


def _refusal(home: Path, **settings: int) -> str:
    program = (
        "import json, sys, pathlib\n"
        "from entrepot.core.errors import EntrepotError\n"
        "from entrepot.core.settings import load_settings\n"
        "from entrepot.server.process import serve\n"
        "try:\n    serve(load_settings(pathlib.Path(sys.argv[1]), overrides=json.loads(sys.argv[2])))\n"
        "except EntrepotError as error:\n    print(error.message)"
    )
    overrides = json.dumps({"port": 0, "https_port": 0, **settings})
    done = subprocess.run(
        [sys.executable, "-c", program, str(home), overrides], capture_output=True, text=True, timeout=60
    )
    return done.stdout


def test_a_second_server_in_the_same_home_is_refused_by_name(tmp_path: Path) -> None:
    with live(tmp_path / "home") as server:
        assert f"{server.home}: process {server.process.pid}" in _refusal(server.home)
        assert server.call("GET", "/health").status == 200


def test_a_taken_port_is_a_clear_refusal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port} cannot be listened on" in _refusal(tmp_path / "home", port=port)


def test_heavy_libraries_are_not_loaded_by_a_second_start(tmp_path: Path) -> None:
    with live(tmp_path / "home"):
        pass
    with live(tmp_path / "home") as server:
        assert server.call("GET", "/subscriptions").status == 200
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        loaded = [name for name in ("_rust", "obstore", "psycopg", "sqlalchemy") if f"/{name}" in maps]
        assert loaded == []


def _children_of(server: LiveServer) -> list[str]:
    tasks = Path(f"/proc/{server.process.pid}/task")
    return [child for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    with live(tmp_path / "home") as server:
        children = _children_of(server)
    assert [child for child in children if os.path.exists(f"/proc/{child}")] == []  # noqa: PTH110


@pytest.mark.slow
def test_a_build_that_waits_does_not_keep_the_server_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/dev"
    with socket.create_server(("127.0.0.1", 0)) as silent_index:
        index = f"http://127.0.0.1:{silent_index.getsockname()[1]}/simple"
        for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
            monkeypatch.setenv(name, index)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        with live(tmp_path / "home") as server:
            server.call("PUT", workspace, {"location": "eastus"})
            properties = {"image": "x", "condaFile": "dependencies: [python=3.11, pip, {pip: [nowhere-to-be-had]}]"}
            path = f"{workspace}/environments/e/versions/1"
            assert server.call("PUT", path, {"properties": properties}).status == 201
            wait_until(lambda: server.call("GET", path).json["entrepot"]["build"]["state"] == "Building")
            assert server.stop() == 0
    assert read_server_file(tmp_path / "home") is None
