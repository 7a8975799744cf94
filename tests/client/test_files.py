"""YAML files: values, lines, and what is said when they are wrong."""

from pathlib import Path

import pytest

from entrepot.client import files
from entrepot.client.failures import FileFailure

TEXT = """\
name: train
version: 1.10
inputs:
  data:
    type: uri_folder
  lr: 0.5
command: >-
  python a.py
  --x
list:
  - a
  - b: 2
"""


def loaded(folder: Path, text: str) -> files.Document:
    file = folder / "train.yml"
    file.write_text(text)
    return files.load(file)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("name",), 1),
        (("inputs",), 3),
        (("inputs", "data"), 4),
        (("inputs", "data", "type"), 5),
        (("inputs", "lr"), 6),
        (("command",), 7),
        (("list", 0), 11),
        (("list", 1, "b"), 12),
        (("inputs", "absent", "deep"), 3),
    ],
)
def test_the_line_of_every_place_is_known(tmp_path: Path, place: files.Place, line: int) -> None:
    document = loaded(tmp_path, TEXT)
    assert document.at(place) == f"{tmp_path / 'train.yml'}, line {line}, field {files.dotted(place)!r}"


def test_a_scalar_is_kept_as_it_was_written(tmp_path: Path) -> None:
    document = loaded(tmp_path, TEXT)
    assert (document.data["version"], document.as_written(("version",))) == (1.1, "1.10")
    document.forget(("version",))
    assert document.as_written(("version",)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\n  path: [b\n", ("line 2", "not YAML")),
        ("name: a\nname: b\n", ("line 2", "'name' stands twice")),
        ("a: {b: 1, b: 2}\n", ("line 1", "'b' stands twice")),
        ("- a\n- b\n", ("line 1", "a list")),
        ("", ("is empty",)),
        ("name: !!python/object:os.system x\n", ("not YAML",)),
        ("when: 2026-99-99\n", ("not YAML",)),
    ],
)
def test_what_is_not_a_file_of_fields_is_told_with_its_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(FileFailure) as refusal:
        loaded(tmp_path, text)
    assert all(word in str(refusal.value) for word in ("train.yml", *words)), refusal.value


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFailure, match=r"absent\.yml"):
        files.load(tmp_path / "absent.yml")
    with pytest.raises(FileFailure, match=r"line 1.*'path'.*'\./absent'"):
        loaded(tmp_path, "path: ./absent\n").resolve("./absent", ("path",))


def test_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    document = loaded(tmp_path, "code: ./src\n")
    assert document.resolve("./src") == document.resolve("file:./src") == document.resolve(str(tmp_path / "src"))


def test_anchors_and_merges_are_understood(tmp_path: Path) -> None:
    document = loaded(tmp_path, "a: &x {k: 1}\nb: *x\nc:\n  <<: *x\n  d: 2\n")
    assert document.data == {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "d": 2}}


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("true", True), ("0.5", 0.5), ("a: b", "a: b"), ("[1]", "[1]")])
def test_a_word_is_read_as_yaml_reads_plain_values(text: str, value: object) -> None:
    assert files.scalar(text) == files.scalar(files.SetText(text)) == value
