"""`env` and `run`: what they print is what shells read, and a command that is run ends as it ends."""

import json
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from entrepot.cli import variables
from entrepot.client.session import Session
from entrepot.testing.live import LiveServer
from tests.cli.conftest import Run

ODD = {"PLAIN": "x", "ODD": "it's a \"$HOME\" `date` \\ back \\' and & more"}
MAIN = [sys.executable, "-m", "entrepot.cli.main"]


def test_a_shell_reads_back_each_odd_value() -> None:
    text = variables.render(ODD, "sh") + "python3 -c 'import os, json; print(json.dumps(dict(os.environ)))'"
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert {name: seen[name] for name in ODD} == ODD


def test_fish_and_powershell_values_are_quoted_by_their_rules() -> None:
    fish = variables.render(ODD, "fish")
    assert "set -gx ODD 'it\\'s a \"$HOME\" `date` \\\\ back \\\\\\' and & more';\n" in fish
    powershell = variables.render(ODD, "powershell")
    assert "$env:ODD = 'it''s a \"$HOME\" `date` \\ back \\'' and & more'\n" in powershell
    assert json.loads(variables.render(ODD, "json")) == ODD


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_reads_back_each_odd_value() -> None:
    done = subprocess.run(["fish"], input=variables.render(ODD, "fish") + "env", capture_output=True, text=True)
    assert f"ODD={ODD['ODD']}\n" in done.stdout


def test_env_points_at_the_server_and_never_tells_the_owner_token(az: Run, served: LiveServer) -> None:
    ended = az("env", "--format", "json")
    assert ended.code == 0, ended.err
    values = ended.json
    assert values["ARM_CLOUD_METADATA_URL"].startswith(f"{served.file.url}/metadata/endpoints")
    cloud = served.call("GET", values["ARM_CLOUD_METADATA_URL"].removeprefix(served.file.url), token=None).json[0]
    assert cloud["resourceManager"] == served.file.https_url
    assert cloud["resourceManager"] in values["ARM_CLOUD_METADATA_URL"]  # by which azure-ai-ml picks it
    assert values["MLFLOW_TRACKING_URI"].endswith("/resourceGroups/rg/providers/Microsoft.MachineLearningServices"
                                                  "/workspaces/dev")  # fmt: skip
    assert served.token not in ended.out
    assert values["NO_PROXY"] == values["no_proxy"] and "127.0.0.1" in values["NO_PROXY"].split(",")
    assert Path(served.file.authority).read_text() in Path(values["REQUESTS_CA_BUNDLE"]).read_text()


def test_env_for_another_machine_asks_for_the_cloud_over_https_alone(served: LiveServer) -> None:
    run = {"url": served.file.url, "https_url": "https://hub.contoso.com:8443", "authority": served.file.authority}
    with closing(Session(run, served.token)) as session:
        values = variables.variables(session, str(served.home))
    assert values["ARM_CLOUD_METADATA_URL"].startswith("https://hub.contoso.com:8443/metadata/endpoints")


def test_env_keeps_the_authorities_that_were_trusted(
    az: Run, served: LiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "corporate.pem").write_text("corporate\n")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "corporate.pem"))
    bundle = Path(az("env", "--format", "json").json["REQUESTS_CA_BUNDLE"])
    assert bundle.read_text().startswith("corporate\n")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    again = Path(az("env", "--format", "json").json["SSL_CERT_FILE"])
    assert Path(served.file.authority).read_text() in again.read_text()


def test_env_knows_four_shells(az: Run) -> None:
    assert az("env", "--format", "fish").out.startswith("set -gx ARM_CLOUD_METADATA_URL ")
    assert az("env", "--format", "powershell").out.startswith("$env:ARM_CLOUD_METADATA_URL = ")
    refused = az("env", "--format", "tcsh")
    assert refused.code == 2 and "powershell" in refused.err


def test_env_without_a_server_says_how_to_start_one(az: Run, tmp_path: Path) -> None:
    ended = az("env", "--home", tmp_path / "empty")
    assert (ended.code, ended.out) == (1, "") and "entrepot up" in ended.err


@pytest.mark.parametrize("words", [("run",), ("run", "--")])
def test_run_wants_a_command_behind_two_dashes(az: Run, words: tuple[str, ...]) -> None:
    ended = az(*words)
    assert ended.code == 2 and "entrepot run -- python train.py" in ended.err


def test_a_command_that_is_run_gets_its_own_words_and_ends_as_it_ends(az: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    program = "import os, sys; print(os.environ['IDENTITY_ENDPOINT'], *sys.argv[1:]); sys.exit(5)"
    words = ["run", "--", sys.executable, "-c", program, "--home", "x", "@file", "--", "-o"]
    done = subprocess.run([*MAIN, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert done.stdout.endswith("/msi/token --home x @file -- -o\n")


def test_a_command_that_is_not_there_is_told_with_a_shells_code(az: Run) -> None:
    ended = az("run", "--", "no-such-command")
    assert ended.code == 127 and "no-such-command" in ended.err


def test_other_commands_take_nothing_behind_two_dashes(az: Run) -> None:
    ended = az("status", "--", "x")
    assert ended.code == 2 and "x" in ended.err


def test_env_for_az_leaves_the_cloud_to_be_registered(az: Run, served: LiveServer) -> None:
    ended = az("env", "--az")
    assert "export AZURE_CORE_INSTANCE_DISCOVERY=no\n" in ended.out and "export REQUESTS_CA_BUNDLE=" in ended.out
    assert "unset ARM_CLOUD_METADATA_URL\n" in ended.out and "export ARM_CLOUD" not in ended.out
    assert served.token not in ended.out
