"""Deny assignments: what nobody of these may do at a scope, whatever roles they hold. The home's owner is exempt."""

from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain import access, audit
from entrepot.domain.authorization.definitions import checked_permissions
from entrepot.domain.authorization.holdings import DENIALS, changed
from entrepot.domain.authorization.places import scope_key_of
from entrepot.domain.authorization.roles import AUTHORIZATION
from entrepot.domain.authorization.visible import documents_of
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Delete, Document, Page, Put

Json = Any

READ = f"{AUTHORIZATION}/denyAssignments/read"
WRITE = f"{AUTHORIZATION}/denyAssignments/write"
DELETE = f"{AUTHORIZATION}/denyAssignments/delete"


def put(
    hub: Hub, principal: Principal, scope: str, name: str, properties: Json, *, request_id: str = ""
) -> tuple[Document, bool]:
    """Create or change a deny assignment from ARM `properties`; tell whether it is new."""
    scope_key = scope_key_of(scope)
    access.require(hub, principal, WRITE, scope_key, request_id=request_id)
    key = f"{DENIALS}/{name.lower()}"
    existing = hub.documents.get(key)
    if existing is not None and existing.body["entrepot"]["scopeKey"] != scope_key:
        raise InvalidRequest(f"The deny assignment {name} is there already, at another scope: choose another name")
    shown = access.arm_scope(hub, scope_key)
    now = to_iso(hub.clock.now())
    made = existing.body["properties"]["createdOn"] if existing else now
    body: dict[str, Json] = {
        "id": f"{shown.rstrip('/')}/providers/{AUTHORIZATION}/denyAssignments/{name.lower()}",
        "name": name.lower(),
        "type": f"{AUTHORIZATION}/denyAssignments",
        "properties": {
            **_checked(properties), "scope": shown, "isSystemProtected": False, "createdOn": made, "updatedOn": now,
            "createdBy": principal.id, "updatedBy": principal.id,
        },
        "entrepot": {"scopeKey": scope_key},
    }  # fmt: skip
    record = audit.record(principal, WRITE, target=body["id"], now=hub.clock.now(), request_id=request_id)
    match = existing.revision if existing else 0
    document = hub.documents.commit([Put(key, body, match=match), changed(key), record])[0]
    hub.grants.notice()
    return document, existing is None


def get(hub: Hub, principal: Principal, name: str) -> Document:
    """Return a deny assignment. Raises NotFound, also for what the principal may not see."""
    document = hub.documents.get(f"{DENIALS}/{name.lower()}") if "/" not in name else None
    if document is not None and not access.allowed(hub, principal, READ, document.body["entrepot"]["scopeKey"]):
        access.sightless(hub, principal, READ, document.body["id"])
        document = None
    if document is None:
        raise NotFound(f"There is no deny assignment {name}")
    return document


def delete(hub: Hub, principal: Principal, name: str, *, request_id: str = "") -> Document:
    """Delete a deny assignment; return what it was. Raises NotFound, AccessDenied."""
    document = get(hub, principal, name)
    access.require(hub, principal, DELETE, document.body["entrepot"]["scopeKey"], request_id=request_id)
    record = audit.record(principal, DELETE, target=document.body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key), changed(document.key), record])
    hub.grants.notice()
    return document


def list_(hub: Hub, principal: Principal, scope: str, *, after: str | None = None, limit: int = 1000) -> Page:
    """Return a page of the deny assignments at a scope, above and below it that the principal may see."""
    scope_key = scope_key_of(scope)
    hub.grants.load(hub.documents, hub.clock.now())
    found = [*hub.grants.at_or_below(scope_key), *hub.grants.reasons(hub.documents, scope_key)]
    seen = {one.key for one in found if one.is_denial and access.allowed(hub, principal, READ, one.scope)}
    return documents_of(hub, seen, after=after, limit=limit)


def _checked(properties: Json) -> dict[str, Json]:
    name = properties.get("denyAssignmentName")
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequest("A deny assignment needs a denyAssignmentName", target="denyAssignmentName")
    principals, excluded = (_principals(properties, field) for field in ("principals", "excludePrincipals"))
    if not principals:
        raise InvalidRequest("A deny assignment needs principals: [{id, type}], whom it denies", target="principals")
    return {
        "denyAssignmentName": name.strip(),
        "description": str(properties.get("description") or ""),
        "permissions": checked_permissions(properties.get("permissions")),
        "principals": principals,
        "excludePrincipals": excluded,
        "doNotApplyToChildScopes": properties.get("doNotApplyToChildScopes") is True,
    }


def _principals(properties: Json, field: str) -> list[dict[str, str]]:
    given = properties.get(field) or []
    if not isinstance(given, list) or not all(isinstance(one, dict) and one.get("id") for one in given):
        raise InvalidRequest(f"{field} is a list of {{id, type}}", target=field)
    return [{"id": str(one["id"]), "type": str(one.get("type") or "User")} for one in given]
