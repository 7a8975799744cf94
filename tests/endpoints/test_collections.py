"""Where data collection may write: datastores of the deployment's workspace, data assets that one may write."""

from dataclasses import replace
from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, InvalidRequest
from entrepot.core.ids import AssetRef
from entrepot.core.nouns import DATA
from entrepot.domain import datastores, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.endpoints import collections, data_collector
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.domain.hub import Principal
from entrepot.testing.hub import OWNER
from tests.endpoints.house import House

Json = Any
READER = Principal(id="22222222-2222-2222-2222-222222222222", name="Rita Reader")


def collector(data: str) -> Json:
    """Return a deployment's properties that collect requests as a data asset."""
    request = {"dataCollectionMode": "Enabled", "dataId": data}
    return {"dataCollector": data_collector.checked({"collections": {"request": request}})}


def asset(house: House, name: str, uri: str) -> str:
    """Register a place in a datastore and return the asset's id."""
    ref = AssetRef(house.dev, DATA, name, "1")
    return str(catalog.create(house.hub, OWNER, ref, {"dataUri": uri, "dataType": "uri_folder"})[0].body["id"])


def test_nothing_is_collected_into_another_workspace(house: House) -> None:
    other = replace(house.dev, name="other")
    workspaces.create(house.hub, OWNER, other, {"location": "eastus"})
    blue = DeploymentRef(EndpointRef(house.dev, "taxi"), "blue")
    theirs = asset(house, "theirs", datastores.uri(other, datastores.BLOB_STORE, "mdc"))
    with pytest.raises(InvalidRequest, match="what is collected stays in"):
        collections.resolved(house.hub, OWNER, blue, collector(theirs))
    ours = asset(house, "ours", datastores.uri(house.dev, datastores.BLOB_STORE, "mdc"))
    assert collections.resolved(house.hub, OWNER, blue, collector(ours))[1]["collect"]["collections"]["request"]


def test_a_data_asset_grows_only_by_the_word_of_who_may_write_it(house: House) -> None:
    blue = DeploymentRef(EndpointRef(house.dev, "taxi"), "blue")
    data = asset(house, "inputs", datastores.uri(house.dev, datastores.BLOB_STORE, "inputs"))
    assignments.assign(house.hub, OWNER, role="Reader", assignee=READER.id, scope=house.dev.arm_id)
    with pytest.raises(AccessDenied, match="data/versions/write"):
        collections.resolved(house.hub, READER, blue, collector(data))
    collections.resolved(house.hub, OWNER, blue, collector(data))
    collections.resolved(house.hub, READER, blue, collector(data))  # it grows already: nothing changes
