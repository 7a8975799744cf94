"""Regions: those that a script of Azure's may use, unless an operator says which there are; no misspelled ones."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.errors import InvalidName
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import ENVIRONMENT, MODEL
from entrepot.domain import gallery, groups, registries, replication, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import known_regions, offered_region
from entrepot.testing.hub import OWNER, close_hub, content_of, make_hub, upload

Json = Any

STRANGER = Principal(id="22222222-2222-2222-2222-222222222222", name="Sam")
WORKSPACE = WorkspaceScope("s1", "rg", "dev")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub as it is by default."""
    made = make_hub(tmp_path)
    yield made
    close_hub(made)


def test_any_well_formed_region_is_one_and_is_known_once_it_is_used(hub: Hub, tmp_path: Path) -> None:
    assert known_regions(hub) == ("eastus", "westus", "westeurope")
    document, _ = workspaces.create(hub, OWNER, WORKSPACE, {"location": "Brazil South"})
    assert document.body["location"] == "brazilsouth"
    details = [{"location": "swedencentral"}, {"location": "local"}]
    registries.create(hub, OWNER, "s1", "rg", "contoso", {"properties": {"regionDetails": details}})
    wanted = ("eastus", "westus", "westeurope", "brazilsouth", "local", "swedencentral")
    assert known_regions(hub) == wanted
    close_hub(hub)
    again = make_hub(tmp_path)
    assert known_regions(again) == wanted
    close_hub(again)


@pytest.mark.parametrize("text", ["", "../etc", "east/us", "1", "EastUS!"])
def test_what_is_no_region_name_is_refused(hub: Hub, text: str) -> None:
    with pytest.raises(InvalidName, match="not a region name"):
        offered_region(hub, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eastsu", "There is no region 'eastsu': did you mean eastus or "),
        ("West Erope", "did you mean westeurope"),
        ("mars", "this server has eastus, westus, westeurope, and takes Azure's"),
    ],
)
def test_a_misspelled_region_is_refused_with_the_nearest_ones(hub: Hub, text: str, said: str) -> None:
    makes: list[Callable[[], object]] = [
        lambda: workspaces.create(hub, OWNER, WORKSPACE, {"location": text}),
        lambda: registries.create(hub, OWNER, "s1", "rg", "contoso", {"location": text}),
        lambda: groups.create(hub, OWNER, "s1", "g", {"location": text}),
    ]
    details = [{"location": "eastus"}, {"location": text}]
    makes.append(
        lambda: registries.create(hub, OWNER, "s1", "rg", "contoso", {"properties": {"regionDetails": details}})
    )
    for make in makes:
        with pytest.raises(InvalidName, match=re.escape(said)) as refusal:
            make()
        assert "account list-locations" in str(refusal.value.hint)


def test_a_region_of_ones_own_is_taken_when_settings_name_it_or_it_is_in_use(tmp_path: Path) -> None:
    first = make_hub(tmp_path, regions=("eastus", "mars"))
    workspaces.create(first, OWNER, WORKSPACE, {"location": "Mars"})
    upload(first, AssetRef(WORKSPACE, MODEL, "m", "1"), {"a": "x"}, at="m")
    close_hub(first)
    later = make_hub(tmp_path)
    assert offered_region(later, "mars") == "mars"
    close_hub(later)


@pytest.mark.parametrize("settings", [{"open_regions": False}, {"blob_url": "memory://"}])
def test_closed_regions_are_those_of_the_settings(tmp_path: Path, settings: Json) -> None:
    closed = make_hub(tmp_path, **settings)
    with pytest.raises(InvalidName, match="no region 'estus' on this server; it has eastus, westus, westeurope"):
        workspaces.create(closed, OWNER, WORKSPACE, {"location": "estus"})
    assert offered_region(closed, "local") == "eastus"
    close_hub(closed)


def test_an_asset_of_a_region_that_was_opened_later_is_read_and_replicated(hub: Hub) -> None:
    registries.create(hub, OWNER, "s1", "rg", "contoso", {"location": "norwayeast"})
    ref = AssetRef(RegistryScope("contoso"), MODEL, "m", "1")
    uri = upload(hub, ref, {"a": "x"}, at="m")
    document, _ = catalog.create(hub, OWNER, ref, {"modelUri": uri, "modelType": "custom_model"})
    assert content_of(hub, document) == {"a": b"x"}
    scope = WorkspaceScope("s1", "rg", "north")
    workspaces.create(hub, OWNER, scope, {"location": "norwayeast"})
    assert replication.require_region(hub, ref, workspaces.region_of(hub, scope))


def test_curated_environments_serve_workspaces_of_all_regions(hub: Hub) -> None:
    gallery.publish(hub)
    environments = hub.documents.list("registries/azureml/environments").documents
    name = environments[0].body["name"]
    versions = hub.documents.list(f"registries/azureml/environments/{name}/versions").documents
    ref = AssetRef(RegistryScope("azureml"), ENVIRONMENT, name, versions[0].body["name"])
    assert replication.require_region(hub, ref, offered_region(hub, "brazilsouth"))
