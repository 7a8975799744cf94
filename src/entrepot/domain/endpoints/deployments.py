"""Deployments of online endpoints: create, read, change, scale, delete, read logs.

Writing one only says what is wanted: `replicas/` makes it so, `provisioning.py` tells when it is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from entrepot.core.errors import NotFound, StateConflict
from entrepot.core.ids import check_deployment_name
from entrepot.domain import access, audit, lineage, operations
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.endpoints import bodies, collections, endpoints, resolution, rollouts, templating
from entrepot.domain.endpoints.announcements import deployment_changed, gateways_changed, replicas_wanted
from entrepot.domain.endpoints.places import (
    DEPLOYMENT_DELETE,
    DEPLOYMENT_READ,
    DEPLOYMENT_TYPE,
    DEPLOYMENT_WRITE,
    LOGS,
    DeploymentRef,
    EndpointRef,
    deployment_of,
)
from entrepot.domain.endpoints.replicas import recipes
from entrepot.domain.endpoints.resolution import Resolved
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import created_by, home, modified_by, writable_home
from entrepot.store.documents import Change, Document, Page, Put, Unlink, View

Json = Any

_NEEDS_REPLICAS = ("codeConfiguration", "model", "environmentId", "environmentVariables", "instanceType",
                   "modelMountPath", "livenessProbe", "readinessProbe", "dataCollector", "properties",
                   "requestSettings")  # fmt: skip
"""What replicas are started with: a change of these starts new ones."""


@dataclass(frozen=True, slots=True)
class Written:
    """A deployment that was written. `operation` is what to poll until its replicas answer."""

    document: Document
    is_new: bool
    operation: str


def get(hub: Hub, principal: Principal, ref: DeploymentRef) -> Document:
    """Return a deployment's document. Raises NotFound."""
    scope = ref.endpoint.scope
    home(hub, scope)
    access.require_visible(hub, principal, DEPLOYMENT_READ, scope.key, what=f"The {ref}")
    document = hub.documents.get(ref.key) if "/" not in ref.name else None
    if document is None:
        endpoints.get(hub, principal, ref.endpoint)
        raise NotFound(
            f"There is no {ref}",
            hint=f"az ml online-deployment list --endpoint-name {ref.endpoint.name} shows what there is",
        )
    return document


def list_(hub: Hub, principal: Principal, ref: EndpointRef, *, after: str | None = None, limit: int = 100) -> Page:
    """Return a page of an endpoint's deployments, newest first. Raises NotFound."""
    endpoints.get(hub, principal, ref)
    access.require_visible(hub, principal, DEPLOYMENT_READ, ref.scope.key, what=f"The {ref}")
    return hub.documents.list(ref.collection, view=View.ALL, after=after, limit=limit)


def put(
    hub: Hub, principal: Principal, ref: DeploymentRef, body: Mapping[str, Json], *, request_id: str = ""
) -> Written:
    """Create a deployment from an ARM body, or replace it: new replicas first, then the old ones go.

    Raises InvalidRequest, TemplateLimitExceeded, NotFound for what it names, StateConflict while it or its endpoint is
    being deleted.
    """
    check_deployment_name(ref.name)
    writable_home(hub, ref.endpoint.scope)
    endpoint = endpoints.reference(endpoints.get(hub, principal, ref.endpoint))
    known = hub.documents.get(DeploymentRef(endpoint, ref.name).key)
    ref = deployment_of(known.body["id"]) if known else DeploymentRef(endpoint, ref.name)
    access.require(hub, principal, DEPLOYMENT_WRITE, endpoint.scope.key, target=ref.id, request_id=request_id)
    applied = templating.apply(hub, principal, endpoint.scope, body, before=known.body if known else {})
    properties = bodies.deployment_properties(applied.properties)
    resolved = applied.bound(resolution.resolve(hub, principal, endpoint.scope, properties))
    properties |= resolved.fields
    collected, told = collections.resolved(hub, principal, ref, properties)
    properties |= collected
    resolved = replace(resolved, ours={**resolved.ours, **told})
    recipes.scale_of(properties)
    if properties.get("rollout"):
        rollouts.read_plan(properties["rollout"])
    recipes.read(recipes.part_of({"properties": properties, "entrepot": {"resolved": resolved.ours}}))

    def attempt() -> Written:
        existing = hub.documents.get(ref.key)
        fresh = _fresh_body(hub, principal, ref, {**body, "sku": applied.sku}, properties, resolved, existing)
        fresh["entrepot"]["own"] = applied.own
        return _written(hub, principal, ref, fresh, resolved, existing, request_id)

    return settled(attempt)


def patch(
    hub: Hub, principal: Principal, ref: DeploymentRef, body: Mapping[str, Json], *, request_id: str = ""
) -> Written:
    """Change some of a deployment: tags, the number of instances (sku.capacity), any of its properties."""
    before = get(hub, principal, ref).body
    merged = {**before, **{name: value for name, value in body.items() if value is not None}}
    merged["properties"] = {**before["properties"], **(body.get("properties") or {})}
    return put(hub, principal, ref, merged, request_id=request_id)


def delete(hub: Hub, principal: Principal, ref: DeploymentRef, *, request_id: str = "") -> str:
    """Begin to delete a deployment and return the operation to poll. Raises StateConflict while it has traffic."""
    ref = deployment_of(get(hub, principal, ref).body["id"])
    access.require(hub, principal, DEPLOYMENT_DELETE, ref.endpoint.scope.key, target=ref.id, request_id=request_id)

    def attempt() -> str:
        document, endpoint = get(hub, principal, ref), endpoints.get(hub, principal, ref.endpoint)
        shares = endpoint.body["properties"]
        for field, what in (("traffic", "live"), ("mirrorTraffic", "mirrored")):
            percent = (shares.get(field) or {}).get(ref.name, 0)
            if percent:
                raise StateConflict(
                    f"Deployment {ref.name} has {percent} % of the {what} traffic of {ref.endpoint.name}: "
                    "give that to another one first",
                    hint=f'az ml online-endpoint update --name {ref.endpoint.name} --traffic "{ref.name}=0 ..."',
                )
        operation = operations.opened(hub, principal, what="delete", target=ref.id)
        name: str = operation.body["name"]
        note = audit.record(principal, DEPLOYMENT_DELETE, target=ref.id, now=hub.clock.now(), request_id=request_id)
        kept = endpoints.put_of(ref.endpoint, endpoint.body, match=endpoint.revision)  # no traffic arrives meanwhile
        marked = endpoints.marked_for_deletion(document, operation=name)
        hub.documents.commit([kept, *marked, operation, gateways_changed(ref.key), note])
        return name

    return settled(attempt)


def readable_logs(hub: Hub, principal: Principal, ref: DeploymentRef, *, request_id: str = "") -> DeploymentRef:
    """Return the deployment whose logs the principal may read. Raises NotFound, AccessDenied."""
    ref = deployment_of(get(hub, principal, ref).body["id"])
    access.require(hub, principal, LOGS, ref.endpoint.scope.key, target=ref.id, request_id=request_id)
    return ref


def _fresh_body(
    hub: Hub,
    principal: Principal,
    ref: DeploymentRef,
    body: Mapping[str, Json],
    properties: Mapping[str, Json],
    resolved: Resolved,
    existing: Document | None,
) -> dict[str, Json]:
    """Return the document with the generation it needs; a failed one starts anew."""
    now = hub.clock.now()
    before: dict[str, Json] = existing.body if existing else {}
    state = before["properties"]["provisioningState"] if before else ""
    if state == bodies.DELETING:
        raise StateConflict(f"The {ref} is being deleted: create it again when it is gone")
    ours = dict(before.get("entrepot") or {"generation": "0"})
    sku = bodies.sku_of(body.get("sku"), before.get("sku"))
    is_changed = state in ("", bodies.FAILED) or ours.get("resolved") != resolved.ours
    is_changed = is_changed or any(before["properties"].get(f) != properties.get(f) for f in _NEEDS_REPLICAS)
    if is_changed:
        ours["generation"] = str(int(ours["generation"]) + 1)
    ours |= {"resolved": dict(resolved.ours), "wanted": sku["capacity"]}
    ours.pop("error", None)
    made = created_by(principal, now)
    return {
        "id": ref.id, "name": ref.name, "type": DEPLOYMENT_TYPE, "kind": "Managed", "sku": sku,
        "location": home(hub, ref.endpoint.scope).region,
        "tags": body.get("tags") or {}, "identity": body.get("identity"),
        "systemData": modified_by(before["systemData"], principal, now) if before else made,
        "properties": {**properties, "provisioningState": bodies.UPDATING if before else bodies.CREATING},
        "entrepot": ours,
    }  # fmt: skip


def _written(
    hub: Hub,
    principal: Principal,
    ref: DeploymentRef,
    fresh: dict[str, Json],
    resolved: Resolved,
    existing: Document | None,
    request_id: str,
) -> Written:
    endpoint = endpoints.get(hub, principal, ref.endpoint)
    body = endpoint.body
    if body["properties"]["provisioningState"] == bodies.DELETING:
        raise StateConflict(f"The {ref.endpoint} is being deleted")
    body["properties"]["traffic"].setdefault(ref.name, 0)
    operation = operations.opened(hub, principal, what="deploy", target=ref.id)
    name: str = operation.body["name"]
    fresh["entrepot"]["operations"] = [*fresh["entrepot"].get("operations", ()), name]
    changes: list[Change] = [
        Put(ref.key, fresh, match=existing.revision if existing else 0),
        endpoints.put_of(ref.endpoint, body, match=endpoint.revision),
        operation,
        Unlink(ref.id),  # takes the edges of an earlier generation away: what is not served may be deleted
        *resolved.links(ref.id),
        lineage.deployed(ref.endpoint.id, ref.id),
        replicas_wanted(ref.key),
        deployment_changed(ref.key),
        gateways_changed(ref.key),
        audit.record(
            principal, DEPLOYMENT_WRITE, target=ref.id, now=hub.clock.now(), request_id=request_id,
            details={"model": resolved.model},
        ),
    ]  # fmt: skip
    return Written(hub.documents.commit(changes)[0], existing is None, name)
