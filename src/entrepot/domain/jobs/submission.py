"""Submitting a job: checked, planned and written with all its nodes in one commit, or refused as a whole."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import AlreadyExists, RevisionMismatch, StateConflict
from entrepot.core.ids import WorkspaceScope, check_job_name
from entrepot.domain import access, audit
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import bodies, records, spec
from entrepot.domain.jobs.control import archive, cancel, delete, update
from entrepot.domain.jobs.planning import Planner, plan
from entrepot.domain.jobs.tracking import experiments, interactive
from entrepot.domain.scopes import writable_home
from entrepot.store.documents import Change, Document

__all__ = ["archive", "cancel", "delete", "submit", "update"]

Json = Any


def submit(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    name: str,
    properties: Mapping[str, Json],
    *,
    invoked: Mapping[str, str] | None = None,
    request_id: str = "",
) -> Document:
    """Submit a job from the `properties` of an ARM body; return the document, at revision 1 when the job is new.

    `invoked` names the batch deployment that asks for the job: {"batchEndpoint", "batchDeployment", "id"}, and its
    "model" if it has one. The same name with the same body again returns the job that is there. Raises AlreadyExists
    for another body, and InvalidRequest, InvalidPipeline, InvalidExpression, NotFound, AccessDenied,
    RegistryRegionNotSupported.
    """
    check_job_name(name)
    scope = _spelled(hub, scope)
    access.require(hub, principal, records.WRITE, scope.key, target=records.arm_id(scope, name), request_id=request_id)
    if found := records.find(hub, scope, name):
        return _again(found, properties)
    if interactive.find(hub, scope, name):
        raise AlreadyExists(f"There is a run {name!r} of MLflow already: choose another name for the job")
    job = spec.read_job(properties)
    planner = Planner(hub, principal, scope)
    planned = plan(planner, job)
    submission = bodies.Submission(
        hub, principal, scope, name, job, properties, hub.clock.now(), tuple(sorted(planner.waiting)),
        invoked or {},
    )  # fmt: skip
    changes: list[Change] = bodies.changes_of(submission, planned)
    changes += [_start(submission), *experiments.ensured(hub, scope, job.experiment)]
    changes.append(
        audit.record(
            principal, records.WRITE, target=records.arm_id(scope, name), now=submission.now, request_id=request_id
        )
    )
    try:
        return hub.documents.commit(changes)[0]
    except RevisionMismatch:
        return _again(records.load(hub, scope, name), properties)


def _start(submission: bodies.Submission) -> Change:
    queue = records.NODE_QUEUE if submission.job.type == records.COMMAND else records.PIPELINE_QUEUE
    return records.enqueue(queue, submission.scope, submission.name)


def _again(found: records.Record, properties: Mapping[str, Json]) -> Document:
    if found.parent:
        raise StateConflict(f"Job name {found.name!r} belongs to a node of pipeline {found.parent}: choose another one")
    was, given = found.ours["sent"], bodies.fingerprints(properties)
    differing = sorted(key for key in {**was, **given} if was.get(key) != given.get(key))
    if differing:
        raise AlreadyExists(
            f"There is a job {found.name!r} already, which differs in {', '.join(differing)}: choose another name",
            target=found.id,
        )
    return found.document


def _spelled(hub: Hub, scope: WorkspaceScope) -> WorkspaceScope:
    """Return the scope as the workspace was created, so that ids made from it are always the same."""
    found = writable_home(hub, scope).scope
    assert isinstance(found, WorkspaceScope)
    return found
