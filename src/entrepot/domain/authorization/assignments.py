"""Role assignments: giving a principal a role at a scope, and taking it back."""

import uuid
from collections.abc import Iterable
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import AlreadyExists, InvalidRequest, NotFound, StateConflict
from entrepot.domain import access, audit
from entrepot.domain.authorization import definitions
from entrepot.domain.authorization.holdings import ASSIGNMENTS, DENIALS, Holding, changed
from entrepot.domain.authorization.places import home_key, scope_key_of
from entrepot.domain.authorization.roles import AUTHORIZATION, OWNER, Role
from entrepot.domain.authorization.visible import documents_of
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import ABSENT, Change, Delete, Document, Page, Put

Json = Any

WRITE = f"{AUTHORIZATION}/roleAssignments/write"
DELETE = f"{AUTHORIZATION}/roleAssignments/delete"
READ = f"{AUTHORIZATION}/roleAssignments/read"

KINDS = ("User", "Group", "ServicePrincipal", "ForeignGroup", "Device")
_PAIRS = "assignmentpairs"  # so that nobody has a role twice at a scope, under two names


class NoAssignment(NotFound):
    """There is no such role assignment, or the caller may not see it."""


class RoleAssignmentExists(AlreadyExists):
    """The principal has this role at this scope already, by an assignment of another name."""

    code = "RoleAssignmentExists"


def assign(
    hub: Hub,
    principal: Principal,
    *,
    role: str,
    assignee: str,
    scope: str,
    assignee_kind: str = "User",
    description: str | None = None,
    name: str = "",
    request_id: str = "",
) -> Document:
    """Give a principal (or a group, or a whole tenant by its id) a role at a scope; the same twice changes nothing.

    `role` is a name, a GUID or a role definition's id. Without a `name`, one follows from who, what and where. Another
    `description` is put in the place of the one that is there; None leaves it.
    Raises InvalidRequest, NotFound, AccessDenied, and RoleAssignmentExists when another name says the same.
    """
    scope_key = scope_key_of(scope)
    access.require(hub, principal, WRITE, scope_key, request_id=request_id)
    found = definitions.assignable(hub, role, scope_key)
    if not assignee:
        raise InvalidRequest("An assignment needs a principalId: the id of a user, group or service principal")
    if assignee_kind not in KINDS:
        raise InvalidRequest(f"principalType is one of {', '.join(KINDS)}: got {assignee_kind!r}")
    home = home_key(scope_key)
    if home is not None and hub.documents.get(home) is None:
        raise NotFound(f"There is nothing at scope {scope!r} to assign a role at")
    pair = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope_key}|{assignee}|{found.id}"))
    name = (name or pair).lower()

    def attempt() -> Document:
        pointer = hub.documents.get(f"{_PAIRS}/{pair}")
        if existing := _existing(hub, name, pointer, found, assignee, scope_key):
            if description in (None, existing.body["properties"].get("description", "")):
                return existing
            return _described(hub, principal, existing, str(description), request_id)
        body = _body(hub, principal, found, assignee=assignee, kind=assignee_kind, scope_key=scope_key, name=name)
        body["properties"]["description"] = description or ""
        once = Put(f"{_PAIRS}/{pair}", {"name": name}, match=pointer.revision if pointer else ABSENT)
        return _committed(hub, principal, body, once, request_id)

    return settled(attempt)


def _existing(
    hub: Hub, name: str, pointer: Document | None, role: Role, assignee: str, scope_key: str
) -> Document | None:
    named = hub.documents.get(f"{ASSIGNMENTS}/{name}")
    if named is not None:
        properties = named.body["properties"]
        same = (assignee, role.id, scope_key)
        if (properties["principalId"], _role_id(properties), named.body["entrepot"]["scopeKey"]) == same:
            return named
        raise StateConflict(
            f"The role assignment {name} is there already, for another principal, role or scope: an assignment never "
            "changes; delete it, or choose another name"
        )
    other = hub.documents.get(f"{ASSIGNMENTS}/{pointer.body['name']}") if pointer else None
    if other is not None:
        raise RoleAssignmentExists(f"The role assignment already exists: {other.body['id']}", target=other.body["id"])
    return None


def _described(hub: Hub, principal: Principal, document: Document, description: str, request_id: str) -> Document:
    body, now = document.body, hub.clock.now()
    body["properties"] |= {"description": description, "updatedOn": to_iso(now), "updatedBy": principal.id}
    record = audit.record(principal, WRITE, target=body["id"], now=now, request_id=request_id)
    fresh, *_ = hub.documents.commit([Put(document.key, body, match=document.revision), record])
    return fresh


def _committed(hub: Hub, principal: Principal, body: dict[str, Json], once: Put, request_id: str) -> Document:
    properties = body["properties"]
    key = f"{ASSIGNMENTS}/{body['name']}"
    record = audit.record(
        principal,
        WRITE,
        target=body["id"],
        now=hub.clock.now(),
        request_id=request_id,
        details={"role": properties["roleDefinitionName"], "assignee": properties["principalId"]},
    )
    document, *_ = hub.documents.commit([Put(key, body, match=ABSENT), once, changed(key), record])
    hub.grants.notice()
    return document


def get(hub: Hub, principal: Principal, name: str, *, scope: str | None = None) -> Document:
    """Return an assignment by its name. Raises NoAssignment, also for what the principal may not see."""
    document = _found(hub, name, scope)
    if not access.allowed(hub, principal, READ, document.body["entrepot"]["scopeKey"]):
        access.sightless(hub, principal, READ, document.body["id"])
        raise NoAssignment(f"There is no role assignment {name}")
    return document


def _found(hub: Hub, name: str, scope: str | None) -> Document:
    """Return an assignment; `scope`, when given, has to be its own."""
    document = hub.documents.get(f"{ASSIGNMENTS}/{name.lower()}") if "/" not in name else None
    if document is None or (scope is not None and scope_key_of(scope) != document.body["entrepot"]["scopeKey"]):
        raise NoAssignment(f"There is no role assignment {name}" + (f" at {scope}" if scope else ""))
    return document


def revoke(hub: Hub, principal: Principal, name: str, *, scope: str | None = None, request_id: str = "") -> Document:
    """Take a role assignment back; return what it was. Raises NoAssignment, AccessDenied, StateConflict."""
    if scope is not None:
        access.require(hub, principal, DELETE, scope_key_of(scope), request_id=request_id)
    document = _found(hub, name, scope)
    body = document.body
    access.require(hub, principal, DELETE, body["entrepot"]["scopeKey"], request_id=request_id)
    if body["entrepot"].get("isProtected"):
        raise StateConflict("The owner of this server's home is its Owner for good, so that somebody always can")
    record = audit.record(
        principal,
        DELETE,
        target=body["id"],
        now=hub.clock.now(),
        request_id=request_id,
        details={"role": body["properties"]["roleDefinitionName"], "assignee": body["properties"]["principalId"]},
    )
    hub.documents.commit([Delete(document.key), changed(document.key), record])
    hub.grants.notice()
    return document


def list_(
    hub: Hub,
    principal: Principal,
    scope: str,
    *,
    assignee: str | None = None,
    assigned_to: str | None = None,
    with_above: bool = True,
    with_below: bool = True,
    after: str | None = None,
    limit: int = 1000,
) -> Page:
    """Return a page of the assignments at a scope, above it and below it that the principal may see, by their names.

    `assignee` narrows it to one principal, `assigned_to` to all by which one principal holds roles.
    """
    scope_key = scope_key_of(scope)
    hub.grants.load(hub.documents, hub.clock.now())
    found = hub.grants.at_or_below(scope_key) if with_below else list(hub.grants.at(scope_key))
    if with_above:
        found += [one for one in hub.grants.reasons(hub.documents, scope_key) if one.scope != scope_key]
    holders = _holders(hub, assigned_to) if assigned_to else None
    keys = {
        one.key
        for one in found
        if one.key.startswith(f"{ASSIGNMENTS}/")
        and assignee in (None, one.holder)
        and (holders is None or one.holder in holders)
        and access.allowed(hub, principal, READ, one.scope)
    }
    return documents_of(hub, keys, after=after, limit=limit)


def _holders(hub: Hub, assignee: str) -> tuple[str, ...]:
    return access.holders_of(hub, access.somebody(hub, assignee))


def swept(hub: Hub, scope_key: str) -> list[Change]:
    """Return the changes that take back all that was given or denied at a scope and below, because it is going.

    Else whoever makes something of the same name later would find it open to those of before.
    """
    hub.grants.load(hub.documents, hub.clock.now())
    return _taken_back(hub.grants.at_or_below(scope_key))


def ungiven(hub: Hub, scope_key: str) -> list[Change]:
    """Return the changes that take back what was given or denied at exactly this scope, because it is going."""
    hub.grants.load(hub.documents, hub.clock.now())
    return _taken_back(hub.grants.at(scope_key))


def _taken_back(holdings: Iterable[Holding]) -> list[Change]:
    keys = {one.key for one in holdings if one.key.startswith((f"{ASSIGNMENTS}/", f"{DENIALS}/"))}
    return [change for key in sorted(keys) for change in (Delete(key), changed(key))]


def bootstrap(hub: Hub, owner: Principal) -> None:
    """Make the home's owner Owner of the tenant for good, and read who holds what, before anybody waits for it."""
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"|{owner.id}|{OWNER.id}"))
    known = hub.documents.get(f"{ASSIGNMENTS}/{name}")
    if known is None:
        body = _body(hub, access.SYSTEM, OWNER, assignee=owner.id, kind=owner.kind, scope_key="", name=name)
        body["entrepot"]["isProtected"] = True
        _committed(hub, access.SYSTEM, body, Put(f"{_PAIRS}/{name}", {"name": name}), "")
    elif not known.body["entrepot"].get("isProtected"):  # of a home that is older than this protection
        body = known.body
        body["entrepot"]["isProtected"] = True
        hub.documents.commit([Put(known.key, body, match=known.revision), changed(known.key)])
    hub.grants.load(hub.documents, hub.clock.now())


def _role_id(properties: Json) -> str:
    return str(properties["roleDefinitionId"]).rpartition("/")[2].lower()


def _body(
    hub: Hub, principal: Principal, role: Role, *, assignee: str, kind: str, scope_key: str, name: str
) -> dict[str, Json]:
    scope = access.arm_scope(hub, scope_key)
    now = to_iso(hub.clock.now())
    return {
        "id": f"{scope.rstrip('/')}/providers/{AUTHORIZATION}/roleAssignments/{name}",
        "name": name,
        "type": f"{AUTHORIZATION}/roleAssignments",
        "properties": {
            "roleDefinitionId": definitions.arm_id(role, scope_key),
            "roleDefinitionName": role.name,
            "principalId": assignee,
            "principalType": kind,
            "scope": scope,
            "createdOn": now,
            "updatedOn": now,
            "createdBy": principal.id,
            "updatedBy": principal.id,
        },
        "entrepot": {"scopeKey": scope_key},
    }
