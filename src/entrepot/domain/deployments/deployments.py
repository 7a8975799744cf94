"""Deployments of ARM templates in a resource group or a subscription: validate, create, tell what would change, show.

A deployment is accepted when its template can be read and all it makes is of types that this server makes; the rest
is work of the queue `template` (`running.py`). The rights to make a resource are asked for when it is made.
"""

from typing import Any

from entrepot.core.errors import InvalidName, InvalidRequest, NotFound, StateConflict
from entrepot.domain import access, audit, groups
from entrepot.domain.deployments import ordering, records, running
from entrepot.domain.deployments.changes import changes
from entrepot.domain.deployments.making import Maker
from entrepot.domain.deployments.parameters import hidden
from entrepot.domain.deployments.places import Place
from entrepot.domain.deployments.records import ACCEPTED, CANCELED, FINAL, SUCCEEDED, TYPE, Target
from entrepot.domain.deployments.template import Template
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import offered_region
from entrepot.store.documents import Delete, Document, Enqueue, Page, Put, View

Json = Any

_NAME_LENGTH = 64


def validate(hub: Hub, principal: Principal, target: Target, body: Json, maker: Maker) -> Json:
    """Return ARM's answer to a template that could be deployed; changes nothing. Raises InvalidRequest."""
    access.require(hub, principal, f"{TYPE}/validate/action", target.scope_key)
    _require_name(target.name)
    template = _read(hub, principal, target, body, maker)
    answer = records.body(hub, target, template, state=SUCCEEDED)
    del answer["entrepot"]
    answer["properties"]["validatedResources"] = [{"id": found.id} for found in template.resources if found.is_wanted]
    return answer


def what_if(hub: Hub, principal: Principal, target: Target, body: Json, maker: Maker) -> Json:
    """Return ARM's list of changes that the deployment would make; changes nothing."""
    access.require(hub, principal, f"{TYPE}/whatIf/action", target.scope_key)
    _require_name(target.name)
    template = _read(hub, principal, target, body, maker)

    def nested(id: str, inner: Json) -> list[Json]:
        """Tell what a nested deployment would change in the place of the deployment itself, as Azure does."""
        told: list[Json] = what_if(hub, principal, records.target_of(id), inner, maker)["properties"]["changes"]
        return told

    found = hidden(changes(template, maker, principal, nested), template.specs, template.parameters)
    return {"status": SUCCEEDED, "properties": {"correlationId": hub.new_id(), "changes": found}}


def create(
    hub: Hub, principal: Principal, target: Target, body: Json, maker: Maker, *, request_id: str = ""
) -> Document:
    """Accept a deployment and have it carried out. Raises InvalidRequest; StateConflict while one of its name runs."""
    access.require(hub, principal, f"{TYPE}/write", target.scope_key, target=target.id, request_id=request_id)
    _require_name(target.name)
    existing = hub.documents.get(target.key)
    if existing is not None and existing.body["properties"]["provisioningState"] not in FINAL:
        raise StateConflict(
            f"The deployment {target.name} is still running; take another name, or wait for it",
            hint=f"az deployment {'group' if target.resource_group else 'sub'} cancel -n {target.name}",
        )
    template = _read(hub, principal, target, body, maker)
    record = records.body(hub, target, template, state=ACCEPTED, request_id=request_id)
    text = body["properties"]["template"]
    document, *_ = hub.documents.commit(
        [
            Put(target.key, record, match=existing.revision if existing else 0),
            records.kept(target, text),
            records.sealed(hub, target, principal, template, text),
            Enqueue(running.QUEUE, target.key, running.payload_of(target)),
            audit.record(principal, f"{TYPE}/write", target=target.id, now=hub.clock.now(), request_id=request_id,
                         details={"state": ACCEPTED}),
        ]
    )  # fmt: skip
    return document


def _require_name(name: str) -> None:
    if len(name) > _NAME_LENGTH or not all(c.isalnum() or c in "_-.()" for c in name):
        raise InvalidName(
            f"{name!r} is no name of a deployment: use up to {_NAME_LENGTH} letters, digits, '_', '-', '.', '(' or ')'"
        )


def get(hub: Hub, principal: Principal, target: Target) -> Document:
    """Return a deployment's record. Raises NotFound."""
    access.require_visible(hub, principal, f"{TYPE}/read", target.collection, what=f"Deployment {target.name!r}")
    document = hub.documents.get(target.key)
    if document is None:
        where = f"resource group {target.resource_group!r}" if target.resource_group else "the subscription"
        raise NotFound(f"There is no deployment {target.name!r} in {where}")
    return document


def status(hub: Hub, principal: Principal, target: Target, operation: str) -> Json:
    """Return how far a deployment is, as pollers read it. Raises NotFound for another one than `operation`."""
    properties = get(hub, principal, target).body["properties"]
    if properties["correlationId"] != operation:
        raise NotFound(f"The deployment {target.name} of the operation {operation} was replaced by another one")
    told: dict[str, Json] = {"name": operation, "status": properties["provisioningState"]}
    return {**told, "error": properties["error"]} if "error" in properties else told


def list_(
    hub: Hub, principal: Principal, scope: Target, *, after: str | None = None, limit: int = 100, state: str = ""
) -> Page:
    """Return a page of the scope's deployments, newest first; the name of `scope` does not matter.

    With a `state`, only those that are in it, whatever its case: a page may then have fewer than `limit`.
    """
    if scope.resource_group:
        groups.get(hub, principal, scope.subscription, scope.resource_group)
    else:
        access.require(hub, principal, f"{TYPE}/read", scope.scope_key)
    page = hub.documents.list(scope.collection, view=View.ALL, after=after, limit=limit)
    if not state:
        return page
    held = (found for found in page.documents if found.body["properties"]["provisioningState"].lower() == state.lower())
    return Page(tuple(held), page.next)


def export(hub: Hub, principal: Principal, target: Target) -> Json:
    """Return a deployment's template, as it was given. Raises NotFound."""
    access.require(hub, principal, f"{TYPE}/exportTemplate/action", target.scope_key)
    get(hub, principal, target)
    document = hub.documents.get(target.template_key)
    return document.body if document else {"template": {}}


def cancel(hub: Hub, principal: Principal, target: Target, *, request_id: str = "") -> None:
    """End a deployment that runs; what it made stays. Raises StateConflict when it has ended."""
    access.require(hub, principal, f"{TYPE}/cancel/action", target.scope_key, target=target.id, request_id=request_id)
    document = get(hub, principal, target)
    record = document.body
    state = record["properties"]["provisioningState"]
    if state in FINAL:
        raise StateConflict(f"The deployment {target.name} has ended already, as {state}")
    records.ended(record, state=CANCELED, now=hub.clock.now())
    told = audit.record(
        principal, f"{TYPE}/cancel/action", target=target.id, now=hub.clock.now(), request_id=request_id
    )
    hub.documents.commit([Put(target.key, record, match=document.revision), told])


def delete(hub: Hub, principal: Principal, target: Target, *, request_id: str = "") -> bool:
    """Remove the record of a deployment, not what it made; tell whether there was one. Raises StateConflict."""
    access.require(hub, principal, f"{TYPE}/delete", target.collection, target=target.id, request_id=request_id)
    document = hub.documents.get(target.key)
    if document is None:
        return False
    if document.body["properties"]["provisioningState"] not in FINAL:
        raise StateConflict(f"The deployment {target.name} is still running: cancel it first")
    record = audit.record(principal, f"{TYPE}/delete", target=target.id, now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(target.key), Delete(target.template_key), Delete(target.run_key), record])
    return True


def operations(hub: Hub, principal: Principal, target: Target) -> list[Json]:
    """Return one ARM deployment operation for each resource of the template."""
    return records.operations(target, get(hub, principal, target).body)


def _read(hub: Hub, principal: Principal, target: Target, body: Json, maker: Maker) -> Template:
    properties = body.get("properties") or {}
    if str(properties.get("mode", "Incremental")).lower() != "incremental":
        raise InvalidRequest("Only deployments in mode Incremental are done: Complete would delete what is not named")
    for name in ("templateLink", "parametersLink"):
        if properties.get(name):
            raise InvalidRequest(
                f"{name} is not followed: this server fetches nothing for a deployment; give --template-file",
                target=f"properties.{name}",
            )
    location = _location(hub, principal, target, body)
    place = Place(
        target.subscription, target.resource_group, location, hub.settings.tenant, target.name, hub.clock.now()
    )
    template = Template(properties.get("template"), properties.get("parameters"), place)
    ordering.checked(template, maker)
    return template


def _location(hub: Hub, principal: Principal, target: Target, body: Json) -> str:
    if target.resource_group:
        return groups.location(hub, principal, target.subscription, target.resource_group)
    if not body.get("location"):
        raise InvalidRequest("A deployment of a subscription needs a location: give --location", target="location")
    return offered_region(hub, str(body["location"]))
