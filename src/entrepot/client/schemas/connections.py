"""What the files of connections may say."""

from entrepot.client.schemas.checks import anything, boolean, fields, one_of, optional, table, tags, text
from entrepot.client.shapes.connections import CATEGORIES, CREDENTIALS

_CREDENTIALS = fields(
    {
        "type": one_of(*CREDENTIALS),
        **{name: optional(text()) for _, names in CREDENTIALS.values() for name in names},
    },
    required=("type",),
    what="the credentials",
)

CONNECTION = fields(
    {
        "$schema": anything,
        "name": text("my_feed"),
        "description": optional(text()),
        "tags": tags(),
        "type": one_of(*CATEGORIES),
        "target": optional(text("https://pkgs.example.com/simple")),
        "endpoint": optional(text("https://example.com")),
        "azure_endpoint": optional(text("https://example.openai.azure.com")),
        "api_base": optional(text("https://example.com")),
        "url": optional(text("https://account.blob.core.windows.net/container")),
        "api_key": optional(text()),
        "api_version": optional(text("2024-06-01")),
        "api_type": optional(text("azure")),
        "open_ai_resource_id": optional(text()),
        "ai_services_resource_id": optional(text()),
        "account_name": optional(text("mystorage")),
        "container_name": optional(text("data")),
        "one_lake_workspace_name": optional(text()),
        "artifact": anything,
        "credentials": optional(_CREDENTIALS),
        "configs": table(text("value"), example="such as {region: eastus}"),
        "secrets": table(text("value"), example="such as {key: ...}"),
        "metadata": optional(table(anything)),
        "is_shared": boolean,
    },
    required=("name", "type"),
    what="a connection",
)
