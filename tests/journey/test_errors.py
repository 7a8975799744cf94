"""Every error of the journey, read as a user would: what was wrong, with which value, and what would be right."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.console import EXAMPLES, CommandLine, Json

CONTOSO = ("--registry-name", "contoso")
ECHO = """
name: {name}
version: 1
type: command
inputs:
  data: {{type: uri_folder}}
  count: {{type: integer, default: 1, min: 1, max: 9}}
outputs:
  made: {{type: uri_folder}}
environment: {{image: docker.io/python}}
command: echo ${{{{inputs.count}}}} > ${{{{outputs.made}}}}/count.txt
"""


def says(message: str, *words: str) -> None:
    """Check that an error names all of these."""
    assert [word for word in words if word.lower() not in message.lower()] == [], message


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file of a test's own and return its path."""
    file = folder / name
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def echo(az: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry component with an input folder, a bounded number and an output."""
    file = write(tmp_path_factory.mktemp("echo"), "echo.yml", ECHO.format(name="echo_count"))
    az("ml", "component", "create", "-f", file, *CONTOSO)
    return "azureml://registries/contoso/components/echo_count/versions/1"


def refused_pipeline(az: CommandLine, folder: Path, text: str, *more: str) -> str:
    """Submit a pipeline that must be refused; return what was said."""
    return az.refusal("ml", "job", "create", "-f", write(folder, "pipeline.yml", "type: pipeline\n" + text), *more)


def test_an_unknown_registry_is_named(az: CommandLine) -> None:
    says(az.refusal("ml", "model", "list", "--registry-name", "nowhere"), "nowhere", "registry", "not")
    says(az.refusal("ml", "registry", "show", "-n", "nowhere", code=3), "nowhere")


def test_a_missing_version_is_named_and_show_exits_with_3(az: CommandLine) -> None:
    az("ml", "model", "create", "--file", "model.yml", *CONTOSO)
    message = az.refusal("ml", "model", "show", "--name", "sklearn_model", "--version", "77", *CONTOSO, code=3)
    says(message, "sklearn_model", "77", "contoso")


def test_a_pipeline_that_names_a_missing_version_is_refused_before_anything_runs(
    az: CommandLine, tmp_path: Path
) -> None:
    missing = "azureml://registries/contoso/components/awesome_component/versions/404"
    says(refused_pipeline(az, tmp_path, f"jobs: {{a: {{component: '{missing}'}}}}\n"), "awesome_component", "404")


def test_a_registry_outside_the_workspaces_region_says_which_regions_it_has(
    az: CommandLine, echo: str, tmp_path: Path
) -> None:
    text = f"""
settings: {{default_compute: "azureml:cpu-cluster"}}
inputs: {{data: {{type: uri_folder, path: {tmp_path}}}}}
jobs: {{a: {{type: command, component: "{echo}", inputs: {{data: "${{{{parent.inputs.data}}}}"}}}}}}
"""
    message = refused_pipeline(az, tmp_path, text, "-w", "far")
    says(message, "contoso", "westeurope", "eastus", "westus")


def test_yaml_that_does_not_parse_is_told_with_file_and_line(az: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path, "broken.yml", "name: broken\nversion: 1\n  path: [./model\n")
    says(az.refusal("ml", "model", "create", "-f", file, *CONTOSO), "broken.yml", "line 3")


def test_a_field_of_the_wrong_type_is_told_with_file_line_field_and_what_would_be_right(
    az: CommandLine, tmp_path: Path
) -> None:
    file = write(tmp_path, "wrong.yml", "name: wrong\nversion: 1\ntype: command\ncommand: echo\ninputs: [a, b]\n")
    message = az.refusal("ml", "component", "create", "-f", file, *CONTOSO)
    says(message, "wrong.yml", "line 5", "inputs", "mapping")


def test_an_unknown_field_is_told_with_the_nearest_known_one(az: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path, "typo.yml", "name: typo\nversion: 1\ntype: command\ncomand: echo hello\n")
    message = az.refusal("ml", "component", "create", "-f", file, *CONTOSO)
    says(message, "typo.yml", "line 4", "comand", "command")


def test_a_missing_field_is_named(az: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path, "nameless.yml", "version: 1\npath: .\n")
    says(az.refusal("ml", "model", "create", "-f", file, *CONTOSO), "nameless.yml", "name")


def test_another_body_under_the_same_version_is_a_conflict_that_names_the_fields(
    az: CommandLine, tmp_path: Path
) -> None:
    file = write(tmp_path, "echo.yml", ECHO.format(name="echo_twice"))
    az("ml", "component", "create", "-f", file, *CONTOSO)
    az("ml", "component", "create", "-f", file, *CONTOSO)  # the same again is no error
    message = az.refusal("ml", "component", "create", "-f", file, *CONTOSO, "--set", "command=echo other")
    says(message, "echo_twice", "1", "exists", "command")
    model = az.folder / "model"
    az("ml", "model", "create", "-n", "twice", "-v", "1", "--path", model, *CONTOSO)
    message = az.refusal("ml", "model", "create", "-n", "twice", "-v", "1", "--path", tmp_path, *CONTOSO)
    says(message, "twice", "1", "exists")


def test_a_missing_file_is_named(az: CommandLine, tmp_path: Path) -> None:
    says(az.refusal("ml", "model", "create", "-f", tmp_path / "absent.yml", *CONTOSO), "absent.yml", "no")
    file = write(tmp_path, "model.yml", "name: pathless\nversion: 1\npath: ./absent-folder\n")
    says(az.refusal("ml", "model", "create", "-f", file, *CONTOSO), "absent-folder")


def test_a_cyclic_pipeline_names_the_cycle(az: CommandLine, echo: str, tmp_path: Path) -> None:
    text = f"""
settings: {{default_compute: "azureml:cpu-cluster"}}
jobs:
  hen: {{type: command, component: "{echo}", inputs: {{data: "${{{{parent.jobs.egg.outputs.made}}}}"}}}}
  egg: {{type: command, component: "{echo}", inputs: {{data: "${{{{parent.jobs.hen.outputs.made}}}}"}}}}
"""
    says(refused_pipeline(az, tmp_path, text), "circle", "hen -> egg -> hen")


def test_an_unbound_input_is_named_with_its_step(az: CommandLine, echo: str, tmp_path: Path) -> None:
    text = f"""
settings: {{default_compute: "azureml:cpu-cluster"}}
jobs: {{lonely: {{type: command, component: "{echo}"}}}}
"""
    says(refused_pipeline(az, tmp_path, text), "lonely", "data", "input")


def test_a_binding_to_a_step_that_is_not_there_is_named(az: CommandLine, echo: str, tmp_path: Path) -> None:
    text = f"""
settings: {{default_compute: "azureml:cpu-cluster"}}
jobs: {{a: {{type: command, component: "{echo}", inputs: {{data: "${{{{parent.jobs.ghost.outputs.made}}}}"}}}}}}
"""
    says(refused_pipeline(az, tmp_path, text), "ghost")


@pytest.mark.parametrize(("value", "words"), [("many", ("integer", "many")), ("12", ("12", "9"))])
def test_an_input_of_the_wrong_type_or_out_of_bounds_is_told(
    az: CommandLine, echo: str, tmp_path: Path, value: str, words: tuple[str, ...]
) -> None:
    text = f"""
settings: {{default_compute: "azureml:cpu-cluster"}}
inputs: {{data: {{type: uri_folder, path: {tmp_path}}}}}
jobs:
  a: {{type: command, component: "{echo}", inputs: {{data: "${{{{parent.inputs.data}}}}", count: "{value}"}}}}
"""
    says(refused_pipeline(az, tmp_path, text), "count", *words)


def test_a_number_where_a_folder_is_wanted_is_told(az: CommandLine, echo: str, tmp_path: Path) -> None:
    text = f"""
settings: {{default_compute: "azureml:cpu-cluster"}}
jobs: {{a: {{type: command, component: "{echo}", inputs: {{data: 5}}}}}}
"""
    says(refused_pipeline(az, tmp_path, text), "data", "uri_folder")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("azureml:private:7", "There is no environment private:7 in registry contoso"),
        (
            "azureml:private@latest",
            "field 'environment': 'azureml:private@latest' names nothing: Asset private does not exist",
        ),
        (
            "azureml:private",
            "field 'environment': 'azureml:private' names nothing: Asset private does not exist in registry",
        ),
        ("WORKSPACE", "a workspace's environment: a component in a registry may only reference registry assets"),
    ],
)
def test_a_registry_component_that_names_what_a_workspace_has_is_told_to_share_it(
    az: CommandLine, tmp_path: Path, reference: str, said: str
) -> None:
    file = write(tmp_path, "env.yml", "name: private\nversion: 7\nimage: docker.io/python\n")
    own = az("ml", "environment", "create", "-f", file)["id"]
    text = f"name: borrower\nversion: 1\ntype: command\ncommand: echo\nenvironment: {reference}\n"
    file = write(tmp_path, "component.yml", text.replace("WORKSPACE", f"azureml:{own}"))
    told = az.refusal("ml", "component", "create", "-f", file, *CONTOSO)
    says(told, said, "hint: share a workspace's environment first: entrepot ml environment share --name private")
    says(
        told,
        "--registry-name contoso --share-with-name private",
        "azureml://registries/<registry>/environments/private",
    )


def test_a_misspelled_region_is_refused_in_a_file_on_the_line_and_in_a_template(
    az: CommandLine, tmp_path: Path
) -> None:
    near = ("There is no region", "did you mean eastus or", "hint: entrepot account list-locations")
    says(az.refusal("ml", "workspace", "create", "-n", "astray", "-l", "eastsu"), *near)
    says(az.refusal("group", "create", "-n", "astray", "-l", "eastsu"), *near)
    text = "name: astray\nlocation: eastus\nreplication_locations: [{location: eastus}, {location: eastsu}]\n"
    says(az.refusal("ml", "registry", "create", "-f", write(tmp_path, "registry.yml", text)), *near)
    template = json.loads((EXAMPLES / "arm" / "registry.json").read_text())
    template["resources"][0]["location"] = "eastsu"
    file = write(tmp_path, "registry.json", json.dumps(template))
    told = az.refusal("deployment", "group", "create", "--template-file", file, "-p", "registryName=astray")
    says(told, *near[:2])


def test_a_registry_whose_list_of_regions_lacks_its_own_says_so(az: CommandLine, tmp_path: Path) -> None:
    text = "name: lopsided\nlocation: West Europe\nreplication_locations: [{location: westus}]\n"
    made = az.run("ml", "registry", "create", "-f", write(tmp_path, "registry.yml", text))
    says(made.err, "WARNING: replication_locations lacks West Europe, where the registry is", "copied to westus")
    assert [place["location"] for place in made.json["replication_locations"]] == ["westeurope", "westus"]
    az.text("ml", "registry", "delete", "-n", "lopsided", "-y")


def built(az: CommandLine, name: str) -> Json:
    """Wait for an environment's build to end and return what `show` tells of it."""
    for _ in range(600):
        shown = az("ml", "environment", "show", "-n", name, "-v", "1", *CONTOSO)
        if shown["build"]["state"] in ("Succeeded", "Failed"):
            return shown["build"]
        time.sleep(0.2)
    raise AssertionError(f"{name} was never built")


def test_an_environment_that_cannot_be_built_names_the_culprit_on_itself_and_on_the_job(
    az: CommandLine, tmp_path: Path
) -> None:
    conda = {"dependencies": ["python=3.11", "pip", {"pip": ["tabulate==0.0.0.1"]}]}
    write(tmp_path, "conda.yml", json.dumps(conda))
    file = write(tmp_path, "env.yml", "name: hopeless\nversion: 1\nimage: docker.io/python\nconda_file: ./conda.yml\n")
    az("ml", "environment", "create", "-f", file, *CONTOSO)
    build = built(az, "hopeless")
    assert build["state"] == "Failed"
    says(build["log"], "tabulate", "0.0.0.1")

    job = write(
        tmp_path,
        "job.yml",
        "command: echo never\nenvironment: azureml://registries/contoso/environments/hopeless/versions/1\n"
        "compute: azureml:cpu-cluster\n",
    )
    name = az("ml", "job", "create", "-f", job)["name"]
    followed = az.run("ml", "job", "stream", "-n", name)
    assert followed.code == 1
    assert az("ml", "job", "show", "-n", name)["status"] == "Failed"
    says(followed.err, f"Job {name} failed: Environment hopeless:1 of registry contoso: ", "tabulate==0.0.0.1")
    assert followed.err.count("Environment hopeless:1") == 1


def test_a_python_that_is_not_here_fails_and_says_which_there_are(az: CommandLine, tmp_path: Path) -> None:
    write(tmp_path, "conda.yml", json.dumps({"dependencies": ["python=3.99"]}))
    file = write(tmp_path, "env.yml", "name: futurist\nversion: 1\nimage: docker.io/python\nconda_file: ./conda.yml\n")
    az("ml", "environment", "create", "-f", file, *CONTOSO)
    build = built(az, "futurist")
    assert build["state"] == "Failed"
    says(build["log"], "3.99", "3.11")


def test_a_failing_command_ends_the_stream_with_its_last_lines(az: CommandLine, tmp_path: Path) -> None:
    job = write(
        tmp_path,
        "job.yml",
        "command: echo before && echo the-last-word >&2 && exit 7\nenvironment: {image: docker.io/python}\n"
        "compute: azureml:cpu-cluster\n",
    )
    name = az("ml", "job", "create", "-f", job)["name"]
    followed = az.run("ml", "job", "stream", "-n", name)
    assert followed.code == 1
    says(followed.err, "the-last-word", "7")


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[CommandLine]:
    """A server that must keep more room free than any disk has."""
    az = CommandLine(tmp_path / "home", folder=tmp_path, settings={"ENTREPOT_RESERVE_BYTES": str(1 << 60)})
    az.text("up", "--detach")
    try:
        az("group", "create", "-n", "rg", "-l", "eastus")
        az("ml", "workspace", "create", "-n", "small", "-g", "rg", "-l", "eastus")
        yield az
    finally:
        az.run("down")


def test_ten_gigabytes_with_no_room_are_refused_before_they_are_sent(cramped: CommandLine, tmp_path: Path) -> None:
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(10 * 10**9)
    message = cramped.refusal(
        "ml", "model", "create", "-n", "huge", "-v", "1", "--path", "huge.bin", "-g", "rg", "-w", "small"
    )
    says(message, "room", "huge")
    assert cramped("ml", "model", "list", "-g", "rg", "-w", "small") == []


def test_what_is_not_built_yet_says_so_by_name(az: CommandLine) -> None:
    says(az.refusal("ml", "feature-store", "create", "-n", "later"), "feature-store create")


@pytest.mark.parametrize("words", [("ml", "model", "shwo"), ("ml", "model", "show"), ("ml", "job", "create", "--fiel")])
def test_a_line_that_does_not_parse_exits_with_2(az: CommandLine, words: tuple[str, ...]) -> None:
    az.refusal(*words, code=2)


def test_without_a_server_every_command_says_how_to_start_one(tmp_path: Path) -> None:
    alone = CommandLine(tmp_path / "nobody")
    says(alone.refusal("ml", "model", "list", "--registry-name", "contoso"), "entrepot up")
