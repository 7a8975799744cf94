"""Carrying out a deployment: ticks that start what is ready, follow what runs and note how each resource ended.

A tick may happen twice, for a PUT of the same resource changes nothing. Values that come from other resources are
asked for when they are there, so a resource also waits for what it refers to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import EntrepotError, InvalidRequest
from entrepot.domain import access, audit
from entrepot.domain.deployments import ordering, records
from entrepot.domain.deployments.making import Maker, Unknown
from entrepot.domain.deployments.records import FAILED, RUNNING, SKIPPED, SUCCEEDED, Target
from entrepot.domain.deployments.template import Resource, Template
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Delete, Finish, Postpone, Put, Work

Json = Any

QUEUE = "template"
WRITE = f"{records.TYPE}/write"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_STATES = {"succeeded": SUCCEEDED, "failed": FAILED, "canceled": FAILED, "cancelled": FAILED, "deleting": FAILED}


class DeploymentFailed(EntrepotError):
    """A resource of the template could not be made; the cause is told with it."""

    category = InvalidRequest.category
    code = "DeploymentFailed"


def payload_of(target: Target) -> Json:
    """Return what a work item of the queue says of its deployment."""
    return {"subscription": target.subscription, "group": target.resource_group, "name": target.name}


class Runner:
    """Handles the queue `template` with the requests that `maker` sends."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    def __call__(self, hub: Hub, work: Work) -> None:
        """Go on with a deployment; it is given back to the queue until it has ended."""
        told = work.payload
        target = Target(told["subscription"], told["group"], told["name"])
        document = hub.documents.get(target.key)
        if document is None or hub.documents.get(target.run_key) is None:
            return
        record = document.body
        if record["properties"]["provisioningState"] in records.FINAL:
            hub.documents.commit([Delete(target.run_key), Finish(work)])
            return
        principal = access.SYSTEM
        try:
            run = records.opened(hub, target)
            if run is None:
                return
            principal, template = run
            _Tick(hub, self._maker, target, principal, template, record).go()
        except EntrepotError as error:  # who began it is gone, or it was right once, and the server is another one now
            records.ended(record, state=FAILED, now=hub.clock.now(), error=error)
        changes = [Put(target.key, record, match=document.revision)]
        ended = record["properties"]["provisioningState"]
        if ended in records.FINAL:
            done = audit.record(
                principal, WRITE, target=target.id, now=hub.clock.now(),
                request_id=record["entrepot"]["requestId"], details={"state": ended},
            )  # fmt: skip
            hub.documents.commit([*changes, Delete(target.run_key), done, Finish(work)])
            return
        pause = min(_FIRST_PAUSE_S * 1.3 ** min(work.attempt, 30), _LONGEST_PAUSE_S)
        hub.documents.commit([*changes, Postpone(work, due=hub.clock.now() + pause)])


@dataclass(slots=True)
class _Tick:
    hub: Hub
    maker: Maker
    target: Target
    principal: Principal
    template: Template
    record: Json
    waits: Mapping[str, Any] = field(default_factory=dict)
    seen: dict[str, Json] = field(default_factory=dict)
    items: dict[str, Json] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)

    def go(self) -> None:
        """Do all that can be done now."""
        self.record["properties"]["provisioningState"] = RUNNING
        self.waits = ordering.checked(self.template, self.maker)
        items = list(zip(self.template.resources, self.record["entrepot"]["operations"], strict=True))
        for resource, item in items:
            if resource.is_wanted or resource.key not in self.items:
                self.items[resource.key] = item
        for resource, item in items:
            if item["state"] == RUNNING:
                self._follow(resource, item)
        is_moving = True
        while is_moving:  # what ends at once lets others begin in the same tick
            is_moving = bool(sum(self._begin(resource, item) for resource, item in items if _is_waiting(item)))
        self._end(items)

    def _state(self, key: str) -> str:
        return str(self.items[key]["state"])

    def _begin(self, resource: Resource, item: Json) -> bool:
        """Make a resource if nothing holds it back; say whether something changed."""
        if not resource.is_wanted or ordering.is_left_out(resource):
            item["state"] = SKIPPED
            return True
        if any(self._state(key) not in (SUCCEEDED, SKIPPED) for key in self.waits[resource.key]):
            return False
        awaited = self.unknown.get(resource.key)
        if awaited in self.items and self._state(awaited) not in (SUCCEEDED, SKIPPED):
            return False
        try:
            return self._made(resource, item)
        except Unknown as unknown:
            self.unknown[resource.key] = unknown.id.lower()
            return False
        except EntrepotError as error:
            self._fail(item, error)
            return True

    def _made(self, resource: Resource, item: Json) -> bool:
        if resource.is_existing:
            found = self.maker.get(self.principal, resource.id)
            if found is None:
                raise InvalidRequest(f"The template expects {resource.type} {resource.name}, and it is not there")
        else:
            body = self.template.body_of(resource, self._known())
            request_id = self.record["entrepot"]["requestId"]
            item["started"] = to_iso(self.hub.clock.now())
            found = self.maker.put(self.principal, resource.id, body, request_id=request_id)
        item["state"] = RUNNING
        self._note(resource, item, found)
        return True

    def _follow(self, resource: Resource, item: Json) -> None:
        found = self.maker.get(self.principal, resource.id)
        if found is None:
            self._fail(item, InvalidRequest(f"{resource.type} {resource.name} went away while it was being made"))
        else:
            self._note(resource, item, found)

    def _note(self, resource: Resource, item: Json, found: Json) -> None:
        """Take a resource's own state over."""
        properties = (found or {}).get("properties") or {}
        state = _STATES.get(str(properties.get("provisioningState") or SUCCEEDED).lower(), RUNNING)
        if state == FAILED:
            told = properties.get("error") or {}
            reason = (
                told.get("message") or f"{resource.type} {resource.name} ended as {properties['provisioningState']}"
            )
            self._fail(item, DeploymentFailed(str(reason)), details=told.get("details"))
        elif state == SUCCEEDED:
            item |= {"state": SUCCEEDED, "ended": to_iso(self.hub.clock.now())}
            self.seen[resource.key] = found

    def _fail(self, item: Json, error: EntrepotError, *, details: Json = None) -> None:
        told: dict[str, Json] = {"code": error.code, "message": error.message, "target": error.target or item["id"]}
        if details or error.details:
            told["details"] = [*(details or error.details)]
        item |= {"state": FAILED, "ended": to_iso(self.hub.clock.now()), "error": told}

    def _known(self) -> dict[str, Callable[..., Json]]:
        """Return reference() and list...() over what is there."""

        def reference(named: str, *more: Json) -> Json:
            found = self._found(named)
            is_full = len(more) > 1 and str(more[1]).lower() == "full"
            return found if is_full else (found.get("properties") or {})

        def listed(action: str, named: str, *_: Json) -> Json:
            resource = self.template.find(named)
            if resource is not None and self._state(resource.key) != SUCCEEDED:
                raise Unknown(resource.id)
            return self.maker.post(self.principal, f"{resource.id if resource else named}/{action}")

        return {"reference": reference, "list*": listed}

    def _found(self, named: str) -> dict[str, Json]:
        resource = self.template.find(named)
        if resource is not None and ordering.is_left_out(resource):
            return ordering.stand_in(resource, self.template.place.tenant)
        if resource is not None and self._state(resource.key) != SUCCEEDED:
            raise Unknown(resource.id)
        id = resource.id if resource else named
        found = self.seen.get(id.lower()) or (self.maker.get(self.principal, id) if id.startswith("/") else None)
        if found is None:
            raise ValueError(f"the template makes no resource {named!r}, and there is none with such an id")
        self.seen[id.lower()] = found
        return dict(found)

    def _end(self, items: list[tuple[Resource, Json]]) -> None:
        states = [item["state"] for _, item in items]
        if RUNNING in states:
            return
        properties = self.record["properties"]
        now = self.hub.clock.now()
        failed = [item for _, item in items if item["state"] == FAILED]
        properties["outputResources"] = [{"id": item["id"]} for _, item in items if item["state"] == SUCCEEDED]
        if not failed and "NotStarted" in states:
            waiting = ", ".join(resource.name for resource, item in items if item["state"] == "NotStarted")
            error: EntrepotError = InvalidRequest(f"These resources refer to each other in a circle: {waiting}")
            records.ended(self.record, state=FAILED, now=now, error=error)
        elif failed:
            records.ended(self.record, state=FAILED, now=now, error=_summary(self.target, failed),
                          details=[item["error"] for item in failed])  # fmt: skip
        else:
            self._succeed(now)

    def _succeed(self, now: float) -> None:
        try:
            self.record["properties"]["outputs"] = self.template.outputs(self._known())
        except EntrepotError as error:
            records.ended(self.record, state=FAILED, now=now, error=error)
        except Unknown as unknown:
            told = InvalidRequest(f"An output refers to {unknown.id}, which the template did not make")
            records.ended(self.record, state=FAILED, now=now, error=told)
        else:
            records.ended(self.record, state=SUCCEEDED, now=now)


def _is_waiting(item: Json) -> bool:
    return bool(item["state"] == "NotStarted")


def _summary(target: Target, failed: list[Json]) -> DeploymentFailed:
    first = failed[0]
    more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
    return DeploymentFailed(
        f"Deployment {target.name} failed at {first['type']} {first['name']}: {first['error']['message']}{more}"
    )
