"""An environment whose build failed is created again, after its user put right what was wrong outside."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.journey.console import CommandLine, Json

SCOPES = (("--registry-name", "shelf"), ("-w", "dev", "-g", "rg"))


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder of packages, empty at first: all that the server's builds may use."""
    folder = tmp_path / "wheels"
    (folder / "index").mkdir(parents=True)
    return folder


@pytest.fixture
def az(tmp_path: Path, wheels: Path) -> Iterator[CommandLine]:
    settings = {"UV_FIND_LINKS": str(wheels), "UV_DEFAULT_INDEX": (wheels / "index").as_uri()}
    az = CommandLine(tmp_path / "home", folder=tmp_path, settings=settings)
    az.text("up", "--detach")
    try:
        az("group", "create", "-n", "rg", "-l", "eastus")
        az("ml", "registry", "create", "-n", "shelf", "-g", "rg", "--set", "location=eastus")
        az("ml", "workspace", "create", "-n", "dev", "-g", "rg", "-l", "eastus")
        yield az
    finally:
        az.run("down")


def build_of(az: CommandLine, name: str, scope: tuple[str, ...]) -> Json:
    """Wait for the build to end and return what `show` tells of it."""
    for _ in range(600):
        build = az("ml", "environment", "show", "-n", name, "-v", "1", *scope)["build"]
        if build["state"] in ("Succeeded", "Failed"):
            return build
        time.sleep(0.1)
    raise AssertionError(f"{name} was never built")


def put_wheel(folder: Path, name: str) -> None:
    info = f"{name}-1.0.dist-info"
    with ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def test_a_failed_environment_created_again_is_built_anew_in_a_registry_and_in_a_workspace(
    az: CommandLine, tmp_path: Path, wheels: Path
) -> None:
    for package, scope in zip(("ours", "theirs"), SCOPES, strict=True):
        conda = {"dependencies": ["python=3.11", {"pip": [f"{package}==1.0"]}]}
        (tmp_path / "conda.yml").write_text(json.dumps(conda))
        (tmp_path / "env.yml").write_text("name: late\nversion: 1\nimage: docker.io/python\nconda_file: conda.yml\n")
        create = ("ml", "environment", "create", "-f", "env.yml", *scope)
        az(*create)
        assert build_of(az, "late", scope)["state"] == "Failed"

        put_wheel(wheels, package)
        again = az(*create)
        assert again["build"]["state"] in ("Queued", "Building", "Succeeded")
        built = build_of(az, "late", scope)
        assert (built["state"], built.get("error")) == ("Succeeded", None), built
        assert az(*create)["build"]["state"] == "Succeeded"
