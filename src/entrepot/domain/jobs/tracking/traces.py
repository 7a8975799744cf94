"""Traces of MLflow 3: what is told of each, its tags and assessments. Spans are artifacts, written and read by clients.

A trace is a document `{ws}/traces/{id}` with MLflow's TraceInfo as it came, found by its experiment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from entrepot.core.clock import from_iso, to_iso
from entrepot.core.errors import InvalidRequest, NotFound, Unsupported
from entrepot.core.ids import WorkspaceScope
from entrepot.domain import access
from entrepot.domain.jobs import records
from entrepot.domain.jobs.tracking import experiments, filters
from entrepot.domain.jobs.tracking.session import Session, text, whole_number
from entrepot.store.documents import ABSENT, Delete, Document, Facet, Put, View

Json = Any
Info = dict[str, Json]

_PLACE = "mlflow.artifactLocation"
_LINKED = "mlflow.sourceRun"
_ORDER = (("request_time", False), ("trace_id", True))
_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def key_of(scope: WorkspaceScope, trace_id: str) -> str:
    """Return the document key of a trace. Raises InvalidRequest for what is no id."""
    if not trace_id or not set(trace_id) <= _ID or len(trace_id) > 100:
        raise InvalidRequest(f"{trace_id!r} is not a trace's id", target="trace_id")
    return f"{scope.key}/traces/{trace_id}"


def start(session: Session, body: Mapping[str, Json]) -> Json:
    """traces: one that has been made. The same id again takes the place of the first."""
    given = (body.get("trace") or {}).get("trace_info")
    if not isinstance(given, dict):
        raise InvalidRequest("A trace needs trace.trace_info", target="trace")
    info: Info = {"assessments": [], **given}
    key = key_of(session.scope, text(info, "trace_id"))
    _subject(info)  # refuses times that are none
    place = (info.get("trace_location") or {}).get("mlflow_experiment") or {}
    experiment = experiments.load(session, str(place.get("experiment_id") or experiments.DEFAULT_ID))["experiment_id"]
    where = f"mlflow-artifacts:/experiments/{experiment}/traces/{info['trace_id']}/artifacts"
    info["tags"] = {**(info.get("tags") or {}), _PLACE: where}
    info.setdefault("trace_metadata", {})
    facet = Facet(_space(session.scope), "experiment", experiment)
    session.hub.documents.commit([Put(key, info, facets=(facet,))])
    return {"trace": {"trace_info": info}}


def search(session: Session, body: Mapping[str, Json]) -> Json:
    """traces/search: newest first unless ordered otherwise."""
    places = [(place.get("mlflow_experiment") or {}).get("experiment_id") for place in body.get("locations") or ()]
    found = [
        (_subject(document.body), document.body)
        for experiment in (*places, *(body.get("experiment_ids") or ()))
        for document in _of_experiment(session, str(experiment))
    ]
    limit = whole_number(body, "max_results", 100)
    page, token = filters.select(found, body, default_order=_ORDER, limit=limit)
    return {"traces": page, **token}


def delete(session: Session, body: Mapping[str, Json]) -> Json:
    """traces/delete-traces: those named, or the oldest of an experiment up to a time."""
    chosen = set(map(str, body.get("request_ids") or ()))
    until, most = whole_number(body, "max_timestamp_millis", 0), whole_number(body, "max_traces", 0)
    if not chosen and not until:
        raise InvalidRequest("Either max_timestamp_millis or request_ids must be given")
    latest = to_iso(until / 1000)
    oldest_first = sorted(_of_experiment(session, text(body, "experiment_id")), key=lambda d: _time(d.body))
    gone = [
        document for document in oldest_first
        if (document.body["trace_id"] in chosen if chosen else _time(document.body) <= latest)
    ][: most or None]  # fmt: skip
    session.hub.documents.commit([Delete(document.key) for document in gone])
    return {"traces_deleted": len(gone)}


def link(session: Session, body: Mapping[str, Json]) -> Json:
    """traces/link-to-run: note the run that traces belong to."""
    run = text(body, "run_id")
    for trace_id in body.get("trace_ids") or ():
        _change(session, str(trace_id), lambda info: info["trace_metadata"].update({_LINKED: run}))
    return {}


def one(session: Session, path: Sequence[str], body: Mapping[str, Json], *, method: str) -> Json:
    """Answer the calls about one trace: read it, its tags, its assessments."""
    trace_id, *rest = path
    action = records.READ if method == "GET" else records.WRITE
    access.require(session.hub, session.principal, action, session.scope.key)
    match (method, *rest):
        case ("GET",) | ("GET", "info"):
            return {"trace": {"trace_info": _load(session, trace_id).body}}
        case ("DELETE", "tags"):
            _change(session, trace_id, lambda info: info["tags"].pop(text(body, "key"), None))
            return {}
        case (_, "tags"):
            _change(session, trace_id, lambda info: info["tags"].update({text(body, "key"): str(body.get("value"))}))
            return {}
        case ("POST", "assessments"):
            return _assess(session, trace_id, body)
        case (_, "assessments", assessment_id):
            return _assessment(session, trace_id, assessment_id, body, method=method)
    raise Unsupported(f"MLflow's {method} traces/{'/'.join(path)}")


def _assess(session: Session, trace_id: str, body: Mapping[str, Json]) -> Json:
    now = to_iso(session.hub.clock.now())
    given = {"create_time": now, "last_update_time": now, "valid": True, **(body.get("assessment") or {})}
    given |= {"assessment_id": f"a-{session.hub.new_id().replace('-', '')}", "trace_id": trace_id}

    def apply(info: Info) -> None:
        for other in info["assessments"]:
            if other["assessment_id"] == given.get("overrides"):
                other["valid"] = False
        info["assessments"].append(given)

    _change(session, trace_id, apply)
    return {"assessment": given}


def _assessment(session: Session, trace_id: str, assessment_id: str, body: Mapping[str, Json], *, method: str) -> Json:
    def find(info: Info) -> dict[str, Json]:
        for entry in info["assessments"]:
            if entry["assessment_id"] == assessment_id:
                return dict(entry)
        raise NotFound(f"Assessment with ID '{assessment_id}' not found for trace '{trace_id}'")

    if method == "GET":
        return {"assessment": find(_load(session, trace_id).body)}
    given = body.get("assessment") or {}
    mask = body.get("update_mask") or ""
    paths = mask.split(",") if isinstance(mask, str) else mask.get("paths") or ()
    names = {path if "_" in path else _snake(path) for path in map(str.strip, paths)}

    def apply(info: Info) -> None:
        old = find(info)
        others = [entry for entry in info["assessments"] if entry["assessment_id"] != assessment_id]
        fresh = {name: value for name, value in given.items() if name in names}
        changed = {**old, **fresh, "last_update_time": to_iso(session.hub.clock.now())}
        info["assessments"] = others if method == "DELETE" else [*others, changed]

    info = _change(session, trace_id, apply)
    return {} if method == "DELETE" else {"assessment": find(info)}


def _snake(name: str) -> str:
    """Return a field's name as JSON has it: masks are written in camel case."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _load(session: Session, trace_id: str) -> Document:
    document = session.hub.documents.get(key_of(session.scope, trace_id))
    if document is None:
        raise NotFound(f"Trace with ID '{trace_id}' not found.")
    return document


def _change(session: Session, trace_id: str, apply: Callable[[Info], object]) -> Info:
    def write() -> Info:
        document = _load(session, trace_id)
        info: Info = document.body
        apply(info)
        session.hub.documents.commit([Put(document.key, info, match=document.revision or ABSENT, facets=None)])
        return info

    return session.settled(key_of(session.scope, trace_id), write)


def _of_experiment(session: Session, experiment: str) -> Iterator[Document]:
    after: str | None = None
    while True:
        page = session.hub.documents.find(
            _space(session.scope), "experiment", experiment, view=View.ALL, after=after, limit=1000
        )
        yield from page.documents
        if (after := page.next) is None:
            return


def _space(scope: WorkspaceScope) -> str:
    return f"{scope.key}/traces"


def _time(info: Info) -> str:
    return str(info.get("request_time") or "")


def _subject(info: Info) -> filters.Subject:
    """Return what can be asked of a trace; its times are milliseconds there, as in MLflow."""
    metadata, tags = info.get("trace_metadata") or {}, info.get("tags") or {}
    try:
        millis = int(from_iso(_time(info)) * 1000) if _time(info) else None
        lasted_ms = float(str(info.get("execution_duration") or "0s").rstrip("s")) * 1000
    except ValueError as error:
        raise InvalidRequest(f"Invalid time of trace {info.get('trace_id')}: {error}") from None
    known = {
        **info, "request_time": _time(info), "timestamp_ms": millis, "timestamp": millis, "status": info.get("state"),
        "name": tags.get("mlflow.traceName"), "run_id": metadata.get(_LINKED),
        "execution_time_ms": lasted_ms, "execution_time": lasted_ms,
    }  # fmt: skip
    return filters.Subject(known, {}, metadata, tags)
