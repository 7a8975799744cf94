"""Pipelines of the command line with parallel steps, conditions and loops in their YAML."""

from pathlib import Path

from tests.journey.console import CommandLine

PIPELINE = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
inputs: {data: {type: uri_folder, path: ./data}}
outputs: {rows: {type: uri_file}}
jobs:
  score:
    type: parallel
    inputs: {data: "${{parent.inputs.data}}"}
    outputs: {rows: "${{parent.outputs.rows}}"}
    input_data: ${{inputs.data}}
    mini_batch_size: 2
    error_threshold: 0
    task: {code: ./code, entry_script: rows.py, environment: azureml:plain:1, append_row_to: "${{outputs.rows}}"}
  count:
    command: >-
      echo $((${{inputs.n}} + 1)) > ${{outputs.next}} &&
      if [ ${{inputs.n}} -lt 1 ]; then echo True; else echo False; fi > ${{outputs.more}}
    environment: azureml:plain:1
    inputs: {n: 0}
    outputs: {next: {type: integer}, more: {type: boolean}}
  again:
    type: do_while
    body: ${{parent.jobs.count}}
    condition: more
    mapping: {next: n}
    limits: {max_iteration_count: 5}
  said:
    command: echo item ${{inputs.word}}
    environment: azureml:plain:1
    inputs: {word: none}
  each:
    type: parallel_for
    body: ${{parent.jobs.said}}
    items: [{word: red}, {word: blue}]
  never:
    command: echo never
    environment: azureml:plain:1
  branch:
    type: if_else
    condition: ${{parent.jobs.count.outputs.more}}
    true_block: ${{parent.jobs.never}}
"""


def test_a_file_may_hold_parallel_steps_conditions_and_loops(az: CommandLine, folder: Path) -> None:
    (folder / "pipeline.yml").write_text(PIPELINE)
    (folder / "code").mkdir()
    (folder / "code" / "rows.py").write_text("def run(files):\n    return [open(file).read() for file in files]\n")
    (folder / "data").mkdir()
    for name in ("a", "b", "c"):
        (folder / "data" / name).write_text(name.upper())
    job = az.finished(az("ml", "job", "create", "-f", folder / "pipeline.yml")["name"])
    assert job["status"] == "Completed", job
    steps = {step["display_name"]: step for step in az("ml", "job", "list", "--parent-job-name", job["name"])}
    assert {name: (step["type"], step["status"]) for name, step in steps.items()} == {
        "score": ("parallel", "Completed"), "count": ("do_while", "Completed"), "each": ("parallel_for", "Completed"),
        "never": ("command", "Skipped"),
    }  # fmt: skip
    assert len(az("ml", "job", "list", "--parent-job-name", steps["count"]["name"])) == 2
    said = az("ml", "job", "list", "--parent-job-name", steps["each"]["name"])
    assert "item red" in az.text("ml", "job", "stream", "-n", said[0]["name"])
    az("ml", "job", "download", "-n", job["name"], "--output-name", "rows", "--download-path", folder)
    (rows,) = (found for found in (folder / "named-outputs").rglob("*") if found.is_file())
    assert rows.read_text() == "A\nB\nC\n"


def test_a_parallel_component_is_published_and_used(az: CommandLine, folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "rows.py").write_text("def run(files):\n    return [open(file).read() for file in files]\n")
    (folder / "component.yml").write_text(
        "type: parallel\nname: rows\nversion: '1'\ninputs: {data: {type: uri_folder}}\n"
        "outputs: {rows: {type: uri_folder}}\ninput_data: ${{inputs.data}}\nmini_batch_size: '1'\n"
        "task: {code: ./code, entry_script: rows.py, environment: 'azureml:plain:1', "
        "append_row_to: '${{outputs.rows}}'}\n"
    )
    made = az("ml", "component", "create", "-f", folder / "component.yml")
    assert (made["type"], made["mini_batch_size"]) == ("parallel", "1")
    job = "type: pipeline\njobs:\n  s:\n    type: parallel\n    component: azureml:rows:1\n    mini_batch_size: 3\n"
    (folder / "job.yml").write_text(job + "    inputs: {data: {type: uri_folder, path: ./code}}\n")
    ended = az.finished(az("ml", "job", "create", "-f", folder / "job.yml")["name"])
    assert ended["status"] == "Completed", ended
    refused = az.run("ml", "job", "create", "-f", folder / "job.yml", "--set", "jobs.s.mini_batch_size=10kb")
    assert "mini_batch_size of node s in bytes (10kb)" in refused.err
