"""Secret files: private, made once, the same for all who start together."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from entrepot.server.keys import load_key, load_token, write_private


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "sas.key"
    key = load_key(file)
    assert len(key) == 32 and load_key(file) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_many_starting_together_read_one_token(tmp_path: Path) -> None:
    file = tmp_path / "run" / "token"
    with ThreadPoolExecutor(16) as pool:
        tokens = set(pool.map(lambda _: load_token(file), range(64)))
    assert len(tokens) == 1 and len(tokens.pop()) >= 40
    assert [path.name for path in file.parent.iterdir()] == ["token"]


def test_a_private_file_replaces_the_old_one_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "f", "one")
    write_private(tmp_path / "f", "two")
    assert (tmp_path / "f").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
