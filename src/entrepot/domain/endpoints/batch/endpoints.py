"""Batch endpoints as documents: create, read, change, delete. Deployments and invocations are next door."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound, Unsupported
from entrepot.core.ids import WorkspaceScope, check_endpoint_name
from entrepot.domain import access, audit
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.endpoints.batch import places
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import API_ORIGIN, created_by, home, modified_by, writable_home
from entrepot.store.documents import Change, Delete, Document, Page, Put, Unlink, View

Json = Any

_AUTH_MODES = ("aadtoken", "aad_token")
_MOST_DEPLOYMENTS = 1000


def get(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str) -> Document:
    """Return an endpoint. Raises NotFound."""
    what = f"Batch endpoint {name!r} in {scope}"
    access.require_visible(hub, principal, places.READ, scope.key, what=what)
    return load(hub, scope, name)


def load(hub: Hub, scope: WorkspaceScope, name: str) -> Document:
    """Return an endpoint, whoever asks. Raises NotFound."""
    document = hub.documents.get(places.key_of(scope, name)) if "/" not in name else None
    if document is None:
        hint = "az ml batch-endpoint list shows what there is"
        raise NotFound(f"There is no batch endpoint {name!r} in {scope}", hint=hint)
    return document


def list_(hub: Hub, principal: Principal, scope: WorkspaceScope, *, after: str | None = None, limit: int = 100) -> Page:
    """Return a page of a workspace's batch endpoints, newest first."""
    home(hub, scope)
    access.require_visible(hub, principal, places.READ, scope.key, what=f"The {scope}")
    return hub.documents.list(places.collection(scope), view=View.ALL, after=after, limit=limit)


def put(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, body: Mapping[str, Json], *, request_id: str = ""
) -> tuple[Document, bool]:
    """Create an endpoint or replace what is said of it; tell whether it is new. Raises InvalidRequest, InvalidName."""
    check_endpoint_name(name)
    return settled(lambda: _put(hub, principal, scope, name, body, request_id))


def _put(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, body: Mapping[str, Json], request_id: str
) -> tuple[Document, bool]:
    found = writable_home(hub, scope)
    assert isinstance(found.scope, WorkspaceScope)
    scope, now, target = found.scope, hub.clock.now(), places.arm_id(found.scope, name)
    access.require(hub, principal, places.WRITE, scope.key, target=target, request_id=request_id)
    existing = hub.documents.get(places.key_of(scope, name))
    properties = _checked(hub, scope, name, body.get("properties") or {}, is_new=existing is None)
    made = created_by(principal, now)
    fresh: dict[str, Json] = {
        "id": target,
        "name": name,
        "type": places.TYPE,
        "location": str(body.get("location") or found.region),
        "tags": dict(body.get("tags") or {}),
        "kind": body.get("kind"),
        "identity": body.get("identity"),
        "properties": properties,
        "systemData": modified_by(existing.body["systemData"], principal, now) if existing else made,
        "entrepot": {},
    }
    note = audit.record(principal, places.WRITE, target=target, now=now, request_id=request_id)
    match = existing.revision if existing else 0
    return hub.documents.commit([Put(places.key_of(scope, name), fresh, match=match), note])[0], existing is None


def patch(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, body: Mapping[str, Json], *, request_id: str = ""
) -> Document:
    """Change some of an endpoint: tags, description, the default deployment. Raises NotFound, InvalidRequest."""
    existing = get(hub, principal, scope, name).body
    merged = {**existing["properties"], **(body.get("properties") or {})}
    tags = {**existing["tags"], **(body.get("tags") or {})}
    return put(hub, principal, scope, name, {**existing, "properties": merged, "tags": tags}, request_id=request_id)[0]


def delete(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> None:
    """Delete an endpoint with its deployments; the jobs that they made stay. Raises NotFound."""
    document = get(hub, principal, scope, name)
    target = document.body["id"]
    access.require(hub, principal, places.DELETE, scope.key, target=target, request_id=request_id)
    below = hub.documents.list(places.deployments_of(scope, name), view=View.ALL, limit=_MOST_DEPLOYMENTS)
    changes: list[Change] = []
    for found in below.documents:
        changes += [Delete(found.key), Unlink(found.body["id"])]
    note = audit.record(principal, places.DELETE, target=target, now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key), *changes, note])


def default_of(body: Mapping[str, Json]) -> str | None:
    """Return the name of an endpoint's default deployment."""
    name: str | None = (body["properties"].get("defaults") or {}).get("deploymentName")
    return name


def with_default(body: dict[str, Json], name: str | None) -> dict[str, Json]:
    """Return an endpoint's body with another default deployment."""
    properties = {**body["properties"], "defaults": {**body["properties"]["defaults"], "deploymentName": name}}
    return {**body, "properties": properties}


def _checked(
    hub: Hub, scope: WorkspaceScope, name: str, properties: Mapping[str, Json], *, is_new: bool
) -> dict[str, Json]:
    mode = str(properties.get("authMode") or "AADToken")
    if mode.lower() not in _AUTH_MODES:
        raise Unsupported(f"Batch endpoints with auth_mode {mode}", instead="They take aad_token only.")
    defaults = properties.get("defaults") or {}
    if not isinstance(defaults, Mapping):
        raise InvalidRequest(f"`defaults` is {defaults!r}: write an object with deploymentName", target="defaults")
    chosen = defaults.get("deploymentName")
    if chosen and not is_new and hub.documents.get(places.deployment_key(scope, name, str(chosen))) is None:
        page = hub.documents.list(places.deployments_of(scope, name), view=View.ALL)
        known = ", ".join(sorted(found.body["name"] for found in page.documents)) or "none"
        raise InvalidRequest(
            f"The default deployment {chosen!r} is not there: deployments of {name} are {known}",
            target="defaults.deploymentName",
        )
    return {
        **{key: value for key, value in properties.items() if value is not None},
        "authMode": "AADToken",
        "defaults": {**defaults, "deploymentName": chosen or None},
        "provisioningState": "Succeeded",
        "scoringUri": f"{API_ORIGIN}{places.arm_id(scope, name)}/jobs",
    }
