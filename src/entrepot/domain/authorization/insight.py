"""Answers about access: what can somebody do at a scope, who can do something there, and why."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain import access
from entrepot.domain.authorization import definitions
from entrepot.domain.authorization.assignments import READ
from entrepot.domain.authorization.holdings import EVERYBODY, MEMBERS, Holding
from entrepot.domain.authorization.places import scope_key_of
from entrepot.domain.authorization.roles import Role
from entrepot.domain.hub import Hub, Principal

Json = Any


def permissions(hub: Hub, principal: Principal, scope: str) -> list[Json]:
    """Return what the caller's roles at a scope and above it let it do, as ARM tells it."""
    scope_key = scope_key_of(scope)
    hub.grants.load(hub.documents, hub.clock.now())
    holders = access.holders_of(hub, principal)
    found = []
    for holding in hub.grants.reasons(hub.documents, scope_key):
        role = hub.grants.role(holding)
        if role is not None and holding.holder in holders and not holding.is_denial:
            found += [{"actions": [*one.actions], "notActions": [*one.not_actions]} for one in role.permissions]
    return found


def what_can(
    hub: Hub, principal: Principal, assignee: str, scope: str, *, actions: Iterable[str], action: str | None = None
) -> Json:
    """Return what a principal may do at a scope, and by which roles; with an action, whether it may do that.

    `actions` are those that the server asks for.

    About others only who may read role assignments there may ask. Raises AccessDenied, InvalidRequest.
    """
    scope_key = scope_key_of(scope)
    is_self = assignee == principal.id
    if not is_self:
        access.require(hub, principal, READ, scope_key)
    subject = principal if is_self else access.somebody(hub, assignee)
    hub.grants.load(hub.documents, hub.clock.now())
    holders = access.holders_of(hub, subject)
    reasons = [one for one in _reasons(hub, scope_key) if one.holder in (*holders, EVERYBODY)]
    asked = [action] if action else sorted(actions)
    able = [one for one in asked if access.allowed(hub, subject, one, scope_key)]
    is_known = able or not is_self  # who may do nothing there does not learn that it is there
    answer = {
        "assignee": assignee,
        "scope": access.arm_scope(hub, scope_key) if is_known else access.show_scope(scope_key),
        "actions": able,
        "because": [_told(hub, one, scope_key, assignee) for one in reasons if _matters(hub, one, holders, action)],
    }
    return answer | ({"action": action, "allowed": bool(able)} if action else {})


def who_can(
    hub: Hub, principal: Principal, scope: str, *, action: str | None = None, role: str | None = None
) -> list[Json]:
    """Return who may perform an action at a scope, or who holds a role there, each with the reason.

    Raises AccessDenied for who may not read role assignments there, InvalidRequest.
    """
    if bool(action) == bool(role):
        raise InvalidRequest("Say either an action or a role: {'action': '.../assets/read'} or {'role': 'Reader'}")
    scope_key = scope_key_of(scope)
    access.require(hub, principal, READ, scope_key)
    wanted = definitions.find(hub, role) if role else None
    hub.grants.load(hub.documents, hub.clock.now())
    found = []
    for holding in _reasons(hub, scope_key):
        held = hub.grants.role(holding)
        if held is None or holding.is_denial or not _is_meant(held, wanted, action):
            continue
        subject = access.somebody(hub, holding.holder)
        if action and holding.holder != MEMBERS and not access.allowed(hub, subject, action, scope_key):
            continue  # a deny assignment takes it away again
        found.append({**_told(hub, holding, scope_key, holding.holder), **_named(hub, holding)})
    return found


def _reasons(hub: Hub, scope_key: str) -> Iterator[Holding]:
    return hub.grants.reasons(hub.documents, scope_key)


def _is_meant(held: Role, wanted: Role | None, action: str | None) -> bool:
    return held.id == wanted.id if wanted else held.grants(action or "")


def _matters(hub: Hub, holding: Holding, holders: Sequence[str], action: str | None) -> bool:
    role = hub.grants.role(holding)
    is_excepted = holding.is_denial and not holding.excepted.isdisjoint(holders)
    return role is not None and not is_excepted and (action is None or role.grants(action))


def _told(hub: Hub, holding: Holding, scope_key: str, assignee: str) -> dict[str, Json]:
    role = hub.grants.role(holding)
    at = access.arm_scope(hub, holding.scope)
    return {
        "effect": "deny" if holding.is_denial else "allow",
        "role": role.name if role else None,
        "scope": at,
        "inheritedFrom": None if holding.scope == scope_key else at,
        "assignment": None if holding.holder == MEMBERS else holding.key.rpartition("/")[2],
        "through": None if holding.holder == assignee else _shown_holder(hub, holding.holder),
    }


def _shown_holder(hub: Hub, holder: str) -> str:
    if holder in (MEMBERS, EVERYBODY, hub.settings.tenant):
        return "everybody in the tenant"
    return holder


def _named(hub: Hub, holding: Holding) -> dict[str, Json]:
    document = hub.documents.get(holding.key)
    properties = document.body["properties"] if document else {}
    return {
        "principalId": None if holding.holder == MEMBERS else holding.holder,
        "principalType": "Everybody" if holding.holder == MEMBERS else properties.get("principalType"),
        "through": _shown_holder(hub, holding.holder) if holding.holder == MEMBERS else None,
    }
