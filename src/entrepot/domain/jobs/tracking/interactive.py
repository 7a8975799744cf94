"""Runs that no job made, told as jobs: what `mlflow.start_run()` begins on a laptop is a job of its experiment, too.

The run's document stays the truth. What people do to such a job (describe, archive, cancel, delete) is done to the run.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from entrepot.core.clock import to_iso
from entrepot.core.errors import NotFound
from entrepot.core.ids import WorkspaceScope
from entrepot.domain import removal
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import outputs, records
from entrepot.domain.jobs.bodies import services
from entrepot.domain.jobs.tracking import runs
from entrepot.domain.jobs.tracking.session import Session
from entrepot.store.documents import Change, Delete, Document

Json = Any

NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
_STATUSES = {"RUNNING": records.RUNNING, "SCHEDULED": records.QUEUED, "FINISHED": records.COMPLETED,
             "FAILED": records.FAILED, "KILLED": records.CANCELED}  # fmt: skip


def is_run(document: Document, scope: WorkspaceScope) -> bool:
    """Say whether a document found among a workspace's jobs is a run that no job made."""
    return document.key.startswith(f"{scope.key}/runs/")


def find(hub: Hub, scope: WorkspaceScope, name: str) -> Document | None:
    """Return the document of a run that no job made, else None."""
    document = hub.documents.get(records.run_key(scope, name)) if "/" not in name else None
    return document if document is not None and document.body["info"].get("experiment") else None


def load(hub: Hub, scope: WorkspaceScope, name: str) -> Document:
    """Return a run told as a job. Raises NotFound."""
    document = find(hub, scope, name)
    if document is None:
        raise NotFound(f"There is no job {name!r} in {scope}", hint="az ml job list shows what there is")
    return as_job(hub, scope, document)


def as_job(hub: Hub, scope: WorkspaceScope, document: Document) -> Document:
    """Return a run's document in the shape of a job's: a command that somebody ran elsewhere."""
    run = document.body
    info, name = run["info"], run["info"]["run_id"]
    body = {
        "id": records.arm_id(scope, name),
        "name": name,
        "type": records.JOB_TYPE,
        "systemData": {
            "createdAt": _begun(run), "createdBy": info["user_id"], "createdByType": "User",
        },
        "properties": {
            **_properties(run), "isArchived": document.is_archived, "services": services(scope, name), "inputs": {},
            "outputs": {},
        },
        "entrepot": {**_ours(run), "artifacts": outputs.artifacts_entry(hub, scope, name)},
    }  # fmt: skip
    return Document(document.key, msgspec.json.encode(body), document.revision, document.sequence, document.is_archived)


def _properties(run: Json) -> dict[str, Json]:
    info, tags = run["info"], run["tags"]
    own = {key: value for key, value in tags.items() if key.startswith("mlflow.") and key != NOTE}
    return {
        "jobType": records.COMMAND,
        "command": "",
        "environmentId": "",
        "status": _STATUSES[info["status"]],
        "displayName": info["run_name"],
        "experimentName": info["experiment"],
        "tags": {key: value for key, value in tags.items() if not key.startswith("mlflow.")},
        "properties": {**own, **run.get("properties", {})},
        **({"description": tags[NOTE]} if tags.get(NOTE) else {}),
    }


def _ours(run: Json) -> dict[str, Json]:
    info, tags = run["info"], run["tags"]
    parent = tags.get(PARENT)
    return {
        "kind": records.RUN,
        "root": tags.get("mlflow.rootRunId") or parent or info["run_id"],
        "submittedBy": {"id": info["user_id"], "name": info["user_id"]},
        "startTime": _begun(run),
        "outputs": {},
        "metrics": {key: metric["value"] for key, metric in run["metrics"].items()},
        "parameters": run["params"],
        **({"endTime": to_iso(info["end_time"] / 1000)} if info.get("end_time") else {}),
        **({"parent": parent, "node": info["run_name"]} if parent else {}),
    }


def _begun(run: Json) -> str:
    return to_iso(run["info"]["start_time"] / 1000)


def changed(
    hub: Hub, principal: Principal, scope: WorkspaceScope, document: Document, changes: Mapping[str, Json]
) -> Change:
    """Return the change that describes a run as a job is described: keys are those of `control.update`."""
    run = document.body
    for key, value in changes.items():
        if value is None:
            continue
        if key == "tags":
            run["tags"] |= {name: str(text) for name, text in value.items() if text is not None}
        elif key == "properties":
            own = {name: text for name, text in value.items() if not name.startswith("mlflow.")}
            run["properties"] = {**run.get("properties", {}), **own}
        elif key == "displayName":
            run["info"]["run_name"] = run["tags"]["mlflow.runName"] = str(value)
        elif key == "description":
            run["tags"][NOTE] = str(value)
        elif key in ("hidden", "isArchived"):
            run["info"]["lifecycle_stage"] = "deleted" if value else "active"
    return runs.put(Session(hub, principal, scope), run, match=document.revision)


def killed(hub: Hub, principal: Principal, scope: WorkspaceScope, document: Document) -> list[Change]:
    """Return the change that ends a run; its program goes on where it is, and is not asked."""
    run = document.body
    if _STATUSES[run["info"]["status"]] in records.TERMINAL:
        return []
    session = Session(hub, principal, scope)
    run["info"] |= {"status": "KILLED", "end_time": session.now_ms}
    return [runs.put(session, run, match=document.revision)]


def removed(document: Document) -> list[Change]:
    """Return the changes that delete a run and the streams of its metrics."""
    return [Delete(document.key), *removal.trimmed(document.key, document.body)]
