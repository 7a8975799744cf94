"""What `az ml` prints of registries, workspaces, datastores and compute targets."""

from __future__ import annotations

from entrepot.client.shapes.naming import creation_context, resource, snake, snake_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = Any

WORKSPACE_NAMES = {
    "friendlyName": "display_name",
    "discoveryUrl": "discovery_url",
    "mlFlowTrackingUri": "mlflow_tracking_uri",
    "imageBuildCompute": "image_build_compute",
}


def registry(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a registry as `az ml registry show` prints it."""
    properties = document.get("properties") or {}
    shown = resource(document) | {
        "location": document.get("location"),
        "tags": document.get("tags") or {},
        "replication_locations": [_region(detail) for detail in properties.get("regionDetails") or ()],
        "public_network_access": properties.get("publicNetworkAccess") or "Enabled",
        "read_access": str(properties.get("readAccess") or "rbac").lower(),
        "discovery_url": properties.get("discoveryUrl"),
        "mlflow_registry_uri": properties.get("mlFlowRegistryUri"),
        "managed_resource_group": (properties.get("managedResourceGroup") or {}).get("resourceId"),
        "creation_context": creation_context(document.get("systemData")),
    }
    for sent in ("description", "displayName", "provisioningState"):
        if properties.get(sent):
            shown[snake(sent)] = properties[sent]
    if document.get("identity"):
        shown["identity"] = snake_fields(document["identity"])
    return {name: item for name, item in shown.items() if item is not None}


def _region(detail: Mapping[str, Json]) -> dict[str, Json]:
    shown: dict[str, Json] = {"location": detail.get("location")}
    accounts = detail.get("storageAccountDetails") or ()
    if accounts:
        account = accounts[0].get("systemCreatedStorageAccount") or {}
        shown["storage_config"] = {
            "storage_account_hns": bool(account.get("storageAccountHnsEnabled")),
            "storage_account_type": str(account.get("storageAccountType") or "Standard_LRS"),
        }
    return shown


def workspace(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a workspace as `az ml workspace show` prints it."""
    properties = document.get("properties") or {}
    shown = resource(document) | {
        "location": document.get("location"),
        "kind": document.get("kind"),
        "tags": document.get("tags") or {},
        "resource_group": str(document.get("id") or "").split("/")[4:5][0],
        "creation_context": creation_context(document.get("systemData")),
    }
    for sent, item in properties.items():
        if item is not None and not isinstance(item, dict | list):
            shown.setdefault(WORKSPACE_NAMES.get(sent) or snake(sent), item)
    if document.get("identity"):
        shown["identity"] = snake_fields(document["identity"])
    return shown


def datastore(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a datastore as `az ml datastore show` prints it; secrets are never shown."""
    properties = document.get("properties") or {}
    fields = snake_fields(properties)
    kind = fields.pop("datastore_type", "")
    credentials = fields.pop("credentials", None) or {}
    kept = {"credentials_type": snake(str(credentials.get("credentialsType") or "None"))}
    shown = resource(document) | fields | {"type": snake(kind), "tags": properties.get("tags") or {}}
    if kept["credentials_type"] != "none":
        shown["credentials"] = kept
    return shown


def compute(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a compute target as `az ml compute show` prints it."""
    properties = document.get("properties") or {}
    inner = properties.get("properties") or {}
    scale = inner.get("scaleSettings") or {}
    shown = resource(document) | {
        "type": str(properties.get("computeType") or "").lower(),
        "location": document.get("location"),
        "tags": document.get("tags") or {},
        "provisioning_state": properties.get("provisioningState"),
        "size": inner.get("vmSize"),
        "tier": snake(inner["vmPriority"]) if inner.get("vmPriority") else None,
        "min_instances": scale.get("minNodeCount"),
        "max_instances": scale.get("maxNodeCount"),
        "idle_time_before_scale_down": seconds(scale.get("nodeIdleTimeBeforeScaleDown")),
        "description": properties.get("description"),
    }
    return {name: item for name, item in shown.items() if item is not None}


def seconds(duration: str | None) -> int | None:
    """Return an ISO 8601 duration such as PT2M in seconds; None when there is none."""
    if not duration:
        return None
    total, number = 0, ""
    units = {"D": 86400, "H": 3600, "M": 60, "S": 1}
    for letter in duration.upper().removeprefix("P").replace("T", ""):
        if letter in units:
            total += int(float(number or 0) * units[letter])
            number = ""
        else:
            number += letter
    return total
