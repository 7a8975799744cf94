"""Schedules as documents `{ws}/schedules/{name}`: create, read, change, delete; a disabled one counts as archived.

Each write begins a new generation with a work item of its own, so that items of earlier ones do nothing any more.
"""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound, StateConflict, Unsupported
from entrepot.core.ids import WorkspaceScope, check_job_name
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, audit
from entrepot.domain.authorization import delegation
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import planning, records, spec
from entrepot.domain.schedules.triggers import Trigger, next_time, read_trigger
from entrepot.domain.scopes import created_by, home, modified_by, writable_home
from entrepot.store.documents import ABSENT, Change, Delete, Document, Enqueue, Page, Put, View

Json = Any

QUEUE = "schedule"
TYPE = f"{PROVIDER}/workspaces/schedules"
READ, WRITE, DELETE = f"{TYPE}/read", f"{TYPE}/write", f"{TYPE}/delete"


def key_of(scope: WorkspaceScope, name: str) -> str:
    """Return the key of a schedule's document."""
    return f"{scope.key}/schedules/{name}"


def get(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str) -> Document:
    """Return a schedule. Raises NotFound."""
    access.require_visible(hub, principal, READ, scope.key, what=f"Schedule {name!r} in {scope}")
    document = hub.documents.get(key_of(scope, name)) if "/" not in name else None
    if document is None:
        raise NotFound(f"There is no schedule {name!r} in {scope}", hint="az ml schedule list shows what there is")
    return document


def list_(
    hub: Hub, principal: Principal, scope: WorkspaceScope, *, view: View, after: str | None = None, limit: int = 100
) -> Page:
    """Return a page of schedules, newest first; archived means disabled. Raises NotFound."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"The {scope}")
    return hub.documents.list(f"{scope.key}/schedules", view=view, after=after, limit=limit)


def put(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    name: str,
    properties: Mapping[str, Json],
    *,
    request_id: str = "",
) -> tuple[Document, bool]:
    """Create or replace a schedule; tell whether it is new. Its jobs will run as who wrote it last.

    Raises InvalidRequest, Unsupported, and whatever is wrong with the job, as a submission of it would.
    """
    check_job_name(name)
    found = writable_home(hub, scope).scope
    assert isinstance(found, WorkspaceScope)
    scope, now, target = found, hub.clock.now(), f"{found.arm_id}/schedules/{name}"
    access.require(hub, principal, WRITE, scope.key, target=target, request_id=request_id)
    access.require(hub, principal, records.WRITE, scope.key, target=target, request_id=request_id)
    trigger = read_trigger(_object(properties, "trigger"))
    planning.plan(planning.Planner(hub, principal, scope), spec.read_job(job_properties(hub, scope, properties)))

    def write() -> tuple[Document, bool]:
        existing = hub.documents.get(key_of(scope, name))
        body = _body(hub, principal, scope, name, properties, trigger, existing)
        put = Put(
            key_of(scope, name), body, match=existing.revision if existing else ABSENT,
            is_archived=not body["properties"]["isEnabled"],
        )  # fmt: skip
        note = audit.record(principal, WRITE, target=target, now=now, request_id=request_id)
        return hub.documents.commit([put, *waiting(scope, body), note])[0], existing is None

    return settled(write)


def _body(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    name: str,
    properties: Mapping[str, Json],
    trigger: Trigger,
    existing: Document | None,
) -> dict[str, Json]:
    now = hub.clock.now()
    before = existing.body if existing else None
    is_enabled = properties.get("isEnabled") is not False
    created = before["entrepot"]["created"] if before else now
    made = created_by(principal, now)
    ours: dict[str, Json] = {
        "generation": hub.new_id(),
        "created": created,
        "due": next_time(trigger, after=now if before else now - 1e-3, created=created) if is_enabled else None,
        "jobs": before["entrepot"]["jobs"] if before else [],
        "principal": delegation.remembered(hub, principal),
    }
    shown = {k: v for k, v in properties.items() if v is not None}
    shown |= {"isEnabled": is_enabled, "provisioningState": "Succeeded", "tags": properties.get("tags") or {}}
    return {
        "id": f"{scope.arm_id}/schedules/{name}", "name": name, "type": TYPE, "properties": shown, "entrepot": ours,
        "systemData": modified_by(before["systemData"], principal, now) if before else made,
    }  # fmt: skip


def delete(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> None:
    """Delete a schedule; the jobs that it made stay. Raises NotFound, and StateConflict while it is enabled."""
    document = get(hub, principal, scope, name)
    access.require(hub, principal, DELETE, scope.key, target=document.body["id"], request_id=request_id)
    if not document.is_archived:
        raise StateConflict(f"Schedule {name} is enabled: disable it before you delete it")
    note = audit.record(principal, DELETE, target=document.body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key, match=document.revision), note])


def waiting(scope: WorkspaceScope, body: Json) -> list[Change]:
    """Return the change that has a schedule fire when it is due."""
    ours = body["entrepot"]
    if ours["due"] is None:
        return []
    payload = {
        "subscription": scope.subscription, "group": scope.resource_group, "workspace": scope.name,
        "schedule": body["name"], "generation": ours["generation"],
    }  # fmt: skip
    return [Enqueue(QUEUE, f"{key_of(scope, body['name'])}/{ours['generation']}", payload, due=ours["due"])]


def job_properties(hub: Hub, scope: WorkspaceScope, properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return the body of the jobs that a schedule makes; one that only names a job is a copy of that.

    Raises InvalidRequest, Unsupported for actions other than CreateJob, NotFound.
    """
    action = _object(properties, "action")
    kind = str(action.get("actionType") or "CreateJob")
    if kind.lower() != "createjob":
        raise Unsupported(f"A schedule's action {kind}", instead="CreateJob is.")
    given = {name: value for name, value in _object(action, "jobDefinition").items() if value is not None}
    source = given.get("sourceJobId")
    is_whole = any(given.get(name) for name in ("jobs", "command", "trial", "componentId"))
    if source and not is_whole:
        name = str(source).rpartition("/")[2].removeprefix("azureml:")
        copied = records.load(hub, scope, name).properties
        left_out = ("status", "services", "error", "displayName", "isArchived")
        base = {key: value for key, value in copied.items() if key not in left_out}
        given = base | {key: value for key, value in given.items() if value not in ("", {}) and key != "jobType"}
    return given


def _object(body: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = body.get(name)
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"A schedule needs `{name}`, an object: got {value!r}", target=name)
    return value
