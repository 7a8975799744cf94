"""Runs: what MLflow logs, one document each. Of a job, the document holds what was logged; the rest is the job's.

A run made by `mlflow.start_run()` outside of jobs, or nested in one, is a document of its own.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from entrepot.core.clock import from_iso
from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain.jobs import records
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.tracking import experiments
from entrepot.domain.jobs.tracking.session import Session, entries, pairs, run_id, text, whole_number
from entrepot.store.documents import ABSENT, Change, Document, Facet, Put

Json = Any
Body = dict[str, Json]

_STATUSES = {records.COMPLETED: "FINISHED", records.FAILED: "FAILED", records.CANCELED: "KILLED",
             records.CANCEL_REQUESTED: "KILLED", records.RUNNING: "RUNNING", records.FINALIZING: "RUNNING"}  # fmt: skip
_KNOWN_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")


def create(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/create."""
    experiment = experiments.load(session, str(body.get("experiment_id") or experiments.DEFAULT_ID))
    if experiment["lifecycle_stage"] != "active":
        raise InvalidRequest(f"Experiment {experiment['experiment_id']} is deleted: restore it first")
    tags = pairs(body.get("tags"), what="tags")
    if session.principal.via:  # a further run that a job's code begins is the job's child
        tags.setdefault("mlflow.parentRunId", session.principal.via)
    name = str(body.get("run_name") or tags.get("mlflow.runName") or f"run-{uuid.uuid4().hex[:8]}")
    run = _empty(uuid.uuid4().hex)
    run["info"] |= {
        "run_name": name,
        "experiment_id": experiment["experiment_id"],
        "experiment": experiment["name"],
        "user_id": str(body.get("user_id") or session.principal.name),
        "status": "RUNNING",
        "start_time": whole_number(body, "start_time", session.now_ms),
    }
    run["tags"] = {**tags, "mlflow.runName": name}
    session.hub.documents.commit([put(session, run, match=ABSENT)])
    return {"run": shown(session, run, None)}


def get(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/get."""
    run, job, _ = load(session, run_id(body))
    return {"run": shown(session, run, job)}


def update(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/update: status, end time and name. A job's state is its own, whatever its code says."""
    status = body.get("status")
    if status is not None and status not in _KNOWN_STATUSES:
        raise InvalidRequest(f"status must be one of {', '.join(_KNOWN_STATUSES)}: got {status!r}", target="status")

    def apply(run: Body) -> None:
        if status:
            run["info"]["status"] = status
        if body.get("end_time"):
            run["info"]["end_time"] = whole_number(body, "end_time", 0)
        if body.get("run_name"):
            run["info"]["run_name"] = run["tags"]["mlflow.runName"] = str(body["run_name"])

    run, job = change(session, run_id(body), apply)
    return {"run_info": shown(session, run, job)["info"]}


def delete(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/delete: hides a run. Raises InvalidRequest for jobs, which are archived instead."""
    return _stage(session, run_id(body), "deleted")


def restore(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/restore."""
    return _stage(session, run_id(body), "active")


def log_inputs(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/log-inputs: datasets and models that a run used, kept as they come."""

    def apply(run: Body) -> None:
        _add(run["inputs"].setdefault("dataset_inputs", []), body.get("datasets"))
        _add(run["inputs"].setdefault("model_inputs", []), body.get("models"))

    change(session, run_id(body), apply)
    return {}


def log_outputs(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/outputs: models that a run made."""
    change(session, run_id(body), lambda run: _add(run["outputs"].setdefault("model_outputs", []), body.get("models")))
    return {}


def log_model(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/log-model, of clients before MLflow 3: kept in the tag that they read back."""

    def apply(run: Body) -> None:
        known = run["tags"].get("mlflow.log-model.history", "[]")
        head = known.rstrip()[:-1]
        run["tags"]["mlflow.log-model.history"] = f"{head}{', ' if head != '[' else ''}{text(body, 'model_json')}]"

    change(session, run_id(body), apply)
    return {}


def load(session: Session, name: str) -> tuple[Body, Record | None, Document | None]:
    """Return what was logged for a run, its job if it is one, and the stored document. Raises NotFound."""
    document = session.hub.documents.get(records.run_key(session.scope, name)) if "/" not in name else None
    job = records.find(session.hub, session.scope, name)
    if document is None and job is None:
        raise NotFound(f"Run with id={name} not found")
    return document.body if document else _empty(name), job, document


def change(
    session: Session, name: str, apply: Callable[[Body], None], *, more: Callable[[], list[Change]] = list
) -> tuple[Body, Record | None]:
    """Change what a run holds, together with `more`, in one commit. Raises NotFound."""
    key = records.run_key(session.scope, name)

    def write() -> tuple[Body, Record | None]:
        run, job, document = load(session, name)
        if run["info"]["lifecycle_stage"] == "deleted" and job is None and apply is not _undelete:
            raise InvalidRequest(f"The run {name} must be in the 'active' state. Current state is deleted.")
        apply(run)
        session.hub.documents.commit([put(session, run, match=document.revision if document else ABSENT), *more()])
        return run, job

    return session.settled(key, write)


def put(session: Session, run: Body, *, match: int) -> Put:
    """Return the change that writes a run. Runs that are jobs are found by their job's facets, others as jobs are."""
    experiment, space = run["info"].get("experiment"), records.space_of(session.scope)
    parent = run["tags"].get("mlflow.parentRunId") or ""
    facets = (Facet(space, "experiment", experiment), Facet(space, "parent", parent)) if experiment else ()
    is_deleted = run["info"]["lifecycle_stage"] == "deleted"
    return Put(
        records.run_key(session.scope, run["info"]["run_id"]), run, match=match, is_archived=is_deleted, facets=facets
    )


def shown(session: Session, run: Body, job: Record | None) -> dict[str, Json]:
    """Return a run as MLflow's REST API does."""
    info = _job_info(session, run, job) if job else {k: v for k, v in run["info"].items() if k != "experiment"}
    info |= {"run_uuid": info["run_id"], "artifact_uri": f"mlflow-artifacts:/{info['run_id']}/artifacts"}
    metrics = [{"key": key, **metric} for key, metric in run["metrics"].items()]
    data = {"metrics": metrics, "params": entries(run["params"]), "tags": entries(tags_of(run, job))}
    return {"info": info, "data": data, "inputs": run["inputs"], "outputs": run["outputs"]}


def tags_of(run: Body, job: Record | None) -> dict[str, str]:
    """Return a run's tags; a job's own are among them."""
    if job is None:
        found: dict[str, str] = run["tags"]
        return found
    own = {
        "mlflow.runName": job.properties["displayName"],
        "mlflow.user": job.ours["submittedBy"]["name"],
        "mlflow.rootRunId": job.ours["root"],
    }
    if job.parent:
        own["mlflow.parentRunId"] = job.parent
    return {**own, **job.properties.get("tags", {}), **run["tags"]}


def _job_info(session: Session, run: Body, job: Record) -> dict[str, Json]:
    ours = job.ours
    info: dict[str, Json] = {
        "run_id": job.name,
        "run_name": run["info"].get("run_name") or job.properties["displayName"],
        "experiment_id": experiments.id_of_named(session, job.properties["experimentName"]),
        "user_id": ours["submittedBy"]["name"],
        "status": _STATUSES.get(job.status, "SCHEDULED"),
        "start_time": int(from_iso(ours.get("startTime") or job.body["systemData"]["createdAt"]) * 1000),
        "lifecycle_stage": "deleted" if job.properties.get("isArchived") else "active",
    }
    if ours.get("endTime"):
        info["end_time"] = int(from_iso(ours["endTime"]) * 1000)
    return info


def _empty(name: str) -> Body:
    info = {"run_id": name, "lifecycle_stage": "active"}
    return {"info": info, "metrics": {}, "params": {}, "tags": {}, "inputs": {}, "outputs": {}}


def _stage(session: Session, name: str, stage: str) -> Json:
    if records.find(session.hub, session.scope, name):
        raise InvalidRequest(f"Run {name} is a job: archive or restore it with az ml job")
    if stage == "active":
        change(session, name, _undelete)
    else:
        change(session, name, lambda run: run["info"].update(lifecycle_stage=stage))
    return {}


def _undelete(run: Body) -> None:
    run["info"]["lifecycle_stage"] = "active"


def _add(known: list[Json], given: Json) -> None:
    known += [entry for entry in given or () if entry not in known]
