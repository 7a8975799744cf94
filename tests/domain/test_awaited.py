"""Models and data that are registered before their bytes are there: in workspaces, as in Azure."""

import pytest

from entrepot.core.digests import Digest
from entrepot.core.errors import AlreadyExists, InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import DATA, MODEL
from entrepot.domain import datastores, workspaces
from entrepot.domain.assets import catalog, sharing, uploads
from entrepot.domain.hub import Hub
from entrepot.store import snapshots
from entrepot.testing.hub import OWNER, content_of

PLACE = "azureml://datastores/workspaceblobstore/paths/later/"


def lay(hub: Hub, scope: WorkspaceScope, path: str, text: str) -> None:
    """Put a file into the workspace's default datastore, as a client that writes there does."""
    container = datastores.container_of(hub, scope, datastores.BLOB_STORE)
    store = hub.depots.of(workspaces.region_of(hub, scope))
    hub.containers.put(container, path, snapshots.keep(store, text.encode()), len(text))


def register(hub: Hub, ref: AssetRef, address: str = PLACE, **more: str) -> None:
    """Register a version that points to the address."""
    kind = {"modelType": "custom_model", "modelUri": address}
    catalog.create(hub, OWNER, ref, kind | more if ref.kind is MODEL else {"dataUri": address} | more)


def test_a_version_waits_for_its_bytes_and_keeps_those_that_are_read_first(hub: Hub, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, MODEL, "m", "1")
    register(hub, ref)
    with pytest.raises(NotFound, match="has no bytes yet: nothing lies at azureml://datastores"):
        uploads.reading(hub, OWNER, ref)
    lay(hub, dev, "later/a.txt", "first")
    place = uploads.reading(hub, OWNER, ref)
    lay(hub, dev, "later/a.txt", "second")
    assert content_of(hub, catalog.get(hub, OWNER, ref)) == {"a.txt": b"first"}
    document = catalog.get(hub, OWNER, ref)
    digest = Digest(document.body["entrepot"]["snapshot"])
    assert place.prefix == "later" and snapshots.exists(hub.depots.of(workspaces.region_of(hub, dev)), digest)
    assert document.body["properties"]["modelUri"] == PLACE
    register(hub, ref)  # the same again, now that it has bytes


def test_another_place_is_another_version(hub: Hub, dev: WorkspaceScope) -> None:
    for ref in (AssetRef(dev, MODEL, "m", "1"), AssetRef(dev, DATA, "d", "1")):
        register(hub, ref)
        register(hub, ref)
        with pytest.raises(AlreadyExists, match="path"):
            register(hub, ref, PLACE.replace("later", "other"))


def test_bytes_of_another_type_are_told_when_they_are_read(hub: Hub, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, DATA, "d", "1")
    register(hub, ref, dataType="uri_file")
    lay(hub, dev, "later/a.txt", "x")
    with pytest.raises(InvalidRequest, match="use type uri_folder"):
        uploads.reading(hub, OWNER, ref)


def test_an_mlflow_model_gets_its_flavors_when_it_comes(hub: Hub, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, MODEL, "m", "1")
    register(hub, ref, modelType="mlflow_model")
    assert catalog.get(hub, OWNER, ref).body["properties"]["flavors"] == {}
    lay(hub, dev, "later/MLmodel", "flavors: {python_function: {loader_module: x}}\n")
    uploads.reading(hub, OWNER, ref)
    assert "python_function" in catalog.get(hub, OWNER, ref).body["properties"]["flavors"]


def test_a_registry_does_not_wait_but_shares_what_came(hub: Hub, dev: WorkspaceScope, registry: RegistryScope) -> None:
    long = f"azureml:/{dev.arm_id}/datastores/workspaceblobstore/paths/later/".replace(
        "resourceGroups", "resourcegroups"
    )
    long = long.replace("/providers/Microsoft.MachineLearningServices", "")
    with pytest.raises(NotFound):
        register(hub, AssetRef(registry, MODEL, "m", "1"), long)
    ref = AssetRef(dev, MODEL, "m", "1")
    register(hub, ref)
    with pytest.raises(NotFound, match="no bytes yet"):
        sharing.share(hub, OWNER, ref, AssetRef(registry, MODEL, "m", "1"))
    lay(hub, dev, "later/a.txt", "x")
    shared = sharing.share(hub, OWNER, ref, AssetRef(registry, MODEL, "m", "1"))
    assert content_of(hub, shared) == {"a.txt": b"x"}


def test_a_datastore_that_is_not_there_is_refused_at_once(hub: Hub, dev: WorkspaceScope) -> None:
    with pytest.raises(NotFound, match="datastore 'nowhere'"):
        register(hub, AssetRef(dev, MODEL, "m", "1"), "azureml://datastores/nowhere/paths/x/")
