"""Results as text, by the rules of `az`."""

import json
from typing import Any

import pytest
from tabulate import tabulate

from entrepot.cli.columns import rows
from entrepot.cli.output import Query, render
from entrepot.client.failures import UsageFailure

Json = Any

MODEL = {
    "name": "taxi",
    "id": "azureml://registries/contoso/models/taxi/versions/1",
    "version": "1",
    "tags": {"stage": "Prod"},
    "flavors": ["sklearn", "python_function"],
    "is_archived": False,
    "type": "mlflow_model",
    "stage": None,
}


def queried(expression: str, value: Json, form: str) -> str:
    return render(Query(expression).apply(value), form=form)


def test_json_has_sorted_keys_two_spaces_and_keeps_letters_of_all_languages() -> None:
    text = render({"b": {"z": 1, "y": "é"}, "a": [True, None]}, form="json")
    assert text == '{\n  "a": [\n    true,\n    null\n  ],\n  "b": {\n    "y": "é",\n    "z": 1\n  }\n}\n'


@pytest.mark.parametrize("form", ["json", "jsonc", "table", "tsv", "yaml", "yamlc", "none"])
def test_nothing_prints_nothing(form: str) -> None:
    assert render(None, form=form) == ""


def test_none_prints_nothing_of_anything() -> None:
    assert render(MODEL, form="none") == ""


def test_a_table_capitalises_hides_ids_types_and_what_is_nested() -> None:
    lines = render([MODEL, {**MODEL, "name": "b"}], form="table").splitlines()
    assert lines[0].split() == ["Is_archived", "Name", "Version"]
    assert [line.split() for line in lines[2:]] == [["False", "taxi", "1"], ["False", "b", "1"]]


def test_a_table_of_a_query_keeps_its_order_and_lists_become_columns() -> None:
    assert queried("[].{Version:version, Name:name}", [MODEL], "table").split()[:2] == ["Version", "Name"]
    assert queried("[].[name, version]", [MODEL], "table").split()[:2] == ["Column1", "Column2"]
    assert queried("name", MODEL, "table").splitlines() == ["Result", "--------", "taxi"]


@pytest.mark.parametrize(
    "table",
    [
        [{"A": "x", "B": "longer than its title"}, {"A": "y"}, {"B": "", "C": 3}],
        [{"Number": 12, "Text": "  indented", "Truth": True}],
        [{"A": "one\ntwo", "B": "x"}, {"A": "three", "B": "y\nz\nw"}],
        [{"Result": "word"}],
    ],
)
def test_a_table_is_laid_out_as_tabulate_does(table: list[dict[str, Json]]) -> None:
    expected = tabulate(table, headers="keys", tablefmt="simple", disable_numparse=True)
    assert render(table, form="table") == expected + "\n"


@pytest.mark.parametrize("expression", ["name", "tags.stage", "tags.absent.deep", "name.deep", "flavors.x", "absent"])
def test_a_plain_path_needs_no_library_and_means_the_same(expression: str) -> None:
    import jmespath

    assert Query(expression).apply(MODEL) == jmespath.search(expression, MODEL)


def test_a_list_shows_the_columns_of_its_noun() -> None:
    job = {
        "name": "j",
        "type": "command",
        "status": "Completed",
        "creation_context": {"created_at": "2026-11-23T10:00:00.1Z"},
    }
    head, _, row = render(rows("job list", [job]), form="table").splitlines()
    assert head.split() == ["Name", "Type", "Status", "Created_at"]
    assert row.split() == ["j", "command", "Completed", "2026-11-23", "10:00:00"]


def test_tsv_sorts_keys_counts_lists_and_leaves_objects_out() -> None:
    # flavors, id, is_archived, name, stage, tags, type, version
    assert render(MODEL, form="tsv") == (
        "2\tazureml://registries/contoso/models/taxi/versions/1\tFalse\ttaxi\tNone\t\tmlflow_model\t1\n"
    )


def test_tsv_of_a_query_keeps_its_order() -> None:
    assert queried("{v:version, n:name}", MODEL, "tsv") == "1\ttaxi\n"
    assert queried("[].{v:version, n:name}", [MODEL, MODEL], "tsv") == "1\ttaxi\n1\ttaxi\n"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("name", "taxi\n"),
        ("is_archived", "false\n"),
        ("stage", ""),
        ("flavors", "sklearn\npython_function\n"),
        ("absent", ""),
    ],
)
def test_a_single_value_is_bare_in_tsv(expression: str, text: str) -> None:
    assert queried(expression, MODEL, "tsv") == text


def test_yaml_is_in_block_style() -> None:
    assert render({"b": [1, {"c": "x"}], "a": "é"}, form="yaml") == "a: é\nb:\n- 1\n- c: x\n"
    assert render("word", form="yaml") == "word\n"


def test_colours_change_nothing_but_colours() -> None:
    import re

    for form, plain in (("jsonc", "json"), ("yamlc", "yaml")):
        painted = render(MODEL, form=form, is_colourful=True)
        assert "\x1b[" in painted
        assert re.sub(r"\x1b\[\d+m", "", painted) == render(MODEL, form=plain)
        assert render(MODEL, form=form) == render(MODEL, form=plain)


def test_a_query_shapes_json_in_its_own_order() -> None:
    assert list(json.loads(queried("{b:name, a:version}", MODEL, "json"))) == ["b", "a"]


def test_a_bad_query_is_a_usage_failure_before_anything_happens() -> None:
    with pytest.raises(UsageFailure, match="JMESPath"):
        Query("[?name=='x'")
