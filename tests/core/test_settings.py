"""Where a setting comes from, and what is said when it is wrong."""

from pathlib import Path

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.core.settings import load_settings


def test_overrides_beat_environment_beats_file_beats_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('port = 1\nhttps_port = 2\nhost = "::1"\nregions = ["a1", "b1"]\n')
    monkeypatch.setenv("ENTREPOT_PORT", "3")
    monkeypatch.setenv("ENTREPOT_HTTPS_PORT", "4")
    monkeypatch.setenv("ENTREPOT_FSYNC", "no")
    settings = load_settings(tmp_path, overrides={"https_port": 5, "log_level": None})
    assert (settings.port, settings.https_port, settings.host) == (3, 5, "::1")
    assert settings.regions == ("a1", "b1")
    assert settings.fsync is False
    assert settings.log_level == "info"


def test_regions_are_a_comma_list_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_REGIONS", "eastus, westus2")
    assert load_settings(tmp_path).regions == ("eastus", "westus2")


def test_an_unknown_setting_names_the_file_and_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("prot = 1\n")
    with pytest.raises(InvalidRequest, match=r"config\.toml: unknown setting 'prot'; known are .*port"):
        load_settings(tmp_path)


def test_a_wrong_value_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_PORT", "many")
    with pytest.raises(InvalidRequest, match="ENTREPOT_PORT='many' is not a int"):
        load_settings(tmp_path)


def test_environments_lie_below_the_home_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(tmp_path).environments == tmp_path / "environments"
    assert load_settings(tmp_path, overrides={"environments_folder": "built"}).environments == tmp_path / "built"
    monkeypatch.setenv("HOME", "/users/me")
    monkeypatch.setenv("ENTREPOT_ENVIRONMENTS_FOLDER", "~/.cache/entrepot/environments")
    assert load_settings(tmp_path).environments == Path("/users/me/.cache/entrepot/environments")
