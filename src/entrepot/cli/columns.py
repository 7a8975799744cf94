"""The columns of lists as tables: what fits a terminal and is read most. `--query` chooses others."""

_DEPLOYMENT = ("name", "properties.provisioningState", "properties.timestamp", "properties.mode")
COLUMNS: dict[str, tuple[str, ...]] = {
    "group": ("name", "location", "properties.provisioningState"),
    "deployment group": _DEPLOYMENT,
    "deployment sub": _DEPLOYMENT,
    "registry": ("name", "location", "provisioning_state", "public_network_access", "resourceGroup", "description"),
    "workspace": ("name", "display_name", "location", "provisioning_state", "resourceGroup", "description"),
    "datastore": ("name", "type", "is_default", "account_name", "container_name"),
    "compute": ("name", "type", "size", "min_instances", "max_instances", "provisioning_state"),
    "model": ("name", "version", "type", "stage", "created_at", "description"),
    "environment": ("name", "version", "image", "created_at", "description"),
    "component": ("name", "version", "display_name", "type", "created_at", "description"),
    "data": ("name", "version", "type", "created_at", "description"),
    "batch-endpoint": ("name", "defaults", "provisioning_state", "location", "description"),
    "batch-deployment": ("name", "endpoint_name", "type", "model", "component", "compute", "provisioning_state"),
    "ad app": ("displayName", "id", "appId", "createdDateTime"),
    "ad sp": ("displayName", "id", "appId", "createdDateTime"),
    "role assignment": ("principalName", "roleDefinitionName", "scope"),
    "role definition": ("roleName", "roleType", "description"),
    "job": ("name", "display_name", "type", "status", "experiment_name", "component", "created_at"),
}
SINGLE = ("deployment group", "deployment sub")
"""Where one thing is shown as a list of it is: what matters of it is not at its top, as in az."""
TITLES = {
    "properties.provisioningState": "State", "properties.timestamp": "Timestamp", "properties.mode": "Mode",
    "principalName": "Principal", "roleDefinitionName": "Role", "roleName": "Name", "roleType": "Type",
}  # fmt: skip
SECONDS = len("2026-11-23T10:00:00")


def rows(command: str, value: object) -> object:
    """Return a list's items with the columns of their noun, in that order; other values as they are."""
    noun, _, verb = command.rpartition(" ")
    columns = COLUMNS.get(noun) if verb == "list" or noun in SINGLE else None
    if isinstance(value, dict) and "mode" in value.get("properties", ()):
        value = [value]
    if columns is None or not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return value
    from collections import OrderedDict

    titles = [(name, TITLES.get(name, name[:1].upper() + name[1:])) for name in columns]
    return [OrderedDict((title, _cell(item, name)) for name, title in titles) for item in value]


def _cell(item: dict[str, object], name: str) -> object:
    if name == "created_at":
        context = item.get("creation_context")
        made = context.get("created_at") if isinstance(context, dict) else None
        return _short(made)
    if name == "properties.timestamp":
        return _short(_at(item, name))
    return _at(item, name)


def _at(item: object, path: str) -> object:
    for name in path.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _short(moment: object) -> str | None:
    return str(moment)[:SECONDS].replace("T", " ") if moment else None
