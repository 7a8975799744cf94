"""Registries: what ARM bodies become, discovery, updates, removal."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrepot.core.errors import AlreadyExists, EntrepotError, InvalidName, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import AssetRef, RegistryScope
from entrepot.core.nouns import ENVIRONMENT
from entrepot.domain import groups, registries, removal
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Finish
from entrepot.testing.hub import OWNER


def create(hub: Hub, name: str, *, group: str = "rg", **body: object) -> dict[str, object]:
    found: dict[str, object] = registries.create(hub, OWNER, "s1", group, name, {"location": "eastus", **body}).body
    return found


def test_a_registry_shows_all_that_clients_read(hub: Hub) -> None:
    body = create(hub, "Fabrikam", tags={"foo": "bar"})
    properties = body["properties"]
    assert isinstance(properties, dict)
    (detail,) = properties["regionDetails"]
    storage = detail["storageAccountDetails"][0]["systemCreatedStorageAccount"]
    assert (detail["location"], storage["storageAccountType"]) == ("eastus", "Standard_LRS")
    assert detail["acrDetails"][0]["systemCreatedAcrAccount"]["acrAccountSku"] == "Premium"
    assert properties["provisioningState"] == "Succeeded"
    assert properties["managedResourceGroup"]["resourceId"].startswith("/subscriptions/s1/resourceGroups/azureml-rg-")
    assert (body["location"], body["tags"]) == ("eastus", {"foo": "bar"})


def test_what_the_client_said_about_storage_is_kept(hub: Hub) -> None:
    account = {"systemCreatedStorageAccount": {"storageAccountType": "Premium_LRS", "storageAccountHnsEnabled": True}}
    detail = {"location": "eastus", "storageAccountDetails": [account]}
    body = create(hub, "fabrikam", properties={"regionDetails": [detail], "newSetting": {"x": 1}})
    properties = body["properties"]
    assert isinstance(properties, dict)
    storage = properties["regionDetails"][0]["storageAccountDetails"][0]["systemCreatedStorageAccount"]
    assert (storage["storageAccountType"], storage["storageAccountHnsEnabled"]) == ("Premium_LRS", True)
    assert properties["newSetting"] == {"x": 1}


def test_names_do_not_differ_by_case_and_keep_their_spelling(hub: Hub) -> None:
    create(hub, "Fabrikam")
    assert registries.get(hub, OWNER, "FABRIKAM").body["name"] == "Fabrikam"
    ref = AssetRef(RegistryScope("fabrikam"), ENVIRONMENT, "e", "1")
    body = catalog.create(hub, OWNER, ref, {"image": "x"})[0].body
    assert body["id"] == "azureml://registries/Fabrikam/environments/e/versions/1"


def test_a_name_is_unique_in_the_tenant(hub: Hub) -> None:
    create(hub, "fabrikam", group="one")
    with pytest.raises(AlreadyExists, match="'Fabrikam' is taken in this tenant"):
        create(hub, "Fabrikam", group="two")


@pytest.mark.parametrize(("name", "error"), [("x", InvalidName), ("-x1", InvalidName), ("a" * 33, InvalidName)])
def test_a_bad_name_is_refused(hub: Hub, name: str, error: type[EntrepotError]) -> None:
    with pytest.raises(error, match="2 to 32 letters"):
        create(hub, name)


def test_a_registry_needs_a_location(hub: Hub) -> None:
    with pytest.raises(InvalidRequest, match="needs a location"):
        registries.create(hub, OWNER, "s1", "rg", "fabrikam", {})


def test_regions_are_read_in_any_spelling_with_the_primary_first(hub: Hub) -> None:
    create(
        hub,
        "fabrikam",
        location="West US",
        properties={"regionDetails": [{"location": "East US"}, {"location": "WestUS"}]},
    )
    assert registries.regions_of(hub, "fabrikam") == ("westus", "eastus")
    assert registries.regions_of(hub, "fabrikam") == ("westus", "eastus")


def test_discovery_tells_what_clients_need_before_they_sign_in(hub: Hub) -> None:
    create(hub, "fabrikam", group="My-RG")
    found = registries.discovery(hub, OWNER, "fabrikam")
    assert found["primaryRegionResourceProviderUri"] == "https://api.entrepot.invalid/"
    assert (found["subscriptionId"], found["resourceGroup"]) == ("s1", "My-RG")
    with pytest.raises(NotFound):
        registries.discovery(hub, OWNER, "nobody")


def test_lists_are_of_a_group_a_subscription_or_the_tenant(hub: Hub) -> None:
    for name, group in (("one", "a"), ("two", "b")):
        create(hub, name, group=group)
    registries.create(hub, OWNER, "s2", "a", "three", {"location": "eastus"})

    def names(**where: str) -> list[str]:
        return sorted(d.body["name"] for d in registries.list_(hub, OWNER, **where).documents)  # type: ignore[arg-type]

    assert names(subscription="s1", resource_group="A") == ["one"]
    assert names(subscription="S1") == ["contoso", "one", "two"]
    assert names() == ["contoso", "one", "three", "two"]


def test_a_list_shows_what_the_asker_may_read(hub: Hub, stranger: Principal) -> None:
    create(hub, "mine")
    assignments.assign(hub, OWNER, role="Reader", assignee=stranger.id, scope="registries/mine")
    assert [d.body["name"] for d in registries.list_(hub, stranger, subscription="s1").documents] == ["mine"]


def test_a_put_replaces_tags_and_a_patch_adds_to_them(hub: Hub) -> None:
    create(hub, "fabrikam", tags={"a": "1"})
    patched = registries.update(hub, OWNER, "fabrikam", {"tags": {"b": "2"}, "properties": {"description": "said"}})
    assert (patched.body["tags"], patched.body["properties"]["description"]) == ({"a": "1", "b": "2"}, "said")
    put = create(hub, "fabrikam", tags={"c": "3"})
    assert put["tags"] == {"c": "3"}
    with pytest.raises(InvalidRequest, match="is eastus for life"):
        registries.update(hub, OWNER, "fabrikam", {"location": "westus"})


def test_deleting_takes_the_assets_along_and_the_name_is_free(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    catalog.create(hub, OWNER, ref, {"image": "x"})
    registries.delete(hub, OWNER, "contoso")
    assert hub.documents.get(ref.key) is None
    with pytest.raises(NotFound):
        registries.get(hub, OWNER, "contoso")
    create(hub, "contoso", group="elsewhere")
    with pytest.raises(NotFound):
        catalog.get(hub, OWNER, ref)
    (left,) = hub.documents.lease([removal.QUEUE], owner="t", now=hub.clock.now(), seconds=9)
    removal.provision(hub, left)  # the safety net of the first deletion must not touch the second registry
    hub.documents.commit([Finish(left)])
    assert registries.get(hub, OWNER, "contoso").body["name"] == "contoso"


def test_a_deletion_that_was_interrupted_is_finished_by_its_work_item(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    catalog.create(hub, OWNER, ref, {"image": "x"})
    hub.documents.commit(removal.mark(registries.get(hub, OWNER, "contoso")))
    with pytest.raises(StateConflict, match="is being deleted"):
        catalog.create(hub, OWNER, AssetRef(registry, ENVIRONMENT, "late", "1"), {"image": "x"})
    (item,) = hub.documents.lease([removal.QUEUE], owner="t", now=hub.clock.now(), seconds=9)
    removal.provision(hub, item)
    assert (hub.documents.get(ref.key), hub.documents.get(registry.key)) == (None, None)


def test_many_creators_of_one_registry_end_with_one(hub: Hub) -> None:
    start = threading.Barrier(8)

    def run(_: int) -> str:
        start.wait()
        body = create(hub, "fabrikam")
        ours = body["entrepot"]
        assert isinstance(ours, dict)
        return str(ours["guid"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(8)))) == 1


def test_a_group_is_made_along_for_whoever_may_and_asked_for_otherwise(hub: Hub, stranger: Principal) -> None:
    create(hub, "fabrikam", group="fresh")
    assert groups.get(hub, OWNER, "s1", "fresh").body["location"] == "eastus"
    assignments.assign(hub, OWNER, role="AzureML Registry User", assignee=stranger.id, scope="/")
    with pytest.raises(EntrepotError, match="registries/write"):
        registries.create(hub, stranger, "s1", "never", "other", {"location": "eastus"})
