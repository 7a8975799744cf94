"""What people do to a job after submitting it: cancel, archive, describe."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, StateConflict
from entrepot.core.ids import WorkspaceScope
from entrepot.domain import access, audit, removal
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import records
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.tracking import interactive
from entrepot.domain.scopes import modified_by
from entrepot.store.documents import Change, Delete, Document, View

Json = Any


def cancel(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> None:
    """Ask a job to end: its processes are killed, its nodes that wait will not run. A job that has ended stays so.

    The handler of a running node sees the request and kills the tree, on whichever machine that is.

    Raises NotFound, AccessDenied.
    """
    target = records.arm_id(scope, name)
    access.require(hub, principal, records.CANCEL, scope.key, target=target, request_id=request_id)

    def write() -> None:
        if run := interactive.find(hub, scope, name):
            changes = interactive.killed(hub, principal, scope, run)
        else:
            record = records.load(hub, scope, name)
            changes = canceling(record, now=hub.clock.now(), reason=f"canceled by {principal.name or principal.id}")
        note = audit.record(principal, records.CANCEL, target=target, now=hub.clock.now(), request_id=request_id)
        if changes:
            hub.documents.commit([*changes, note])

    settled(write)


def canceling(record: Record, *, now: float, reason: str) -> list[Change]:
    """Return the changes that have a job end: at once when nothing of it runs, else when its processes are gone."""
    if record.is_terminal or record.status == records.CANCEL_REQUESTED:
        return []
    if record.is_parent:
        moved = records.moved(record, records.CANCEL_REQUESTED, now=now, reason=reason)
        return [*moved, records.enqueue(records.PIPELINE_QUEUE, record.scope, record.name)]
    if record.status == records.RUNNING:
        return records.moved(record, records.CANCEL_REQUESTED, now=now, reason=reason)
    return records.moved(record, records.CANCELED, now=now, reason=reason)


def delete(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> None:
    """Delete a job that has ended, with its nodes. What it produced stays where it is.

    Raises NotFound, AccessDenied, and StateConflict while it runs or when it belongs to a pipeline.
    """
    target = records.arm_id(scope, name)
    access.require(hub, principal, records.DELETE, scope.key, target=target, request_id=request_id)
    note = audit.record(principal, records.DELETE, target=target, now=hub.clock.now(), request_id=request_id)
    if run := interactive.find(hub, scope, name):
        hub.documents.commit([*_inner(hub, scope, name), *interactive.removed(run), note])
        return
    record = records.load(hub, scope, name)
    if record.parent:
        raise StateConflict(f"Job {name} is a node of pipeline {record.parent}: delete the pipeline")
    if not record.is_terminal:
        raise StateConflict(f"Job {name} is {record.status}: cancel it first")
    hub.documents.commit([*_removed(hub, record), note])


def _removed(hub: Hub, record: Record) -> list[Change]:
    scope, name = record.scope, record.name
    keys = (record.document.key, records.graph_key(scope, name), records.run_key(scope, name))
    changes: list[Change] = [Delete(key) for key in keys]
    for document in filter(None, map(hub.documents.get, keys)):
        changes += removal.trimmed(document.key, document.body)
    return [*changes, *_inner(hub, scope, name)]


def _inner(hub: Hub, scope: WorkspaceScope, name: str, seen: tuple[str, ...] = ()) -> list[Change]:
    """Return the changes that delete the nodes of a job, and the runs that are in it (clients may tag a circle)."""
    changes: list[Change] = []
    after: str | None = None
    while True:
        page = hub.documents.find(records.space_of(scope), "parent", name, view=View.ALL, after=after, limit=1000)
        for document in page.documents:
            if not interactive.is_run(document, scope):
                changes += _removed(hub, records.record_of(document))
            elif (run := document.body["info"]["run_id"]) not in (*seen, name):
                changes += [*_inner(hub, scope, run, (*seen, name)), *interactive.removed(document)]
        after = page.next
        if after is None:
            return changes


def archive(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, is_archived: bool = True, request_id: str = ""
) -> Document:
    """Hide a job from lists, or show it again."""
    return update(hub, principal, scope, name, {"isArchived": is_archived}, request_id=request_id)


def update(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    name: str,
    changes: Mapping[str, Json],
    *,
    request_id: str = "",
) -> Document:
    """Change what may change of a job: displayName, description, tags, properties (merged), isArchived.

    Keys are ARM's; run history's `hidden` means isArchived. Raises NotFound, AccessDenied, InvalidRequest.
    """
    target = records.arm_id(scope, name)
    access.require(hub, principal, records.WRITE, scope.key, target=target, request_id=request_id)

    for key in ("tags", "properties"):
        if changes.get(key) is not None and not isinstance(changes[key], Mapping):
            raise InvalidRequest(f"`{key}` is {changes[key]!r}: write a mapping of names to texts")

    def write() -> Document:
        note = audit.record(principal, records.WRITE, target=target, now=hub.clock.now(), request_id=request_id)
        if run := interactive.find(hub, scope, name):
            written = hub.documents.commit([interactive.changed(hub, principal, scope, run, changes), note])[0]
            return interactive.as_job(hub, scope, written)
        record = records.load(hub, scope, name)
        _apply(record.properties, changes)
        record.body["systemData"] = modified_by(record.body["systemData"], principal, hub.clock.now())
        return hub.documents.commit([record.put(), note])[0]

    return settled(write)


def _apply(properties: dict[str, Json], changes: Mapping[str, Json]) -> None:
    for key, value in changes.items():
        if value is None:
            continue
        if key in ("tags", "properties"):
            merged = {**properties.get(key, {}), **value}
            properties[key] = {name: text for name, text in merged.items() if text is not None}
        elif key in ("hidden", "isArchived"):
            properties["isArchived"] = bool(value)
        elif key in ("displayName", "description"):
            properties[key] = str(value)
