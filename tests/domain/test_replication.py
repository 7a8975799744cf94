"""Copies in a registry's regions: queued with the version, resumable, told in the version, for late regions too."""

import pytest

from entrepot.core.errors import BlobMissing, NotFound, RegistryRegionNotSupported, StateConflict
from entrepot.core.ids import AssetRef, Region, RegistryScope, WorkspaceScope
from entrepot.core.nouns import ENVIRONMENT, MODEL
from entrepot.domain import registries, replication, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub
from entrepot.domain.scopes import home
from entrepot.store import paths, snapshots
from entrepot.store.documents import Document, Finish, Work
from entrepot.testing.hub import OWNER, content_of, upload

EAST, WEST, EUROPE = Region("eastus"), Region("westus"), Region("westeurope")


def model(hub: Hub, registry: RegistryScope, version: str = "1", text: str = "w") -> Document:
    ref = AssetRef(registry, MODEL, "m", version)
    return catalog.create(hub, OWNER, ref, {"modelUri": upload(hub, ref, {"w.bin": text}, at="model")})[0]


def leased(hub: Hub) -> list[Work]:
    return list(hub.documents.lease([replication.QUEUE], owner="t", now=hub.clock.now(), seconds=60, limit=100))


def work_off(hub: Hub) -> int:
    """Work all items off, as workers do, and return how many there were."""
    count = 0
    while items := leased(hub):
        for item in items:
            replication.replicate(hub, item)
            hub.documents.commit([Finish(item)])
            count += 1
    return count


def states(hub: Hub, document: Document) -> dict[str, str]:
    found = hub.documents.get(document.key)
    assert found is not None
    regions: dict[str, str] = found.body["entrepot"]["regions"]
    return regions


def regions(*names: str) -> dict[str, object]:
    return {"properties": {"regionDetails": [{"location": name} for name in names]}}


def test_a_new_version_is_queued_for_each_other_region_and_arrives(hub: Hub, registry: RegistryScope) -> None:
    made = model(hub, registry)
    ref = catalog.ref_of(made.body)
    assert states(hub, made) == {EAST: "Succeeded", WEST: "Pending"}
    assert (replication.require_region(hub, ref, EAST), replication.require_region(hub, ref, WEST)) == (True, False)
    assert work_off(hub) == 1
    assert states(hub, made) == {EAST: "Succeeded", WEST: "Succeeded"}
    assert replication.require_region(hub, ref, WEST)
    west = hub.depots.of(WEST)
    assert snapshots.read(west, made.body["entrepot"]["snapshot"]).files[0].path == "model/w.bin"
    assert content_of(hub, made) == {"w.bin": b"w"}


def test_what_has_no_bytes_is_everywhere_at_once(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    document, _ = catalog.create(hub, OWNER, ref, {"image": "x"})
    assert states(hub, document) == {EAST: "Succeeded", WEST: "Succeeded"}
    assert leased(hub) == []


def test_bytes_that_a_region_has_already_need_no_work(hub: Hub, registry: RegistryScope) -> None:
    model(hub, registry, "1")
    work_off(hub)
    second = model(hub, registry, "2")
    assert states(hub, second) == {EAST: "Succeeded", WEST: "Succeeded"}
    assert leased(hub) == []


def test_a_region_outside_the_registry_is_a_clear_error(hub: Hub, registry: RegistryScope) -> None:
    ref = catalog.ref_of(model(hub, registry).body)
    with pytest.raises(RegistryRegionNotSupported) as error:
        replication.require_region(hub, ref, EUROPE)
    for part in ("contoso", "westeurope", "eastus, westus", "replication_locations", "az ml registry update"):
        assert part in error.value.message
    with pytest.raises(NotFound):
        replication.require_region(hub, AssetRef(registry, MODEL, "m", "9"), WEST)


def test_a_copy_that_fails_is_told_and_succeeds_when_tried_again(hub: Hub, registry: RegistryScope) -> None:
    made = model(hub, registry)
    digest = made.body["entrepot"]["snapshot"]
    east = hub.depots.of(EAST)
    blob = paths.content(snapshots.read(east, digest).files[0].digest)
    with east.open(blob) as file:
        data = file.read()
    east.delete(blob)
    (item,) = leased(hub)
    with pytest.raises(BlobMissing):
        replication.replicate(hub, item)
    body = hub.documents.get(made.key).body  # type: ignore[union-attr]
    assert body["entrepot"]["regions"][WEST] == "Failed"
    assert body["entrepot"]["regionErrors"][WEST]["message"]
    assert not snapshots.exists(hub.depots.of(WEST), digest)

    east.put(blob, data)
    replication.replicate(hub, item)
    body = hub.documents.get(made.key).body  # type: ignore[union-attr]
    assert body["entrepot"]["regions"][WEST] == "Succeeded"
    assert "regionErrors" not in body["entrepot"]


def test_a_region_that_joins_gets_all_versions_and_one_that_leaves_is_forgotten(
    hub: Hub, registry: RegistryScope
) -> None:
    made = [model(hub, registry, str(n), text=f"w{n}") for n in range(3)]
    work_off(hub)
    registries.update(hub, OWNER, "contoso", regions("eastus", "westus", "westeurope"))
    work_off(hub)
    for document in made:
        assert states(hub, document) == {EAST: "Succeeded", WEST: "Succeeded", EUROPE: "Succeeded"}
        assert snapshots.exists(hub.depots.of(EUROPE), document.body["entrepot"]["snapshot"])
    registries.update(hub, OWNER, "contoso", regions("eastus", "westus"))
    work_off(hub)
    assert states(hub, made[0]) == {EAST: "Succeeded", WEST: "Succeeded"}
    with pytest.raises(RegistryRegionNotSupported):
        replication.require_region(hub, catalog.ref_of(made[0].body), EUROPE)


def test_a_late_region_counts_as_on_its_way_before_its_work_is_done(hub: Hub, registry: RegistryScope) -> None:
    ref = catalog.ref_of(model(hub, registry).body)
    registries.update(hub, OWNER, "contoso", regions("eastus", "westus", "westeurope"))
    assert not replication.require_region(hub, ref, EUROPE)


def test_a_version_that_a_joining_region_passed_by_is_queued_when_it_is_asked_for(
    hub: Hub, registry: RegistryScope
) -> None:
    ref = catalog.ref_of(model(hub, registry).body)
    registries.update(hub, OWNER, "contoso", regions("eastus", "westus", "westeurope"))
    for item in leased(hub):
        hub.documents.commit([Finish(item)])  # as if the work had been done before the version was there
    assert not replication.require_region(hub, ref, EUROPE)
    assert work_off(hub) == 1
    assert replication.require_region(hub, ref, EUROPE)


def test_a_region_in_use_cannot_be_removed(hub: Hub, registry: RegistryScope, prod: WorkspaceScope) -> None:
    model(hub, registry)
    with pytest.raises(StateConflict, match=r"westus cannot be removed from registry contoso .* prod"):
        registries.update(hub, OWNER, "contoso", regions("eastus"))
    with pytest.raises(StateConflict, match="eastus is the primary region"):
        replication.regions_changed(hub, home(hub, registry), [WEST])
    workspaces.delete(hub, OWNER, prod)
    registries.update(hub, OWNER, "contoso", regions("eastus"))
    assert registries.regions_of(hub, "contoso") == (EAST,)


def test_work_for_a_version_that_is_gone_ends_quietly(hub: Hub, registry: RegistryScope) -> None:
    ref = catalog.ref_of(model(hub, registry).body)
    (item,) = leased(hub)
    catalog.delete(hub, OWNER, ref)
    replication.replicate(hub, item)
    assert hub.documents.get(ref.key) is None


def test_tags_set_while_a_copy_is_under_way_are_kept(hub: Hub, registry: RegistryScope) -> None:
    made = model(hub, registry)
    (item,) = leased(hub)
    catalog.update(hub, OWNER, catalog.ref_of(made.body), {"tags": {"stage": "Prod"}})
    replication.replicate(hub, item)
    found = catalog.versions(hub, OWNER, registry, MODEL, "m", tags={"stage": "Prod"}).documents
    assert [document.body["entrepot"]["regions"][WEST] for document in found] == ["Succeeded"]
