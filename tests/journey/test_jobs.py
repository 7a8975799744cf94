"""The seed's walk-through of jobs: registry components run in a workspace; follow, list, download, cancel."""

from pathlib import Path

import pytest

from tests.journey.console import CommandLine, Json

CONTOSO = ("--registry-name", "contoso")
AWESOME = "azureml://registries/contoso/components/awesome_component"

MAKER = """
name: maker
version: 1
type: command
inputs:
  text: {type: string}
  extra: {type: string, optional: true}
outputs:
  made: {type: uri_folder}
environment: {image: docker.io/python}
command: >-
  echo ${{inputs.text}} $[[${{inputs.extra}}]] > ${{outputs.made}}/text.txt && mkdir -p outputs &&
  echo artifact > outputs/note.txt && echo "made ${{inputs.text}}"
"""
READER = """
name: reader
version: 1
type: command
inputs:
  folder: {type: uri_folder}
outputs:
  copy: {type: uri_file}
environment: {image: docker.io/python}
command: cat ${{inputs.folder}}/text.txt | tee ${{outputs.copy}}
"""
CHAIN = """
type: pipeline
settings: {default_compute: "azureml:cpu-cluster"}
inputs: {word: {type: string, default: hello}}
outputs: {result: {type: uri_file}}
jobs:
  make:
    type: command
    component: azureml://registries/contoso/components/maker
    inputs: {text: "${{parent.inputs.word}}"}
  read:
    type: command
    component: azureml://registries/contoso/components/reader
    inputs: {folder: "${{parent.jobs.make.outputs.made}}"}
    outputs: {copy: "${{parent.outputs.result}}"}
"""


@pytest.fixture(scope="module")
def components(az: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a two-step pipeline whose components are in the registry."""
    folder = tmp_path_factory.mktemp("jobs")
    for name, text in (("maker", MAKER), ("reader", READER)):
        (folder / f"{name}.yml").write_text(text)
        az("ml", "component", "create", "-f", folder / f"{name}.yml", *CONTOSO)
    (folder / "chain.yml").write_text(CHAIN)
    az("ml", "component", "create", "--file", "component.yml", *CONTOSO)
    return folder


def chain(az: CommandLine, components: Path, name: str, *more: object) -> Json:
    """Run the two-step pipeline to its end and return it."""
    az("ml", "job", "create", "-f", components / "chain.yml", "-n", name, *more)
    job = az.finished(name)
    assert job["status"] == "Completed", job
    return job


def children(az: CommandLine, parent: str) -> dict[str, Json]:
    """Return the steps of a pipeline by their names in it."""
    return {child["display_name"]: child for child in az("ml", "job", "list", "--parent-job-name", parent)}


def test_the_seeds_pipeline_runs_and_its_child_proves_the_registry_component(az: CommandLine, components: Path) -> None:
    created = az("ml", "job", "create", "--file", "pipeline.yml")
    assert created["type"] == "pipeline"
    streamed = az.run("ml", "job", "stream", "-n", created["name"])
    assert streamed.code == 0, str(streamed)
    assert az("ml", "job", "show", "-n", created["name"])["status"] == "Completed"
    child = children(az, created["name"])["awesome_job"]
    assert child["component"] == f"{AWESOME}/versions/101"
    followed = az.run("ml", "job", "stream", "-n", child["name"])
    assert "I live in Registry and run in Workspace" in followed.out


@pytest.mark.parametrize("reference", [f"{AWESOME}/labels/latest", AWESOME])
def test_a_label_or_no_version_means_the_newest_and_the_job_says_which(
    az: CommandLine, components: Path, reference: str
) -> None:
    name = az("ml", "job", "create", "--file", "pipeline.yml", "--set", f"jobs.awesome_job.component={reference}")[
        "name"
    ]
    assert az.finished(name)["status"] == "Completed"
    assert children(az, name)["awesome_job"]["component"] == f"{AWESOME}/versions/101"


def test_steps_hand_files_on_and_the_pipelines_output_can_be_downloaded(
    az: CommandLine, components: Path, tmp_path: Path
) -> None:
    chain(az, components, "chain-download")
    az.text("ml", "job", "download", "-n", "chain-download", "--output-name", "result", "-p", tmp_path / "one")
    found = [file.read_text() for file in (tmp_path / "one").rglob("*") if file.is_file()]
    assert [text.strip() for text in found] == ["hello"]


def test_download_all_brings_outputs_artifacts_and_logs_of_a_step(
    az: CommandLine, components: Path, tmp_path: Path
) -> None:
    chain(az, components, "chain-all")
    make = children(az, "chain-all")["make"]["name"]
    az.text("ml", "job", "download", "-n", make, "--all", "-p", tmp_path)
    texts = {file.name: file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    assert texts["text.txt"].strip() == "hello"
    assert texts["note.txt"].strip() == "artifact"
    assert "made hello" in texts["std_log.txt"]
    assert len(list(tmp_path.rglob("std_log.txt"))) == 1
    told = az.run("ml", "job", "download", "-n", "chain-all", "-p", tmp_path / "none")
    assert "has no files of its own" in told.err


def test_the_same_step_is_not_run_again_and_says_so_unless_forced(az: CommandLine, components: Path) -> None:
    chain(az, components, "chain-first", "--set", "inputs.word=reuse")
    chain(az, components, "chain-second", "--set", "inputs.word=reuse")
    chain(az, components, "chain-forced", "--set", "inputs.word=reuse", "settings.force_rerun=true")
    first, second, forced = (children(az, name)["make"] for name in ("chain-first", "chain-second", "chain-forced"))
    assert second["reuse"]["is_reused"] is True
    assert first["name"] in str(second["reuse"])
    assert forced["reuse"]["is_reused"] is False
    assert "force_rerun" in str(forced["reuse"])


def test_cancel_ends_a_running_job_with_its_processes(az: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "long.yml").write_text(
        "command: echo started && sleep 987654\nenvironment: {image: docker.io/python}\ncompute: azureml:cpu-cluster\n"
    )
    name = az("ml", "job", "create", "-f", tmp_path / "long.yml")["name"]
    for _ in range(300):
        if az("ml", "job", "show", "-n", name)["status"] == "Running":
            break
    az.text("ml", "job", "cancel", "-n", name)
    assert az.finished(name)["status"] == "Canceled"
    alive = [
        file
        for file in Path("/proc").glob("[0-9]*/cmdline")
        if file.exists() and b"sleep\x00987654" in _read_or_nothing(file)
    ]
    assert alive == []
    assert f"Job {name} had ended already: it is Canceled." in az.run("ml", "job", "cancel", "-n", name).err


def _read_or_nothing(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_jobs_are_listed_newest_first_and_archived_ones_hide(az: CommandLine, components: Path) -> None:
    chain(az, components, "chain-list")
    assert "chain-list" in [job["name"] for job in az("ml", "job", "list")]
    az.text("ml", "job", "archive", "-n", "chain-list")
    assert "chain-list" not in [job["name"] for job in az("ml", "job", "list")]
    assert "chain-list" in [job["name"] for job in az("ml", "job", "list", "--include-archived")]
    az.text("ml", "job", "restore", "-n", "chain-list")
    assert "chain-list" in [job["name"] for job in az("ml", "job", "list")]


def test_a_model_is_registered_from_a_jobs_outputs_and_keeps_where_it_came_from(
    az: CommandLine, components: Path
) -> None:
    chain(az, components, "chain-model")
    make = children(az, "chain-model")["make"]["name"]
    for version, path in (("1", "outputs/made"), ("2", "outputs/artifacts/paths/outputs")):
        create = ("-n", "from_job", "-v", version, "--type", "custom_model", "--path", f"azureml://jobs/{make}/{path}")
        az("ml", "model", "create", *create)
        share = ("--share-with-name", "from_job", "--share-with-version", version)
        az.text("ml", "model", "share", "-n", "from_job", "-v", version, *CONTOSO, *share)
        shown = az("ml", "model", "show", "-n", "from_job", "-v", version, *CONTOSO)
        assert make in str(shown["provenance"])
        assert "maker" in str(shown["provenance"])
        assert "dev" in str(shown["provenance"])


def test_a_local_folder_is_an_input_and_each_level_binds_its_own_names(az: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "text.txt").write_text("from a local folder\n")
    (tmp_path / "reader.yml").write_text(READER)
    (tmp_path / "inner.yml").write_text(
        "name: inner\nversion: 1\ntype: pipeline\ninputs: {data: {type: uri_folder}}\n"
        "outputs: {out: {type: uri_file}}\n"
        'jobs: {read: {type: command, component: ./reader.yml, inputs: {folder: "${{parent.inputs.data}}"}, '
        'outputs: {copy: "${{parent.outputs.out}}"}}}\n'
    )
    (tmp_path / "outer.yml").write_text(
        'type: pipeline\nsettings: {default_compute: "azureml:cpu-cluster"}\n'
        "inputs: {folder: {type: uri_folder, path: ./data}}\noutputs: {text: {type: uri_file}}\n"
        'jobs: {nested: {type: pipeline, component: ./inner.yml, inputs: {data: "${{parent.inputs.folder}}"}, '
        'outputs: {out: "${{parent.outputs.text}}"}}}\n'
    )
    name = az("ml", "job", "create", "-f", tmp_path / "outer.yml")["name"]
    assert az.finished(name)["status"] == "Completed"
    az.text("ml", "job", "download", "-n", name, "--output-name", "text", "-p", tmp_path / "back")
    found = [file.read_text() for file in (tmp_path / "back").rglob("*") if file.is_file()]
    assert found == ["from a local folder\n"]


def test_show_has_what_a_job_ran_on(az: CommandLine, components: Path) -> None:
    chain(az, components, "chain-show", "--set", "inputs.word=shown")
    make = children(az, "chain-show")["make"]
    shown = az("ml", "job", "show", "-n", make["name"])
    assert shown["component"] == "azureml://registries/contoso/components/maker/versions/1"
    assert shown["status"] == "Completed"
    assert "docker.io/python" in shown["substitutions"][0]  # no image is pulled here, and the job says so
    assert shown["sandbox"] in ("bwrap", "none")
    assert shown["parent_job_name"] == "chain-show"
