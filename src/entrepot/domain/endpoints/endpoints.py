"""Online endpoints: create, read, change, divide the traffic, hand out keys, delete. Deployments are next door."""

from collections.abc import Iterable, Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import WorkspaceScope, check_endpoint_name
from entrepot.domain import access, audit, operations
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.endpoints import bodies, secrets, traffic
from entrepot.domain.endpoints.announcements import deployment_changed, gateways_changed, replicas_wanted
from entrepot.domain.endpoints.places import (
    DELETE,
    LIST_KEYS,
    READ,
    REGENERATE_KEYS,
    SPACE,
    TOKEN,
    TYPE,
    WRITE,
    EndpointRef,
    endpoint_of,
)
from entrepot.domain.endpoints.replicas import records
from entrepot.domain.endpoints.secrets import Keys
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import Home, created_by, home, modified_by, writable_home
from entrepot.store.documents import Change, Delete, Document, Facet, Page, Put, Unlink, View

Json = Any

_SLUG_CHARACTERS = 8
_MOST_DEPLOYMENTS = 1000


def get(hub: Hub, principal: Principal, ref: EndpointRef) -> Document:
    """Return an endpoint's document. Raises NotFound."""
    home(hub, ref.scope)
    access.require_visible(hub, principal, READ, ref.scope.key, what=f"The {ref}")
    return _found(hub, ref)


def list_(hub: Hub, principal: Principal, scope: WorkspaceScope, *, after: str | None = None, limit: int = 100) -> Page:
    """Return a page of a workspace's endpoints, newest first."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"The {scope}")
    return hub.documents.list(f"{scope.key}/onlineendpoints", view=View.ALL, after=after, limit=limit)


def put(
    hub: Hub, principal: Principal, ref: EndpointRef, body: Mapping[str, Json], *, request_id: str = ""
) -> tuple[Document, bool]:
    """Create an endpoint from an ARM body, or replace what may change of it; tell whether it is new.

    Without `traffic` or `mirrorTraffic` those stay as they are. Raises InvalidRequest, StateConflict.
    """
    check_endpoint_name(ref.name)
    found = writable_home(hub, ref.scope)
    ref = _spelled(hub, ref, found)
    access.require(hub, principal, WRITE, ref.scope.key, target=ref.id, request_id=request_id)

    def attempt() -> tuple[Document, bool]:
        existing = hub.documents.get(ref.key)
        stored = existing.body if existing else _new_body(hub, principal, ref, found)
        fresh = _changed(hub, ref, stored, body)
        fresh["systemData"] = modified_by(stored["systemData"], principal, hub.clock.now())
        changes: list[Change] = [put_of(ref, fresh, match=existing.revision if existing else 0)]
        if existing is None:
            changes.append(secrets.made(ref, hub))
        note = audit.record(
            principal, WRITE, target=ref.id, now=hub.clock.now(), request_id=request_id,
            details={"traffic": fresh["properties"]["traffic"]},
        )  # fmt: skip
        return hub.documents.commit([*changes, gateways_changed(ref.key), note])[0], existing is None

    return settled(attempt)


def patch(
    hub: Hub, principal: Principal, ref: EndpointRef, body: Mapping[str, Json], *, request_id: str = ""
) -> Document:
    """Change some of an endpoint: tags, identity, and any of its properties. Raises NotFound."""
    before = get(hub, principal, ref).body
    given = body.get("properties") or {}
    merged = {**before, **{name: value for name, value in body.items() if value is not None}}
    merged["properties"] = {**before["properties"], **given}
    return put(hub, principal, ref, merged, request_id=request_id)[0]


def delete(hub: Hub, principal: Principal, ref: EndpointRef, *, request_id: str = "") -> str | None:
    """Delete an endpoint with its deployments; return the operation to poll, None when it is done. Raises NotFound."""
    ref = reference(get(hub, principal, ref))
    access.require(hub, principal, DELETE, ref.scope.key, target=ref.id, request_id=request_id)

    def attempt() -> str | None:
        document = _found(hub, ref)
        note = audit.record(principal, DELETE, target=ref.id, now=hub.clock.now(), request_id=request_id)
        deployments = deployments_of(hub, ref)
        if not deployments:
            hub.documents.commit([*removed(ref, document), gateways_changed(ref.key), note])
            return None
        body = document.body
        operation = operations.opened(hub, principal, what="delete", target=ref.id)
        name: str = operation.body["name"]
        body["properties"]["provisioningState"] = bodies.DELETING
        body["entrepot"].setdefault("operations", []).append(name)
        changes: list[Change] = [put_of(ref, body, match=document.revision), operation, note]
        for deployment in deployments:
            changes += marked_for_deletion(deployment)
        hub.documents.commit([*changes, gateways_changed(ref.key)])
        return name

    return settled(attempt)


def list_keys(hub: Hub, principal: Principal, ref: EndpointRef, *, request_id: str = "") -> Keys:
    """Return an endpoint's keys. Raises NotFound, AccessDenied."""
    ref = reference(get(hub, principal, ref))
    access.require(hub, principal, LIST_KEYS, ref.scope.key, target=ref.id, request_id=request_id)
    return secrets.read(hub, ref)


def regenerate_keys(
    hub: Hub, principal: Principal, ref: EndpointRef, kind: str, value: str | None, *, request_id: str = ""
) -> None:
    """Replace the primary or the secondary key; the old one is refused within milliseconds. Raises InvalidRequest."""
    ref = reference(get(hub, principal, ref))
    access.require(hub, principal, REGENERATE_KEYS, ref.scope.key, target=ref.id, request_id=request_id)

    def attempt() -> None:
        note = audit.record(
            principal, REGENERATE_KEYS, target=ref.id, now=hub.clock.now(), request_id=request_id,
            details={"keyType": kind},
        )  # fmt: skip
        hub.documents.commit([secrets.replaced(hub, ref, kind, value), gateways_changed(ref.key), note])

    settled(attempt)


def token_secret(hub: Hub, principal: Principal, ref: EndpointRef, *, request_id: str = "") -> tuple[Document, Keys]:
    """Return what a token for an endpoint with AMLToken is signed with. Raises NotFound, StateConflict."""
    document = get(hub, principal, ref)
    ref = reference(document)
    access.require(hub, principal, TOKEN, ref.scope.key, target=ref.id, request_id=request_id)
    mode = document.body["properties"]["authMode"]
    if mode != bodies.AUTH_MODES["amltoken"]:
        raise StateConflict(f"{ref} has the auth mode {mode}: tokens of its own are for AMLToken")
    return document, secrets.read(hub, ref)


def reference(document: Document) -> EndpointRef:
    """Return which endpoint a document is of, spelled as when it was made."""
    return endpoint_of(document.body["id"])


def deployments_of(hub: Hub, ref: EndpointRef) -> tuple[Document, ...]:
    """Return the documents of an endpoint's deployments, oldest first."""
    page = hub.documents.list(ref.collection, view=View.ALL, limit=_MOST_DEPLOYMENTS)
    return tuple(reversed(page.documents))


def put_of(ref: EndpointRef, body: Json, *, match: int | None) -> Put:
    """Return the change that writes an endpoint's document, with the facet by which gateways find it."""
    return Put(ref.key, body, match=match, facets=(Facet(SPACE, "kind", "online"),))


def removed(ref: EndpointRef, document: Document) -> list[Change]:
    """Return the changes that take an endpoint without deployments away."""
    return [Delete(ref.key, match=document.revision), Delete(ref.secrets_key), Unlink(ref.id)]


def marked_for_deletion(deployment: Document, *, operation: str = "") -> list[Change]:
    """Return the changes by which a deployment's replicas end and its document goes when they are gone."""
    body = deployment.body
    body["properties"]["provisioningState"] = bodies.DELETING
    body["entrepot"]["wanted"] = 0
    if operation:
        body["entrepot"].setdefault("operations", []).append(operation)
    return [
        Put(deployment.key, body, match=deployment.revision, facets=None),
        replicas_wanted(deployment.key),
        deployment_changed(deployment.key),
    ]


def _found(hub: Hub, ref: EndpointRef) -> Document:
    document = hub.documents.get(ref.key) if "/" not in ref.name else None
    if document is None:
        raise NotFound(f"There is no {ref}", hint="az ml online-endpoint list shows what there is")
    return document


def _spelled(hub: Hub, ref: EndpointRef, found: Home) -> EndpointRef:
    existing = hub.documents.get(ref.key)
    if existing is not None:
        return reference(existing)
    assert isinstance(found.scope, WorkspaceScope)
    return EndpointRef(found.scope, ref.name)


def _new_body(hub: Hub, principal: Principal, ref: EndpointRef, found: Home) -> dict[str, Json]:
    slug = f"{ref.name.lower()}-{found.guid.replace('-', '')[:_SLUG_CHARACTERS]}"
    return {
        "id": ref.id, "name": ref.name, "type": TYPE, "location": found.region, "kind": "Managed", "tags": {},
        "systemData": created_by(principal, hub.clock.now()), "properties": {"traffic": {}, "mirrorTraffic": {}},
        "entrepot": {"slug": slug},
    }  # fmt: skip


def _changed(hub: Hub, ref: EndpointRef, stored: dict[str, Json], body: Mapping[str, Json]) -> dict[str, Json]:
    before = stored["properties"]
    if before.get("provisioningState") == bodies.DELETING:
        raise StateConflict(f"The {ref} is being deleted")
    given = body.get("properties") or {}
    if not isinstance(given, Mapping):
        raise InvalidRequest("The body's properties must be an object", target="properties")
    deployments = deployments_of(hub, ref)
    names = [deployment.body["name"] for deployment in deployments]
    properties = bodies.endpoint_properties(given, before, stored["entrepot"]["slug"])
    asked = given.get("traffic")
    shares = traffic.read_traffic(before["traffic"] if asked is None else asked, names)
    mirror = given.get("mirrorTraffic")
    mirrored = traffic.read_mirror(before["mirrorTraffic"] if mirror is None else mirror, names, shares)
    _require_servers(hub, deployments, before["traffic"], shares)
    fresh = dict(stored)
    for name in ("tags", "identity", "kind", "sku"):
        if body.get(name) is not None:
            fresh[name] = body[name]
    return fresh | {"properties": {**properties, "traffic": shares, "mirrorTraffic": mirrored}}


def _require_servers(
    hub: Hub, deployments: Iterable[Document], before: Mapping[str, int], shares: Mapping[str, int]
) -> None:
    """Raise StateConflict for more traffic to a deployment that cannot answer any yet."""
    for deployment in deployments:
        body = deployment.body
        name, state = body["name"], body["properties"]["provisioningState"]
        if shares.get(name, 0) <= before.get(name, 0) or state in (bodies.SUCCEEDED, bodies.UPDATING):
            continue
        if not records.routable(records.all_of(hub, deployment.key)):
            raise StateConflict(
                f"Deployment {name} is {state} and answers no requests yet: give it traffic when it has Succeeded"
            )
