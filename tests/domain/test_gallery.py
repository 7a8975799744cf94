"""The public registry is there from the first start, whole, and costs nothing after that."""

from pathlib import Path

import pytest
import yaml

from entrepot.core.errors import NotFound
from entrepot.core.ids import AssetPointer, AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import ENVIRONMENT
from entrepot.domain import audit, gallery, registries
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub
from entrepot.testing.hub import OWNER, close_hub, make_hub

PUBLIC = RegistryScope("azureml")


def test_every_spec_becomes_an_environment_in_all_regions(hub: Hub) -> None:
    gallery.publish(hub)
    specs = [yaml.safe_load(file.read_text()) for file in gallery.SPECS.glob("*.yml")]
    assert "sklearn-1.5" in [spec["name"] for spec in specs]
    for spec in specs:
        ref = AssetRef(PUBLIC, ENVIRONMENT, spec["name"], str(spec["version"]))
        body = catalog.get(hub, OWNER, ref).body
        assert (body["properties"]["image"], body["properties"]["description"]) == (spec["image"], spec["description"])
        assert (yaml.safe_load(body["properties"].get("condaFile") or "null")) == spec.get("conda")
    assert registries.regions_of(hub, "azureml") == hub.settings.regions


def test_names_of_azures_environments_stand_for_ours_in_every_workspace(hub: Hub, dev: WorkspaceScope) -> None:
    gallery.publish(hub)
    name = "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu"
    ours = catalog.get(hub, OWNER, AssetRef(PUBLIC, ENVIRONMENT, name, "1")).body
    assert "what sklearn-1.5 has" in ours["properties"]["description"] and ours["properties"]["condaFile"]
    pointers = [AssetPointer(ENVIRONMENT, name, label="latest"), AssetPointer(ENVIRONMENT, name, "9")]
    found = [catalog.resolve(hub, OWNER, pointer.within(dev)).body["id"] for pointer in pointers]
    found += [d.body["id"] for d in catalog.versions(hub, OWNER, dev, ENVIRONMENT, name).documents]
    found.append(catalog.get(hub, OWNER, AssetRef(dev, ENVIRONMENT, name, "33")).body["id"])
    assert found == [ours["id"]] * 4
    assert catalog.get_container(hub, OWNER, dev, ENVIRONMENT, name).body["properties"]["latestVersion"] == "1"
    with pytest.raises(NotFound):
        catalog.get(hub, OWNER, AssetRef(dev, ENVIRONMENT, "AzureML-unheard-of", "1"))
    catalog.create(hub, OWNER, AssetRef(dev, ENVIRONMENT, name, "1"), {"image": "mine"})
    assert catalog.get(hub, OWNER, AssetRef(dev, ENVIRONMENT, name, "1")).body["properties"]["image"] == "mine"


def test_publishing_again_writes_nothing(hub: Hub) -> None:
    gallery.publish(hub)
    before = audit.entries(hub, limit=1, newest=True)
    gallery.publish(hub)
    assert audit.entries(hub, limit=1, newest=True) == before


def test_a_new_version_of_a_spec_is_added_and_a_changed_one_is_left(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    monkeypatch.setattr(gallery, "SPECS", specs)
    for version, image in ((1, "one"), (2, "two"), (2, "changed")):
        (specs / "e.yml").write_text(yaml.safe_dump({"name": "e", "version": version, "image": image}))
        gallery.publish(hub)
    page = catalog.versions(hub, OWNER, PUBLIC, ENVIRONMENT, "e")
    assert [d.body["properties"]["image"] for d in page.documents] == ["two", "one"]
    assert "e.yml changed without a new version" in caplog.text


def test_a_region_that_the_server_gains_reaches_the_gallery(tmp_path: Path) -> None:
    for regions in (("eastus",), ("eastus", "westus")):
        hub = make_hub(tmp_path, regions=regions)
        gallery.publish(hub)
        assert registries.regions_of(hub, "azureml") == regions
        close_hub(hub)
