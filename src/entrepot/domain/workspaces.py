"""Workspaces: create, read, update, delete, find by GUID. What they hold: `datastores.py`, `computes.py`, `assets/`.

A workspace has a GUID for life, two datastores with a container each, and the compute target `cpu-cluster`.
"""

from collections.abc import Collection
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import Region, Scope, WorkspaceScope, check_workspace_name
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, audit, computes, datastores, groups, removal
from entrepot.domain.authorization import sight
from entrepot.domain.authorization.visible import listed
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import API_ORIGIN, created_by, home, missing, modified_by, offered_region, open_regions
from entrepot.domain.surroundings import hubs
from entrepot.store.documents import Document, Facet, Page, Put, View

Json = Any

READ = f"{PROVIDER}/workspaces/read"
WRITE = f"{PROVIDER}/workspaces/write"
DELETE = f"{PROVIDER}/workspaces/delete"

REGIONS_SPACE = "regions"
"""Facet space in which workspaces are found by their region."""


_TRUTHS = ("hbiWorkspace", "v1LegacyMode", "enableDataIsolation", "allowRoleAssignmentOnRG", "provisionNetworkNow")
IDS = "workspaceids"
"""Collection of the documents that find a workspace by its GUID."""


def create(
    hub: Hub, principal: Principal, scope: WorkspaceScope, body: Json, *, request_id: str = ""
) -> tuple[Document, bool]:
    """Create a workspace from an ARM body (`location`, `tags`, `identity`, `kind`, `properties`), or update it."""
    check_workspace_name(scope.name)
    return settled(lambda: _create(hub, principal, scope, body, request_id))


def _create(
    hub: Hub, principal: Principal, scope: WorkspaceScope, body: Json, request_id: str
) -> tuple[Document, bool]:
    group_key = groups.key_of(scope.subscription, scope.resource_group)
    existing = hub.documents.get(scope.key)
    if existing is None or not sight.sees(hub, principal, scope, WRITE):
        access.require(hub, principal, WRITE, group_key, target=scope.arm_id, request_id=request_id)
    if existing is not None:
        return _update(hub, principal, scope, body, request_id), False
    above = hubs.joined(hub, principal, body, request_id=request_id)
    location = body.get("location") or (above.body["location"] if above else _group_location(hub, group_key))
    region = offered_region(hub, location)
    if above and above.body["location"] != region:
        raise InvalidRequest(f"A project is where its hub is, in {above.body['location']}: got {location}")
    fresh = _new_body(hub, principal, scope, region, body)
    guid = fresh["entrepot"]["guid"]
    stores = datastores.new_defaults(hub, principal, scope, region, guid)
    pointer = {"key": scope.key, "id": scope.arm_id}
    facets = (
        Facet(group_key.rpartition("/resourcegroups/")[0], "type", "workspace"),
        Facet(REGIONS_SPACE, "workspace", region),
        *hubs.facets(above),
    )
    documents = hub.documents.commit(
        [
            Put(scope.key, fresh, match=0, facets=facets),
            Put(f"{IDS}/{guid}", pointer, match=0),
            *stores,
            computes.new_default(hub, principal, scope, region),
            *groups.ensured(hub, principal, scope.subscription, scope.resource_group, location),
            audit.record(principal, WRITE, target=scope.arm_id, now=hub.clock.now(), request_id=request_id),
        ]
    )
    open_regions(hub, [region])
    return documents[0], True


def get(hub: Hub, principal: Principal, scope: WorkspaceScope) -> Document:
    """Return a workspace's document. Raises NotFound."""
    document = hub.documents.get(scope.key)
    if document is None:
        raise NotFound(missing(scope), hint="az ml workspace list shows what there is")
    access.require_visible(hub, principal, READ, scope.key, what=f"The {scope}")
    return document


def list_(
    hub: Hub,
    principal: Principal,
    subscription: str,
    *,
    resource_group: str | None = None,
    kinds: Collection[str] = (),
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a page of a group's or a subscription's workspaces that the principal may see, of all kinds or some.

    Raises GroupNotFound.
    """
    if resource_group is not None:
        groups.check(hub, principal, subscription, resource_group)

    def fetch(after: str | None, limit: int) -> Page:
        if resource_group is not None:
            collection = groups.key_of(subscription, resource_group) + "/workspaces"
            page = hub.documents.list(collection, view=View.ALL, after=after, limit=limit)
        else:
            space = f"subscriptions/{subscription.lower()}"
            page = hub.documents.find(space, "type", "workspace", view=View.ALL, after=after, limit=limit)
        return Page(tuple(d for d in page.documents if hubs.kind_of(d.body) in kinds), page.next) if kinds else page

    return listed(hub, principal, READ, fetch, after=after, limit=limit)


def update(hub: Hub, principal: Principal, scope: WorkspaceScope, body: Json, *, request_id: str = "") -> Document:
    """Change tags, identity and properties; what the body leaves out stays. Raises NotFound, InvalidRequest."""
    return settled(lambda: _update(hub, principal, scope, body, request_id))


def _update(hub: Hub, principal: Principal, scope: WorkspaceScope, body: Json, request_id: str) -> Document:
    document = get(hub, principal, scope)
    access.require(hub, principal, WRITE, scope.key, request_id=request_id)
    stored = document.body
    if stored["properties"]["provisioningState"] == removal.DELETING:
        raise StateConflict(f"The {scope} is being deleted")
    location = body.get("location")
    if location and offered_region(hub, location) != stored["location"]:
        raise InvalidRequest(
            f"Workspace {stored['name']} is in {stored['location']} for life: it cannot move to {location}",
            target="location",
        )
    for name in ("tags", "identity", "sku"):
        if body.get(name) is not None:
            stored[name] = {**stored[name], **body[name]} if name == "identity" else body[name]
    fixed = ("workspaceId", "provisioningState", "discoveryUrl", "mlFlowTrackingUri", "hubResourceId")
    incoming = _typed(body.get("properties") or {})
    stored["properties"] |= {name: value for name, value in incoming.items() if name not in fixed}
    stored["systemData"] = modified_by(stored["systemData"], principal, hub.clock.now())
    record = audit.record(principal, WRITE, target=stored["id"], now=hub.clock.now(), request_id=request_id)
    return hub.documents.commit([Put(scope.key, stored, match=document.revision, facets=None), record])[0]


def delete(hub: Hub, principal: Principal, scope: WorkspaceScope, *, request_id: str = "") -> None:
    """Delete a workspace with its assets and jobs. Raises NotFound, AccessDenied."""
    document = get(hub, principal, scope)
    access.require(hub, principal, DELETE, scope.key, request_id=request_id)
    hubs.require_empty(hub, document)
    body = document.body
    record = audit.record(principal, DELETE, target=body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([*removal.mark(document), record])
    removal.empty(hub, scope.key, body["entrepot"]["guid"])


def region_of(hub: Hub, scope: Scope) -> Region:
    """Return a workspace's region, or a registry's primary one. Raises NotFound."""
    return home(hub, scope).region


def by_guid(hub: Hub, guid: str) -> WorkspaceScope:
    """Return the workspace with this GUID. Raises NotFound."""
    pointer = hub.documents.get(f"{IDS}/{guid}")
    if pointer is None:
        raise no_such_id(guid)
    parts = pointer.body["id"].strip("/").split("/")
    return WorkspaceScope(parts[1], parts[3], parts[7])


def no_such_id(guid: str) -> NotFound:
    """Return the error that no workspace has this GUID, or none that may be seen."""
    return NotFound(f"There is no workspace with the id {guid}")


def _group_location(hub: Hub, group_key: str) -> str:
    group = hub.documents.get(group_key)
    if group is None:
        return hub.settings.regions[0]
    location: str = group.body["location"]
    return location


def _typed(properties: Json) -> dict[str, Json]:
    """Return what a body says, with truth values as such: azure-ai-ml's template has them as texts."""
    words = {"true": True, "false": False}
    said = {name: value for name, value in properties.items() if value is not None}
    return said | {name: words.get(str(said[name]).lower(), said[name]) for name in _TRUTHS if name in said}


def _new_body(hub: Hub, principal: Principal, scope: WorkspaceScope, region: Region, given: Json) -> dict[str, Json]:
    guid = hub.new_id()
    group_id = groups.arm_id(scope.subscription, scope.resource_group)
    short = guid.replace("-", "")[:12]
    properties: dict[str, Json] = {
        "friendlyName": scope.name,
        "description": "",
        "publicNetworkAccess": "Enabled",
        "hbiWorkspace": False,
        "v1LegacyMode": False,
        "storageAccount": f"{group_id}/providers/Microsoft.Storage/storageAccounts/st{short}",
        "keyVault": f"{group_id}/providers/Microsoft.KeyVault/vaults/kv{short}",
        "applicationInsights": f"{group_id}/providers/Microsoft.Insights/components/ai{short}",
    }
    properties |= _typed(given.get("properties") or {})
    properties |= {
        "workspaceId": guid,
        "discoveryUrl": f"{API_ORIGIN}/discovery/{guid}",
        "mlFlowTrackingUri": f"{API_ORIGIN}/mlflow/v2.0{scope.arm_id}",
        "provisioningState": "Succeeded",
        "tenantId": hub.settings.tenant,
    }
    identity = {"principalId": hub.new_id(), "tenantId": hub.settings.tenant}
    return {
        "id": scope.arm_id,
        "name": scope.name,
        "type": f"{PROVIDER}/workspaces",
        "location": region,
        "kind": given.get("kind") or "Default",
        "tags": given.get("tags") or {},
        "identity": {"type": "SystemAssigned", **(given.get("identity") or {}), **identity},
        "sku": given.get("sku") or {"name": "Basic", "tier": "Basic"},
        "systemData": created_by(principal, hub.clock.now()),
        "properties": properties,
        "entrepot": {"guid": guid},
    }


create_group = groups.create
get_group = groups.get
list_groups = groups.list_
delete_group = groups.delete
