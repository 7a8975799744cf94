"""The reference grammar and the rules of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.core.errors import InvalidName, InvalidReference
from entrepot.core.ids import (
    AssetPointer,
    AssetRef,
    DatastorePath,
    JobOutput,
    RegistryScope,
    RunArtifact,
    WebAddress,
    WorkspaceScope,
    check_asset_name,
    check_registry_name,
    check_version,
    normalise_region,
    parse_reference,
)
from entrepot.core.nouns import COMPONENT, DATA, ENVIRONMENT, KINDS, MODEL

WORKSPACE = WorkspaceScope("s1", "rg1", "dev")
ARM = "subscriptions/s1/resourceGroups/rg1/providers/Microsoft.MachineLearningServices/workspaces/dev"
CONTOSO = RegistryScope("contoso")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("azureml://registries/contoso/models/m/versions/1", AssetPointer(MODEL, "m", "1", scope=CONTOSO)),
        ("azureml://registries/contoso/environments/e/labels/latest",
         AssetPointer(ENVIRONMENT, "e", label="latest", scope=CONTOSO)),
        ("azureml://registries/contoso/components/c", AssetPointer(COMPONENT, "c", scope=CONTOSO)),
        ("azureml://registries/contoso/components/c@latest",
         AssetPointer(COMPONENT, "c", label="latest", scope=CONTOSO)),
        ("azureml://registries/contoso/component/c/versions/2", AssetPointer(COMPONENT, "c", "2", scope=CONTOSO)),
        ("azureml://feeds/contoso/models/m/versions/1", AssetPointer(MODEL, "m", "1", scope=CONTOSO)),
        (f"azureml:/{ARM}/data/d/versions/3", AssetPointer(DATA, "d", "3", scope=WORKSPACE)),
        (f"/{ARM}/models/m/versions/3", AssetPointer(MODEL, "m", "3", scope=WORKSPACE)),
        ("azureml://subscriptions/s1/resourcegroups/rg1/workspaces/dev/data/d/versions/3",
         AssetPointer(DATA, "d", "3", scope=WORKSPACE)),
        ("azureml://locations/eastus/workspaces/guid-1/models/m/versions/1",
         AssetPointer(MODEL, "m", "1", workspace_guid="guid-1")),
        ("azureml://models/m/versions/1", AssetPointer(MODEL, "m", "1")),
        ("azureml://datastores/ds/paths/a/b.csv", DatastorePath("ds", "a/b.csv")),
        ("azureml://subscriptions/s1/resourcegroups/rg1/workspaces/dev/datastores/ds/paths/a/",
         DatastorePath("ds", "a/", WORKSPACE)),
        ("azureml://jobs/j1/outputs/artifacts/paths/model", JobOutput("j1", "artifacts", "model")),
        ("azureml://jobs/j1/outputs/trained", JobOutput("j1", "trained")),
        ("runs:/r1/model", RunArtifact("r1", "model")),
        ("https://x.test/a", WebAddress("https://x.test/a")),
    ],
)  # fmt: skip
def test_each_long_spelling_is_read(text: str, expected: object) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("azureml:taxi:1", AssetPointer(MODEL, "taxi", "1")),
        ("azureml:taxi@latest", AssetPointer(MODEL, "taxi", label="latest")),
        ("azureml:a:b:2", AssetPointer(MODEL, "a:b", "2")),
        ("azureml:taxi", AssetPointer(MODEL, "taxi")),
    ],
)
def test_short_forms_stand_for_the_kind_that_is_asked_for(text: str, expected: object) -> None:
    assert parse_reference(text, MODEL) == expected


@pytest.mark.parametrize("text", ["./model", "model", "file:./prep.yml", "/data/model", "C:\\model"])
def test_local_paths_are_no_references(text: str) -> None:
    assert parse_reference(text, MODEL) is None


@pytest.mark.parametrize("text", ["azureml://registry/contoso/x", "azureml://", "azureml:a:1@latest"])
def test_broken_references_say_what_would_be_right(text: str) -> None:
    with pytest.raises(InvalidReference, match="azureml:"):
        parse_reference(text, MODEL)


names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
versions = st.text(min_size=1, max_size=40).filter(
    lambda v: v == v.strip() and v not in (".", "..") and not set(v) & set("/\\?#%:@") and v.isprintable()
)


@given(st.sampled_from(KINDS), names, versions, st.sampled_from([CONTOSO, WORKSPACE]))
def test_every_id_that_we_print_reads_back(
    kind: object, name: str, version: str, scope: RegistryScope | WorkspaceScope
) -> None:
    assert isinstance(kind, type(MODEL))
    ref = AssetRef(scope, kind, check_asset_name(kind, name), check_version(version))
    assert parse_reference(ref.id) == AssetPointer(kind, name, version, scope=scope)


@pytest.mark.parametrize("version", ["", " 1", "a/b", "1?x", "..", "a\x00", "x" * 256, "1:2", "%2e"])
def test_versions_that_would_break_an_address_are_refused(version: str) -> None:
    with pytest.raises(InvalidName, match="is not a version"):
        check_version(version)


def test_name_rules_follow_azure() -> None:
    assert check_registry_name("Contoso-ML_1") == "Contoso-ML_1"
    for bad in ("c", "_contoso", "x" * 33, "con toso", "contoso\n"):
        with pytest.raises(InvalidName, match="2 to 32"):
            check_registry_name(bad)
    for bad in ("Train", "1train", "train-model"):
        with pytest.raises(InvalidName, match="lower-case"):
            check_asset_name(COMPONENT, bad)


def test_regions_have_one_spelling() -> None:
    assert normalise_region("West US 2") == "westus2"
    with pytest.raises(InvalidName, match="eastus"):
        normalise_region("../etc")
