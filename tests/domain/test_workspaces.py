"""Workspaces, groups, datastores and computes."""

import pytest

from entrepot.core.errors import InvalidName, InvalidRequest, NotFound, StateConflict, Unsupported
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import DATA, ENVIRONMENT
from entrepot.domain import computes, datastores, groups, lineage, operations, registries, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import records
from entrepot.domain.jobs.tracking import history, runs
from entrepot.domain.jobs.tracking.session import Session
from entrepot.domain.surroundings import dependents, hubs
from entrepot.store.documents import Append, Put
from entrepot.testing.hub import OWNER, upload

AZURE_BLOB = {"datastoreType": "AzureBlob", "accountName": "x", "containerName": "my-own-container"}


def test_a_workspace_has_a_guid_datastores_with_containers_and_a_compute(hub: Hub, dev: WorkspaceScope) -> None:
    properties = workspaces.get(hub, OWNER, dev).body["properties"]
    assert workspaces.by_guid(hub, properties["workspaceId"]).key == dev.key
    assert workspaces.region_of(hub, dev) == "eastus"
    stores = {d.body["name"]: d.body["properties"] for d in datastores.list_(hub, OWNER, dev).documents}
    assert {name: found["isDefault"] for name, found in stores.items()} == {
        "workspaceblobstore": True,
        "workspaceartifactstore": False,
    }
    for found in stores.values():
        info = hub.containers.describe(found["containerName"])
        assert info is not None and (info.region, info.owner) == ("eastus", dev.key)
    assert [d.body["name"] for d in computes.list_(hub, OWNER, dev).documents] == ["cpu-cluster"]


def test_truth_values_that_come_as_texts_are_truth_values(hub: Hub, dev: WorkspaceScope) -> None:
    template = {"hbiWorkspace": "false", "enableDataIsolation": "True", "friendlyName": "true"}  # azure-ai-ml's
    found = workspaces.update(hub, OWNER, dev, {"properties": template}).body["properties"]
    assert (found["hbiWorkspace"], found["enableDataIsolation"], found["friendlyName"]) == (False, True, "true")


def test_two_workspaces_never_share_a_container(hub: Hub, dev: WorkspaceScope, prod: WorkspaceScope) -> None:
    names = {datastores.container_of(hub, scope, name) for scope in (dev, prod) for name in datastores.OWN}
    assert len(names) == 4


def test_putting_a_workspace_again_updates_it_and_keeps_its_guid(hub: Hub, dev: WorkspaceScope) -> None:
    before = workspaces.get(hub, OWNER, dev).body["properties"]["workspaceId"]
    body = {"location": "eastus", "tags": {"a": "b"}, "properties": {"friendlyName": "Dev!", "workspaceId": "forged"}}
    document, is_created = workspaces.create(hub, OWNER, dev, body)
    found = document.body
    assert not is_created
    assert (found["tags"], found["properties"]["friendlyName"]) == ({"a": "b"}, "Dev!")
    assert found["properties"]["workspaceId"] == before
    with pytest.raises(InvalidRequest, match="for life"):
        workspaces.create(hub, OWNER, dev, {"location": "westus"})


def test_a_workspace_without_location_takes_its_groups(hub: Hub) -> None:
    groups.create(hub, OWNER, "s1", "west", {"location": "westus"})
    document, _ = workspaces.create(hub, OWNER, WorkspaceScope("s1", "west", "ws"), {})
    assert document.body["location"] == "westus"


def test_deleting_a_workspace_takes_all_it_holds_along(hub: Hub, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, ENVIRONMENT, "e", "1")
    catalog.create(hub, OWNER, ref, {"image": "x"})
    guid = workspaces.get(hub, OWNER, dev).body["properties"]["workspaceId"]
    workspaces.delete(hub, OWNER, dev)
    assert hub.documents.scan(dev.key).documents == ()
    with pytest.raises(NotFound):
        workspaces.by_guid(hub, guid)
    fresh, is_created = workspaces.create(hub, OWNER, dev, {"location": "westus"})
    assert is_created and fresh.body["properties"]["workspaceId"] != guid


def test_a_deleted_workspace_leaves_nothing_that_a_later_one_would_find(
    hub: Hub, dev: WorkspaceScope, registry: RegistryScope
) -> None:
    shared = AssetRef(registry, ENVIRONMENT, "shared", "1")
    catalog.create(hub, OWNER, shared, {"image": "x"})
    uploaded = AssetRef(dev, DATA, "d", "1")
    address = upload(hub, uploaded, {"a.csv": "1"}, at="rows")
    catalog.create(hub, OWNER, uploaded, {"dataType": "uri_folder", "dataUri": address})
    job = records.arm_id(dev, "j")
    session = Session(hub, OWNER, dev)
    run = runs.create(session, {"run_name": "j"})["run"]["info"]["run_id"]
    history.log_metric(session, {"run_id": run, "key": "loss/train", "value": 1.0, "timestamp": 1})
    body = {"id": job, "properties": {}}
    hub.documents.commit([Put(records.key_of(dev, "j"), body), lineage.used(job, shared.id),
                          Append(records.events_of(dev, "j"), {"node": "n"})])  # fmt: skip
    assert any(dev.key in document.body.get("owner", "") for document in hub.documents.scan("containers/").documents)
    workspaces.delete(hub, OWNER, dev)
    left = hub.documents.scan("containers/").documents
    assert [found.key for found in left if found.body.get("owner") == dev.key] == []
    assert [found.key for found in left if found.key.count("/") > 1 and "azureml-" in found.key] == []
    assert not hub.documents.read(records.events_of(dev, "j"))
    assert not hub.documents.read(history.stream_of(dev, run, "loss/train"))
    catalog.delete(hub, OWNER, shared)  # nobody uses it any more


def test_workspaces_are_listed_by_group_and_by_subscription(hub: Hub) -> None:
    workspaces.create(hub, OWNER, WorkspaceScope("s1", "other", "third"), {"location": "eastus"})

    def names(**where: str) -> list[str]:
        return sorted(d.body["name"] for d in workspaces.list_(hub, OWNER, "S1", **where).documents)  # type: ignore[arg-type]

    assert names() == ["dev", "prod", "third"]
    assert names(resource_group="OTHER") == ["third"]


def test_who_may_not_know_groups_does_not_learn_which_there_are(hub: Hub, stranger: Principal) -> None:
    for group in ("other", "nope"):
        assert workspaces.list_(hub, stranger, "s1", resource_group=group).documents == ()


def test_a_workspace_that_may_not_be_read_is_not_there(hub: Hub, dev: WorkspaceScope, stranger: Principal) -> None:
    for ask in (
        lambda: workspaces.get(hub, stranger, dev),
        lambda: datastores.list_(hub, stranger, dev),
        lambda: computes.get(hub, stranger, dev, "cpu-cluster"),
    ):
        with pytest.raises(NotFound, match="may not see it"):
            ask()
    assignments.assign(hub, OWNER, role="AzureML Data Scientist", assignee=stranger.id, scope=dev.arm_id)
    assert workspaces.get(hub, stranger, dev).body["name"] == "dev"


def test_a_new_datastore_gets_a_container_and_can_become_the_default(hub: Hub, dev: WorkspaceScope) -> None:
    secret = {"credentialsType": "AccountKey", "secrets": {"key": "k3y"}}
    body = {"properties": {**AZURE_BLOB, "isDefault": True, "credentials": secret}}
    document, is_created = datastores.put(hub, OWNER, dev, "mine", body)
    assert is_created and b"k3y" not in document.raw
    assert hub.containers.describe("my-own-container") is not None
    assert datastores.default_name(hub, dev) == "mine"
    defaults = datastores.list_(hub, OWNER, dev, is_default=True).documents
    assert [d.body["name"] for d in defaults] == ["mine"]
    datastores.delete(hub, OWNER, dev, "mine")
    with pytest.raises(NotFound):
        datastores.get(hub, OWNER, dev, "mine")


def test_a_container_of_another_workspace_cannot_be_claimed(
    hub: Hub, dev: WorkspaceScope, prod: WorkspaceScope
) -> None:
    taken = datastores.container_of(hub, prod, datastores.BLOB_STORE)
    with pytest.raises(InvalidRequest, match="belongs to another workspace"):
        datastores.put(hub, OWNER, dev, "spy", {"properties": {**AZURE_BLOB, "containerName": taken}})
    with pytest.raises(StateConflict, match="containerName cannot change"):
        datastores.put(hub, OWNER, dev, datastores.BLOB_STORE, {"properties": {**AZURE_BLOB, "containerName": taken}})


def test_a_container_cannot_be_claimed_by_changing_a_datastore(
    hub: Hub, dev: WorkspaceScope, prod: WorkspaceScope
) -> None:
    datastores.put(hub, OWNER, dev, "mine", {"properties": AZURE_BLOB})
    taken = datastores.container_of(hub, prod, datastores.BLOB_STORE)
    with pytest.raises(InvalidRequest, match="belongs to another workspace"):
        datastores.put(hub, OWNER, dev, "mine", {"properties": {**AZURE_BLOB, "containerName": taken}})


def test_the_workspaces_own_datastores_stay(hub: Hub, dev: WorkspaceScope) -> None:
    with pytest.raises(StateConflict):
        datastores.delete(hub, OWNER, dev, datastores.ARTIFACT_STORE)


def test_computes_come_and_go_and_their_names_do_not_differ_by_case(hub: Hub, dev: WorkspaceScope) -> None:
    body = {"properties": {"computeType": "AmlCompute", "properties": {"vmSize": "s"}}}
    document, is_created = computes.put(hub, OWNER, dev, "Gpu-1", body)
    assert is_created and document.body["properties"]["provisioningState"] == "Succeeded"
    assert not computes.put(hub, OWNER, dev, "gpu-1", body)[1]
    computes.delete(hub, OWNER, dev, "GPU-1")
    with pytest.raises(NotFound, match="no compute 'gpu-1'"):
        computes.get(hub, OWNER, dev, "gpu-1")
    with pytest.raises(InvalidName):
        computes.put(hub, OWNER, dev, "a b", body)


def test_a_group_is_removed_with_its_registries_and_workspaces(hub: Hub, dev: WorkspaceScope) -> None:
    groups.delete(hub, OWNER, "S1", "CONTOSO-RG")
    assert groups.list_(hub, OWNER, "s1").documents == ()
    assert registries.list_(hub, OWNER).documents == ()
    with pytest.raises(NotFound):
        workspaces.get(hub, OWNER, dev)


def test_a_group_keeps_its_location_and_changes_its_tags(hub: Hub) -> None:
    created, is_new = groups.create(hub, OWNER, "s1", "g", {"location": "East US", "tags": {"a": "b"}})
    assert is_new and created.body["location"] == "eastus"
    assert groups.create(hub, OWNER, "s1", "g", {"tags": {}})[0].body["tags"] == {}
    with pytest.raises(InvalidName, match="cannot move"):
        groups.create(hub, OWNER, "s1", "g", {"location": "westus"})
    with pytest.raises(InvalidName, match="not a resource group name"):
        groups.create(hub, OWNER, "s1", "a/b", {"location": "westus"})


def test_an_operation_is_told_to_whoever_started_it(hub: Hub, stranger: Principal) -> None:
    name = operations.start(hub, OWNER, what="import", target="x").body["name"]
    assert operations.get(hub, OWNER, name).body["status"] == "InProgress"
    operations.finish(hub, name, error=InvalidRequest("no good"))
    operations.finish(hub, name)
    body = operations.get(hub, OWNER, name).body
    assert (body["status"], body["error"]["message"]) == ("Failed", "no good")
    with pytest.raises(NotFound):
        operations.get(hub, stranger, name)


def test_a_project_joins_a_hub_in_its_region_and_keeps_it_from_being_deleted(hub: Hub) -> None:
    above, below = WorkspaceScope("s1", "rg", "above"), WorkspaceScope("s1", "rg", "below")
    workspaces.create(hub, OWNER, above, {"kind": "Hub", "location": "eastus"})
    project = {"kind": "Project", "properties": {"hubResourceId": above.arm_id}}
    with pytest.raises(InvalidRequest, match="where its hub is"):
        workspaces.create(hub, OWNER, below, {**project, "location": "westus"})
    made, _ = workspaces.create(hub, OWNER, below, project)
    assert made.body["location"] == "eastus"
    found = workspaces.get(hub, OWNER, above)
    assert hubs.with_projects(hub, found).body["properties"]["associatedWorkspaces"] == [below.arm_id]
    with pytest.raises(StateConflict, match="below"):
        workspaces.delete(hub, OWNER, above)
    workspaces.delete(hub, OWNER, below)
    workspaces.delete(hub, OWNER, above)


def test_a_project_needs_a_hub_that_is_one_and_may_be_joined(hub: Hub, dev: WorkspaceScope) -> None:
    scope = WorkspaceScope("s1", "rg", "below")
    with pytest.raises(InvalidRequest, match="hubResourceId"):
        workspaces.create(hub, OWNER, scope, {"kind": "Project"})
    for wrong in (dev.arm_id, dev.arm_id + "-not"):
        with pytest.raises(NotFound, match="no hub"):
            workspaces.create(hub, OWNER, scope, {"kind": "Project", "properties": {"hubResourceId": wrong}})
    with pytest.raises(Unsupported):
        workspaces.create(hub, OWNER, scope, {"kind": "FeatureStore"})


def test_resources_that_a_workspace_names_are_found_and_no_others(hub: Hub, dev: WorkspaceScope) -> None:
    vault = workspaces.get(hub, OWNER, dev).body["properties"]["keyVault"]
    found = dependents.get(hub, OWNER, dev.subscription, dev.resource_group, vault)
    assert (found["id"], found["type"]) == (vault, "Microsoft.KeyVault/vaults")
    dependents.delete(hub, OWNER, dev.subscription, dev.resource_group, vault)
    with pytest.raises(NotFound, match="names it"):
        dependents.get(hub, OWNER, dev.subscription, dev.resource_group, vault + "x")


def test_passwords_of_machines_that_nobody_logs_in_to_are_not_kept(hub: Hub, dev: WorkspaceScope) -> None:
    login = {"userAccountCredentials": {"adminUserName": "u", "adminUserPassword": "secret"}}
    body = {"properties": {"computeType": "AmlCompute", "properties": login}}
    assert "secret" not in str(computes.put(hub, OWNER, dev, "big", body)[0].body)
