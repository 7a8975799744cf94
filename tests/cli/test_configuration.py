"""The defaults that `configure` keeps, in the home."""

from pathlib import Path

import pytest

from entrepot.cli.configuration import Configuration, home_of


def test_what_is_saved_is_read_again_and_an_empty_value_removes(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    Configuration(home).save("defaults", {"group": "rg", "workspace": "dev"})
    Configuration(home).save("defaults", {"workspace": "", "location": "eastus"})
    read = Configuration(home)
    assert (read.default("group"), read.default("workspace"), read.default("location")) == ("rg", None, "eastus")
    assert [row["name"] for row in read.defaults()] == ["group", "location"]


def test_other_sections_and_comments_of_the_file_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("# mine\n[core]\noutput = table\n\n[defaults]\ngroup=rg=1\n; x\n")
    configuration = Configuration(str(tmp_path))
    assert configuration.get("core", "output") == "table"
    assert configuration.default("group") == "rg=1"
    configuration.save("defaults", {"group": "new"})
    assert Configuration(str(tmp_path)).get("core", "output") == "table"


def test_the_environment_goes_before_the_file_and_is_listed_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = Configuration(str(tmp_path))
    configuration.save("defaults", {"group": "from-file"})
    monkeypatch.setenv("AZURE_DEFAULTS_GROUP", "from-environment")
    assert configuration.default("group") == "from-environment"
    row = next(row for row in configuration.defaults() if row["name"] == "group")
    assert row == {"name": "group", "source": "AZURE_DEFAULTS_GROUP", "value": "from-environment"}


def test_the_home_is_the_option_the_variable_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from entrepot.core.settings import default_home

    monkeypatch.setenv("ENTREPOT_HOME", str(tmp_path / "a"))
    assert home_of(str(tmp_path / "b")) == str(tmp_path / "b")
    assert home_of(None) == str(default_home()) == str(tmp_path / "a")
    monkeypatch.delenv("ENTREPOT_HOME")
    assert home_of(None) == str(default_home()) == str(Path.home() / ".entrepot")
