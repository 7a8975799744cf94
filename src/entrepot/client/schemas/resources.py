"""What the files of registries, workspaces, datastores and compute targets may say."""

from entrepot.client.schemas.checks import (
    Check,
    anything,
    boolean,
    fields,
    integer,
    items,
    one_of,
    optional,
    tags,
    text,
)

_COMMON: dict[str, Check] = {
    "$schema": anything,
    "name": text("contoso"),
    "description": optional(text()),
    "tags": tags(),
}
_ACCESS = one_of("Enabled", "Disabled")
_STORAGE = fields(
    {"storage_account_hns": boolean, "storage_account_type": text("Standard_LRS"), "replication_count": integer}
)
_PLACE = fields(
    {"location": text("eastus"), "storage_config": _STORAGE, "acr_config": anything},
    required=("location",),
    what="a place",
)

REGISTRY = fields(
    {
        **_COMMON,
        "display_name": text(),
        "location": text("eastus"),
        "replication_locations": items(
            fields(
                {"location": text("eastus"), "storage_config": _STORAGE, "acr_config": anything}, required=("location",)
            ),
            example="[{location: eastus}]",
        ),
        "public_network_access": _ACCESS,
        "read_access": one_of("rbac", "tenant"),
        "container_registry": anything,
        "intellectual_property": anything,
        "managed_resource_group": anything,
    },
    required=("name", "location"),
    what="a registry",
)

WORKSPACE = fields(
    {
        **_COMMON,
        "display_name": text(),
        "location": text("eastus"),
        "resource_group": text("contoso-rg"),
        "public_network_access": _ACCESS,
        "hbi_workspace": boolean,
        "storage_account": text(),
        "container_registry": text(),
        "key_vault": text(),
        "application_insights": text(),
        "image_build_compute": text(),
        "identity": anything,
        "customer_managed_key": anything,
        "managed_network": anything,
        "kind": text(),
        "hub_id": text(),
    },
    required=("name",),
    what="a workspace",
)

DATASTORE = fields(
    {
        **_COMMON,
        "type": one_of("azure_blob", "azure_file", "azure_data_lake_gen1", "azure_data_lake_gen2", "one_lake"),
        "account_name": text("mystorage"),
        "container_name": text("data"),
        "file_share_name": text(),
        "filesystem": text(),
        "endpoint": text("core.windows.net"),
        "protocol": one_of("http", "https"),
        "credentials": anything,
        "properties": tags(),
    },
    required=("name", "type"),
    what="a datastore",
)

COMPUTE = fields(
    {
        **_COMMON,
        "type": one_of("amlcompute", "computeinstance", "kubernetes", "virtualmachine"),
        "size": text("Standard_DS3_v2"),
        "location": text("eastus"),
        "tier": one_of("dedicated", "low_priority"),
        "min_instances": integer,
        "max_instances": integer,
        "idle_time_before_scale_down": integer,
        "ssh_public_access_enabled": boolean,
        "ssh_settings": anything,
        "network_settings": anything,
        "identity": anything,
        "enable_node_public_ip": boolean,
        "resource_id": text(),
    },
    required=("name", "type"),
    what="a compute target",
)
