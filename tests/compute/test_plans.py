"""What an image, a Dockerfile or a Python pin comes to on a machine with given interpreters."""

from pathlib import Path

import pytest

from entrepot.compute.backend import EnvironmentSpec
from entrepot.compute.images import read_image
from entrepot.compute.interpreters import Interpreter, Interpreters
from entrepot.compute.plans import Plan, plan, satisfies
from entrepot.core.errors import BuildFailed

MACHINE = [
    Interpreter(version, Path(f"/opt/{version[1]}/bin/python")) for version in ((3, 9, 18), (3, 11, 7), (3, 13, 0))
]


def planned(*, policy: str = "exact", **spec: object) -> Plan:
    return plan(EnvironmentSpec(**spec), MACHINE, policy=policy)  # type: ignore[arg-type]


def conda(*dependencies: object) -> dict[str, object]:
    return {"dependencies": list(dependencies)}


@pytest.mark.parametrize(
    ("image", "minor"),
    [
        ("docker.io/python", 13),
        ("python", 13),
        ("python:3", 13),
        ("python:latest", 13),
        ("python:slim", 13),
        ("python:3.11-slim", 11),
        ("docker.io/library/python:3.9.18-bullseye", 9),
        ("index.docker.io/python:3.11@sha256:0123", 11),
        ("mcr.microsoft.com/devcontainers/python:3.9", 9),
        ("mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04", 13),
        ("mcr.microsoft.com/azureml/minimal-ubuntu20.04-py39-cpu-inference:latest", 9),
        ("continuumio/miniconda3", 13),
    ],
)
def test_an_image_whose_point_is_python_runs_as_a_host_interpreter(image: str, minor: int) -> None:
    wanted = planned(image=image)
    assert wanted.interpreters[0].version[1] == minor
    title = wanted.interpreters[0].title
    assert wanted.substitutions(wanted.interpreters[0]) == (f"image {image} runs as host interpreter {title}",)


@pytest.mark.parametrize("image", ["tensorflow/serving", "ubuntu:22.04", "ghcr.io/acme/python:3.11x/y", "acme/python"])
def test_another_image_without_conda_needs_containers(image: str) -> None:
    with pytest.raises(BuildFailed, match=r"Image .* (needs a backend|is not an image name)"):
        planned(image=image)


def test_another_image_with_conda_is_replaced_and_that_is_noted() -> None:
    wanted = planned(image="ubuntu:22.04", conda=conda("python=3.11", {"pip": ["six"]}))
    assert wanted.substitutions(wanted.interpreters[0]) == (
        "image ubuntu:22.04 runs as host interpreter CPython 3.11.7",
    )


def test_a_curated_image_without_conda_is_refused_for_the_packages_in_it() -> None:
    with pytest.raises(BuildFailed, match="brings packages along"):
        planned(image="mcr.microsoft.com/azureml/curated/sklearn-1.5:20")


def test_the_python_of_conda_wins_over_the_images() -> None:
    wanted = planned(image="python:3.13", conda=conda("python=3.9"))
    assert [one.version for one in wanted.interpreters] == [(3, 9, 18)]


def test_without_a_pin_all_interpreters_may_serve_newest_first() -> None:
    wanted = planned(conda=conda({"pip": ["six"]}))
    assert [one.version[1] for one in wanted.interpreters] == [13, 11, 9]


def test_a_minor_version_that_is_not_there_fails_and_names_what_is() -> None:
    with pytest.raises(BuildFailed) as failure:
        planned(conda=conda("python=3.7"))
    assert failure.value.message == (
        "python=3.7 is asked for and no such interpreter is on this machine (it has 3.9.18, 3.11.7, 3.13.0). "
        "Install it, or set environment_python to 'nearest'"
    )


@pytest.mark.parametrize(("asked", "minor"), [("3.7", 9), ("3.10", 11), ("3.12", 13), ("3.15", 13)])
def test_with_the_nearest_policy_the_nearest_runs_and_that_is_noted(asked: str, minor: int) -> None:
    wanted = planned(conda=conda(f"python={asked}"), policy="nearest")
    (chosen,) = wanted.interpreters
    assert chosen.version[1] == minor
    assert wanted.substitutions(chosen) == (f"python={asked} runs as {chosen.title}, the nearest on this machine",)


def test_another_patch_release_of_the_asked_minor_runs_and_is_noted() -> None:
    wanted = planned(conda=conda("python=3.11.2"))
    (chosen,) = wanted.interpreters
    assert wanted.substitutions(chosen) == ("python=3.11.2 runs as CPython 3.11.7",)


def test_no_nearest_python_3_stands_in_for_python_2() -> None:
    with pytest.raises(BuildFailed, match=r"python=2\.7 is asked for"):
        planned(image="python:2.7", policy="nearest")


@pytest.mark.parametrize(
    ("clauses", "is_met"),
    [
        ("", True), ("==3.11.*", True), ("==3.11", True), ("==3.11.7", True), ("==3.11.2", False), ("==3.1.*", False),
        (">=3.9,<3.12", True), (">=3.12", False), ("<=3.11", True), ("<3.11", False), (">3.11", True),
        ("!=3.11.*", False), ("!=3.10.*", True), ("~=3.9", True), ("~=3.11.3", True), ("~=3.11.8", False),
    ],
)  # fmt: skip
def test_clauses_on_python_are_read_as_pep_440_has_them(clauses: str, is_met: bool) -> None:
    assert satisfies((3, 11, 7), clauses) == is_met


def test_a_malformed_clause_is_refused() -> None:
    with pytest.raises(BuildFailed, match=r"python==3\.x is not a version"):
        satisfies((3, 11, 7), "==3.x")


def test_a_name_that_is_no_image_is_refused() -> None:
    with pytest.raises(BuildFailed, match="'not an image' is not an image name"):
        read_image("not an image")


def dockerfile(folder: Path, text: str) -> EnvironmentSpec:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(text)
    return EnvironmentSpec(context=folder)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM python:3.11\nRUN apt-get update", "line 2: 'RUN apt-get update'"),
        ("FROM python:3.11\n\n# hm\nENV A=1", "line 4: 'ENV A=1'"),
        ("FROM python:3.11\nCOPY . /app", "line 2: 'COPY . /app'"),
        ("FROM python:3.11\nRUN pip install six | tee log", "line 2: 'RUN pip install six | tee log'"),
        ("FROM python:3.11\nRUN pip install $PACKAGES", "line 2"),
        ("FROM python:3.11\nRUN pip install six \\\n  && rm -rf /x", "line 2: 'RUN pip install six && rm -rf /x'"),
        ("FROM python:3.11\nFROM python:3.9", "line 2: 'FROM python:3.9'"),
        ("ARG V=3\nFROM python:$V", "line 1: 'ARG V=3'"),
        ("FROM python:3.11\nCOPY --from=x /a.txt b.txt", "line 2"),
    ],
)
def test_a_line_that_only_containers_can_do_is_named(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(BuildFailed, match="needs a backend that runs containers") as failure:
        plan(dockerfile(tmp_path / "context", text), MACHINE, policy="exact")
    assert failure.value.message.startswith("Dockerfile, ") and line in failure.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM tensorflow/serving", "Image tensorflow/serving needs a backend"),
        ("RUN pip install six", "Dockerfile has no FROM line"),
        ("FROM python:3.11\nRUN pip install -r missing.txt", "missing.txt was not copied"),
        ("FROM python:3.11\nCOPY ../secret.txt .", "needs a backend that runs containers"),
        ("FROM python:3.11\nRUN pip install -e .", "'-e' is not supported"),
        ("FROM python:3.11\nRUN pip install ./here", "'./here' is a local path"),
    ],
)
def test_a_dockerfile_that_asks_for_what_is_not_there_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "secret.txt").write_text("hunter2")
    with pytest.raises(BuildFailed, match=message):
        plan(dockerfile(tmp_path / "context", text), MACHINE, policy="exact")


def test_a_context_without_its_dockerfile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="The build context has no file build/Dockerfile"):
        plan(EnvironmentSpec(context=tmp_path, dockerfile="build/Dockerfile"), MACHINE, policy="exact")


def test_requirements_are_read_from_the_copied_files(tmp_path: Path) -> None:
    spec = dockerfile(
        tmp_path / "context",
        "FROM --platform=linux/amd64 python:3.11 AS base\nWORKDIR /app\nLABEL a=b\nCOPY a.txt b.txt /deps/\n"
        "COPY a.txt ./renamed.in\nRUN python -m pip install --no-cache-dir -r /deps/b.txt "
        "-r renamed.in 'numpy<2' --pre-x\n",
    )
    (tmp_path / "context" / "a.txt").write_text("# only this\nsix==1.16 \\\n  ; python_version > '3'\n")
    (tmp_path / "context" / "b.txt").write_text("\nattrs\n")
    with pytest.raises(BuildFailed, match="'--pre-x' is not supported"):
        plan(spec, MACHINE, policy="exact")
    text = (tmp_path / "context" / "Dockerfile").read_text().replace(" --pre-x", "")
    wanted = plan(dockerfile(tmp_path / "context", text), MACHINE, policy="exact")
    assert [one.version[1] for one in wanted.interpreters] == [11]
    assert [" ".join(line.split()) for line in wanted.requirements] == [
        "attrs", "six==1.16 ; python_version > '3'", "numpy<2",
    ]  # fmt: skip


def test_interpreters_are_found_and_asked_once(tmp_path: Path) -> None:
    pyenv, cache = tmp_path / "pyenv", tmp_path / "known.json"
    fake = pyenv / "versions" / "3.8.1" / "bin" / "python"
    fake.parent.mkdir(parents=True)
    calls = tmp_path / "calls"
    fake.write_text(f"#!/bin/sh\necho called >> '{calls}'\necho 3 8 1 cpython final\n")
    fake.chmod(0o755)
    broken = pyenv / "versions" / "3.9.9" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    environ = {"HOME": str(tmp_path), "PYENV_ROOT": str(pyenv), "PATH": str(tmp_path)}
    for _ in range(2):
        found = Interpreters(cache, environ=environ).discover()
        assert (3, 8, 1) in [one.version for one in found] and (3, 9, 9) not in [one.version for one in found]
    assert calls.read_text() == "called\n"
    fake.write_text(fake.read_text().replace("3 8 1", "3 8 20"))
    assert (3, 8, 20) in [one.version for one in Interpreters(cache, environ=environ).discover()]


def test_the_interpreter_of_this_server_is_always_among_them(tmp_path: Path) -> None:
    import sys

    found = Interpreters(tmp_path / "known.json", environ={"PATH": "", "HOME": str(tmp_path)}).discover()
    assert [one.version for one in found] == [sys.version_info[:3]]
