"""The run files: one server per home, found by its file only while it lives."""

from pathlib import Path

import pytest

from entrepot.core.errors import StateConflict
from entrepot.server import runfiles
from entrepot.server.runfiles import ServerFile

SERVER = ServerFile(
    1, "http://127.0.0.1:1", "https://127.0.0.1:2", "http://127.0.0.1:3", "https://127.0.0.1:4", "0", ""
)


def test_a_second_server_is_refused_by_name_of_home_and_process(tmp_path: Path) -> None:
    with (
        runfiles.lock(tmp_path),
        pytest.raises(StateConflict, match=rf"{tmp_path}: process \d+"),
        runfiles.lock(tmp_path),
    ):
        pass
    with runfiles.lock(tmp_path):
        assert runfiles.is_locked(tmp_path)
    assert not runfiles.is_locked(tmp_path)


def test_a_server_file_counts_only_while_its_server_holds_the_home(tmp_path: Path) -> None:
    with runfiles.lock(tmp_path):
        runfiles.write_server_file(tmp_path, SERVER)
        assert runfiles.read_server_file(tmp_path) == SERVER
    assert runfiles.read_server_file(tmp_path) is None
    runfiles.write_server_file(tmp_path, SERVER)  # left behind by a server that was killed
    assert runfiles.read_server_file(tmp_path) is None
