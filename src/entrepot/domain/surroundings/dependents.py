"""What a workspace of Azure has beside it (a storage account, a vault, insights): here, names in its document.

Clients look at them and delete them with the workspace (`delete_dependent_resources`); there is nothing behind them.
"""

from typing import Any

from entrepot.core.errors import NotFound
from entrepot.domain import access, workspaces
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document

Json = Any

TYPES = (
    "Microsoft.Insights/components",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.KeyVault/vaults",
    "Microsoft.ContainerRegistry/registries",
)
"""Types of which workspaces name a resource."""

_FIELDS = ("applicationInsights", "storageAccount", "keyVault", "containerRegistry")
_PAGE = 1000


def get(hub: Hub, principal: Principal, subscription: str, group: str, id: str) -> dict[str, Json]:
    """Return a resource that a workspace of the group names, as ARM shows any. Raises NotFound."""
    workspace = _owner(hub, principal, subscription, group, id)
    provider, kind, name = id.rpartition("/providers/")[2].split("/")
    return {
        "id": id, "name": name, "type": f"{provider}/{kind}", "location": workspace.body["location"], "tags": {},
        "properties": {"provisioningState": "Succeeded"},
    }  # fmt: skip


def delete(hub: Hub, principal: Principal, subscription: str, group: str, id: str, *, request_id: str = "") -> None:
    """Do nothing for who may delete the workspace that names the resource. Raises NotFound, AccessDenied."""
    workspace = _owner(hub, principal, subscription, group, id)
    access.require(hub, principal, workspaces.DELETE, workspace.key, request_id=request_id)


def _owner(hub: Hub, principal: Principal, subscription: str, group: str, id: str) -> Document:
    after: str | None = ""
    while after is not None:
        page = workspaces.list_(hub, principal, subscription, resource_group=group, after=after or None, limit=_PAGE)
        for document in page.documents:
            properties = document.body["properties"]
            if any(str(properties.get(field) or "").lower() == id.lower() for field in _FIELDS):
                return document
        after = page.next
    raise NotFound(f"There is no resource {id}: no workspace of the group {group} names it")
