"""Managed identities: ARM resources in a group, each with a service principal of its own and without a secret.

Whoever has the home's secret may act as any of them (`/msi/token`), as code on a machine of Azure acts as those of it.
"""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidName, NotFound
from entrepot.domain import access, audit, groups
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory
from entrepot.domain.scopes import offered_region
from entrepot.store.documents import ABSENT, Change, Delete, Document, Page, Put, View

Json = Any

TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"
READ, WRITE, DELETE = (f"{TYPE}/{verb}" for verb in ("read", "write", "delete"))


def arm_id(subscription: str, group: str, name: str) -> str:
    """Return the ARM id of an identity."""
    return f"{groups.arm_id(subscription, group)}/providers/{TYPE}/{name}"


def put(
    hub: Hub, principal: Principal, subscription: str, group: str, name: str, body: Mapping[str, Json],
    *, request_id: str = "",
) -> tuple[Document, bool]:  # fmt: skip
    """Create an identity with its principal, or change its tags; tell whether it is new."""
    if not 3 <= len(name) <= 128 or not all(c.isalnum() or c in "-_" for c in name):
        raise InvalidName(f"{name!r} is no name of an identity: use 3 to 128 letters, digits, '-' or '_'")
    key = _key(subscription, group, name)
    access.require(hub, principal, WRITE, _group_key(subscription, group), request_id=request_id)
    groups.get(hub, principal, subscription, group)
    existing = hub.documents.get(key)
    record = audit.record(
        principal, WRITE, target=arm_id(subscription, group, name), now=hub.clock.now(), request_id=request_id
    )
    if existing is not None:
        fresh = {**existing.body, "tags": body.get("tags") or existing.body["tags"]}
        return hub.documents.commit([Put(key, fresh, match=existing.revision), record])[0], False
    id, client_id = hub.new_id(), hub.new_id()
    location = offered_region(hub, str(body.get("location") or hub.settings.regions[0]))
    fresh = {
        "id": arm_id(subscription, group, name), "name": name, "type": TYPE, "location": location,
        "tags": body.get("tags") or {},
        "properties": {"tenantId": hub.settings.tenant, "principalId": id, "clientId": client_id},
    }  # fmt: skip
    told = {
        "displayName": name, "appId": client_id, "servicePrincipalType": "ManagedIdentity",
        "alternativeNames": ["isExplicit=True", fresh["id"]],
    }  # fmt: skip
    more: list[Change] = [Put(key, fresh, match=ABSENT), record]
    directory.create(hub, access.SYSTEM, directory.SERVICE_PRINCIPAL, told, id=id, more=more, request_id=request_id)
    return get(hub, principal, subscription, group, name), True


def get(hub: Hub, principal: Principal, subscription: str, group: str, name: str) -> Document:
    """Return an identity's document. Raises NotFound."""
    what = f"The identity {name!r} in resource group {group!r}"
    access.require_visible(hub, principal, READ, _group_key(subscription, group), what=what)
    document = hub.documents.get(_key(subscription, group, name))
    if document is None:
        raise NotFound(f"There is no identity {name!r} in resource group {group!r}")
    return document


def list_(
    hub: Hub, principal: Principal, subscription: str, group: str, *, after: str | None = None, limit: int = 100
) -> Page:
    """Return a page of a group's identities."""
    group_key = _group_key(subscription, group)
    access.require_visible(hub, principal, READ, group_key, what=f"The resource group {group!r}")
    return hub.documents.list(f"{group_key}/identities", view=View.ALL, after=after, limit=limit)


def delete(hub: Hub, principal: Principal, subscription: str, group: str, name: str, *, request_id: str = "") -> None:
    """Remove an identity; its principal goes with it, and every token that it has."""
    access.require(hub, principal, DELETE, _group_key(subscription, group), request_id=request_id)
    document = get(hub, principal, subscription, group, name)
    id = document.body["properties"]["principalId"]
    if directory.by_id(hub, id) is not None:
        directory.delete(hub, access.SYSTEM, directory.SERVICE_PRINCIPAL, id, request_id=request_id)
    record = audit.record(principal, DELETE, target=document.body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key), record])


def chosen(hub: Hub, *, client_id: str = "", object_id: str = "", resource_id: str = "") -> str:
    """Return the id of the principal that is meant. Raises NotFound, for one whose resource group went too."""
    if resource_id:
        found = hub.documents.find(directory.SPACE, "alternative", resource_id.lower(), limit=1).documents
        twin = found[0] if found else None
    else:
        twin = directory.find(hub, directory.SERVICE_PRINCIPAL, object_id or client_id)
    names = twin.body["alternativeNames"] if twin else []
    place = next((name for name in names if f"/{TYPE}/".lower() in name.lower()), "")
    parts = place.strip("/").split("/")
    if twin is None or len(parts) != 8 or hub.documents.get(_key(parts[1], parts[3], parts[7])) is None:
        raise NotFound(f"There is no managed identity {resource_id or object_id or client_id!r}")
    id: str = twin.body["id"]
    return id


def _group_key(subscription: str, group: str) -> str:
    return groups.key_of(subscription, group)


def _key(subscription: str, group: str, name: str) -> str:
    return f"{_group_key(subscription, group)}/identities/{name.lower()}"
