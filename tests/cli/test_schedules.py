"""Sweeps and schedules from YAML files, on the command line."""

from pathlib import Path

from tests.cli.conftest import Run

SWEEP = """
type: sweep
experiment_name: tuned
compute: azureml:cpu-cluster
trial:
  command: test ${{search_space.lr}} = 0.5 && echo ${{inputs.word}}
  environment: {image: docker.io/python}
inputs: {word: hi}
search_space: {lr: {type: choice, values: [0.5, 0.7]}, x: {type: choice, values: [1]}}
sampling_algorithm: grid
objective: {goal: maximize, primary_metric: acc}
limits: {max_total_trials: 1, max_concurrent_trials: 1, timeout: 300}
early_termination: {type: truncation_selection, truncation_percentage: 20}
"""
SCHEDULE = """
name: nightly
display_name: Every night
trigger: {type: recurrence, frequency: day, interval: 1, schedule: {hours: 4, minutes: [0, 30]}, time_zone: UTC,
          start_time: "2099-01-01T00:00:00"}
create_job: ./job.yml
"""
JOB = "command: echo once\nenvironment: {image: docker.io/python}\ncompute: azureml:cpu-cluster\n"


def test_a_sweeps_file_is_sent_as_the_sdk_sends_it(az: Run) -> None:
    Path("sweep.yml").write_text(SWEEP)
    ended = az("ml", "job", "create", "-f", "sweep.yml", "-n", "tuning", "--stream")
    assert ended.code == 0, ended.err
    shown = az("ml", "job", "show", "-n", "tuning").json
    assert (shown["type"], shown["status"]) == ("sweep", "Completed")
    assert shown["search_space"] == {"lr": ["choice", [[0.5, 0.7]]], "x": ["choice", [[1]]]}
    assert shown["early_termination"]["policyType"] == "TruncationSelection"
    assert [job["name"] for job in az("ml", "job", "list", "--parent-job-name", "tuning").json] == ["tuning_0"]


def test_what_a_sweeps_parameter_lacks_is_told_with_its_line(az: Run) -> None:
    Path("sweep.yml").write_text(SWEEP.replace("values: [1]", "min_value: 1"))
    ended = az("ml", "job", "create", "-f", "sweep.yml")
    assert ended.code != 0 and "choice needs values" in ended.err and "sweep.yml" in ended.err


def test_a_schedule_lives_through_all_its_commands(az: Run) -> None:
    Path("job.yml").write_text(JOB)
    Path("schedule.yml").write_text(SCHEDULE)
    made = az("ml", "schedule", "create", "-f", "schedule.yml").json
    assert made["trigger"]["schedule"] == {"hours": [4], "minutes": [0, 30]}
    assert (made["trigger"]["type"], made["is_enabled"]) == ("recurrence", True)
    assert made["create_job"]["command"] == "echo once"
    assert "nightly" in [found["name"] for found in az("ml", "schedule", "list").json]
    job = az("ml", "schedule", "trigger", "-n", "nightly").json["job_name"]
    assert az("ml", "job", "show", "-n", job).json["name"] == job
    changed = az("ml", "schedule", "update", "-n", "nightly", "--set", "trigger.interval=2", "display_name=Else").json
    assert (changed["trigger"]["interval"], changed["display_name"]) == (2, "Else")
    assert az("ml", "schedule", "delete", "-n", "nightly").code != 0
    assert az("ml", "schedule", "disable", "-n", "nightly").json["is_enabled"] is False
    assert "nightly" not in [found["name"] for found in az("ml", "schedule", "list").json]
    assert "nightly" in [found["name"] for found in az("ml", "schedule", "list", "--disabled-only").json]
    assert az("ml", "schedule", "enable", "-n", "nightly").json["is_enabled"] is True
    az("ml", "schedule", "disable", "-n", "nightly")
    assert az("ml", "schedule", "delete", "-n", "nightly").code == 0
    assert az("ml", "schedule", "show", "-n", "nightly").code == 3


TRAIN = """
name: train_once
type: command
inputs: {lr: {type: number}, word: {type: string}}
outputs: {model: {type: uri_folder}}
environment: azureml://registries/azureml/environments/python-3.11-mlflow/versions/1
command: >-
  echo ${{inputs.word}} ${{inputs.lr}} > ${{outputs.model}}/w.txt &&
  python -c "import mlflow; mlflow.log_metric('acc', ${{inputs.lr}})"
"""
LINE = """
type: pipeline
inputs: {word: hi}
outputs: {best: {type: uri_folder}}
settings: {default_compute: azureml:cpu-cluster}
jobs:
  tune:
    type: sweep
    trial: ./train.yml
    inputs: {word: "${{parent.inputs.word}}"}
    outputs: {model: "${{parent.outputs.best}}"}
    search_space: {lr: {type: choice, values: [0.25, 0.75]}}
    sampling_algorithm: grid
    objective: {goal: maximize, primary_metric: acc}
    limits: {max_total_trials: 4, max_concurrent_trials: 2, timeout: 300}
  show:
    command: cat ${{inputs.model}}/w.txt
    environment: {image: docker.io/python}
    inputs: {model: {type: uri_folder, path: "${{parent.jobs.tune.outputs.model}}"}}
"""


def test_a_pipelines_file_has_a_sweep_step(az: Run) -> None:
    Path("train.yml").write_text(TRAIN)
    Path("line.yml").write_text(LINE)
    ended = az("ml", "job", "create", "-f", "line.yml", "-n", "sweeping", "--stream")
    assert ended.code == 0, ended.err
    shown = az("ml", "job", "show", "-n", "sweeping").json
    assert shown["jobs"]["tune"]["search_space"] == {"lr": {"type": "choice", "values": [0.25, 0.75]}}
    assert "/components/" in shown["jobs"]["tune"]["trial"]
    assert az("ml", "job", "download", "-n", "sweeping", "--output-name", "best", "-p", "got").code == 0
    (found,) = Path("got").rglob("w.txt")
    assert found.read_text() == "hi 0.75\n"


def test_what_a_sweep_step_lacks_is_told_with_its_place(az: Run) -> None:
    Path("train.yml").write_text(TRAIN)
    Path("line.yml").write_text(LINE.replace("    trial: ./train.yml\n", ""))
    ended = az("ml", "job", "create", "-f", "line.yml")
    assert ended.code != 0 and "trial" in ended.err and "line.yml" in ended.err
