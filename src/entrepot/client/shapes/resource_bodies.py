"""What is sent to create registries, workspaces, datastores and compute targets."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.shapes.naming import camel_fields

Json = Any

DATASTORE_TYPES = {
    "azure_blob": "AzureBlob", "azure_file": "AzureFile", "azure_data_lake_gen1": "AzureDataLakeGen1",
    "azure_data_lake_gen2": "AzureDataLakeGen2", "one_lake": "OneLake",
}  # fmt: skip
COMPUTE_TYPES = {
    "amlcompute": "AmlCompute", "computeinstance": "ComputeInstance", "kubernetes": "Kubernetes",
    "virtualmachine": "VirtualMachine",
}  # fmt: skip
TIERS = {"dedicated": "Dedicated", "low_priority": "LowPriority"}
WORKSPACE_FIELDS = {
    "description": "description", "display_name": "friendlyName", "public_network_access": "publicNetworkAccess",
    "hbi_workspace": "hbiWorkspace", "storage_account": "storageAccount", "container_registry": "containerRegistry",
    "key_vault": "keyVault", "application_insights": "applicationInsights",
    "image_build_compute": "imageBuildCompute", "hub_id": "hubResourceId",
}  # fmt: skip


def registry(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return the body of a registry; its first location is where it lives, also when it is not repeated."""
    places = data.get("replication_locations") or []
    if data["location"] not in [place["location"] for place in places]:
        places = [{"location": data["location"]}, *places]
    sent: dict[str, Json] = {
        "name": data["name"],
        "location": data["location"],
        "identity": {"type": "SystemAssigned"},
        "tags": dict(data.get("tags") or {}),
        "properties": {
            "regionDetails": [_region(place) for place in places],
            "managedResourceGroupTags": dict(data.get("tags") or {}),
        },
    }
    if data.get("description"):
        sent["properties"]["description"] = data["description"]
    if data.get("display_name"):
        sent["properties"]["displayName"] = data["display_name"]
    if data.get("public_network_access"):
        sent["properties"]["publicNetworkAccess"] = data["public_network_access"]
    if data.get("read_access"):
        sent["properties"]["readAccess"] = data["read_access"]
    return sent


def _region(place: Mapping[str, Json]) -> dict[str, Json]:
    storage = place.get("storage_config") or {}
    account = {
        "storageAccountHnsEnabled": bool(storage.get("storage_account_hns", False)),
        "storageAccountType": storage.get("storage_account_type") or "Standard_LRS",
    }
    return {
        "location": place["location"],
        "acrDetails": [{"systemCreatedAcrAccount": {"acrAccountSku": "Premium"}}],
        "storageAccountDetails": [{"systemCreatedStorageAccount": account}],
    }


def workspace(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return the body of a workspace."""
    properties = {sent: data[name] for name, sent in WORKSPACE_FIELDS.items() if data.get(name) is not None}
    body: dict[str, Json] = {
        "location": data["location"],
        "kind": data.get("kind") or "default",
        "identity": {"type": "SystemAssigned"},
        "tags": dict(data.get("tags") or {}),
        "properties": properties,
    }
    return body


def datastore(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return the body of a datastore."""
    properties: dict[str, Json] = {
        "datastoreType": DATASTORE_TYPES[data["type"]],
        "tags": dict(data.get("tags") or {}),
        "properties": dict(data.get("properties") or {}),
        "credentials": _credentials(data.get("credentials") or {}),
    }
    plain = ("description", "account_name", "container_name", "file_share_name", "filesystem", "endpoint", "protocol")
    properties |= camel_fields({name: data[name] for name in plain if data.get(name)})
    return {"properties": properties}


def _credentials(value: Mapping[str, Json]) -> dict[str, Json]:
    for name, kind, secret in (("sas_token", "Sas", "sasToken"), ("account_key", "AccountKey", "key")):
        if value.get(name):
            return {"credentialsType": kind, "secrets": {"secretsType": kind, secret: value[name]}}
    if value.get("client_id"):
        secrets = {"secretsType": "ServicePrincipal", "clientSecret": value.get("client_secret")}
        known = camel_fields({k: v for k, v in value.items() if k != "client_secret"})
        return {"credentialsType": "ServicePrincipal", **known, "secrets": secrets}
    return {"credentialsType": "None"}


def compute(data: Mapping[str, Json], *, location: str) -> dict[str, Json]:
    """Return the body of a compute target."""
    scale: dict[str, Json] = {
        "minNodeCount": data.get("min_instances") or 0,
        "maxNodeCount": 4 if data.get("max_instances") is None else data["max_instances"],
        "nodeIdleTimeBeforeScaleDown": f"PT{data.get('idle_time_before_scale_down') or 120}S",
    }
    inner: dict[str, Json] = {
        "vmSize": data.get("size") or "STANDARD_DS3_V2",
        "vmPriority": TIERS[data.get("tier") or "dedicated"],
        "scaleSettings": scale,
        "osType": "Linux",
    }
    properties: dict[str, Json] = {
        "computeType": COMPUTE_TYPES[data["type"]],
        "properties": inner,
        "disableLocalAuth": not data.get("ssh_public_access_enabled"),
    }
    if data.get("description"):
        properties["description"] = data["description"]
    return {
        "location": data.get("location") or location,
        "tags": dict(data.get("tags") or {}),
        "properties": properties,
    }
