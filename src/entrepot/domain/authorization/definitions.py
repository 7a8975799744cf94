"""Custom roles: named sets of actions that an organisation makes for itself, beside the built-in ones."""

import re
from collections.abc import Iterable
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import AlreadyExists, InvalidRequest, NotFound, StateConflict
from entrepot.domain import access, audit
from entrepot.domain.authorization.holdings import ASSIGNMENTS, DEFINITIONS, changed, permissions_of
from entrepot.domain.authorization.places import containing, scope_key_of
from entrepot.domain.authorization.roles import AUTHORIZATION, BY_ID, Role, find_role, role_id_of
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import ABSENT, Change, Delete, Document, Put

Json = Any

READ = f"{AUTHORIZATION}/roleDefinitions/read"
WRITE = f"{AUTHORIZATION}/roleDefinitions/write"
DELETE = f"{AUTHORIZATION}/roleDefinitions/delete"

_NAMES = "rolenames"  # {lower-case name: GUID}, so that no two roles have one name
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_ACTION = re.compile(r"(\*|[A-Za-z*][A-Za-z0-9.*-]*/[A-Za-z0-9./*_-]+)\Z")
_LONGEST_ACTION = 256
_MOST_STARS = 8
_MOST_ACTIONS = 1000


def put(hub: Hub, principal: Principal, guid: str, properties: Json, *, request_id: str = "") -> Document:
    """Create or change a custom role from ARM `properties`.

    Asks for the right to write roles at every scope at which it can be assigned, before and after.
    """
    guid = guid.lower()
    if not _GUID.match(guid):
        raise InvalidRequest(f"The name of a role definition is a GUID: got {guid!r}", target="name")
    if guid in BY_ID:
        raise StateConflict(f"{BY_ID[guid].name} is a built-in role and never changes: make a custom one")
    fresh = _checked(properties)
    return settled(lambda: _put(hub, principal, guid, fresh, request_id))


def _put(hub: Hub, principal: Principal, guid: str, fresh: dict[str, Json], request_id: str) -> Document:
    existing = hub.documents.get(f"{DEFINITIONS}/{guid}")
    scope_keys = [scope_key_of(scope) for scope in fresh["assignableScopes"]]
    for scope_key in {*scope_keys, *(existing.body["entrepot"]["scopeKeys"] if existing else ())}:
        access.require(hub, principal, WRITE, scope_key, request_id=request_id)
    now = to_iso(hub.clock.now())
    made = existing.body["properties"] if existing else {"createdOn": now, "createdBy": principal.id}
    stamps = {"createdOn": made["createdOn"], "createdBy": made["createdBy"], "updatedOn": now}
    body: dict[str, Json] = {
        "id": f"/providers/{AUTHORIZATION}/roleDefinitions/{guid}",
        "name": guid,
        "type": f"{AUTHORIZATION}/roleDefinitions",
        "properties": {**fresh, **stamps, "updatedBy": principal.id},
        "entrepot": {"scopeKeys": scope_keys},
    }
    key = f"{DEFINITIONS}/{guid}"
    record = audit.record(
        principal, WRITE, target=body["id"], now=hub.clock.now(), request_id=request_id,
        details={"role": fresh["roleName"], "assignableScopes": fresh["assignableScopes"]},
    )  # fmt: skip
    changes = [
        Put(key, body, match=existing.revision if existing else ABSENT),
        *_renamed(hub, existing, guid, fresh["roleName"]),
        changed(key),
        record,
    ]
    document = hub.documents.commit(changes)[0]
    hub.grants.notice()
    return document


def _renamed(hub: Hub, existing: Document | None, guid: str, name: str) -> list[Change]:
    """Return the changes that claim a role's name. Raises AlreadyExists when another role has it."""
    before = existing.body["properties"]["roleName"].lower() if existing else None
    if before == name.lower():
        return []
    holder = hub.documents.get(f"{_NAMES}/{name.lower()}")
    if find_role(name) is not None or holder is not None:
        raise AlreadyExists(f"There is a role named {name!r} already: choose another name", target="roleName")
    given_up = [Delete(f"{_NAMES}/{before}")] if before else []
    return [*given_up, Put(f"{_NAMES}/{name.lower()}", {"role": guid}, match=ABSENT)]


def get(hub: Hub, principal: Principal, guid: str) -> Json:
    """Return a role definition as ARM shows it. Raises NotFound."""
    role = BY_ID.get(guid.lower())
    if role is not None:
        return shown(role)
    document = hub.documents.get(f"{DEFINITIONS}/{guid.lower()}") if "/" not in guid else None
    if document is None or not _is_visible(hub, principal, document.body["entrepot"]["scopeKeys"]):
        raise NotFound(f"There is no role definition {guid}")
    return document.body


def delete(hub: Hub, principal: Principal, guid: str, *, request_id: str = "") -> Json:
    """Delete a custom role that nobody holds; return what it was. Raises NotFound, StateConflict."""
    if guid.lower() in BY_ID:
        raise StateConflict(f"{BY_ID[guid.lower()].name} is a built-in role and cannot be deleted")
    body = get(hub, principal, guid)
    for scope_key in body["entrepot"]["scopeKeys"]:
        access.require(hub, principal, DELETE, scope_key, request_id=request_id)
    hub.grants.load(hub.documents, hub.clock.now())
    held = [one for one in hub.grants.at_or_below("") if one.role_id == body["name"] and ASSIGNMENTS in one.key]
    if held:
        raise StateConflict(
            f"{len(held)} role assignments use the role {body['properties']['roleName']}: delete them first"
        )
    key = f"{DEFINITIONS}/{body['name']}"
    record = audit.record(principal, DELETE, target=body["id"], now=hub.clock.now(), request_id=request_id)
    name = Delete(f"{_NAMES}/{body['properties']['roleName'].lower()}")
    hub.documents.commit([Delete(key), name, changed(key), record])
    hub.grants.notice()
    return body


def list_(hub: Hub, principal: Principal, scope: str, *, with_below: bool = False) -> list[Json]:
    """Return the built-in roles, and the custom ones that can be assigned at a scope and that the principal may see.

    `with_below`: those of the scopes below too.
    """
    scope_key = scope_key_of(scope)
    hub.grants.load(hub.documents, hub.clock.now())
    above = {*hub.grants.ancestry(hub.documents, scope_key)}
    found = [shown(role) for role in BY_ID.values()]
    for role in sorted(hub.grants.roles(), key=lambda role: role.name.lower()):
        is_here = any(at in above or (with_below and _is_below(at, scope_key)) for at in role.scopes)
        if role.is_custom and is_here and _is_visible(hub, principal, role.scopes):
            document = hub.documents.get(f"{DEFINITIONS}/{role.id}")
            found += [document.body] if document else []
    return found


def find(hub: Hub, text: str) -> Role:
    """Return the role with this name, GUID or id. Raises InvalidRequest that names those there are."""
    hub.grants.load(hub.documents, hub.clock.now())
    wanted = role_id_of(text)
    roles = hub.grants.roles()
    found = next((role for role in roles if wanted in (role.id, role.name.lower())), None)
    if found is None:
        built_in = ", ".join(role.name for role in BY_ID.values())
        raise InvalidRequest(f"There is no role {text!r}; roles are {built_in}, and custom ones", target="role")
    return found


def assignable(hub: Hub, text: str, scope_key: str) -> Role:
    """Return a role that may be assigned at a scope. Raises InvalidRequest."""
    role = find(hub, text)
    above = {*hub.grants.ancestry(hub.documents, scope_key)}
    if above.isdisjoint(role.scopes):
        scopes = ", ".join(access.show_scope(at) for at in role.scopes)
        raise InvalidRequest(f"The role {role.name!r} can be assigned at and below {scopes} only", target="scope")
    return role


def arm_id(role: Role, scope_key: str) -> str:
    """Return a role definition's id as ARM writes it in an assignment: below the assignment's subscription."""
    parts = scope_key.split("/")
    prefix = f"/subscriptions/{parts[1]}" if parts[0] == "subscriptions" else ""
    return f"{prefix}/providers/{AUTHORIZATION}/roleDefinitions/{role.id}"


def shown(role: Role) -> dict[str, Json]:
    """Return a built-in role as ARM shows it."""
    return {
        "id": f"/providers/{AUTHORIZATION}/roleDefinitions/{role.id}",
        "name": role.id,
        "type": f"{AUTHORIZATION}/roleDefinitions",
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [_permission(one.actions, one.not_actions) for one in role.permissions],
        },
    }


def _permission(actions: Iterable[str], not_actions: Iterable[str], data: Json = None) -> dict[str, Json]:
    given = data or {}
    return {
        "actions": list(actions), "notActions": list(not_actions),
        "dataActions": list(given.get("dataActions") or ()), "notDataActions": list(given.get("notDataActions") or ()),
    }  # fmt: skip


def _is_below(key: str, scope_key: str) -> bool:
    return not scope_key or scope_key in containing(key)


def _is_visible(hub: Hub, principal: Principal, scope_keys: Iterable[str]) -> bool:
    return any(access.allowed(hub, principal, READ, scope_key) for scope_key in scope_keys)


def _checked(properties: Json) -> dict[str, Json]:
    """Return a definition's properties in order. Raises InvalidRequest that says what would be right."""
    name = properties.get("roleName")
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= 128 or "/" in name:
        raise InvalidRequest(f"A role needs a roleName of 1 to 128 characters without '/': got {name!r}")
    scopes = properties.get("assignableScopes")
    if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
        raise InvalidRequest(
            "A role needs assignableScopes, the scopes at and below which it can be assigned, such as ['/']",
            target="assignableScopes",
        )
    permissions = checked_permissions(properties.get("permissions"))
    return {
        "roleName": name.strip(),
        "type": "CustomRole",
        "description": str(properties.get("description") or ""),
        "assignableScopes": scopes,
        "permissions": permissions,
    }


def checked_permissions(given: Json) -> list[dict[str, Json]]:
    """Return ARM's list of permissions in order. Raises InvalidRequest that says what would be right."""
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise InvalidRequest("permissions are a list: [{actions: [...], notActions: [...]}]", target="permissions")
    _check_actions(given)
    return [
        _permission(one.actions, one.not_actions, sent) for one, sent in zip(permissions_of(given), given, strict=True)
    ]


def _check_actions(permissions: list[Json]) -> None:
    lists = [one.get(field) or [] for one in permissions for field in ("actions", "notActions")]
    if not all(isinstance(one, list) for one in lists) or sum(map(len, lists)) > _MOST_ACTIONS:
        raise InvalidRequest(f"actions and notActions are lists, of at most {_MOST_ACTIONS} actions together")
    for action in (action for one in lists for action in one):
        is_text = isinstance(action, str) and len(action) <= _LONGEST_ACTION and action.count("*") <= _MOST_STARS
        if not is_text or not _ACTION.match(action):
            raise InvalidRequest(
                f"{action!r} is not an action: write Microsoft.MachineLearningServices/registries/assets/read, with * "
                f"for any part, at most {_LONGEST_ACTION} characters and {_MOST_STARS} stars",
                target="permissions",
            )
    if not any(one.get("actions") for one in permissions):
        raise InvalidRequest("permissions need at least one action", target="permissions")
