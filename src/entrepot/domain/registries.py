"""Registries: create, read, update, delete, discover. Assets: `assets/`; their copies: `replication.py`."""

from collections.abc import Sequence
from typing import Any

from entrepot.core.errors import AlreadyExists, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import Region, RegistryScope, check_registry_name
from entrepot.core.nouns import PROVIDER, registry_action
from entrepot.domain import access, audit, groups, removal, replication
from entrepot.domain.authorization import sight
from entrepot.domain.authorization.holdings import changed
from entrepot.domain.authorization.visible import listed
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import (
    API_ORIGIN,
    Home,
    created_by,
    home,
    home_of,
    missing,
    modified_by,
    offered_region,
    open_regions,
)
from entrepot.store.documents import Change, Document, Facet, Page, Put, View

Json = Any

READ = f"{PROVIDER}/registries/read"
WRITE = f"{PROVIDER}/registries/write"
DELETE = f"{PROVIDER}/registries/delete"

TENANT_READ, RBAC_READ = "Tenant", "RBAC"
"""Values of readAccess."""


def create(
    hub: Hub,
    principal: Principal,
    subscription: str,
    resource_group: str,
    name: str,
    body: Json,
    *,
    request_id: str = "",
) -> Document:
    """Create a registry from an ARM body (`location`, `tags`, `identity`, `properties.regionDetails`), or update it.

    The name is unique in the tenant. Raises InvalidRequest, InvalidName, AlreadyExists, AccessDenied.
    """
    check_registry_name(name)
    return settled(lambda: _create(hub, principal, subscription, resource_group, name, body, request_id))


def _create(
    hub: Hub, principal: Principal, subscription: str, resource_group: str, name: str, body: Json, request_id: str
) -> Document:
    scope = RegistryScope(name)
    existing = hub.documents.get(scope.key)
    if existing is None or not sight.sees(hub, principal, scope, WRITE):
        group_key = groups.key_of(subscription, resource_group)
        access.require(hub, principal, WRITE, group_key, target=f"registry {name}", request_id=request_id)
    if existing is not None:
        if not existing.body["id"].lower().startswith(groups.arm_id(subscription, resource_group).lower() + "/"):
            raise AlreadyExists(f"The registry name {name!r} is taken in this tenant; choose another one")
        return _rewrite(hub, principal, existing, body, is_whole=True, request_id=request_id)
    if name.lower() == access.PUBLIC_REGISTRY:
        access.require(hub, principal, WRITE, scope.key, request_id=request_id)
    fresh = _new_body(hub, principal, subscription, resource_group, name, body)
    changes: list[Change] = [
        *groups.ensured(hub, principal, subscription, resource_group, fresh["location"]),
        Put(RegistryScope(name).key, fresh, match=0, facets=_facets(group_key)),
        changed(RegistryScope(name).key),
        audit.record(principal, WRITE, target=fresh["id"], now=hub.clock.now(), request_id=request_id),
    ]
    documents = hub.documents.commit(changes)
    hub.grants.notice()
    made = next(document for document in documents if document.key == RegistryScope(name).key)
    open_regions(hub, home_of(made).regions)
    return made


def get(hub: Hub, principal: Principal, name: str) -> Document:
    """Return a registry's document. Raises NotFound."""
    scope = RegistryScope(name)
    document = hub.documents.get(scope.key)
    if document is None:
        raise NotFound(missing(scope), hint="az ml registry list shows what there is")
    access.require_visible(hub, principal, READ, scope.key, what=f"The {scope}")
    return document


def list_(
    hub: Hub,
    principal: Principal,
    *,
    subscription: str | None = None,
    resource_group: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a page of the registries that the principal may see: of a group, a subscription, or the tenant.

    Raises GroupNotFound.
    """
    if subscription is not None and resource_group:
        groups.check(hub, principal, subscription, resource_group)

    def fetch(after: str | None, limit: int) -> Page:
        if subscription is None:
            return hub.documents.list("registries", view=View.ALL, after=after, limit=limit)
        space = (
            groups.key_of(subscription, resource_group) if resource_group else f"subscriptions/{subscription.lower()}"
        )
        return hub.documents.find(space, "type", "registry", view=View.ALL, after=after, limit=limit)

    return listed(hub, principal, READ, fetch, after=after, limit=limit)


def update(hub: Hub, principal: Principal, name: str, body: Json, *, request_id: str = "") -> Document:
    """Change tags, description, access and regions (PATCH); what the body leaves out stays."""

    def attempt() -> Document:
        return _rewrite(hub, principal, get(hub, principal, name), body, is_whole=False, request_id=request_id)

    return settled(attempt)


def delete(hub: Hub, principal: Principal, name: str, *, request_id: str = "") -> None:
    """Delete a registry and its assets. Raises NotFound, AccessDenied."""
    document = get(hub, principal, name)
    access.require(hub, principal, DELETE, document.key, request_id=request_id)
    body = document.body
    record = audit.record(principal, DELETE, target=body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([*removal.mark(document), record])
    removal.empty(hub, document.key, body["entrepot"]["guid"])


def regions_of(hub: Hub, name: str) -> tuple[Region, ...]:
    """Return the registry's regions, the primary first. Raises NotFound."""
    return home(hub, RegistryScope(name)).regions


def discovery(hub: Hub, principal: Principal, name: str) -> dict[str, Json]:
    """Return where a registry is, to whoever may see anything of it. Raises NotFound."""
    sight.require_noted(hub, principal, RegistryScope(name), registry_action("read"))
    found: Home = home(hub, RegistryScope(name))
    _, subscription, _, group, *_ = found.arm_id.strip("/").split("/")
    return {
        "registryName": found.scope.name,
        "location": found.region,
        "primaryRegionResourceProviderUri": f"{API_ORIGIN}/",  # azure-ai-ml appends to it: the slash must be there
        "resourceGroup": group,
        "subscriptionId": subscription,
        "registryFqdns": {region: {"uri": f"{API_ORIGIN}/"} for region in found.regions},
    }


def _facets(group_key: str) -> tuple[Facet, ...]:
    return (
        Facet(group_key, "type", "registry"),
        Facet(group_key.rpartition("/resourcegroups/")[0], "type", "registry"),
    )


def _new_body(
    hub: Hub, principal: Principal, subscription: str, resource_group: str, name: str, body: Json
) -> dict[str, Json]:
    given: dict[str, Json] = dict(body)
    properties = dict(given.get("properties") or {})
    guid = hub.new_id()
    regions = _regions_in(hub, given, properties)
    group_id = groups.arm_id(subscription, resource_group)
    managed = f"/subscriptions/{subscription}/resourceGroups/azureml-rg-{name}_{guid}"
    properties |= {
        "regionDetails": [_region_detail(properties, region, name, managed) for region in regions],
        "discoveryUrl": f"{API_ORIGIN}/registrymanagement/v1.0/registries/{name}/discovery",
        "mlFlowRegistryUri": f"{API_ORIGIN}/mlflow/v2.0{group_id}/providers/{PROVIDER}/registries/{name}",
        "managedResourceGroup": {"resourceId": managed},
        "publicNetworkAccess": properties.get("publicNetworkAccess") or "Enabled",
        "readAccess": _read_access(properties.get("readAccess") or RBAC_READ),
        "registryPrivateEndpointConnections": [],
        "provisioningState": "Succeeded",
    }
    return {
        "id": f"{group_id}/providers/{PROVIDER}/registries/{name}",
        "name": name,
        "type": f"{PROVIDER}/registries",
        "location": regions[0],
        "tags": given.get("tags") or {},
        "identity": _identity(hub, given),
        "sku": given.get("sku") or {"name": "Basic", "tier": "Basic"},
        "systemData": created_by(principal, hub.clock.now()),
        "properties": properties,
        "entrepot": {"guid": guid},
    }


def _identity(hub: Hub, given: dict[str, Json]) -> dict[str, Json]:
    kind = (given.get("identity") or {}).get("type") or "SystemAssigned"
    return {"type": kind, "principalId": hub.new_id(), "tenantId": hub.settings.tenant}


def _regions_in(hub: Hub, given: dict[str, Json], properties: dict[str, Json]) -> list[Region]:
    details = properties.get("regionDetails") or []
    listed = [offered_region(hub, str(detail.get("location") or "")) for detail in details]
    if not given.get("location") and not listed:
        raise InvalidRequest(
            f"A registry needs a location, one of {', '.join(hub.settings.regions)}", target="location"
        )
    primary = offered_region(hub, given["location"]) if given.get("location") else listed[0]
    return list(dict.fromkeys([primary, *listed]))


def _region_detail(properties: dict[str, Json], region: Region, name: str, managed: str) -> dict[str, Json]:
    given: dict[str, Json] = next(
        (d for d in properties.get("regionDetails") or [] if str(d.get("location", "")).lower() == region), {}
    )
    storage = _first(given.get("storageAccountDetails"), "systemCreatedStorageAccount")
    images = _first(given.get("acrDetails"), "systemCreatedAcrAccount")
    account = "".join(c for c in name.lower() if c.isalnum())[:16] + region[:8]
    storage = {
        "storageAccountType": "Standard_LRS",
        "storageAccountHnsEnabled": False,
        "allowBlobPublicAccess": False,
        **{key: value for key, value in storage.items() if value is not None},
        "storageAccountName": account,
        "armResourceId": {"resourceId": f"{managed}/providers/Microsoft.Storage/storageAccounts/{account}"},
    }
    images = {
        "acrAccountSku": "Premium",
        **{key: value for key, value in images.items() if value is not None},
        "acrAccountName": account,
        "armResourceId": {"resourceId": f"{managed}/providers/Microsoft.ContainerRegistry/registries/{account}"},
    }
    return {
        **given,
        "location": region,
        "storageAccountDetails": [{"systemCreatedStorageAccount": storage}],
        "acrDetails": [{"systemCreatedAcrAccount": images}],
    }


def _first(details: Json, name: str) -> dict[str, Json]:
    return dict((details or [{}])[0].get(name) or {})


def _rewrite(
    hub: Hub, principal: Principal, document: Document, given: Json, *, is_whole: bool, request_id: str
) -> Document:
    access.require(hub, principal, WRITE, document.key, request_id=request_id)
    before = home_of(document)
    if before.is_deleting:
        raise StateConflict(f"The {before.scope} is being deleted")
    body, incoming = document.body, dict(given.get("properties") or {})
    if given.get("tags") is not None:
        body["tags"] = given["tags"] if is_whole else {**body["tags"], **given["tags"]}
    _check_fixed(hub, body, given)
    regions = list(before.regions)
    if incoming.get("regionDetails"):
        regions = _regions_in(hub, {"location": body["location"]}, incoming)
        managed = body["properties"]["managedResourceGroup"]["resourceId"]
        incoming["regionDetails"] = [_region_detail(incoming, region, body["name"], managed) for region in regions]
    kept = ("provisioningState", "managedResourceGroup", "discoveryUrl", "mlFlowRegistryUri")
    if incoming.get("readAccess") is not None:
        incoming["readAccess"] = _read_access(incoming["readAccess"])
    body["properties"] |= {key: value for key, value in incoming.items() if value is not None and key not in kept}
    body["systemData"] = modified_by(body["systemData"], principal, hub.clock.now())
    changes: Sequence[Change] = [
        Put(document.key, body, match=document.revision, facets=None),
        *replication.regions_changed(hub, before, regions),
        changed(document.key),
        audit.record(principal, WRITE, target=body["id"], now=hub.clock.now(), request_id=request_id),
    ]
    written = hub.documents.commit(changes)[0]
    hub.grants.notice()
    return written


def _read_access(given: Json) -> str:
    """Return the spelling of who reads a registry without a role: everybody in the tenant, or nobody."""
    known = {word.lower(): word for word in (TENANT_READ, RBAC_READ)}
    if str(given).lower() not in known:
        raise InvalidRequest(
            f"readAccess is {TENANT_READ} (everybody in the tenant reads) or {RBAC_READ} (only who has a role): got "
            f"{given!r}",
            target="readAccess",
        )
    return known[str(given).lower()]


def _check_fixed(hub: Hub, body: dict[str, Json], given: Json) -> None:
    if given.get("location") and offered_region(hub, given["location"]) != body["location"]:
        raise InvalidRequest(
            f"The location of registry {body['name']} is {body['location']} for life: it cannot become "
            f"{given['location']}. Add it to replication_locations instead",
            target="location",
        )
