"""Logged models of MLflow 3: a model that a run logged, with parameters and metrics of its own.

Its files lie among the artifacts of its run, under its name: so `azureml://jobs/<job>/outputs/artifacts/paths/model`
and `runs:/<run>/model` name them, as they do for clients before MLflow 3.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from entrepot.core.errors import NotFound, Unsupported
from entrepot.core.ids import WorkspaceScope
from entrepot.domain import access
from entrepot.domain.jobs import records
from entrepot.domain.jobs.tracking import experiments, filters, runs
from entrepot.domain.jobs.tracking.session import Session, entries, pairs, text, whole_number
from entrepot.store.documents import ABSENT, Document, Facet, Put, View

Json = Any
Body = dict[str, Json]

_STATUSES = {1: "LOGGED_MODEL_PENDING", 2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


def key_of(scope: WorkspaceScope, model_id: str) -> str:
    """Return the document key of a logged model."""
    return f"{scope.key}/loggedmodels/{model_id}"


def create(session: Session, body: Mapping[str, Json]) -> Json:
    """logged-models: a new one, whose files are on their way."""
    experiment = experiments.load(session, text(body, "experiment_id"))
    model_id = f"m-{session.hub.new_id().replace('-', '')}"
    name = str(body.get("name") or model_id)
    run = str(body.get("source_run_id") or "")
    model: Body = {
        "info": {
            "model_id": model_id,
            "experiment_id": experiment["experiment_id"],
            "name": name,
            "creation_timestamp_ms": session.now_ms,
            "last_updated_timestamp_ms": session.now_ms,
            "artifact_uri": _artifact_uri(session, run, name, model_id),
            "status": _STATUSES[1],
            "model_type": str(body.get("model_type") or ""),
            "source_run_id": run,
        },
        "tags": pairs(body.get("tags"), what="tags"),
        "params": pairs(body.get("params"), what="params"),
        "metrics": [],
    }
    session.hub.documents.commit([_put(session, model, match=ABSENT)])
    return {"model": _shown(model)}


def one(session: Session, path: Sequence[str], body: Mapping[str, Json], *, method: str) -> Json:
    """Answer the calls about one model: read, finalise, delete, and its params and tags."""
    model_id, *rest = path
    method = method.upper() or _method_of(rest, body)
    is_reading = method == "GET"
    access.require(session.hub, session.principal, records.READ if is_reading else records.WRITE, session.scope.key)
    match (method, *rest):
        case ("GET",):
            return {"model": _shown(_load(session, model_id)[0])}
        case ("DELETE",):
            _change(session, model_id, lambda model: model["info"].update(lifecycle="deleted"))
            return {}
        case ("PATCH" | "POST",):
            status = body.get("status")
            word = _STATUSES.get(status, status) if isinstance(status, int) else str(status)
            return {"model": _shown(_change(session, model_id, lambda model: model["info"].update(status=word)))}
        case (_, "params"):
            given = pairs(body.get("params"), what="params")
            _change(session, model_id, lambda model: model["params"].update(given))
            return {}
        case ("DELETE", "tags", *key):
            return {"model": _shown(_change(session, model_id, lambda model: model["tags"].pop("/".join(key), None)))}
        case (_, "tags"):
            given = pairs(body.get("tags"), what="tags")
            return {"model": _shown(_change(session, model_id, lambda model: model["tags"].update(given)))}
        case ("GET", "artifacts", "directories"):
            return {"root_uri": _load(session, model_id)[0]["info"]["artifact_uri"], "files": []}
    raise Unsupported(f"MLflow's {method} logged-models/{'/'.join(path)}")


def search(session: Session, body: Mapping[str, Json]) -> Json:
    """logged-models/search: newest first unless ordered otherwise."""
    found = []
    for experiment_id in body.get("experiment_ids") or ():
        after: str | None = None
        while True:
            page = session.hub.documents.find(
                _space(session.scope), "experiment", str(experiment_id), view=View.ACTIVE, after=after, limit=1000
            )
            found += [(_subject(document.body), document.body) for document in page.documents]
            after = page.next
            if after is None:
                break
    order = (("creation_timestamp_ms", False),)
    limit = whole_number(body, "max_results", 100)
    models, token = filters.select(found, body, default_order=order, limit=limit)
    return {"models": [_shown(model) for model in models], **token}


def add_metric(session: Session, model_id: str, metric: Mapping[str, Json]) -> None:
    """Note a run's metric that is about a model; a model that is not there is none of our business."""
    if session.hub.documents.get(key_of(session.scope, model_id)) is None:
        return
    kept = ("key", "value", "timestamp", "step", "run_id", "dataset_name", "dataset_digest")
    fresh = {name: metric[name] for name in kept if metric.get(name) is not None} | {"model_id": model_id}
    same = ("key", "dataset_name", "dataset_digest")

    def apply(model: Body) -> None:
        others = [m for m in model["metrics"] if any(m.get(name) != fresh.get(name) for name in same)]
        model["metrics"] = [*others, fresh]

    _change(session, model_id, apply)


def _method_of(rest: Sequence[str], body: Mapping[str, Json]) -> str:
    """Return the method that a client uses with such a path and body."""
    if not rest:
        return "PATCH" if body.get("status") else "DELETE" if body.get("model_id") else "GET"
    if rest[0] == "tags":
        return "PATCH" if len(rest) == 1 else "DELETE"
    return "POST" if rest[0] == "params" else "GET"


def _artifact_uri(session: Session, run: str, name: str, model_id: str) -> str:
    if not run:
        return f"mlflow-artifacts:/models/{model_id}/artifacts"
    runs.load(session, run)
    folder = _UNSAFE.sub("_", name)
    found = session.hub.documents.find(_space(session.scope), "run", run, view=View.ALL, limit=1000)
    root = f"mlflow-artifacts:/{run}/artifacts"
    taken = {document.body["info"]["artifact_uri"] for document in found.documents}
    number = 1
    while (uri := f"{root}/{folder if number == 1 else f'{folder}-{number}'}") in taken:
        number += 1
    return uri


def _load(session: Session, model_id: str) -> tuple[Body, Document]:
    document = session.hub.documents.get(key_of(session.scope, model_id)) if "/" not in model_id else None
    if document is None:
        raise NotFound(f"Logged model with ID '{model_id}' not found.")
    return document.body, document


def _change(session: Session, model_id: str, apply: Any) -> Body:
    def write() -> Body:
        model, document = _load(session, model_id)
        apply(model)
        model["info"]["last_updated_timestamp_ms"] = session.now_ms
        session.hub.documents.commit([_put(session, model, match=document.revision)])
        return model

    return session.settled(key_of(session.scope, model_id), write)


def _space(scope: WorkspaceScope) -> str:
    return f"{scope.key}/loggedmodels"


def _put(session: Session, model: Body, *, match: int) -> Put:
    info, space = model["info"], _space(session.scope)
    facets = [Facet(space, "experiment", info["experiment_id"])]
    if info["source_run_id"]:
        facets.append(Facet(space, "run", info["source_run_id"]))
    is_deleted = info.get("lifecycle") == "deleted"
    key = key_of(session.scope, info["model_id"])
    return Put(key, model, match=match, is_archived=is_deleted, facets=tuple(facets))


def _subject(model: Body) -> filters.Subject:
    metrics = {metric["key"]: float(metric["value"]) for metric in model["metrics"]}
    return filters.Subject(model["info"], metrics, model["params"], model["tags"])


def _shown(model: Body) -> dict[str, Json]:
    info = {name: value for name, value in model["info"].items() if name != "lifecycle"}
    data = {"params": entries(model["params"]), "metrics": model["metrics"]}
    return {"info": {**info, "tags": entries(model["tags"]), "registrations": []}, "data": data}
