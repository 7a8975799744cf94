"""Components and environments that are downloaded, and created again from what was downloaded."""

from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run

PLACES = pytest.mark.parametrize("place", [(), ("--registry-name", "contoso")], ids=["workspace", "registry"])
PORTS = """
inputs:
  data: {type: uri_folder, optional: true}
  count: {type: integer, default: 3, min: 1, max: 9}
  rate: {type: number, default: 0.5}
  is_loud: {type: boolean, default: true}
  text: {type: string, default: "3"}
outputs:
  result: {type: uri_folder}
"""


def _made(az: Run, noun: str, *words: object) -> str:
    ended = az("ml", noun, "create", *words)
    assert ended.code == 0, ended.err
    found: str = ended.json["id"]
    return found


def _downloaded(az: Run, noun: str, name: str, *place: str) -> Path:
    ended = az("ml", noun, "download", "-n", name, "-v", "1.10", "-p", "got", *place)
    assert ended.code == 0, ended.err
    file = Path("got") / name / f"{noun}.yml"
    assert f"--file {file}" in ended.err
    return file


def _again(az: Run, noun: str, file: Path, first: str, *place: str) -> None:
    """The same version again is no conflict only if nothing differs; another version shows that nothing is missing."""
    assert _made(az, noun, "--file", file, *place) == first
    assert _made(az, noun, "--file", file, "--version", "2", *place) == first.replace("1.10", "2")


@PLACES
def test_a_component_comes_with_its_code_and_can_be_created_again(az: Run, place: tuple[str, ...]) -> None:
    Path("src/pack").mkdir(parents=True)
    Path("src/run.py").write_text("print('run')\n")
    Path("src/pack/part.py").write_text("x = 1\n")
    Path("component.yml").write_text(
        "name: back\nversion: '1.10'\ntype: command\ndisplay_name: Back ü\ndescription: told\ntags: {a: b}\n"
        "is_deterministic: false\ncommand: python run.py\ncode: ./src\nenvironment: {image: docker.io/python}\n" + PORTS
    )
    first = _made(az, "component", "--file", "component.yml", *place)
    file = _downloaded(az, "component", "back", *place)
    assert (file.parent / "src/run.py").read_text() == "print('run')\n"
    assert (file.parent / "src/pack/part.py").read_text() == "x = 1\n"
    written = yaml.safe_load(file.read_text())
    assert written["code"] == "./src"
    assert written["inputs"] == yaml.safe_load(PORTS)["inputs"]
    assert not {"id", "provenance", "creation_context", "regions"} & set(written)
    _again(az, "component", file, first, *place)


@PLACES
def test_a_pipeline_component_comes_with_its_steps_and_can_be_created_again(az: Run, place: tuple[str, ...]) -> None:
    Path("step.yml").write_text(f"type: command\ncommand: echo\nenvironment: {{image: docker.io/python}}\n{PORTS}")
    Path("flow.yml").write_text(
        "name: flow_back\nversion: '1.10'\ntype: pipeline\ninputs: {word: {type: string}}\n"
        "outputs: {end: {type: uri_folder}}\njobs:\n"
        "  a: {type: command, component: ./step.yml, inputs: {count: 4, text: '${{parent.inputs.word}}'}}\n"
        "  b:\n    type: command\n    component: ./step.yml\n    compute: azureml:cpu-cluster\n"
        "    inputs: {data: '${{parent.jobs.a.outputs.result}}', is_loud: false}\n"
        "    outputs: {result: '${{parent.outputs.end}}'}\n"
    )
    first = _made(az, "component", "--file", "flow.yml", *place)
    _again(az, "component", _downloaded(az, "component", "flow_back", *place), first, *place)


@PLACES
def test_an_environment_comes_with_its_conda_file_and_can_be_created_again(az: Run, place: tuple[str, ...]) -> None:
    Path("conda.yml").write_text("name: x\ndependencies:\n- python=3.12\n- pip:\n  - nothing-that-is-there==1\n")
    Path("environment.yml").write_text(
        "name: env-back\nversion: '1.10'\nimage: docker.io/python\nconda_file: ./conda.yml\ndescription: told\n"
        "inference_config: {scoring_route: {port: 5001, path: /score}}\n"
    )
    first = _made(az, "environment", "--file", "environment.yml", *place)
    file = _downloaded(az, "environment", "env-back", *place)
    assert yaml.safe_load((file.parent / "conda.yml").read_text()) == yaml.safe_load(Path("conda.yml").read_text())
    assert yaml.safe_load(file.read_text())["conda_file"] == "./conda.yml"
    _again(az, "environment", file, first, *place)


@PLACES
def test_an_environment_comes_with_its_build_context_and_can_be_created_again(az: Run, place: tuple[str, ...]) -> None:
    Path("ctx").mkdir()
    Path("ctx/Dockerfile.gpu").write_text("FROM docker.io/python\n")
    Path("ctx/requirements.txt").write_text("\n")
    Path("environment.yml").write_text(
        "name: ctx-back\nversion: '1.10'\nos_type: linux\nbuild: {path: ./ctx, dockerfile_path: Dockerfile.gpu}\n"
    )
    first = _made(az, "environment", "--file", "environment.yml", *place)
    file = _downloaded(az, "environment", "ctx-back", *place)
    assert (file.parent / "ctx/Dockerfile.gpu").read_text() == "FROM docker.io/python\n"
    assert yaml.safe_load(file.read_text())["build"] == {"path": "./ctx", "dockerfile_path": "Dockerfile.gpu"}
    _again(az, "environment", file, first, *place)


def test_a_download_does_not_write_through_what_lies_in_its_way(az: Run, tmp_path: Path) -> None:
    _made(az, "environment", "-n", "in-the-way", "-v", "1.10", "--image", "docker.io/python")
    folder = Path("got/in-the-way")
    folder.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (folder / "environment.yml").symlink_to(outside)
    _downloaded(az, "environment", "in-the-way")
    assert outside.read_text() == "kept"
    (folder / "environment.yml").unlink()
    (folder / "environment.yml").mkdir()
    refused = az("ml", "environment", "download", "-n", "in-the-way", "-v", "1.10", "-p", "got")
    assert refused.code == 1 and "is a folder, and a file of that name" in refused.err
