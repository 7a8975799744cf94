"""Commands against a live server: results on stdout, the rest on stderr, and the exit codes that scripts test."""

import io
import json
import os
import subprocess
import sys
import threading
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from entrepot.cli import grammar, parser
from entrepot.cli.call import Call
from entrepot.cli.commands.results import cut
from entrepot.cli.configuration import Configuration
from entrepot.cli.console import Console
from entrepot.cli.hints import placed
from entrepot.cli.host import SHELL
from tests.cli.conftest import Run

Json = Any

CONTOSO = ("--registry-name", "contoso")
COMPONENT = """
name: {name}
version: 1
type: command
inputs: {{n: {{type: integer, default: 3}}}}
outputs: {{o: {{type: uri_folder}}}}
code: ./src
environment: {{image: docker.io/python}}
command: python a.py ${{{{inputs.n}}}} ${{{{outputs.o}}}}
"""


def component(name: str) -> Path:
    """Write a component with code and an environment of its own into the current folder."""
    Path("src").mkdir(exist_ok=True)
    Path("src/a.py").write_text("print(1)\n")
    file = Path(f"{name}.yml")
    file.write_text(COMPONENT.format(name=name))
    return file


def test_only_what_it_needs_is_imported_by_show(az: Run) -> None:
    Path("m.txt").write_text("m")
    assert az("ml", "model", "create", "-n", "light", "-v", "1", "--path", "m.txt", *CONTOSO).code == 0
    program = (
        "import sys; from entrepot.cli.main import main; "
        "code = main('ml model show -n light -v 1 --registry-name contoso --query id -o tsv'.split()); "
        "print(code, *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    identity, modules = done.stdout.splitlines()
    assert identity == "azureml://registries/contoso/models/light/versions/1"
    code, *names = modules.split()
    assert code == "0"
    heavy = {
        "yaml", "jmespath", "tabulate", "msgspec", "ssl", "http", "urllib", "email", "typing", "dataclasses", "pathlib",
        "inspect", "asyncio", "logging", "shutil", "tempfile", "subprocess", "datetime", "configparser", "sqlite3",
        "importlib.metadata", "sqlalchemy", "starlette", "difflib",
    }  # fmt: skip
    assert heavy & set(names) == set()
    ours = {name for name in names if name.startswith("entrepot.")}
    assert ours == {
        "entrepot.cli", "entrepot.cli.call", "entrepot.cli.commands", "entrepot.cli.commands.assets",
        "entrepot.cli.configuration", "entrepot.cli.console", "entrepot.cli.grammar", "entrepot.cli.handlers",
            "entrepot.cli.host",
        "entrepot.cli.main", "entrepot.cli.output", "entrepot.cli.parser", "entrepot.client", "entrepot.client.assets",
        "entrepot.client.connection", "entrepot.client.failures", "entrepot.client.heartbeat", "entrepot.client.scopes",
        "entrepot.client.session",
        "entrepot.client.shapes", "entrepot.client.shapes.asset_views", "entrepot.client.shapes.naming",
    }  # fmt: skip


def test_what_is_not_there_ends_show_with_3_and_prints_nothing(az: Run) -> None:
    for words in (
        ("ml", "model", "show", "-n", "absent", "-v", "1"),
        ("ml", "model", "show", "-n", "absent", "--label", "latest", *CONTOSO),
        ("ml", "job", "show", "-n", "absent"),
        ("ml", "workspace", "show", "-n", "absent"),
        ("ml", "registry", "show", "-n", "absent"),
        ("group", "show", "-n", "absent"),
    ):
        ended = az(*words)
        assert (ended.code, ended.out) == (3, ""), words
        assert ended.err.startswith("ERROR: ")
    assert az("ml", "model", "archive", "-n", "absent", "-v", "1").code == 1


@pytest.mark.parametrize(
    ("typed", "hint", "told"),
    [
        (["-w", "prod"], "az ml job list shows", "az ml job list -w prod shows"),
        (["--workspace-name=a b", "-g", "rg"], "entrepot ml job list", "entrepot ml job list -w 'a b' -g rg"),
        (["-w", "prod"], "az ml online-endpoint update -n e", "az ml online-endpoint update -w prod -n e"),
        (["-w", "prod"], "az ml job list -w dev shows", "az ml job list -w dev shows"),
        (["-w", "prod"], "az ml registry list shows", "az ml registry list shows"),
        (["-n", "x"], "az ml job list shows", "az ml job list shows"),
    ],
)
def test_hints_keep_the_workspace_that_was_typed(typed: list[str], hint: str, told: str) -> None:
    assert placed(hint, typed) == told


def test_the_hint_of_a_command_elsewhere_works_there(az: Run) -> None:
    az("ml", "workspace", "create", "-n", "elsewhere")
    assert "ml job list -w elsewhere" in az("ml", "job", "show", "-n", "absent", "-w", "elsewhere").err


def test_version_and_label_exclude_each_other_and_one_is_needed(az: Run) -> None:
    both = az("ml", "model", "show", "-n", "m", "-v", "1", "-l", "latest")
    assert (both.code, both.err) == (2, "ERROR: Cannot specify both version and label.\n")
    assert "Must provide either version or label." in az("ml", "model", "show", "-n", "m").err
    assert "Must provide" not in az("ml", "component", "show", "-n", "c").err  # whose newest is meant


def test_a_bad_query_ends_with_2_before_anything_is_done(az: Run) -> None:
    ended = az("group", "create", "-n", "never", "-l", "eastus", "--query", "[")
    assert (ended.code, ended.out) == (2, "")
    assert az("group", "exists", "-n", "never").out == "false\n"


def test_what_is_not_built_says_so_even_when_the_line_is_short(az: Run) -> None:
    ended = az("ml", "feature-store", "create")
    assert ended.code == 1
    assert ended.err == "ERROR: 'ml feature-store create' is not supported by this server.\n"
    assert az("ml", "feature-store", "create", "--nonsense").code == 2


def test_something_destructive_is_not_done_without_yes_when_nobody_can_be_asked(az: Run) -> None:
    az("group", "create", "-n", "kept", "-l", "eastus")
    ended = az("group", "delete", "-n", "kept")
    assert ended.code == 1
    assert "Unable to prompt for confirmation as no tty available. Use --yes." in ended.err
    assert az("group", "exists", "-n", "kept").json is True
    assert az("group", "delete", "-n", "kept", "-y").code == 0
    assert az("group", "exists", "-n", "kept").json is False


def test_errors_only_means_errors_only(az: Run) -> None:
    Path("m.yml").write_text("name: quiet\nverison: 2\npath: ./m.yml\n")
    loud = az("ml", "model", "create", "-f", "m.yml", *CONTOSO)
    assert "WARNING: m.yml, line 2, field 'verison'" in loud.err
    assert az("ml", "model", "create", "-f", "m.yml", *CONTOSO, "--only-show-errors").err == ""


def test_defaults_are_listed_as_az_lists_them(az: Run) -> None:
    assert az("configure", "-l", "--query", "[?name=='workspace'].value", "-o", "tsv").out == "dev\n"
    assert az("configure").code == 2


def test_rest_sends_what_it_is_told(az: Run) -> None:
    listed = az("rest", "-u", "/subscriptions/{subscriptionId}/resourceGroups", "--query", "value[].name")
    assert "rg" in listed.json
    missing = az("rest", "-m", "get", "--url", "/subscriptions/{subscriptionId}/resourceGroups/absent")
    assert missing.code == 1
    assert "HTTP 404" in missing.err
    assert az("rest", "--url", "https://management.azure.com/subscriptions").code == 2
    body = Path("body.json")
    body.write_text('{"location": "eastus"}')
    made = az(
        "rest", "-m", "put", "-u", "/subscriptions/{subscriptionId}/resourceGroups/by-rest", "--body", "@body.json"
    )
    assert made.json["name"] == "by-rest"


def test_the_account_is_told_and_tokens_work(az: Run) -> None:
    shown = az("account", "show").json
    assert az("account", "show", "--query", "id", "-o", "tsv").out.strip() == shown["id"]
    token = az("account", "get-access-token", "--scope", "https://ml.azure.com/.default").json
    assert token["tokenType"] == "Bearer"
    assert az("account", "list-locations", "--query", "[].name").json == ["eastus", "westus", "westeurope"]
    assert az("account", "set", "-s", "00000000-0000-0000-0000-0000000000aa").code == 0
    try:
        assert az("account", "show", "--query", "id", "-o", "tsv").out == "00000000-0000-0000-0000-0000000000aa\n"
    finally:
        az("account", "clear")
    assert az("account", "show", "--query", "id", "-o", "tsv").out.strip() == shown["id"]


def test_a_component_is_published_with_its_code_and_environment_and_again_is_the_same(az: Run) -> None:
    file = component("published")
    first = az("ml", "component", "create", "-f", file, *CONTOSO).json
    assert first["code"].startswith("azureml://registries/contoso/codes/")
    assert first["environment"].startswith(
        "azureml://registries/contoso/environments/CliV2AnonymousEnvironment/versions/"
    )
    assert first["inputs"] == {"n": {"type": "integer", "default": "3"}}
    again = az("ml", "component", "create", "-f", file, *CONTOSO).json
    assert again["creation_context"] == first["creation_context"]
    Path("src/a.py").write_text("print(2)\n")
    changed = az("ml", "component", "create", "-f", file, *CONTOSO)
    assert changed.code == 1
    assert "code" in changed.err
    in_workspace = az("ml", "component", "create", "-f", file).json
    assert in_workspace["code"].startswith("azureml:/subscriptions/")


def test_a_pipelines_local_and_inline_steps_become_components(az: Run) -> None:
    component("step")
    Path("pipe.yml").write_text(
        """
type: pipeline
name: piped
inputs: {count: 5}
jobs:
  local: {type: command, component: ./step.yml, inputs: {n: "${{parent.inputs.count}}"}}
  inline:
    command: ls ${{inputs.folder}} ${{inputs.text}}
    environment: {image: docker.io/python}
    inputs: {folder: "${{parent.jobs.local.outputs.o}}", text: word}
settings: {default_compute: azureml:cpu-cluster}
"""
    )
    assert az("ml", "job", "validate", "-f", "pipe.yml").json == {"result": "Succeeded"}
    created = az(
        "ml", "job", "create", "-f", "pipe.yml", "--set", "jobs.inline.inputs.text=5", "--save-as", "saved.yml"
    )
    job = created.json
    assert (job["name"], job["type"], job["inputs"]) == ("piped", "pipeline", {"count": "5"})
    assert "azureml_anonymous" in job["jobs"]["local"]["component"]
    version = job["jobs"]["inline"]["component"].rsplit("/", 1)[1]
    inline = az("ml", "component", "show", "-n", "azureml_anonymous", "-v", version).json
    assert inline["inputs"] == {"folder": {"type": "uri_folder"}, "text": {"type": "integer"}}
    assert "name: piped" in Path("saved.yml").read_text()
    az("ml", "job", "cancel", "-n", "piped")


def test_a_local_input_is_uploaded_once_under_its_digest(az: Run) -> None:
    Path("data").mkdir()
    Path("data/a.txt").write_text("a")
    Path("job.yml").write_text(
        "command: cat ${{inputs.d}}/a.txt\nenvironment: {image: docker.io/python}\ncompute: azureml:cpu-cluster\n"
        "inputs: {d: {path: ./data}}\n"
    )
    paths = [az("ml", "job", "create", "-f", "job.yml").json["inputs"]["d"] for _ in range(2)]
    assert paths[0] == paths[1]
    assert paths[0]["type"] == "uri_folder"
    assert "/datastores/workspaceblobstore/paths/LocalUpload/" in paths[0]["path"]
    assert paths[0]["path"].endswith("/data")


def test_an_update_of_what_never_changes_is_refused(az: Run) -> None:
    Path("m.txt").write_text("m")
    az("ml", "model", "create", "-n", "fixed", "-v", "1", "--path", "m.txt", *CONTOSO)
    one = ("-n", "fixed", "-v", "1", *CONTOSO)
    ended = az("ml", "model", "update", *one, "--set", "path=./other")
    assert ended.code == 1
    assert "'path' of fixed:1 cannot change" in ended.err
    changed = az("ml", "model", "update", *one, "--set", "tags.n=5", "description=new", "--stage", "Production").json
    assert (changed["tags"], changed["description"], changed["stage"]) == ({"n": "5"}, "new", "Production")
    assert az("ml", "model", "update", *one, "--remove", "tags.n").json["tags"] == {}
    az("ml", "environment", "create", "-n", "fixed", "-v", "1", "--image", "docker.io/python", *CONTOSO)
    told = az("ml", "environment", "update", *one, "--set", "nonsense=1").err
    assert "'nonsense' of fixed:1 cannot change: of a version only description, tags, stage, properties can." in told


def test_a_list_is_cut_where_the_line_says_without_a_word(az: Run) -> None:
    Path("m.txt").write_text("m")
    for version in "123":
        az("ml", "model", "create", "-n", "many", "-v", version, "--path", "m.txt")
    ended = az("ml", "model", "list", "-n", "many", "-r", "2")
    assert ([row["version"] for row in ended.json], ended.err) == (["3", "2"], "")
    assert len(az("ml", "model", "list", "-n", "many").json) == 3
    assert az("ml", "model", "list", "-n", "many", "-r", "two").code == 2


def test_a_list_that_the_default_cuts_says_so() -> None:
    command = parser.Command("ml", "job list", (grammar.load("ml", "job") or {})["job list"])
    options = parser.parse(command, ["-g", "g", "-w", "w"], Configuration("/nowhere"))
    call = Call(
        command,
        options,
        home="/nowhere",
        configuration=Configuration("/nowhere"),
        console=Console(),
        opened=SHELL.opened,
    )
    said = io.StringIO()
    with redirect_stderr(said):
        assert cut(call, iter(range(60))) == list(range(50))
        assert "--all-results" in said.getvalue()
        assert cut(call, iter(range(50))) == list(range(50))
    assert said.getvalue().count("WARNING") == 1


def test_a_deployment_says_which_parameter_is_not_there(az: Run) -> None:
    template = {
        "$schema": "x", "contentVersion": "1.0.0.0", "parameters": {"n": {"type": "string"}}, "resources": [],
        "outputs": {"o": {"type": "string", "value": "[parameters('n')]"}},
    }  # fmt: skip
    Path("t.json").write_text("// comment\n" + json.dumps(template))
    deploy = ("deployment", "group", "create", "-f", "t.json")
    made = az(*deploy, "-p", "n=word").json
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert made["properties"]["outputs"]["o"]["value"] == "word"
    assert az("deployment", "group", "list", "--query", "[].name").json == ["t"]
    wrong = az(*deploy, "-p", "m=word")
    assert wrong.code == 2
    assert "it has n" in wrong.err
    Path("t.json").write_text('{"a": 1,\n "b" 2}')
    assert "t.json, line 2" in az(*deploy).err


@pytest.mark.parametrize("form", ["table", "tsv", "yaml", "jsonc"])
def test_every_form_prints_a_list(az: Run, form: str) -> None:
    ended = az("ml", "workspace", "list", "-o", form)
    assert ended.code == 0
    assert "dev" in ended.out


def test_compute_and_datastores_are_made_changed_and_deleted(az: Run) -> None:
    made = az("ml", "compute", "create", "-n", "small", "--type", "amlcompute", "--max-instances", "3").json
    assert (made["type"], made["max_instances"]) == ("amlcompute", 3)
    assert az("ml", "compute", "update", "-n", "small", "--max-instances", "2").json["max_instances"] == 2
    assert az("ml", "compute", "delete", "-n", "small", "--yes").code == 0
    assert az("ml", "compute", "show", "-n", "small").code == 3
    listed = az("ml", "datastore", "list", "--query", "[].name").json
    assert {"workspaceblobstore", "workspaceartifactstore"} <= set(listed)


@pytest.mark.parametrize(
    "words", [("model", "show", "-v", "a/b", "-n", "m"), ("model", "show", "-v", "1", "-n", "a/b")]
)
def test_a_slash_in_a_name_is_told_as_such(az: Run, words: tuple[str, ...]) -> None:
    assert "(InvalidName)" in az("ml", *words, *CONTOSO).err
    ended = az("ml", "job", "show", "-n", "a/b")
    assert "(InvalidName)" in ended.err
    assert "'/'" in ended.err


def test_an_address_that_nothing_is_read_from_is_told_with_those_that_are(az: Run) -> None:
    ended = az("ml", "model", "create", "-n", "m", "-v", "1", "--path", "s3://bucket/x", *CONTOSO)
    assert (ended.code, "s3:// is no address to read from" in ended.err) == (1, True)
    assert "azureml://datastores/" in ended.err


def test_an_empty_value_does_not_pass_for_one_that_was_not_given(az: Run) -> None:
    ended = az("ml", "model", "list", "--registry-name", "")
    assert ended.code == 2
    assert "--registry-name" in ended.err


def test_only_subscriptions_that_can_be_are_chosen(az: Run) -> None:
    ended = az("account", "set", "-s", "nope")
    assert (ended.code, "no subscription 'nope'" in ended.err) == (1, True)


def test_a_file_may_be_a_pipe_and_a_folder_is_none(az: Run, tmp_path: Path) -> None:
    fifo = tmp_path / "piped.yml"
    os.mkfifo(fifo)
    text = "name: piped\nversion: 1\nimage: docker.io/python\n"
    writer = threading.Thread(target=fifo.write_text, args=(text,))
    writer.start()
    created = az("ml", "environment", "create", "--file", fifo, *CONTOSO)
    writer.join()
    assert created.json["name"] == "piped"
    assert "is a folder" in az("ml", "environment", "create", "--file", tmp_path, *CONTOSO).err


def test_output_that_cannot_be_written_is_told_in_one_line(az: Run) -> None:
    words = [sys.executable, "-m", "entrepot.cli.main", "account", "list"]
    assert az("account", "list").code == 0
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "ERROR: No space left on device.\n")
    closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *words], stderr=subprocess.PIPE, text=True, check=False)
    assert (closed.returncode, closed.stderr) == (0, "")
