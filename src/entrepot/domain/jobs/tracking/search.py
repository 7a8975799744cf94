"""runs/search: the runs of experiments, jobs among them, filtered, ordered, page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain.jobs import records
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.tracking import experiments, filters, history, runs
from entrepot.domain.jobs.tracking.session import Session, whole_number
from entrepot.store.documents import View

Json = Any

_VIEWS = {"ACTIVE_ONLY": View.ACTIVE, "DELETED_ONLY": View.ARCHIVED, "ALL": View.ALL}
_ORDER = (("start_time", False), ("run_id", True))


def search(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/search."""
    view = _VIEWS.get(str(body.get("run_view_type") or "ACTIVE_ONLY").upper())
    if view is None:
        raise InvalidRequest(f"run_view_type must be one of {', '.join(_VIEWS)}: got {body.get('run_view_type')!r}")
    limit = whole_number(body, "max_results", 1000)
    if not 0 < limit <= 50_000:
        raise InvalidRequest(f"max_results must be between 1 and 50000: got {limit}", target="max_results")
    found = [
        (_subject(session, run, job), (run, job))
        for experiment_id in body.get("experiment_ids") or ()
        for run, job in _of_experiment(session, str(experiment_id), view)
    ]
    page, token = filters.select(found, body, default_order=_ORDER, limit=limit)
    return {"runs": [runs.shown(session, run, job) for run, job in page], **token}


def _of_experiment(session: Session, experiment_id: str, view: View) -> Iterator[tuple[runs.Body, Record | None]]:
    try:
        name = experiments.load(session, experiment_id)["name"]
    except NotFound:
        return
    after: str | None = None
    while True:
        space = records.space_of(session.scope)
        page = session.hub.documents.find(space, "experiment", name, view=view, after=after, limit=1000)
        for document in page.documents:
            if document.key.startswith(f"{session.scope.key}/runs/"):
                yield document.body, None
            else:
                job = records.record_of(document)
                yield runs.load(session, job.name)[0], job
        after = page.next
        if after is None:
            return


def _subject(session: Session, run: runs.Body, job: Record | None) -> filters.Subject:
    shown = runs.shown(session, run, job)
    metrics = {key: history.number_of(metric["value"]) for key, metric in run["metrics"].items()}
    return filters.Subject(shown["info"], metrics, run["params"], runs.tags_of(run, job))
