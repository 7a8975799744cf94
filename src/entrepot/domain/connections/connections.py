"""Connections as documents `{ws}/connections/{name}`; their credentials lie beside them, sealed, and are told apart.

A connection is a note for users' code (a key of a service elsewhere, a token of a package index): nothing here uses it.
"""

import re
from typing import Any

import msgspec

from entrepot.core.errors import InvalidName, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, audit
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import created_by, home, modified_by, writable_home
from entrepot.domain.surroundings import hubs
from entrepot.store.documents import ABSENT, Delete, Document, Page, Put, View

Json = Any

TYPE = f"{PROVIDER}/workspaces/connections"
READ, WRITE, DELETE = f"{TYPE}/read", f"{TYPE}/write", f"{TYPE}/delete"
SECRETS = f"{TYPE}/listsecrets/action"
_MOST_SHARED = 1000
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{1,63}\Z")


def key_of(scope: WorkspaceScope, name: str) -> str:
    """Return the key of a connection's document."""
    return f"{scope.key}/connections/{name.lower()}"


def get(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str) -> Document:
    """Return a connection, or the one that a project's hub shares, without its credentials. Raises NotFound."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"Connection {name!r} in {scope}")
    return _found(hub, scope, name)


def _found(hub: Hub, scope: WorkspaceScope, name: str) -> Document:
    document = hub.documents.get(key_of(scope, name)) if _NAME.match(name) else None
    if document is None and _NAME.match(name) and (above := hubs.above(hub, scope)):
        shared = hub.documents.get(key_of(above, name))
        document = shared if shared and _is_shared(shared) else None
    if document is None:
        raise NotFound(f"There is no connection {name!r} in {scope}")
    return document


def list_(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    *,
    category: str | None = None,
    target: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a page of connections, at its end those that a project's hub shares; `category` and `target` narrow it."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"The {scope}")
    page = hub.documents.list(f"{scope.key}/connections", view=View.ALL, after=after, limit=limit)
    if page.next is None and (above := hubs.above(hub, scope)):
        shared = hub.documents.list(f"{above.key}/connections", view=View.ALL, limit=_MOST_SHARED).documents
        page = Page((*page.documents, *(d for d in shared if _is_shared(d))), None)
    wanted = {name: value.lower() for name, value in (("category", category), ("target", target)) if value}
    shown = (d for d in page.documents if all(str(d.body["properties"].get(n)).lower() == v for n, v in wanted.items()))
    return Page(tuple(shown), page.next)


def put(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, properties: Json, *, request_id: str = ""
) -> Document:
    """Create or change a connection. What the body leaves out stays. Raises InvalidRequest."""
    if not _NAME.match(name):
        raise InvalidName(f"{name!r} is not a connection name: use 2 to 64 letters, digits, '_' or '-'")
    found = writable_home(hub, scope).scope
    assert isinstance(found, WorkspaceScope)
    target = f"{found.arm_id}/connections/{name}"
    access.require(hub, principal, WRITE, found.key, target=target, request_id=request_id)
    credentials = properties.get("credentials")
    if credentials is not None and not isinstance(credentials, dict):
        raise InvalidRequest("properties.credentials must be an object", target="credentials")

    def write() -> Document:
        existing = hub.documents.get(key_of(found, name))
        body = _body(hub, principal, target, properties, existing)
        match = existing.revision if existing else ABSENT
        changes = [Put(key_of(found, name), body, match=match)]
        if credentials is not None:
            changes.append(_sealed(hub, found, name, credentials))
        note = audit.record(principal, WRITE, target=target, now=hub.clock.now(), request_id=request_id)
        return hub.documents.commit([*changes, note])[0]

    return settled(write)


def secrets(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> Json:
    """Return a connection's body with its credentials; the right to be told these is enough.

    Raises NotFound, AccessDenied.
    """
    home(hub, scope)
    may_ask = access.allowed(hub, principal, SECRETS, scope.key)
    document = _found(hub, scope, name) if may_ask else get(hub, principal, scope, name)
    body = document.body
    access.require(hub, principal, SECRETS, scope.key, target=body["id"], request_id=request_id)
    key = f"{document.key}/credentials"
    kept = hub.documents.get(key)
    credentials = msgspec.json.decode(hub.sealer.open(kept.body["sealed"], at=key)) if kept else None
    note = audit.record(principal, SECRETS, target=body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([note])
    return {**body, "properties": {**body["properties"], "credentials": credentials}}


def delete(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> None:
    """Remove a connection with its credentials. Raises NotFound, AccessDenied."""
    document = get(hub, principal, scope, name)
    target = document.body["id"]
    access.require(hub, principal, DELETE, scope.key, target=target, request_id=request_id)
    if document.key != key_of(scope, name):
        raise StateConflict(f"Connection {name!r} is shared by the hub of {scope}: delete it there")
    note = audit.record(principal, DELETE, target=target, now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key), Delete(_secrets_key(scope, name)), note])


def _is_shared(document: Document) -> bool:
    return bool(document.body["properties"].get("isSharedToAll"))


def _secrets_key(scope: WorkspaceScope, name: str) -> str:
    return f"{key_of(scope, name)}/credentials"


def _sealed(hub: Hub, scope: WorkspaceScope, name: str, credentials: Json) -> Put:
    key = _secrets_key(scope, name)
    return Put(key, {"sealed": hub.sealer.seal(msgspec.json.encode(credentials).decode(), at=key)})


def _body(hub: Hub, principal: Principal, target: str, properties: Json, existing: Document | None) -> dict[str, Json]:
    now = hub.clock.now()
    before = existing.body if existing else None
    shown = {**(before["properties"] if before else {}), **{k: v for k, v in properties.items() if v is not None}}
    shown.pop("credentials", None)
    for field in ("category", "authType"):
        if not isinstance(shown.get(field), str):
            raise InvalidRequest(f"A connection needs properties.{field}, a text", target=field)
    return {
        "id": target,
        "name": target.rpartition("/")[2],
        "type": TYPE,
        "systemData": modified_by(before["systemData"], principal, now) if before else created_by(principal, now),
        "properties": {"metadata": {}, "isSharedToAll": False, **shown, "credentials": None},
    }
