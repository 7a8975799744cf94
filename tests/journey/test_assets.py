"""The seed's walk-through of assets, for every kind that has verbs: create, show, list, archive, download, share."""

from pathlib import Path

import pytest

from tests.journey.console import EXAMPLES, CommandLine, Json

CONTOSO = ("--registry-name", "contoso")
SPECS = {
    "environment": ("env.yml", "sklearn_env", "99"),
    "component": ("component.yml", "awesome_component", "101"),
    "model": ("model.yml", "sklearn_model", "99"),
    "data": ("taxi-data.yml", "nyc_taxi_trips", "1"),
}
NOUNS = list(SPECS)


def made(az: CommandLine, noun: str, *scope: str) -> Json:
    """Create the example of a kind and return what the command printed."""
    return az("ml", noun, "create", "--file", SPECS[noun][0], *scope)


@pytest.mark.parametrize("noun", NOUNS)
def test_an_example_is_created_shown_and_listed_in_the_registry(az: CommandLine, noun: str) -> None:
    _, name, version = SPECS[noun]
    kind = "data" if noun == "data" else f"{noun}s"
    identity = f"azureml://registries/contoso/{kind}/{name}/versions/{version}"
    created = made(az, noun, *CONTOSO)
    assert (created["name"], created["version"], created["id"]) == (name, version, identity)
    assert made(az, noun, *CONTOSO)["id"] == identity  # again: the same, no error
    shown = az("ml", noun, "show", "--name", name, "--version", version, *CONTOSO)
    assert shown["id"] == identity
    assert (
        az.text("ml", noun, "show", "-n", name, "--label", "latest", *CONTOSO, "--query", "id", "-o", "tsv") == identity
    )
    assert name in [row["name"] for row in az("ml", noun, "list", *CONTOSO)]
    assert name in az.text("ml", noun, "list", *CONTOSO, "-o", "table")


@pytest.mark.parametrize("noun", NOUNS)
def test_the_same_verbs_work_in_a_workspace(az: CommandLine, noun: str) -> None:
    _, name, version = SPECS[noun]
    created = made(az, noun)
    assert created["version"] == version
    shown = az("ml", noun, "show", "--name", name, "--version", version)
    assert "/workspaces/dev/" in shown["id"]
    assert az("ml", noun, "list", "--name", name)[0]["version"] == version


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("scope", [CONTOSO, ()], ids=["registry", "workspace"])
def test_an_archived_version_hides_from_lists_and_can_be_restored(
    az: CommandLine, noun: str, scope: tuple[str, ...]
) -> None:
    if noun == "data" and scope:
        scope = ()  # az ml has no data archive --registry-name
    made(az, noun, *scope)
    _, name, version = SPECS[noun]
    one = ("-n", name, "-v", version)
    az.text("ml", noun, "archive", *one, *scope)
    assert version not in [row["version"] for row in az("ml", noun, "list", "-n", name, *scope)]
    everything = az("ml", noun, "list", "-n", name, "--include-archived", *scope)
    assert version in [row["version"] for row in everything]
    assert az("ml", noun, "show", *one, *scope)["version"] == version  # who names it can still use it
    az.text("ml", noun, "restore", *one, *scope)
    assert version in [row["version"] for row in az("ml", noun, "list", "-n", name, *scope)]


def test_environment_show_has_what_the_seed_gave(az: CommandLine) -> None:
    made(az, "environment", *CONTOSO)
    shown = az("ml", "environment", "show", "-n", "sklearn_env", "-v", "99", *CONTOSO)
    assert shown["image"] == "mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04:20210727.v1"
    assert "scikit-learn=0.24.2" in str(shown["conda_file"])
    assert shown["build"]["state"] in ("NotBuilt", "Queued", "Building", "Succeeded", "Failed")


def test_a_model_comes_back_as_it_went(az: CommandLine, tmp_path: Path) -> None:
    made(az, "model", *CONTOSO)
    az.text("ml", "model", "download", "-n", "sklearn_model", "-v", "99", *CONTOSO, "-p", tmp_path)
    found = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file.name for file in found] == ["model.joblib"]
    assert found[0].read_bytes() == (EXAMPLES / "model" / "model.joblib").read_bytes()


def test_files_that_an_ignore_file_names_stay_at_home(az: CommandLine, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "cache").mkdir(parents=True)
    for path in ("weights.bin", "notes.tmp", "cache/old.bin"):
        (model / path).write_text(path)
    (model / ".amlignore").write_text("*.tmp\ncache/\n")
    (model / ".gitignore").write_text("*.bin\n")
    az("ml", "model", "create", "-n", "tidy", "-v", "1", "--path", model, *CONTOSO)
    az.text("ml", "model", "download", "-n", "tidy", "-v", "1", *CONTOSO, "-p", tmp_path / "back")
    names = {file.name for file in (tmp_path / "back").rglob("*") if file.is_file()}
    assert "weights.bin" in names
    assert names.isdisjoint({"notes.tmp", "old.bin"})


def test_versions_count_upwards_when_none_is_given_and_may_be_any_text(az: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    create = ("ml", "model", "create", "-n", "counted", "--path", tmp_path / "a.txt")
    assert [az(*create)["version"], az(*create)["version"]] == ["1", "2"]
    assert az(*create, "-v", "2.0.1-rc.1", *CONTOSO)["version"] == "2.0.1-rc.1"


def test_description_and_tags_change_and_nothing_else_does(az: CommandLine) -> None:
    made(az, "model", *CONTOSO)
    one = ("-n", "sklearn_model", "-v", "99", *CONTOSO)
    updated = az("ml", "model", "update", *one, "--set", "tags.stage=Prod", "description=Better told")
    assert (updated["tags"]["stage"], updated["description"]) == ("Prod", "Better told")
    again = az("ml", "model", "show", *one)
    assert (again["tags"]["stage"], again["description"]) == ("Prod", "Better told")


@pytest.mark.parametrize("noun", NOUNS)
def test_any_kind_is_shared_from_a_workspace_to_the_registry(az: CommandLine, noun: str) -> None:
    _, name, version = SPECS[noun]
    made(az, noun)
    target = ("--share-with-name", f"shared_{name}", "--share-with-version", "5")
    az.text("ml", noun, "share", "--name", name, "--version", version, *CONTOSO, *target)
    shown = az("ml", noun, "show", "-n", f"shared_{name}", "-v", "5", *CONTOSO)
    assert shown["id"].startswith("azureml://registries/contoso/")
    assert "/workspaces/dev/" in str(shown["provenance"]) or "dev" in str(shown["provenance"])


def test_sharing_over_other_content_tells_the_option_that_helps(az: CommandLine) -> None:
    made(az, "model")
    share = ("ml", "model", "share", "--name", "sklearn_model", "--version", "99", *CONTOSO)
    made(az, "model", *CONTOSO, "--set", "name=taken", "version=1", "path=component.yml")
    message = az.refusal(*share, "--share-with-name", "taken", "--share-with-version", "1")
    assert "--share-with-version 2" in message
    assert "--set" not in message


def test_a_component_is_shown_without_a_version_and_names_hold_no_slash(az: CommandLine) -> None:
    made(az, "component", *CONTOSO)
    assert az("ml", "component", "show", "-n", SPECS["component"][1], *CONTOSO)["version"] == SPECS["component"][2]
    message = az.refusal("ml", "model", "create", "--file", "model.yml", "--set", "name=m/1")
    assert "'m/1' holds a '/'" in message


def test_the_states_of_all_regions_are_shown_and_come_true(az: CommandLine) -> None:
    made(az, "model", *CONTOSO)
    for _ in range(100):
        regions = az("ml", "model", "show", "-n", "sklearn_model", "-v", "99", *CONTOSO)["regions"]
        if set(regions.values()) == {"Succeeded"}:
            break
    assert regions == {"eastus": "Succeeded", "westus": "Succeeded"}


def test_the_public_registry_is_there_and_read_only(az: CommandLine) -> None:
    shown = az("ml", "environment", "show", "-n", "sklearn-1.5", "--label", "latest", "--registry-name", "azureml")
    assert shown["id"].startswith("azureml://registries/azureml/environments/sklearn-1.5/versions/")
    message = az.refusal("ml", "model", "create", "--file", "model.yml", "--registry-name", "azureml")
    assert "azureml" in message


def test_a_registry_is_made_from_yaml(az: CommandLine) -> None:
    created = az("ml", "registry", "create", "--file", "registry.yml")
    assert created["name"] == "fabrikam"
    assert [place["location"] for place in created["replication_locations"]] == ["eastus", "westeurope"]
    assert created["tags"] == {"team": "platform"}
    assert {"fabrikam", "contoso"} <= {row["name"] for row in az("ml", "registry", "list")}
