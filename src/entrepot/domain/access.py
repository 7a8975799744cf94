"""Access control: role assignments at any scope, the check before every act, and the text of a refusal.

Deciding is in `grants.py`, roles are in `roles.py`. What a principal may not read is told as not found.
"""

import uuid
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import AccessDenied, InvalidRequest, NotFound
from entrepot.core.nouns import PROVIDER, Kind, registry_action, workspace_action
from entrepot.domain import audit
from entrepot.domain.authorization.grants import EPOCH_KEY
from entrepot.domain.authorization.roles import AUTHORIZATION, BUILT_IN_ROLES, OWNER, Role, find_role, narrowest_role
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Delete, Document, Page, Put

Json = Any

__all__ = ["BUILT_IN_ROLES", "PUBLIC_REGISTRY", "SYSTEM", "allowed", "assign", "require", "require_visible"]

SYSTEM = Principal(id="system", name="Entrepot", kind="System")
"""The server itself: publishes the public registry and finishes work. No token ever names it."""

PUBLIC_REGISTRY = "azureml"
"""The curated registry: everybody reads it, nobody but the server writes it."""

_PUBLIC_KEY = f"registries/{PUBLIC_REGISTRY}"
_IN_WORKSPACE = f"{PROVIDER}/workspaces/"
_ASSIGNMENTS_WRITE = f"{AUTHORIZATION}/roleAssignments/write"
_ASSIGNMENTS_DELETE = f"{AUTHORIZATION}/roleAssignments/delete"
_ASSIGNMENTS_READ = f"{AUTHORIZATION}/roleAssignments/read"


def allowed(hub: Hub, principal: Principal, action: str, scope_key: str) -> bool:
    """Say whether the principal may do this there. `scope_key` is a document key, '' or '/' the tenant."""
    if principal is SYSTEM:
        return True
    if scope_key.startswith(_PUBLIC_KEY) and scope_key[len(_PUBLIC_KEY) : len(_PUBLIC_KEY) + 1] in ("", "/"):
        return action.endswith("/read")
    if principal.within and not _is_for_jobs(principal.within, action, scope_key.strip("/")):
        return False
    holders = (
        (principal.id, *principal.groups, principal.tenant) if principal.tenant else (principal.id, *principal.groups)
    )
    return hub.grants.decide(hub.documents, holders, action, scope_key.strip("/"), hub.clock.now())


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
    shown = target or _shown(hub, scope_key)
    hub.documents.commit(
        [
            audit.record(
                principal, action, target=shown, outcome=audit.DENIED, request_id=request_id, now=hub.clock.now()
            )
        ]
    )
    raise AccessDenied(_refusal(principal, action, scope_key, shown), target=shown)


def require_visible(hub: Hub, principal: Principal, action: str, scope_key: str, *, what: str) -> None:
    """Return if the principal may read this; else raise the NotFound that a missing thing would raise."""
    if not allowed(hub, principal, action, scope_key):
        raise NotFound(f"{what} does not exist, or {principal.name or principal.id} may not see it")


def asset_action(scope_key: str, kind: Kind, verb: str) -> str:
    """Return the action on assets of a kind in the scope with this key: `read`, `write` or `delete`."""
    return registry_action(verb) if scope_key.startswith("registries/") else workspace_action(kind, verb)


def _refusal(principal: Principal, action: str, scope_key: str, shown: str) -> str:
    who = f"{principal.name} ({principal.id})" if principal.name else principal.id
    if scope_key == _PUBLIC_KEY or scope_key.startswith(_PUBLIC_KEY + "/"):
        return (
            f"{who} may not perform {action} on {shown}: the registry {PUBLIC_REGISTRY} is read-only. "
            "No role grants it; publish to a registry of your own instead"
        )
    if principal.within and not _is_for_jobs(principal.within, action, scope_key.strip("/")):
        return (
            f"{who} may not perform {action} on {shown} with the token of the job {principal.via}: "
            "it works in the job's own workspace, and reads registries. No role widens it"
        )
    role = narrowest_role(action).name
    return (
        f"{who} may not perform {action} on {shown}. The role '{role}' would grant it; "
        f'an owner can assign it: az role assignment create --assignee {principal.id} --role "{role}" --scope {shown}'
    )


def show_scope(scope_key: str) -> str:
    """Return a scope key as an ARM-like path for people."""
    return "/" + scope_key.strip("/")


def _shown(hub: Hub, scope_key: str) -> str:
    """Return the scope as an ARM id, so that the command in a refusal can be pasted."""
    parts = scope_key.strip("/").split("/")
    for depth in (6, 4, 2):
        document = hub.documents.get("/".join(parts[:depth])) if len(parts) >= depth else None
        if document is not None:
            return "/".join([str(document.body["id"]), *parts[depth:]])
    return show_scope(scope_key)


def scope_key_of(scope: str) -> str:
    """Return the document key that an ARM scope names; '/' is the tenant ('').

    Reads `/subscriptions/../resourceGroups/../providers/Microsoft.MachineLearningServices/registries/r[/models/m]`,
    asset ids of registries, and keys themselves.
    """
    text = scope.removeprefix("azureml:").strip("/")
    parts = [part for part in text.split("/") if part]
    lowered = [part.lower() for part in parts]
    if PROVIDER.lower() in lowered:
        at = lowered.index(PROVIDER.lower())
        del parts[at - 1 : at + 1], lowered[at - 1 : at + 1]
    if "registries" in lowered:
        at = lowered.index("registries")
        return "/".join([*lowered[at : at + 2], *parts[at + 2 :]])
    depth = 6 if lowered[4:5] == ["workspaces"] else 4
    return "/".join([*lowered[:depth], *parts[depth:]])


def assign(
    hub: Hub,
    principal: Principal,
    *,
    role: str,
    assignee: str,
    scope: str,
    assignee_kind: str = "User",
    name: str = "",
    request_id: str = "",
) -> Document:
    """Give a principal (or a group, or a whole tenant by its id) a role at a scope; the same twice changes nothing."""
    found = find_role(role)
    if found is None:
        raise InvalidRequest(f"There is no role {role!r}; roles are {', '.join(BUILT_IN_ROLES)}", target="role")
    scope_key = scope_key_of(scope)
    require(hub, principal, _ASSIGNMENTS_WRITE, scope_key, request_id=request_id)
    if scope_key and hub.documents.get(_home_key(scope_key)) is None and not scope_key.startswith("subscriptions/"):
        raise NotFound(f"There is nothing at scope {scope!r} to assign a role at")
    name = name or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope_key}|{assignee}|{found.id}"))
    existing = hub.documents.get(f"{EPOCH_KEY}/{name}")
    if existing is not None:
        return existing
    body = _assignment(
        hub, principal, found, assignee=assignee, assignee_kind=assignee_kind, scope_key=scope_key, name=name
    )
    record = audit.record(
        principal,
        _ASSIGNMENTS_WRITE,
        target=body["id"],
        now=hub.clock.now(),
        request_id=request_id,
        details={"role": found.name, "assignee": assignee},
    )
    document, *_ = hub.documents.commit([Put(f"{EPOCH_KEY}/{name}", body), epoch(body["id"]), record])
    hub.grants.forget()
    return document


def revoke(hub: Hub, principal: Principal, name: str, *, request_id: str = "") -> None:
    """Take a role assignment back. Raises NotFound."""
    document = hub.documents.get(f"{EPOCH_KEY}/{name}")
    if document is None:
        raise NotFound(f"There is no role assignment {name}")
    body = document.body
    require(hub, principal, _ASSIGNMENTS_DELETE, body["entrepot"]["scopeKey"], request_id=request_id)
    record = audit.record(principal, _ASSIGNMENTS_DELETE, target=body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key), epoch(body["id"]), record])
    hub.grants.forget()


def assignments(hub: Hub, principal: Principal, scope: str, *, after: str | None = None, limit: int = 1000) -> Page:
    """Return the assignments at a scope and below that the principal may see; `/` gives all."""
    scope_key = scope_key_of(scope)
    page = hub.documents.scan(EPOCH_KEY + "/", after=after, limit=limit)
    shown = []
    for document in page.documents:
        at = document.body["entrepot"]["scopeKey"]
        is_below = not scope_key or at == scope_key or at.startswith(scope_key + "/")
        if is_below and allowed(hub, principal, _ASSIGNMENTS_READ, at):
            shown.append(document)
    return Page(tuple(shown), page.next)


def bootstrap(hub: Hub, owner: Principal) -> None:
    """Make the local user Owner of the tenant, once; cheap when that is done."""
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"|{owner.id}|{OWNER.id}"))
    if hub.documents.get(f"{EPOCH_KEY}/{name}") is None:
        assign(hub, SYSTEM, role=OWNER.name, assignee=owner.id, assignee_kind=owner.kind, scope="/", name=name)


def _home_key(scope_key: str) -> str:
    return "/".join(scope_key.split("/")[:2])


def _assignment(
    hub: Hub, principal: Principal, role: Role, *, assignee: str, assignee_kind: str, scope_key: str, name: str
) -> dict[str, Json]:
    scope = show_scope(scope_key)
    prefix = "" if scope == "/" else scope
    now = to_iso(hub.clock.now())
    return {
        "id": f"{prefix}/providers/{AUTHORIZATION}/roleAssignments/{name}",
        "name": name,
        "type": f"{AUTHORIZATION}/roleAssignments",
        "properties": {
            "roleDefinitionId": f"/providers/{AUTHORIZATION}/roleDefinitions/{role.id}",
            "roleDefinitionName": role.name,
            "principalId": assignee,
            "principalType": assignee_kind,
            "scope": scope,
            "createdOn": now,
            "createdBy": principal.id,
        },
        "entrepot": {"role": role.name, "scopeKey": scope_key},
    }


def epoch(changed: str) -> Put:
    """Return the change by which other processes notice that access changed."""
    return Put(EPOCH_KEY, {"changed": changed})
