"""Batch endpoints as users meet them: deployed, invoked, followed, downloaded, changed, deleted."""

import json
from pathlib import Path
from typing import Any

from tests.journey.console import CommandLine

Json = Any
ENDPOINT = ("--name", "scale-batch")


def finished(az: CommandLine, *words: object) -> Json:
    """Invoke the endpoint and return the job once it has ended."""
    name = az("ml", "batch-endpoint", "invoke", *ENDPOINT, *words)["name"]
    az.run("ml", "job", "stream", "-n", name)
    return az("ml", "job", "show", "-n", name)


def rows(az: CommandLine, job: str, folder: Path, *, file: str = "scores.csv") -> list[str]:
    az("ml", "job", "download", "-n", job, "--output-name", "score", "--download-path", folder)
    (found,) = (folder / "named-outputs" / "score").rglob(file)
    return found.read_text().splitlines()


def child(az: CommandLine, job: str) -> Json:
    (found,) = az("ml", "job", "list", "--parent-job-name", job)
    return found


def test_a_deployment_scores_the_files_of_a_folder(az: CommandLine, folder: Path) -> None:
    job = finished(az, "--input", "data", "--job-name", "first")
    assert (job["name"], job["status"], job["type"]) == ("first", "Completed", "pipeline"), job
    assert job["experiment_name"] == "scale-batch"
    assert rows(az, "first", folder) == ["0.txt,0", "1.txt,3", "2.txt,6", "3.txt,9", "4.txt,12"]
    step = child(az, "first")
    log = az.text("ml", "job", "stream", "-n", step["name"])
    assert "model is ['scale']" in log
    assert sorted(line for line in log.splitlines() if line.startswith("size")) == ["size 1", "size 2", "size 2"]
    assert step["type"] == "parallel"


def test_its_jobs_are_listed_by_endpoint_and_deployment(az: CommandLine) -> None:
    name = az("ml", "batch-endpoint", "invoke", *ENDPOINT, "--input", "data/1.txt", "--input-type", "uri_file")["name"]
    assert name in [job["name"] for job in az("ml", "batch-endpoint", "list-jobs", *ENDPOINT)]
    listed = az("ml", "batch-deployment", "list-jobs", "--name", "blue", "--endpoint-name", "scale-batch")
    assert name in [job["name"] for job in listed]
    assert {job["deployment_name"] for job in listed} == {"blue"}
    az.run("ml", "job", "stream", "-n", name)
    assert az("ml", "job", "show", "-n", name)["status"] == "Completed"


def test_an_invocation_says_otherwise_than_its_deployment(az: CommandLine, folder: Path) -> None:
    place = "azureml://datastores/workspaceblobstore/paths/scored/run7"
    job = finished(
        az, "--input", "data", "--output-path", place, "-m", 5, "--experiment-name", "other",
        "--set", "output_file_name=all.csv",
    )  # fmt: skip
    assert (job["status"], job["experiment_name"]) == ("Completed", "other"), job
    assert job["outputs"]["score"]["path"] == place
    assert len(rows(az, job["name"], folder, file="all.csv")) == 5
    log = az.text("ml", "job", "stream", "-n", child(az, job["name"])["name"])
    assert "size 5" in log


def test_an_output_may_be_a_file_of_its_own(az: CommandLine, folder: Path) -> None:
    place = "azureml://datastores/workspaceblobstore/paths/scored/mine.csv"
    output = {"score": {"type": "uri_file", "path": place}}
    inputs = {"data": {"type": "uri_folder", "path": "data"}}
    (folder / "call.yml").write_text(json.dumps({"inputs": inputs, "outputs": output}))
    (folder / "data").mkdir()
    (folder / "data" / "7.txt").write_text("7")
    job = finished(az, "--file", folder / "call.yml")
    assert job["status"] == "Completed", job
    data = ("--name", "scored", "--version", "1", "--type", "uri_file", "--path", place)
    assert az("ml", "data", "create", *data)["path"].endswith("scored/mine.csv")
    again = finished(az, "--input", "azureml:scored:1", "--input-type", "uri_file")
    assert again["status"] == "Failed"  # its content, 7.txt,21, is no number: the file is there and was read
    assert "invalid literal for int() with base 10: '7.txt,21" in again["error"]["message"]


def test_failures_over_the_threshold_fail_the_job(az: CommandLine, folder: Path) -> None:
    (folder / "bad").mkdir()
    (folder / "bad" / "x.txt").write_text("none")
    job = finished(az, "--input", folder / "bad")
    assert job["status"] == "Failed"
    assert "ValueError: invalid literal for int()" in job["error"]["message"]
    lenient = finished(az, "--input", folder / "bad", "--set", "error_threshold=5")
    assert lenient["status"] == "Completed"


def test_a_summary_only_deployment_writes_no_rows(az: CommandLine, folder: Path) -> None:
    code = "import os\ndef run(files):\n    open(os.environ['AZUREML_BI_OUTPUT_PATH'] + '/own.txt', 'w').write('me')\n"
    (folder / "code").mkdir()
    (folder / "code" / "own.py").write_text(code + "    return files\n")
    (folder / "quiet.yml").write_text(
        "name: quiet\nendpoint_name: scale-batch\nmodel: azureml:scale@latest\nenvironment: azureml:plain:1\n"
        "code_configuration: {code: ./code, scoring_script: own.py}\nsettings: {output_action: summary_only}\n"
    )
    az("ml", "batch-deployment", "create", "-f", folder / "quiet.yml")
    job = finished(az, "--input", "data", "--deployment-name", "quiet")
    assert job["status"] == "Completed", job
    assert rows(az, job["name"], folder, file="*") == ["me"]
    az("ml", "batch-deployment", "delete", "--name", "quiet", "--endpoint-name", "scale-batch", "--yes")


def test_deployments_are_shown_and_changed(az: CommandLine) -> None:
    of = ("--endpoint-name", "scale-batch")
    shown = az("ml", "batch-deployment", "show", "--name", "blue", *of)
    assert shown["model"].endswith("/models/scale/versions/1")
    assert (shown["mini_batch_size"], shown["output_action"], shown["type"]) == (2, "append_row", "model")
    assert shown["retry_settings"] == {"max_retries": 0, "timeout": 120}
    assert shown["code_configuration"]["scoring_script"] == "score.py"
    changed = az("ml", "batch-deployment", "update", "--name", "blue", *of, "--set", "mini_batch_size=3", "tags.a=b")
    assert (changed["mini_batch_size"], changed["tags"], changed["error_threshold"]) == (3, {"a": "b"}, 0)
    assert changed["environment_variables"] == {"SIZE": "yes"}
    az("ml", "batch-deployment", "update", "--name", "blue", *of, "--set", "mini_batch_size=2")
    assert [found["name"] for found in az("ml", "batch-deployment", "list", *of)] == ["blue"]
    refused = az.run("ml", "batch-deployment", "update", "--name", "blue", *of, "--set", "model=azureml:other:1")
    assert "'model' of a batch deployment cannot be changed in place" in refused.err
    wrong = az.refusal("ml", "batch-deployment", "update", "--name", "blue", *of, "--set", "output_action=all")
    assert "field 'output_action': must be one of append_row, summary_only" in wrong


def test_endpoints_are_shown_changed_and_deleted_with_their_deployments(az: CommandLine) -> None:
    made = az("ml", "batch-endpoint", "create", "--name", "short-lived", "--set", "description=a test")
    assert (made["description"], made["auth_mode"], made["provisioning_state"]) == ("a test", "aad_token", "Succeeded")
    assert made["scoring_uri"].startswith("http")
    az("ml", "batch-deployment", "create", "-f", "deployment.yml", "--endpoint-name", "short-lived", "--name", "d1")
    chosen = az("ml", "batch-endpoint", "update", "--name", "short-lived", "--defaults", "deployment_name=d1")
    assert chosen["defaults"] == {"deployment_name": "d1"}
    wrong = az.run("ml", "batch-endpoint", "update", "--name", "short-lived", "--set", "defaults.deployment_name=d2")
    assert "The default deployment 'd2' is not there: deployments of short-lived are d1" in wrong.err
    az("ml", "batch-deployment", "delete", "--name", "d1", "--endpoint-name", "short-lived", "--yes")
    assert az("ml", "batch-endpoint", "show", "--name", "short-lived")["defaults"] == {}
    refused = az.run("ml", "batch-endpoint", "invoke", "--name", "short-lived", "--input", "data")
    assert "has no default deployment" in refused.err
    az("ml", "batch-endpoint", "delete", "--name", "short-lived", "--yes")
    assert az.run("ml", "batch-endpoint", "show", "--name", "short-lived").code == 3
    assert "short-lived" not in [found["name"] for found in az("ml", "batch-endpoint", "list")]


def test_mistakes_are_told(az: CommandLine, folder: Path) -> None:
    said = {
        ("--input", "data", "--deployment-name", "red"): "Batch endpoint 'scale-batch' has no deployment 'red'",
        (): "takes one input, a file or a folder: got 0",
        ("--inputs", '{"a": 1}'): "takes data, not a literal",
        ("--input", "azureml:none:1"): "There is no data none:1",
        ("--input", "nowhere"): "nowhere",
        ("--input", "data", "--set", "mini_batch_size=0"): "mini_batch_size",
        ("--input", "data", "--input-type", "table"): "not one of uri_folder, uri_file",
    }
    for words, text in said.items():
        refused = az.run("ml", "batch-endpoint", "invoke", *ENDPOINT, *words)
        assert refused.code != 0, words
        assert text in refused.err, refused
    files = {
        "model: azureml:scale:1\n": "the deployment needs a code_configuration and an environment",
        "model: azureml:none:1\nenvironment: azureml:plain:1\n": "There is no model none:1",
        "model: azureml:scale:1\ncode_configuration: {code: ./}\n": "needs the field 'scoring_script'",
        "component: azureml:none:1\ntype: pipeline\n": "There is no component none:1",
    }
    code = "code_configuration: {code: ./, scoring_script: score.py}"
    whole = f"model: azureml:scale:1\n{code}\nenvironment: azureml:plain:1\n"
    for more, told in {
        "mini_batch_size: -3": "mini_batch_size must be a whole number from 1 on: got -3",
        "error_threshold: -2": "error_threshold must be a whole number from -1 on",
        "retry_settings: {timeout: 0}": "retry_settings.timeout must be a whole number from 1 on",
        "retry_settings: {max_retries: -1}": "retry_settings.max_retries must be a whole number from 0 on",
        "instance_count: 0": "resources.instance_count must be a whole number from 1 on",
    }.items():
        files[f"{whole}{more}\n"] = told
    files[whole.replace("score.py", "none.py")] = "The code has no file 'none.py', which scoringScript names: it has"
    for text, told in files.items():
        (folder / "wrong.yml").write_text(f"name: red\nendpoint_name: scale-batch\n{text}")
        refused = az.run("ml", "batch-deployment", "create", "-f", folder / "wrong.yml")
        assert refused.code == 1
        assert told in refused.err, refused
    assert "is not a valid endpoint name" in az.run("ml", "batch-endpoint", "create", "--name", "a_b").err
