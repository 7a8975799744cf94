"""One live server for all journeys: registry contoso in two regions, workspaces dev and prod in them, far outside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.console import CommandLine


@pytest.fixture(scope="session")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line of a running server, in the folder of the examples."""
    az = CommandLine(tmp_path_factory.mktemp("journey") / "home")
    az.text("up", "--detach")
    try:
        az("group", "create", "-n", "contoso-rg", "-l", "eastus")
        az("configure", "--defaults", "group=contoso-rg", "workspace=dev", "location=eastus")
        template = ("--template-file", "arm/registry.json", "-p", "registryName=contoso")
        az("deployment", "group", "create", *template)
        az("ml", "workspace", "create", "-n", "dev")
        az("ml", "workspace", "create", "-n", "prod", "-l", "westus")
        az("ml", "workspace", "create", "-n", "far", "-l", "westeurope")
        yield az
    finally:
        az.run("down")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a test's own files."""
    return tmp_path
