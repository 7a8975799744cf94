"""Metrics, parameters and tags: the latest values in the run's document, every metric value in a stream per metric."""

import math
from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import WorkspaceScope
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import records
from entrepot.domain.jobs.tracking import logged_models, runs
from entrepot.domain.jobs.tracking.session import Session, pairs, run_id, text, whole_number
from entrepot.store.documents import Append, Change

Json = Any

_MAX_METRICS = 1000  # per request, as MLflow's own server
_MAX_PAIRS = 1000
_MAX_KEY = 250
_MAX_VALUE = 8000
_PAGE = 25_000


def stream_of(scope: WorkspaceScope, run: str, key: str) -> str:
    """Return the stream with a metric's values: entries `[[value, timestamp in ms, step], ...]`."""
    return f"{records.run_key(scope, run)}/metrics/{key}"


def log_metric(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/log-metric."""
    return _log(session, run_id(body), metrics=[body])


def log_parameter(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/log-parameter. Raises InvalidRequest for another value of a parameter that is there."""
    return _log(session, run_id(body), params={text(body, "key"): str(body.get("value", ""))})


def set_tag(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/set-tag."""
    return _log(session, run_id(body), tags={text(body, "key"): str(body.get("value", ""))})


def delete_tag(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/delete-tag."""
    runs.change(session, run_id(body), lambda run: run["tags"].pop(text(body, "key"), None))
    return {}


def log_batch(session: Session, body: Mapping[str, Json]) -> Json:
    """runs/log-batch: all or nothing."""
    metrics = list(body.get("metrics") or ())
    params, tags = pairs(body.get("params"), what="params"), pairs(body.get("tags"), what="tags")
    if len(metrics) > _MAX_METRICS or len(params) + len(tags) > _MAX_PAIRS:
        raise InvalidRequest(
            f"A batch can hold at most {_MAX_METRICS} metrics and {_MAX_PAIRS} parameters and tags: "
            f"got {len(metrics)} and {len(params) + len(tags)}"
        )
    return _log(session, run_id(body), metrics=metrics, params=params, tags=tags)


def get(session: Session, body: Mapping[str, Json]) -> Json:
    """metrics/get-history: every value of one metric, oldest first."""
    name, key = run_id(body), text(body, "metric_key")
    runs.load(session, name)
    limit = whole_number(body, "max_results", _PAGE)
    after = whole_number(body, "page_token", 0)
    found: list[Json] = []
    stream = stream_of(session.scope, name, key)
    while batch := session.hub.documents.read(stream, after=after, limit=1000):
        for entry in batch:
            found += [{"key": key, "value": v, "timestamp": t, "step": s} for v, t, s in entry.body]
            after = entry.position
            if len(found) >= limit:
                return {"metrics": found, "next_page_token": str(after)}
    return {"metrics": found}


def values_of(hub: Hub, scope: WorkspaceScope, run: str, key: str) -> list[float]:
    """Return all values of a metric that are numbers, in the order in which they were logged."""
    found: list[float] = []
    stream, after = stream_of(scope, run, key), 0
    while batch := hub.documents.read(stream, after=after, limit=1000):
        found += [number_of(value) for entry in batch for value, _, _ in entry.body]
        after = batch[-1].position
    return [value for value in found if math.isfinite(value)]


def number_of(value: Json) -> float:
    """Read a stored or sent metric value: JSON has no words for NaN and infinities, so they are texts."""
    return float(value)


def _log(
    session: Session,
    name: str,
    *,
    metrics: list[Mapping[str, Json]] | None = None,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Json:
    points = [_point(metric) for metric in metrics or ()]
    _check_sizes({**(params or {}), **(tags or {})})

    def apply(run: runs.Body) -> None:
        for key, point in points:
            latest = run["metrics"].get(key)
            if latest is None or _rank(point) >= _rank(latest):
                run["metrics"][key] = point
        for key, value in (params or {}).items():
            if run["params"].setdefault(key, value) != value:
                raise InvalidRequest(
                    f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                    f"value='{run['params'][key]}' for run ID='{name}'. Attempted logging new value '{value}'."
                )
        run["tags"].update(tags or {})

    runs.change(session, name, apply, more=lambda: _appends(session, name, points))
    for metric in metrics or ():
        if metric.get("model_id"):
            logged_models.add_metric(session, str(metric["model_id"]), {**metric, "run_id": name})
    return {}


def _appends(session: Session, name: str, points: list[tuple[str, dict[str, Json]]]) -> list[Change]:
    by_key: dict[str, list[Json]] = {}
    for key, point in points:
        by_key.setdefault(key, []).append([point["value"], point["timestamp"], point["step"]])
    return [Append(stream_of(session.scope, name, key), values) for key, values in by_key.items()]


def _point(metric: Mapping[str, Json]) -> tuple[str, dict[str, Json]]:
    key = text(metric, "key")
    if len(key) > _MAX_KEY:
        raise InvalidRequest(f"Metric name '{key[:40]}...' has {len(key)} characters: at most {_MAX_KEY} are allowed")
    try:
        value = float(metric["value"])
    except (KeyError, TypeError, ValueError):
        raise InvalidRequest(f"Got invalid value {metric.get('value')!r} for metric '{key}': give a number") from None
    shown: Json = value
    if not math.isfinite(value):
        shown = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return key, {
        "value": shown,
        "timestamp": whole_number(metric, "timestamp", 0),
        "step": whole_number(metric, "step", 0),
    }


def _rank(point: Mapping[str, Json]) -> tuple[int, int]:
    return point["step"], point["timestamp"]


def _check_sizes(values: Mapping[str, str]) -> None:
    for key, value in values.items():
        if len(key) > _MAX_KEY:
            raise InvalidRequest(f"'{key[:40]}...' has {len(key)} characters: a name may have at most {_MAX_KEY}")
        if len(value) > _MAX_VALUE:
            raise InvalidRequest(f"The value of '{key}' has {len(value)} characters: at most {_MAX_VALUE} are allowed")
