"""What `az ml schedule` prints of a schedule."""

from __future__ import annotations

from entrepot.client.shapes import job_views
from entrepot.client.shapes.naming import creation_context, resource, snake_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = Any


def view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a schedule as `az ml schedule show` prints it."""
    properties = document.get("properties") or {}
    trigger = snake_fields(properties.get("trigger") or {})
    kind = str(trigger.pop("trigger_type", "")).lower()
    if isinstance(trigger.get("schedule"), dict):
        trigger["schedule"] = snake_fields(trigger["schedule"])
    if trigger.get("frequency"):
        trigger["frequency"] = str(trigger["frequency"]).lower()
    shown = resource(document) | {
        "display_name": properties.get("displayName"),
        "description": properties.get("description"),
        "tags": properties.get("tags") or {},
        "is_enabled": properties.get("isEnabled") is not False,
        "provisioning_state": properties.get("provisioningState"),
        "trigger": {"type": kind, **trigger},
        "create_job": _job((properties.get("action") or {}).get("jobDefinition") or {}),
        "jobs": (document.get("entrepot") or {}).get("jobs") or [],
        "creation_context": creation_context(document.get("systemData")),
    }
    return {name: item for name, item in shown.items() if item is not None}


def _job(definition: Mapping[str, Json]) -> Json:
    if definition.get("sourceJobId") and not {"jobs", "command", "trial", "componentId"} & definition.keys():
        return f"azureml:{definition['sourceJobId']}"
    shown = job_views.view({"properties": definition})
    return {name: item for name, item in shown.items() if item not in (None, {}, "")}
