"""Compute targets of a workspace: names for the server's own processors, as Azure ML clients expect them."""

from typing import Any

from entrepot.core.errors import InvalidName, InvalidRequest, NotFound, Unsupported
from entrepot.core.ids import Region, WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, audit
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import created_by, home, modified_by
from entrepot.store.documents import Delete, Document, Page, Put, View

Json = Any

DEFAULT = "cpu-cluster"
SIZE = "STANDARD_DS3_V2"  # a name that scripts know; every compute target is this machine
_KINDS = ("AmlCompute", "ComputeInstance")
READ = f"{PROVIDER}/workspaces/computes/read"
WRITE = f"{PROVIDER}/workspaces/computes/write"
DELETE = f"{PROVIDER}/workspaces/computes/delete"
SWITCHES = {verb: f"{PROVIDER}/workspaces/computes/{verb}/action" for verb in ("start", "stop", "restart")}


def key_of(scope: WorkspaceScope, name: str) -> str:
    """Return the document key of a compute target; their names do not differ by case."""
    return f"{scope.key}/computes/{name.lower()}"


def new_default(hub: Hub, principal: Principal, scope: WorkspaceScope, region: Region) -> Put:
    """Return the change that adds `cpu-cluster` to a new workspace."""
    cluster = {
        "vmSize": SIZE,
        "vmPriority": "Dedicated",
        "osType": "Linux",
        "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT2M"},
        "allocationState": "Steady",
        "currentNodeCount": 1,
        "targetNodeCount": 1,
    }
    properties = {"computeType": "AmlCompute", "description": "The processors of this server", "properties": cluster}
    return Put(key_of(scope, DEFAULT), _body(hub, principal, scope, DEFAULT, region, {"properties": properties}))


def get(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str) -> Document:
    """Return a compute target's document. Raises NotFound."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"Compute {name!r} in {scope}")
    document = hub.documents.get(key_of(scope, name))
    if document is None:
        raise NotFound(f"There is no compute {name!r} in {scope}", hint="az ml compute list shows what there is")
    return document


def list_(hub: Hub, principal: Principal, scope: WorkspaceScope, *, after: str | None = None, limit: int = 100) -> Page:
    """Return a page of a workspace's compute targets."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"The {scope}")
    return hub.documents.list(f"{scope.key}/computes", view=View.ALL, after=after, limit=limit)


def put(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, body: Json, *, request_id: str = ""
) -> tuple[Document, bool]:
    """Create or change a compute target from an ARM body; tell whether it is new. Raises InvalidName."""
    if not 2 <= len(name) <= 32 or not all(c.isalnum() or c == "-" for c in name) or not name[0].isalpha():
        raise InvalidName(f"{name!r} is not a compute name: use 2 to 32 letters, digits or '-', the first a letter")
    found = home(hub, scope)
    access.require(hub, principal, WRITE, scope.key, request_id=request_id)
    _check_kind(body.get("properties") or {})
    existing = hub.documents.get(key_of(scope, name))
    fresh = _body(hub, principal, scope, name, found.region, body)
    if existing is not None:
        fresh["systemData"] = modified_by(existing.body["systemData"], principal, hub.clock.now())
    record = audit.record(principal, WRITE, target=fresh["id"], now=hub.clock.now(), request_id=request_id)
    return hub.documents.commit([Put(key_of(scope, name), fresh), record])[0], existing is None


def switch(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, verb: str, *, request_id: str = ""
) -> None:
    """Note that a compute instance starts, stops or restarts. Raises NotFound, InvalidRequest for a cluster."""
    document = get(hub, principal, scope, name)
    action = SWITCHES[verb]
    access.require(hub, principal, action, scope.key, target=document.body["id"], request_id=request_id)
    body = document.body
    if body["properties"]["computeType"] != "ComputeInstance":
        raise InvalidRequest(f"Compute {name!r} is a cluster: only compute instances are started and stopped")
    body["properties"]["properties"]["state"] = "Stopped" if verb == "stop" else "Running"
    note = audit.record(principal, action, target=body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Put(document.key, body, match=document.revision), note])


def delete(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> None:
    """Remove a compute target. Raises NotFound, AccessDenied."""
    document = get(hub, principal, scope, name)
    access.require(hub, principal, DELETE, scope.key, request_id=request_id)
    record = audit.record(principal, DELETE, target=document.body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key), record])


def _check_kind(properties: Json) -> None:
    kind = properties.get("computeType")
    if not kind:
        raise InvalidRequest("A compute target needs properties.computeType, such as AmlCompute", target="computeType")
    if kind not in _KINDS:
        raise Unsupported(f"Compute of the type {kind}", instead=f"Create one of {' or '.join(_KINDS)}.")


def _body(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, region: Region, given: Json
) -> dict[str, Json]:
    now = hub.clock.now()
    created = created_by(principal, now)
    properties = dict(given.get("properties") or {})
    properties |= {
        "computeLocation": region,
        "provisioningState": "Succeeded",
        "provisioningErrors": None,
        "isAttachedCompute": False,
        "createdOn": created["createdAt"],
        "modifiedOn": created["createdAt"],
    }
    properties["properties"] = dict(properties.get("properties") or {})
    if login := properties["properties"].get("userAccountCredentials"):  # nobody logs in here: no secret is kept
        secrets = ("adminUserPassword", "adminUserSshPublicKey")
        properties["properties"]["userAccountCredentials"] = {k: v for k, v in login.items() if k not in secrets}
    if properties["computeType"] == "ComputeInstance":
        properties["properties"].setdefault("state", "Running")
    return {
        "id": f"{scope.arm_id}/computes/{name}",
        "name": name,
        "type": f"{PROVIDER}/workspaces/computes",
        "location": region,
        "tags": given.get("tags") or {},
        "identity": given.get("identity"),
        "systemData": created,
        "properties": properties,
    }
