"""The groups of `az` beside `ml`: groups, templates, resources, tags, and the lines that scripts begin with."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

TYPE = "Microsoft.MachineLearningServices/workspaces"
TEMPLATE = {
    "parameters": {"name": {"type": "string"}, "word": {"type": "securestring", "defaultValue": "x"}},
    "resources": [{"type": TYPE, "apiVersion": "2024-04-01", "name": "[parameters('name')]", "location": "eastus"}],
}


def ok(run: Run, *words: object) -> str:
    ended = run(*words)
    assert ended.code == 0, ended.err
    return ended.out


def test_a_template_is_foretold_deployed_told_exported_and_forgotten(az: Run, tmp_path: Path) -> None:
    file = tmp_path / "main.json"
    file.write_text(json.dumps(TEMPLATE))
    words = ("-g", "arm", "-f", file, "-p", "name=first")
    ok(az, "group", "create", "-n", "arm", "-l", "eastus")
    foretold = json.loads(ok(az, "deployment", "group", "what-if", *words))
    assert [change["changeType"] for change in foretold["properties"]["changes"]] == ["Create"]
    asked = az("deployment", "group", "create", *words, "--confirm-with-what-if")
    assert asked.code == 1 and "Create    /subscriptions/" in asked.err
    ok(az, "deployment", "group", "create", *words, "--no-wait")
    ok(az, "deployment", "group", "wait", "-g", "arm", "-n", "main", "--created", "--timeout", "60")
    done = json.loads(ok(az, "deployment", "operation", "group", "list", "-g", "arm", "-n", "main"))
    assert [one["properties"]["provisioningState"] for one in done] == ["Succeeded"]
    assert json.loads(ok(az, "deployment", "group", "export", "-g", "arm", "-n", "main")) == TEMPLATE
    for shown in (("list", "-g", "arm"), ("show", "-g", "arm", "-n", "main")):
        head, _, row = ok(az, "deployment", "group", *shown, "-o", "table").splitlines()
        assert head.split() == ["Name", "State", "Timestamp", "Mode"]
        assert (row.split()[:2], row.split()[-1]) == (["main", "Succeeded"], "Incremental")
    late = az("deployment", "group", "cancel", "-g", "arm", "-n", "main")
    assert late.code == 1 and "has ended already" in late.err
    ok(az, "deployment", "group", "delete", "-g", "arm", "-n", "main")
    assert az("deployment", "group", "show", "-g", "arm", "-n", "main").code == 3


def test_a_failed_deployment_tells_which_resource_and_why(az: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(TEMPLATE))
    failed = az("deployment", "group", "create", "-g", "failing", "-f", file, "-p", "name=not good")
    assert failed.code == 1 and "failed at Microsoft.MachineLearningServices/workspaces not good" in failed.err


def test_a_subscription_is_deployed_to(az: Run, tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    kind = "Microsoft.Resources/resourceGroups"
    file.write_text(json.dumps({"resources": [{"type": kind, "name": "by-template", "location": "westus"}]}))
    ok(az, "deployment", "sub", "create", "-l", "eastus", "-f", file)
    assert ok(az, "group", "show", "-n", "by-template", "--query", "location", "-o", "tsv") == "westus\n"
    assert "groups" in ok(az, "deployment", "sub", "list", "--query", "[].name")


def test_resources_are_made_found_changed_tagged_and_deleted(az: Run) -> None:
    place = ("-g", "rg", "-n", "made", "--resource-type", TYPE)
    made = json.loads(ok(az, "resource", "create", *place, "-l", "eastus", "-p", '{"description": "one"}'))
    assert made["resourceGroup"] == "rg"
    id = made["id"]
    assert ok(az, "resource", "list", "-g", "rg", "-n", "made", "--query", "[].id", "-o", "tsv") == f"{id}\n"
    changed = json.loads(ok(az, "resource", "update", "--ids", id, "--set", "properties.description=two"))
    assert changed["properties"]["description"] == "two"
    ok(az, "resource", "tag", "--ids", id, "--tags", "a=1")
    ok(az, "resource", "tag", "--ids", id, "--tags", "b=2", "-i")
    ok(az, "tag", "update", "--resource-id", id, "--operation", "delete", "--tags", "a=1")
    assert json.loads(ok(az, "tag", "list", "--resource-id", id))["properties"]["tags"] == {"b": "2"}
    ok(az, "resource", "wait", "--ids", id, "--custom", "tags.b == '2'", "--timeout", "5")
    ok(az, "resource", "delete", *place)
    ok(az, "resource", "wait", "--ids", id, "--deleted", "--timeout", "60")
    assert az("resource", "show", "--ids", id).code == 3
    wrong = az("resource", "show", "-n", "made")
    assert wrong.code == 2 and "--ids ID" in wrong.err


def test_what_scripts_begin_with_goes_well(az: Run) -> None:
    assert json.loads(ok(az, "login", "--use-device-code"))[0]["isDefault"] is True
    for words in (("add", "-n", "ml", "-y"), ("update", "-n", "ml"), ("remove", "-n", "ml")):
        assert ok(az, "extension", *words) == ""
    assert ok(az, "extension", "list", "--query", "[].name", "-o", "tsv") == "ml\n"
    assert ok(az, "ad", "signed-in-user", "show", "--query", "id", "-o", "tsv").strip()
    assert TYPE.partition("/")[2] in ok(
        az, "provider", "show", "-n", "Microsoft.MachineLearningServices", "--query", "resourceTypes[].resourceType"
    )
    ok(az, "provider", "register", "-n", "Microsoft.MachineLearningServices")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("login", "--service-principal", "-u", "x", "-p", "y"), "acts as the owner of its home"),
        (("extension", "add", "-n", "devops"), "no extension 'devops'"),
        (("provider", "unregister", "-n", "Microsoft.Resources"), "stays registered"),
        (("group", "wait", "-n", "none", "--exists", "--timeout", "1"), "timed-out"),
    ],
)
def test_what_makes_no_sense_here_says_so(az: Run, words: tuple[str, ...], message: str) -> None:
    ended = az(*words)
    assert ended.code == 1 and message in ended.err


def test_a_template_that_is_taken_for_a_description_is_told_where_it_belongs(az: Run, tmp_path: Path) -> None:
    file = tmp_path / "main.json"
    file.write_text(json.dumps({"contentVersion": "1.0.0.0", **TEMPLATE}))
    for noun in ("registry", "workspace"):
        refused = az("ml", noun, "create", "-n", "x", "--file", file)
        assert refused.code == 1 and f"deployment group create --template-file {file}" in refused.err
