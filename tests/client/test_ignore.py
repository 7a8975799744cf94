"""Which files of a folder are uploaded."""

import os
from pathlib import Path

import pytest

from entrepot.client.failures import FileFailure
from entrepot.client.transfers.ignore import is_ignored, local_files, parse_rule


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def found(root: Path) -> list[str]:
    return sorted(file.path for file in local_files(root))


@pytest.mark.parametrize(
    ("line", "ignored", "kept"),
    [
        ("*.pyc", ["a.pyc", "b/a.pyc"], ["a.py", "pyc"]),
        ("build", ["build", "a/build"], ["builds", "a/rebuild"]),
        ("/build", ["build"], ["a/build"]),
        ("a/b", ["a/b"], ["c/a/b", "b"]),
        ("a/*.txt", ["a/x.txt"], ["a/b/x.txt", "x.txt"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["z", "b/a/z"]),
        ("**/logs", ["logs", "a/logs", "a/b/logs"], ["logs2"]),
        ("logs/**", ["logs/a", "logs/a/b"], ["logs", "a/logs/b"]),
        ("?.txt", ["a.txt"], ["ab.txt", ".txt"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt"]),
        ("[a-c]x", ["bx"], ["dx"]),
        (r"\#note", ["#note"], ["note"]),
        (r"\!note", ["!note"], ["note"]),
        ("a.b", ["a.b"], ["axb"]),
        ("trailing   ", ["trailing"], ["trailing   "]),
    ],
)
def test_patterns_are_gits(line: str, ignored: list[str], kept: list[str]) -> None:
    rule = parse_rule(line)
    assert rule is not None
    assert [path for path in ignored if not is_ignored([rule], path, is_folder=False)] == []
    assert [path for path in kept if is_ignored([rule], path, is_folder=False)] == []


@pytest.mark.parametrize("line", ["", "   ", "# a comment", "/", "!"])
def test_lines_without_a_pattern_are_no_rules(line: str) -> None:
    assert parse_rule(line) is None


def test_the_last_rule_that_matches_counts(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "keep.log", "b/keep.log", "c.txt")
    (tmp_path / ".amlignore").write_text("*.log\n!keep.log\n/b/keep.log\n")
    assert found(tmp_path) == [".amlignore", "c.txt", "keep.log"]


def test_nothing_below_an_ignored_folder_comes_back(tmp_path: Path) -> None:
    make(tmp_path, "data/a", "data/sub/b", "c", "x/data")
    (tmp_path / ".amlignore").write_text("data/\n!data/a\n")
    assert found(tmp_path) == [".amlignore", "c", "x/data"]


def test_amlignore_goes_before_gitignore_and_only_at_the_root(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", "sub/a", "sub/b")
    (tmp_path / ".gitignore").write_text("a\n")
    (tmp_path / "sub/.gitignore").write_text("b\n")
    assert found(tmp_path) == [".gitignore", "b", "sub/.gitignore", "sub/b"]
    (tmp_path / ".amlignore").write_text("b\n")
    assert found(tmp_path) == [".amlignore", ".gitignore", "a", "sub/.gitignore", "sub/a"]
    assert len(local_files(tmp_path, ignore=False)) == 7


def test_a_single_file_is_itself(tmp_path: Path) -> None:
    make(tmp_path, "model.bin")
    (file,) = local_files(tmp_path / "model.bin")
    assert (file.path, file.size_bytes) == ("model.bin", 9)


def test_what_cannot_be_uploaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFailure, match="does not exist"):
        local_files(tmp_path / "none")
    root = make(tmp_path / "root", "a")
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(FileFailure, match="leads out of the folder"):
        local_files(root)
    (root / "out").unlink()
    (root / "round").symlink_to(root)
    with pytest.raises(FileFailure, match="folder that it lies in"):
        local_files(root)
    (root / "round").unlink()
    (root / "dangling").symlink_to("nothing")
    with pytest.raises(FileFailure, match="leads nowhere"):
        local_files(root)
    (root / "dangling").unlink()
    os.mkfifo(root / "pipe")
    with pytest.raises(FileFailure, match="neither a file nor a folder"):
        local_files(root)


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    make(tmp_path, "a", "sub/b")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "folder").symlink_to("sub")
    assert found(tmp_path) == ["a", "folder/b", "link", "sub/b"]
