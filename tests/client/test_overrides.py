"""--set over a file, and --set, --add, --remove of update."""

from pathlib import Path
from typing import Any

import pytest

from entrepot.client import files, overrides
from entrepot.client.failures import UsageFailure

Json = Any


def laid(text: str, folder: Path, *pairs: str) -> Json:
    file = folder / "a.yml"
    file.write_text(text)
    document = files.load(file)
    overrides.lay_over(document, pairs)
    return document.data


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("version=3", {"inputs": {"a": {"type": "x"}}, "version": "3"}),
        ("inputs.a.path=./b=c", {"inputs": {"a": {"type": "x", "path": "./b=c"}}}),
        ("inputs.b=5", {"inputs": {"a": {"type": "x"}, "b": "5"}}),
        (
            "jobs.train.inputs.x.path=y",
            {"inputs": {"a": {"type": "x"}}, "jobs": {"train": {"inputs": {"x": {"path": "y"}}}}},
        ),
        ("ids[0].resource=z", {"inputs": {"a": {"type": "x"}}, "ids": [{"resource": "z"}]}),
        (r"properties.azureml\.mode=1", {"inputs": {"a": {"type": "x"}}, "properties": {"azureml.mode": "1"}}),
        ("inputs.a=word", {"inputs": {"a": "word"}}),
    ],
)
def test_set_is_laid_over_a_file(tmp_path: Path, pair: str, expected: Json) -> None:
    assert laid("inputs: {a: {type: x}}\n", tmp_path, pair) == expected


def test_set_does_not_go_through_a_reference(tmp_path: Path) -> None:
    with pytest.raises(UsageFailure, match="reference strings"):
        laid("inputs: {data: 'azureml:x:1'}\n", tmp_path, "inputs.data.path=y")


@pytest.mark.parametrize("pair", ["version", "=3", "a..b=1", "a[=1"])
def test_what_is_no_path_is_refused(tmp_path: Path, pair: str) -> None:
    with pytest.raises(UsageFailure):
        laid("a: 1\n", tmp_path, pair)


ENTITY = {"tags": {"a": "1"}, "items": [{"name": "x", "v": 1}, {"name": "y", "v": 2}], "n": 1}


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ([("set", ["tags.b=two"])], "tags", {"a": "1", "b": "two"}),
        ([("set", ["n=5"])], "n", 5),
        ([("set", ["n=True"])], "n", True),
        ([("set", ["n={'a': 1}"])], "n", {"a": 1}),
        ([("set", ['n=[1, "b"]'])], "n", [1, "b"]),
        ([("set", ["deep.er.path=x"])], "deep", {"er": {"path": "x"}}),
        ([("set", ["items[0].v=9"])], "items", [{"name": "x", "v": 9}, {"name": "y", "v": 2}]),
        ([("set", ["items[name=y].v=9"])], "items", [{"name": "x", "v": 1}, {"name": "y", "v": 9}]),
        ([("add", ["items", "name=z", "v=3"])], "items", [*ENTITY["items"], {"name": "z", "v": 3}]),  # type: ignore[misc]
        ([("add", ["new", "word"])], "new", ["word"]),
        ([("add", ["new", '{"a": 1}'])], "new", [{"a": 1}]),
        ([("remove", ["tags.a"])], "tags", {}),
        ([("remove", ["items", "0"])], "items", [{"name": "y", "v": 2}]),
        ([("set", ["n=1"]), ("remove", ["n"]), ("set", ["n=3"])], "n", 3),
    ],
)
def test_update_changes_what_is_there_in_order(changes: list[overrides.Change], path: str, value: Json) -> None:
    import copy

    entity = copy.deepcopy(ENTITY)
    overrides.apply(entity, changes)
    assert entity[path] == value


def test_force_string_keeps_what_was_typed() -> None:
    entity: dict[str, Json] = {}
    overrides.apply(entity, [("set", ["n=5"])], keeps_strings=True)
    assert entity == {"n": "5"}


@pytest.mark.parametrize(
    "change", [("remove", ["absent"]), ("remove", ["items", "7"]), ("add", ["n", "x"]), ("add", ["n"])]
)
def test_a_change_of_what_is_not_there_is_refused(change: overrides.Change) -> None:
    import copy

    with pytest.raises(UsageFailure):
        overrides.apply(copy.deepcopy(ENTITY), [change])
