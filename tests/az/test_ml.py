"""Our `ml` extension in the genuine `az`: the README's lines, the steps of a registry's user, exit codes, forms."""

import re

import pytest

from tests.az.conftest import Az
from tests.environments import TOP

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"^```shell\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def readme(az: Az) -> None:
    """The README's ten lines, typed with `az` where ours stands."""
    shown = BLOCK.search((TOP / "README.md").read_text())
    assert shown, "the README shows nothing to type"
    lines = [line for line in shown[1].splitlines() if line.startswith("entrepot ")]
    typed = [re.sub(r"^entrepot", "az", line) for line in lines if not re.match(r"entrepot (up|down)\b", line)]
    assert len(typed) >= 6
    ended = az.shell("set -eux\n" + "\n".join(typed))
    assert ended.code == 0, str(ended)
    assert "I live in Registry" in ended.out, str(ended)


def test_a_registry_takes_environments_and_models_and_lists_them(az: Az) -> None:
    for noun, file in (("environment", "env.yml"), ("model", "model.yml")):
        az("ml", noun, "create", "--file", file, "--registry-name", "contoso")
    listed = az("ml", "component", "list", "--registry-name", "contoso", "--query", "[].id").json
    assert listed == ["azureml://registries/contoso/components/awesome_component"]
    shown = az("ml", "model", "show", "-n", "sklearn_model", "-v", "99", "--registry-name", "contoso").json
    assert shown["id"] == "azureml://registries/contoso/models/sklearn_model/versions/99"
    table = az("ml", "environment", "list", "--registry-name", "contoso", "-o", "table").out.splitlines()
    assert table[0].split()[:2] == ["Name", "Version"]


def test_the_ends_of_commands_are_those_that_scripts_ask_for(az: Az) -> None:
    absent = az("ml", "model", "show", "-n", "nope", "-v", "1", "--registry-name", "contoso", code=3)
    assert absent.out == "" and "There is no model nope:1 in registry contoso" in absent.err
    assert "az ml model list --registry-name contoso" in absent.err
    wrong = az("ml", "model", "shwo", code=2)
    assert "did you mean: show" in wrong.err and "usage: az ml model" in wrong.err
    assert "--query" in az("ml", "registry", "list", "--query", "[", code=2).err
    assert az("ml", "job", "show", "-n", "hello", "--query", "status", "-o", "tsv").out == "Completed\n"


def test_help_speaks_of_az(az: Az) -> None:
    page = az("ml", "model", "create", "-h").out
    assert "usage: az ml model create" in page and "--registry-name" in page
    assert "entrepot" not in page and "--home" not in page


def test_the_extension_goes_and_comes(az: Az) -> None:
    listed = az("extension", "list", "--query", "[].name").json
    assert listed == ["ml"]
    az("extension", "remove", "-n", "ml")
    assert az("ml", "model", "list", code=2, AZURE_EXTENSION_USE_DYNAMIC_INSTALL="no").out == ""
    az("extension", "add", "-n", "ml", "--upgrade", "-y")
    assert az("ml", "registry", "show", "-n", "contoso", "--query", "name", "-o", "tsv").out == "contoso\n"


def test_the_extension_sends_nothing_to_a_cloud_of_microsoft(az: Az) -> None:
    az("cloud", "set", "-n", "AzureCloud")
    try:
        told = az("ml", "registry", "list", code=1).err
    finally:
        az("cloud", "set", "-n", "Entrepot")
    assert "The active cloud is AzureCloud" in told and "az cloud set -n Entrepot" in told
