"""Access control: the check before every act, and the text of a refusal. Every route goes through here.

Deciding is in `authorization/grants.py`, roles in `roles.py`, giving and taking them in `assignments.py`. What a
principal may not read is told as not found.
"""

from typing import Any

from entrepot.core.errors import AccessDenied, NotFound
from entrepot.core.nouns import PROVIDER, Kind, registry_action, workspace_action
from entrepot.domain import audit
from entrepot.domain.authorization.grants import Coverage
from entrepot.domain.authorization.holdings import EVERYBODY, MEMBERS
from entrepot.domain.authorization.places import scope_key_of, show_scope
from entrepot.domain.authorization.roles import BUILT_IN_ROLES, narrowest_role
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Append

Json = Any

__all__ = [
    "BUILT_IN_ROLES",
    "PUBLIC_REGISTRY",
    "SYSTEM",
    "Coverage",
    "allowed",
    "arm_scope",
    "asset_action",
    "coverage",
    "holders_of",
    "is_involved",
    "record",
    "require",
    "require_visible",
    "scope_key_of",
    "show_scope",
    "sightless",
    "somebody",
]

SYSTEM = Principal(id="system", name="Entrepot", kind="System")
"""The server itself: publishes the public registry and finishes work. No token ever names it."""

PUBLIC_REGISTRY = "azureml"
"""The curated registry: everybody reads it, nobody but the server writes it."""

_PUBLIC_KEY = f"registries/{PUBLIC_REGISTRY}"
_IN_WORKSPACE = f"{PROVIDER}/workspaces/"


def allowed(hub: Hub, principal: Principal, action: str, scope_key: str) -> bool:
    """Say whether the principal may do this there. `scope_key` is a document key, '' or '/' the tenant."""
    if principal is SYSTEM:
        return True
    if is_public(scope_key):
        return action.endswith("/read")
    key = scope_key.strip("/")
    if principal.within and not _is_for_jobs(principal.within, action, key):
        return False
    return hub.grants.decide(hub.documents, holders_of(hub, principal), action, key, hub.clock.now())


def coverage(hub: Hub, principal: Principal, action: str, scope_key: str) -> Coverage:
    """Say whether the principal may do this to all, some or none of what lies below a scope, and to the scope itself.

    SOME: each thing below has to be asked for.
    """
    if principal is SYSTEM:
        return Coverage.ALL
    if is_public(scope_key):
        return Coverage.ALL if action.endswith("/read") else Coverage.NONE
    key = scope_key.strip("/")
    if principal.within and not _is_for_jobs(principal.within, action, key):
        return Coverage.NONE
    return hub.grants.coverage(hub.documents, holders_of(hub, principal), action, key, hub.clock.now())


def holders_of(hub: Hub, principal: Principal) -> tuple[str, ...]:
    """Return by whom a principal holds roles: itself, its groups, its tenant, and all members of this one."""
    if not principal.tenant:
        return (principal.id, *principal.groups)
    members = (MEMBERS,) if principal.tenant == hub.settings.tenant else ()
    return (principal.id, *principal.groups, principal.tenant, *members)


def somebody(hub: Hub, id: str) -> Principal:
    """Return a principal of whom only the id is known, with the groups that the directory puts it in."""
    known = hub.standing.of(hub.documents, id, hub.clock.now())
    return Principal(id=id, name="", tenant=hub.settings.tenant, groups=known.groups if known else ())


def is_involved(hub: Hub, principal: Principal, scope_key: str) -> bool:
    """Say whether the principal holds any role at a scope, above or below it. Denials are not looked at."""
    if principal is SYSTEM or is_public(scope_key):
        return True
    holders = holders_of(hub, principal)
    return hub.grants.reaches(hub.documents, holders, scope_key.strip("/"), hub.clock.now())


def is_public(scope_key: str) -> bool:
    """Say whether a scope is the public registry or lies in it."""
    return scope_key.startswith(_PUBLIC_KEY) and scope_key[len(_PUBLIC_KEY) : len(_PUBLIC_KEY) + 1] in ("", "/")


def _is_for_jobs(workspace: str, action: str, scope_key: str) -> bool:
    """Say whether a job of the workspace needs this: the things in its workspace, and reading from registries.

    A token lies in the environment of user code, and from there in logs: it must not remove a workspace or give roles.
    """
    if scope_key.startswith("registries/"):
        return action.endswith("/read")
    if scope_key != workspace and not scope_key.startswith(workspace + "/"):
        return False
    return action.startswith(_IN_WORKSPACE) and action not in (f"{_IN_WORKSPACE}write", f"{_IN_WORKSPACE}delete")


def require(
    hub: Hub, principal: Principal, action: str, scope_key: str, *, target: str = "", request_id: str = ""
) -> None:
    """Return if the principal may; else record the refusal and raise AccessDenied that says what would help."""
    if allowed(hub, principal, action, scope_key):
        return
    shown = target or arm_scope(hub, scope_key)
    now = hub.clock.now()
    told = audit.entry(principal, action, target=shown, outcome=audit.DENIED, request_id=request_id, now=now)
    if hub.notes.admits(told):
        hub.documents.commit([Append(audit.STREAM, told)])
    else:
        hub.notes.note(told)
    raise AccessDenied(_refusal(hub, principal, action, scope_key, shown), target=shown)


def require_visible(hub: Hub, principal: Principal, action: str, scope_key: str, *, what: str) -> None:
    """Return if the principal may read this; else raise the NotFound that a missing thing would raise."""
    if not allowed(hub, principal, action, scope_key):
        sightless(hub, principal, action, show_scope(scope_key))
        raise NotFound(f"{what} does not exist, or {principal.name or principal.id} may not see it")


def sightless(hub: Hub, principal: Principal, action: str, target: str) -> None:
    """Note that a principal asked for what it may not see; it is told that nothing is there."""
    hub.notes.note(audit.entry(principal, action, target=target, outcome=audit.DENIED, now=hub.clock.now()))


def record(hub: Hub, principal: Principal, action: str, scope_key: str, *, request_id: str = "") -> None:
    """Have an act that writes nothing, such as telling a secret, in the audit trail before it is done."""
    now = hub.clock.now()
    target = arm_scope(hub, scope_key)
    hub.documents.commit([audit.record(principal, action, target=target, now=now, request_id=request_id)])


def asset_action(scope_key: str, kind: Kind, verb: str) -> str:
    """Return the action on assets of a kind in the scope with this key: `read`, `write` or `delete`."""
    return registry_action(verb) if scope_key.startswith("registries/") else workspace_action(kind, verb)


def _refusal(hub: Hub, principal: Principal, action: str, scope_key: str, shown: str) -> str:
    who = f"{principal.name} ({principal.id})" if principal.name else principal.id
    if is_public(scope_key):
        return (
            f"{who} may not perform {action} on {shown}: the registry {PUBLIC_REGISTRY} is read-only. "
            "No role grants it; publish to a registry of your own instead"
        )
    if principal.within and not _is_for_jobs(principal.within, action, scope_key.strip("/")):
        return (
            f"{who} may not perform {action} on {shown} with the token of the job {principal.via}: "
            "it works in the job's own workspace, and reads registries. No role widens it"
        )
    as_job = f" for whom the job {principal.via} acts," if principal.via else ""
    if denial := _denial(hub, principal, action, scope_key):
        return (
            f"{who},{as_job} may not perform {action} on {shown}: the deny assignment {denial} forbids it, whatever "
            "roles there are. Its owner can delete it"
        )
    role = narrowest_role(action).name
    return (
        f"{who}{',' if as_job else ''}{as_job} may not perform {action} on {shown}. The role '{role}' would grant it; "
        f'an owner can assign it: az role assignment create --assignee {principal.id} --role "{role}" --scope {shown}'
    )


def _denial(hub: Hub, principal: Principal, action: str, scope_key: str) -> str | None:
    """Return the name of the deny assignment that forbids an act, with its scope; None when none does."""
    holders = (*holders_of(hub, principal), EVERYBODY)
    for holding in hub.grants.reasons(hub.documents, scope_key.strip("/")):
        is_about = holding.is_denial and holding.holder in holders and holding.excepted.isdisjoint(holders)
        if is_about and holding.role is not None and holding.role.grants(action):
            return f"'{holding.role.name}' at {show_scope(holding.scope)}"
    return None


def arm_scope(hub: Hub, scope_key: str) -> str:
    """Return a scope as an ARM id, so that the command in a refusal can be pasted."""
    parts = scope_key.strip("/").split("/")
    for depth in (6, 4, 2):
        document = hub.documents.get("/".join(parts[:depth])) if len(parts) >= depth else None
        if document is not None:
            return "/".join([str(document.body["id"]), *parts[depth:]])
    return show_scope(scope_key)
