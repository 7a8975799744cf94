"""Deployments of ARM templates in a resource group: validate, create, tell what would change, show, list, delete.

A template may make registries and workspaces. What Azure needs beside a workspace (storage accounts, vaults) is
part of this server, so such resources are accepted and left out; anything else is refused by name.
"""

from dataclasses import dataclass
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import EntrepotError, InvalidRequest, NotFound
from entrepot.core.ids import RegistryScope, WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, audit, groups, registries, workspaces
from entrepot.domain.deployments.template import Place, Plan, Resource, evaluate
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Delete, Document, Page, Put, View

Json = Any

_ACTION = "Microsoft.Resources/deployments"
_REGISTRIES = f"{PROVIDER}/registries".lower()
_WORKSPACES = f"{PROVIDER}/workspaces".lower()
_LEFT_OUT = (
    "microsoft.storage/", "microsoft.keyvault/", "microsoft.insights/", "microsoft.operationalinsights/",
    "microsoft.containerregistry/", "microsoft.managedidentity/", "microsoft.network/",
    "microsoft.resources/deployments",
)  # fmt: skip


class DeploymentFailed(EntrepotError):
    """A resource of the template could not be made; the cause is told with it."""

    category = InvalidRequest.category
    code = "DeploymentFailed"


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment's place and name."""

    subscription: str
    resource_group: str
    name: str

    @property
    def key(self) -> str:
        """The deployment document's key."""
        return f"{self.collection}/{self.name.lower()}"

    @property
    def collection(self) -> str:
        """The key prefix of all deployments of the group."""
        return f"{groups.key_of(self.subscription, self.resource_group)}/deployments"

    @property
    def id(self) -> str:
        """The ARM id."""
        group = groups.arm_id(self.subscription, self.resource_group)
        return f"{group}/providers/Microsoft.Resources/deployments/{self.name}"


def validate(hub: Hub, principal: Principal, target: Target, body: Json) -> Json:
    """Return ARM's answer to a template that could be deployed; changes nothing. Raises InvalidRequest."""
    access.require(
        hub, principal, f"{_ACTION}/validate/action", groups.key_of(target.subscription, target.resource_group)
    )
    place, plan = _planned(hub, principal, target, body)
    answer = _body(hub, target, body, plan, state="Succeeded")
    answer["properties"]["validatedResources"] = [{"id": resource.id_in(place)} for resource in plan.resources]
    return answer


def what_if(hub: Hub, principal: Principal, target: Target, body: Json) -> Json:
    """Return ARM's list of changes that the deployment would make; changes nothing."""
    access.require(
        hub, principal, f"{_ACTION}/whatIf/action", groups.key_of(target.subscription, target.resource_group)
    )
    place, plan = _planned(hub, principal, target, body)
    changes = []
    for resource in _made_here(plan):
        before = hub.documents.get(_scope(target, resource).key)
        change: dict[str, Json] = {"resourceId": resource.id_in(place), "changeType": "Modify" if before else "Create"}
        change |= {"before": before.body if before else None, "after": resource.body}
        changes.append(change)
    return {"status": "Succeeded", "properties": {"correlationId": hub.new_id(), "changes": changes}}


def create(hub: Hub, principal: Principal, target: Target, body: Json, *, request_id: str = "") -> Document:
    """Make the template's resources and keep the record of it. Raises InvalidRequest, DeploymentFailed."""
    group_key = groups.key_of(target.subscription, target.resource_group)
    access.require(hub, principal, f"{_ACTION}/write", group_key, target=target.id, request_id=request_id)
    place, plan = _planned(hub, principal, target, body)
    made: dict[str, Json] = {}
    for resource in _made_here(plan):
        try:
            made[resource.id_in(place)] = _make(hub, principal, target, resource, request_id=request_id)
        except EntrepotError as error:
            _keep(
                hub,
                principal,
                target,
                _body(hub, target, body, plan, state="Failed", error=error),
                request_id=request_id,
            )
            raise DeploymentFailed(
                f"Deployment {target.name} failed at {resource.type} {resource.name}: {error.message}",
                target=resource.id_in(place),
                hint=error.hint,
                details=[{"code": error.code, "message": error.message, "target": error.target}],
            ) from error
    record = _body(hub, target, body, plan, state="Succeeded")
    record["properties"]["outputResources"] = [{"id": id} for id in made]
    record["properties"]["outputs"] = plan.outputs(made)
    return _keep(hub, principal, target, record, request_id=request_id)


def get(hub: Hub, principal: Principal, target: Target) -> Document:
    """Return a deployment's record. Raises NotFound."""
    access.require_visible(hub, principal, f"{_ACTION}/read", target.collection, what=f"Deployment {target.name!r}")
    document = hub.documents.get(target.key)
    if document is None:
        raise NotFound(f"There is no deployment {target.name!r} in resource group {target.resource_group!r}")
    return document


def list_(
    hub: Hub,
    principal: Principal,
    subscription: str,
    resource_group: str,
    *,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a page of the group's deployments, newest first."""
    groups.get(hub, principal, subscription, resource_group)
    collection = Target(subscription, resource_group, "").collection
    return hub.documents.list(collection, view=View.ALL, after=after, limit=limit)


def delete(hub: Hub, principal: Principal, target: Target, *, request_id: str = "") -> bool:
    """Remove the record of a deployment, not what it made; tell whether there was one."""
    access.require(hub, principal, f"{_ACTION}/delete", target.collection, target=target.id, request_id=request_id)
    document = hub.documents.get(target.key)
    if document is None:
        return False
    record = audit.record(principal, f"{_ACTION}/delete", target=target.id, now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(target.key), record])
    return True


def operations(hub: Hub, principal: Principal, target: Target) -> list[Json]:
    """Return one ARM deployment operation for each resource that the deployment made."""
    properties = get(hub, principal, target).body["properties"]
    return [
        {
            "id": f"{target.id}/operations/{index}",
            "operationId": str(index),
            "properties": {
                "provisioningOperation": "Create",
                "provisioningState": properties["provisioningState"],
                "targetResource": {"id": item["id"], "resourceName": item["id"].rpartition("/")[2]},
            },
        }
        for index, item in enumerate(properties.get("outputResources", []))
    ]


def _planned(hub: Hub, principal: Principal, target: Target, body: Json) -> tuple[Place, Plan]:
    location = groups.location(hub, principal, target.subscription, target.resource_group)
    place = Place(
        target.subscription, target.resource_group, location, hub.settings.tenant, target.name, hub.clock.now()
    )
    properties = body.get("properties") or {}
    if str(properties.get("mode", "Incremental")).lower() != "incremental":
        raise InvalidRequest("Only deployments in mode Incremental are done: Complete would delete what is not named")
    plan = evaluate(properties.get("template"), properties.get("parameters"), place)
    for resource in plan.resources:
        _check_type(resource)
    return place, plan


def _check_type(resource: Resource) -> None:
    kind = resource.type.lower()
    if kind not in (_REGISTRIES, _WORKSPACES) and not kind.startswith(_LEFT_OUT):
        raise InvalidRequest(
            f"The template's resource {resource.name!r} has the type {resource.type}, which this server does not make: "
            f"it makes {PROVIDER}/registries and {PROVIDER}/workspaces"
        )


def _made_here(plan: Plan) -> list[Resource]:
    return [resource for resource in plan.resources if resource.type.lower() in (_REGISTRIES, _WORKSPACES)]


def _scope(target: Target, resource: Resource) -> RegistryScope | WorkspaceScope:
    if resource.type.lower() == _REGISTRIES:
        return RegistryScope(resource.name)
    return WorkspaceScope(target.subscription, target.resource_group, resource.name)


def _make(hub: Hub, principal: Principal, target: Target, resource: Resource, *, request_id: str) -> Json:
    scope = _scope(target, resource)
    if isinstance(scope, RegistryScope):
        document = registries.create(
            hub, principal, target.subscription, target.resource_group, scope.name, resource.body, request_id=request_id
        )
    else:
        document, _ = workspaces.create(hub, principal, scope, resource.body, request_id=request_id)
    properties: Json = document.body["properties"]
    return properties


def _body(
    hub: Hub, target: Target, body: Json, plan: Plan, *, state: str, error: EntrepotError | None = None
) -> dict[str, Json]:
    specs = (body.get("properties") or {}).get("template", {}).get("parameters") or {}
    parameters = {
        name: {"type": kind} | ({} if kind.lower().startswith("secure") else {"value": value})
        for name, value in plan.parameters.items()
        if (kind := str(specs[name].get("type", "string")))
    }
    properties = {
        "provisioningState": state,
        "mode": "Incremental",
        "parameters": parameters,
        "timestamp": to_iso(hub.clock.now()),
        "duration": "PT0S",
        "correlationId": hub.new_id(),
        "outputs": {},
        "outputResources": [],
    }
    if error:
        properties["error"] = {"code": error.code, "message": error.message}
    return {"id": target.id, "name": target.name, "type": _ACTION, "properties": properties}


def _keep(hub: Hub, principal: Principal, target: Target, body: Json, *, request_id: str) -> Document:
    outcome = body["properties"]["provisioningState"]
    record = audit.record(
        principal, f"{_ACTION}/write", target=target.id, now=hub.clock.now(), request_id=request_id,
        details={"state": outcome},
    )  # fmt: skip
    return hub.documents.commit([Put(target.key, body), record])[0]
