"""Something of every kind, called `one`, and for every route a request that gets as far as its question of rights.

The table of routes is the server's own, so a new route is asked as soon as it is there.
"""

import re
from collections.abc import Callable
from typing import Any

from entrepot.server.compose import OPERATIONS
from entrepot.wire.openapi import Operation
from tests.identity.conftest import GROUP, PROVIDER

Json = Any
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
WORKSPACE, REGISTRY = f"{PROVIDER}/workspaces/dev", f"{PROVIDER}/registries/contoso"
NAMES = {
    "subscription": "s1", "group": "rg", "workspace": "dev", "registry": "contoso", "label": "latest",
    "compute": "cpu-cluster", "id": "11111111-1111-1111-1111-111111111111",
}  # fmt: skip
ASSET = "azureml://registries/contoso/environments/one/versions/one"
SOURCE = "azureml://locations/eastus/workspaces/one/environments/one/versions/one"
ROLE = f"/subscriptions/s1/providers/Microsoft.Authorization/roleDefinitions/{READER}"
PROPERTIES: dict[str, Json] = {
    "PATCH": {"description": "mine", "tags": {"a": "b"}},
    "PUT": {
        "roleDefinitionId": ROLE, "principalId": READER, "principalType": "Group", "roleName": "Mine",
        "assignableScopes": [GROUP], "permissions": [{"actions": ["*"]}], "tags": {"a": "b"},
    },
    "POST": {"sourceAssetId": SOURCE, "destinationName": "two", "destinationVersion": "1"},
}  # fmt: skip
BODY: dict[str, Json] = {
    "location": "eastus", "registryName": "contoso", "assetId": ASSET, "keyType": "Primary", "role": "Reader",
    "before": "2020-01-01T00:00:00Z", "runId": "one", "source": "runs:/one/model", "values": [ASSET], "name": "one",
    "version": "one", "@odata.id": "https://graph/v1.0/directoryObjects/one",
}  # fmt: skip
"""Right enough for any route to get to its question of rights."""
MODELS = {"GET": "search", "POST": "create", "PATCH": "update", "DELETE": "delete"}
TRACKING = {"GET": "runs/get", "POST": "runs/create", "PATCH": "logged-models/one", "DELETE": "logged-models/one"}
ASKED = [found for found in OPERATIONS if found.action and not found.is_anonymous]


def request(operation: Operation) -> tuple[str, Json]:
    """Return the address of a route where something is, with its query, and a body that it takes."""
    method, template = operation.method, operation.template
    called = (TRACKING if "/mlflow/{endpoint:rest}" in template else MODELS).get(method, "one")
    names = {**NAMES, "endpoint": called} if "/mlflow/" in template else NAMES
    names = {**names, "path": "one/one/MLmodel"}
    path = re.sub(r"\{(\w+)(:rest)?\}", lambda found: names.get(found[1], "one"), template)
    query = "?path=one/one" if template.endswith("/artifacts") else ""
    if method == "GET":
        return path + query, None
    scope, _, kind = path.rpartition("/providers/Microsoft.Authorization/")
    properties = PROPERTIES.get(method, {})
    if kind.startswith("roleDefinitions"):
        properties = {**properties, "assignableScopes": [scope or "/"]}
    fresh = (
        {"name": "two"} if template.endswith("mlflow/registered-models/{endpoint:rest}") and method == "POST" else {}
    )
    return path + query, {**BODY, **fresh, "properties": properties}


def things() -> dict[str, Json]:
    """Return something of every kind, by address, in an order in which it can be made."""
    plain = {"properties": {"image": "docker.io/python"}}
    command = {"jobType": "Command", "command": "true", "environmentId": "azureml:one:one"}
    secret = {"authType": "ApiKey", "category": "ApiKey", "target": "https://example.com", "credentials": {"key": "k"}}
    recurrence = {"triggerType": "Recurrence", "frequency": "Day", "interval": 1}
    action = {"actionType": "CreateJob", "jobDefinition": command}
    open_registry = {"regionDetails": [{"location": "eastus"}], "readAccess": "RBAC"}
    empty = {"mode": "Incremental", "template": {"contentVersion": "1.0.0.0", "resources": []}}
    deny = {
        "denyAssignmentName": "one", "permissions": [{"actions": ["Microsoft.Nothing/*"]}],
        "principals": [{"id": READER, "type": "Group"}],
    }  # fmt: skip
    return {
        GROUP: {"location": "eastus"},
        WORKSPACE: {"location": "eastus"},
        REGISTRY: {"location": "eastus", "properties": open_registry},
        f"{WORKSPACE}/environments/one/versions/one": plain,
        f"{REGISTRY}/environments/one/versions/one": plain,
        f"{WORKSPACE}/jobs/one": {"properties": command},
        f"{WORKSPACE}/connections/one": {"properties": secret},
        f"{WORKSPACE}/datastores/one": {"properties": {"datastoreType": "AzureBlob", "containerName": "one"}},
        f"{WORKSPACE}/schedules/one": {"properties": {"trigger": recurrence, "action": action}},
        f"{WORKSPACE}/computes/one": {"location": "eastus", "properties": {"computeType": "ComputeInstance"}},
        f"{WORKSPACE}/onlineEndpoints/one": {"location": "eastus", "properties": {"authMode": "Key"}},
        f"{WORKSPACE}/batchEndpoints/one": {"location": "eastus", "properties": {"authMode": "AADToken"}},
        f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one": {"location": "eastus"},
        f"{GROUP}/providers/Microsoft.Authorization/denyAssignments/one": {"properties": deny},
        f"{GROUP}/providers/Microsoft.Resources/deployments/one": {"properties": empty},
    }  # fmt: skip


def furnish(put: Callable[[str, Json], int]) -> None:
    """Make something of every kind that needs no files. `put` sends a body to an address and returns the status."""
    for path, body in things().items():
        status = put(path, body)
        assert status < 300, (path, status)
