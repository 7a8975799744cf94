"""The handler of the queue `deployments`: a deployment's state follows its replicas, and operations end with it."""

from typing import Any

from entrepot.domain.concurrency.retries import settled
from entrepot.domain.endpoints import bodies, endpoints, replicas, rollouts
from entrepot.domain.endpoints.announcements import gateways_changed
from entrepot.domain.endpoints.places import DeploymentRef, deployment_of
from entrepot.domain.hub import Hub
from entrepot.domain.operations import ended, under_way
from entrepot.store.documents import Change, Delete, Document, Put, Unlink, Work

Json = Any


def settle(hub: Hub, work: Work) -> None:
    """Handle one item: move a deployment to Succeeded or Failed, or take it away when it has ended."""
    settled(lambda: _settle(hub, work.payload["key"]))


def _settle(hub: Hub, key: str) -> None:
    document = hub.documents.get(key)
    if document is None:
        return
    state = document.body["properties"]["provisioningState"]
    if state == bodies.DELETING:
        _take_away(hub, document)
    elif state in (bodies.CREATING, bodies.UPDATING):
        _follow(hub, document)


def _follow(hub: Hub, document: Document) -> None:
    summary = replicas.status(hub, document.key)
    if summary.generation != document.body["entrepot"]["generation"]:
        return  # it was just written again, and that write has a work item of its own
    if summary.ready >= max(1, summary.wanted):
        _end(hub, document, bodies.SUCCEEDED)
    elif summary.error is not None:
        _end(hub, document, bodies.FAILED, error=summary.error)
    elif summary.progress != document.body["entrepot"].get("progress"):
        _tell(hub, document, summary.progress)


def _tell(hub: Hub, document: Document, progress: str) -> None:
    """Write down how far a deployment is, for whoever looks at it or waits for its operations."""
    body = document.body
    body["entrepot"]["progress"] = progress
    names = body["entrepot"].get("operations", [])
    told = [put for name in names if (put := under_way(hub, name, progress=progress)) is not None]
    hub.documents.commit([Put(document.key, body, match=document.revision, facets=None), *told])


def _end(hub: Hub, document: Document, state: str, *, error: str = "") -> None:
    body = document.body
    body["properties"]["provisioningState"] = state
    names = body["entrepot"].pop("operations", [])
    body["entrepot"].pop("progress", None)
    if error:
        body["entrepot"]["error"] = error
    ends = _ended(hub, names, {"code": "DeploymentFailed", "message": error} if error else None)
    rollout = rollouts.begun(body, document.key) if state == bodies.SUCCEEDED else []
    hub.documents.commit([Put(document.key, body, match=document.revision, facets=None), *ends, *rollout])


def _take_away(hub: Hub, document: Document) -> None:
    """Remove a deployment whose replicas are gone, and its endpoint if that was the last one of a deleted endpoint."""
    if replicas.status(hub, document.key).left:
        return
    ref = deployment_of(document.body["id"])
    endpoint = hub.documents.get(ref.endpoint.key)
    changes: list[Change] = [Delete(document.key, match=document.revision), Unlink(ref.id)]
    changes += [Delete(found.key) for found in hub.documents.scan(document.key + "/").documents]
    changes += _ended(hub, document.body["entrepot"].get("operations", []), None)
    if endpoint is not None:
        changes += _without(hub, ref, endpoint)
    hub.documents.commit([*changes, gateways_changed(document.key)])


def _without(hub: Hub, ref: DeploymentRef, endpoint: Document) -> list[Change]:
    body = endpoint.body
    properties = body["properties"]
    others = [found for found in endpoints.deployments_of(hub, ref.endpoint) if found.key != ref.key]
    if properties["provisioningState"] == bodies.DELETING and not others:
        return [*endpoints.removed(ref.endpoint, endpoint), *_ended(hub, body["entrepot"].get("operations", []), None)]
    for field in ("traffic", "mirrorTraffic"):
        properties.get(field, {}).pop(ref.name, None)
    return [endpoints.put_of(ref.endpoint, body, match=endpoint.revision)]


def _ended(hub: Hub, names: list[str], error: Json) -> list[Put]:
    return [put for name in names if (put := ended(hub, name, error=error)) is not None]
