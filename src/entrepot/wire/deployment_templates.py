"""Deployment templates as the asset service speaks of them: all fields in one flat object. Pure.

The service is the one that azure-ai-ml 1.35 calls `azureaiassets` (api-version 2026-05-01-preview); documents of this
server are ARM's, with the fields in `properties`.
"""

from collections.abc import Mapping
from typing import Any

Json = Any

ARCHIVED, DEVELOPMENT = "Archived", "Development"
_TOLD = frozenset({"id", "name", "version", "type", "systemData", "creationContext", "provisioningState", "entrepot",
                   "createdTime", "modifiedTime", "createdBy", "modifiedBy", "isArchived", "isAnonymous",
                   "capabilities"})  # fmt: skip
"""What this server says and clients send back."""
_OURS = ("provisioningState", "isArchived", "isAnonymous", "stage")


def properties_of(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties of a template from the object that a client sent."""
    return {name: value for name, value in body.items() if name not in _TOLD}


def shown(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return a template's document as the service tells it; `entrepot` beside it, as everywhere."""
    properties = body["properties"]
    stage = ARCHIVED if properties["isArchived"] else properties.get("stage") or DEVELOPMENT
    parts = body["id"].split("/")
    return {
        "id": body["id"], "name": parts[-3], "version": parts[-1], "type": "deploymenttemplates", "stage": stage,
        **{name: value for name, value in properties.items() if name not in _OURS},
        "systemData": body["systemData"], "entrepot": body["entrepot"],
    }  # fmt: skip
