"""Resource groups: where registries and workspaces lie."""

from typing import Any

from entrepot.core.errors import GroupNotFound, InvalidName
from entrepot.domain import access, audit, removal
from entrepot.domain.authorization.assignments import swept
from entrepot.domain.authorization.visible import listed
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import created_by, modified_by, offered_region
from entrepot.store.documents import Change, Delete, Document, Page, Put, View

Json = Any

_PREFIX = "Microsoft.Resources/subscriptions/resourceGroups"
READ, WRITE, DELETE = (f"{_PREFIX}/{verb}" for verb in ("read", "write", "delete"))


def key_of(subscription: str, name: str) -> str:
    """Return the document key of a group."""
    return f"subscriptions/{subscription}/resourcegroups/{name}".lower()


def arm_id(subscription: str, name: str) -> str:
    """Return the ARM id of a group."""
    return f"/subscriptions/{subscription}/resourceGroups/{name}"


def create(
    hub: Hub, principal: Principal, subscription: str, name: str, body: Json, *, request_id: str = ""
) -> tuple[Document, bool]:
    """Create a group from an ARM body (`location`, `tags`), or change its tags; tell whether it is new."""
    if not name or len(name) > 90 or not all(c.isalnum() or c in "_-.()" for c in name) or name.endswith("."):
        raise InvalidName(
            f"{name!r} is not a resource group name: use up to 90 letters, digits, '_', '-', '.', '(' or ')'"
        )
    key = key_of(subscription, name)
    existing = hub.documents.get(key)
    access.require(hub, principal, WRITE, key, request_id=request_id)
    if existing is None:
        fresh = _body(hub, principal, subscription, name, body.get("location") or "", body.get("tags"))
        match = 0
    else:
        fresh = existing.body
        if body.get("location") and offered_region(hub, body["location"]) != fresh["location"]:
            raise InvalidName(f"Resource group {name} is in {fresh['location']} and cannot move to {body['location']}")
        fresh["tags"] = body.get("tags") if body.get("tags") is not None else fresh["tags"]
        fresh["systemData"] = modified_by(fresh["systemData"], principal, hub.clock.now())
        match = existing.revision
    record = audit.record(principal, WRITE, target=fresh["id"], now=hub.clock.now(), request_id=request_id)
    return hub.documents.commit([Put(key, fresh, match=match), record])[0], existing is None


def get(hub: Hub, principal: Principal, subscription: str, name: str) -> Document:
    """Return a group's document. Raises GroupNotFound."""
    key = key_of(subscription, name)
    document = hub.documents.get(key)
    if document is None:
        raise _missing(name)
    access.require_visible(hub, principal, READ, key, what=f"Resource group {name!r}")
    return document


def check(hub: Hub, principal: Principal, subscription: str, name: str) -> None:
    """Raise GroupNotFound when there is no such group, for who may know which groups there are."""
    key = key_of(subscription, name)
    if hub.documents.get(key) is None and access.allowed(hub, principal, READ, key):
        raise _missing(name)


def location(hub: Hub, principal: Principal, subscription: str, name: str) -> str:
    """Return a group's region; of a group that is not there yet, but that the principal may make, the default one.

    Raises GroupNotFound for others.
    """
    key = key_of(subscription, name)
    if hub.documents.get(key) is None and access.allowed(hub, principal, WRITE, key):
        return hub.settings.regions[0]
    region: str = get(hub, principal, subscription, name).body["location"]
    return region


def list_(hub: Hub, principal: Principal, subscription: str, *, after: str | None = None, limit: int = 100) -> Page:
    """Return a page of the subscription's groups that the principal may see."""
    collection = f"subscriptions/{subscription.lower()}/resourcegroups"

    def fetch(after: str | None, limit: int) -> Page:
        return hub.documents.list(collection, view=View.ALL, after=after, limit=limit)

    return listed(hub, principal, READ, fetch, after=after, limit=limit)


def delete(hub: Hub, principal: Principal, subscription: str, name: str, *, request_id: str = "") -> None:
    """Delete a group with its registries and workspaces. Raises GroupNotFound, AccessDenied."""
    document = get(hub, principal, subscription, name)
    access.require(hub, principal, DELETE, document.key, request_id=request_id)
    record = audit.record(principal, DELETE, target=document.body["id"], now=hub.clock.now(), request_id=request_id)
    homes = _homes(hub, document.key)
    hub.documents.commit([*(change for found in homes for change in removal.mark(found)), record])
    for found in homes:
        removal.empty(hub, found.key, found.body["entrepot"]["guid"])
    while page := hub.documents.scan(document.key + "/", limit=500).documents:  # its deployments
        hub.documents.commit([Delete(found.key) for found in page])
    hub.documents.commit([Delete(document.key), *swept(hub, document.key)])
    hub.grants.notice()


def ensured(hub: Hub, principal: Principal, subscription: str, name: str, location: str) -> list[Change]:
    """Return the change that creates a group which is not there yet, for the commit of what lies in it.

    Azure wants groups first; genuine SDK scripts cannot make them, so whoever may write here gets one.
    """
    key = key_of(subscription, name)
    if hub.documents.get(key) is not None:
        return []
    if not access.allowed(hub, principal, WRITE, key):
        raise _missing(name, location)
    return [Put(key, _body(hub, principal, subscription, name, location, None))]


def _missing(name: str, location: str = "<region>") -> GroupNotFound:
    return GroupNotFound(f"There is no resource group {name!r}", hint=f"az group create -n {name} -l {location}")


def _homes(hub: Hub, group_key: str) -> list[Document]:
    homes: list[Document] = []
    after: str | None = None
    while True:
        page = hub.documents.find(group_key, "type", "registry", view=View.ALL, after=after)
        homes.extend(page.documents)
        if (after := page.next) is None:
            break
    while True:
        page = hub.documents.list(f"{group_key}/workspaces", view=View.ALL, after=after)
        homes.extend(page.documents)
        if (after := page.next) is None:
            return homes


def _body(hub: Hub, principal: Principal, subscription: str, name: str, location: str, tags: Json) -> dict[str, Json]:
    return {
        "id": arm_id(subscription, name),
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": offered_region(hub, location or hub.settings.regions[0]),
        "tags": tags or {},
        "properties": {"provisioningState": "Succeeded"},
        "systemData": created_by(principal, hub.clock.now()),
    }
