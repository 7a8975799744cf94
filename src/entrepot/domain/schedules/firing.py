"""Firing: the work handler of the queue `schedule`, and the trigger by hand.

The name of a job is made of its schedule's name and the time it was due, so that firing again after a crash finds the
job that is there. A server that was down fires once for all the times it missed.
"""

from datetime import UTC, datetime
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import AlreadyExists, EntrepotError
from entrepot.core.ids import WorkspaceScope
from entrepot.domain import access
from entrepot.domain.authorization.delegation import recalled
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import submission
from entrepot.domain.schedules import schedules
from entrepot.domain.schedules.triggers import next_time, read_trigger
from entrepot.store.documents import Document, Finish, Postpone, Put, Work

Json = Any

_JOBS_TOLD = 20  # of those that a schedule made, the newest


def fire(hub: Hub, work: Work) -> None:
    """Handle one item of the queue `schedule`: submit the job that is due, and wait for the next time."""
    payload = work.payload
    scope = WorkspaceScope(payload["subscription"], payload["group"], payload["workspace"])
    document = hub.documents.get(schedules.key_of(scope, payload["schedule"]))
    if document is None or document.is_archived:
        return
    ours = document.body["entrepot"]
    if ours["generation"] != payload["generation"] or ours["due"] is None:
        return
    due = ours["due"]
    if hub.clock.now() < due:
        hub.documents.commit([Postpone(work, due=due)])
        return
    stamp = datetime.fromtimestamp(due, UTC).strftime("%Y%m%d-%H%M%S")
    name = f"{payload['schedule'][:230]}-{stamp}"
    trouble = ""
    try:
        _submit(hub, scope, document, name)
    except AlreadyExists:
        pass  # submitted before a crash, and its definition is another one by now
    except EntrepotError as error:
        trouble = error.message
    settled(lambda: _move_on(hub, work, document.key, name, trouble))


def trigger(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> Json:
    """Submit a schedule's job now, whatever its trigger says; return ARM's answer, which names the job."""
    document = schedules.get(hub, principal, scope, name)
    access.require(hub, principal, schedules.WRITE, scope.key, target=document.body["id"], request_id=request_id)
    job = f"{name[:210]}-{hub.new_id()}"
    properties = _job(hub, scope, document)
    submission.submit(hub, principal, scope, job, properties, request_id=request_id)
    return {"submissionId": job, "scheduleActionType": "CreateJob"}


def _submit(hub: Hub, scope: WorkspaceScope, document: Document, name: str) -> None:
    principal = recalled(hub, document.body["entrepot"]["principal"], via=f"schedule {document.body['name']}")
    submission.submit(hub, principal, scope, name, _job(hub, scope, document))


def _job(hub: Hub, scope: WorkspaceScope, document: Document) -> dict[str, Json]:
    body = document.body
    given = schedules.job_properties(hub, scope, body["properties"])
    told = {**(given.get("properties") or {}), "azureml.scheduleName": body["name"]}
    return {**given, "properties": told, "isArchived": False}


def _move_on(hub: Hub, work: Work, key: str, job: str, trouble: str) -> None:
    """Note what was fired and wait for the next time, in one commit that fails when the lease is lost."""
    document = hub.documents.get(key)
    if document is None or document.body["entrepot"]["generation"] != work.payload["generation"]:
        return
    body = document.body
    ours, now = body["entrepot"], hub.clock.now()
    told: dict[str, Json] = {"time": to_iso(ours["due"]), "job": job} | ({"error": trouble} if trouble else {})
    ours["jobs"] = [*ours["jobs"], told][-_JOBS_TOLD:]
    ours["due"] = next_time(
        read_trigger(body["properties"]["trigger"]), after=max(now, ours["due"]), created=ours["created"]
    )
    held = Finish(work) if ours["due"] is None else Postpone(work, due=ours["due"])
    hub.documents.commit([Put(key, body, match=document.revision, is_archived=document.is_archived), held])
