"""Azure Monitor's metrics on the wire: what a query asks for, and the answers. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from entrepot.core.errors import InvalidRequest
from entrepot.domain.endpoints.monitoring.metrics import Metric, Point, Series

Json = Any

_STEPS_S = {"PT1M": 60, "PT5M": 300, "PT15M": 900, "PT30M": 1800, "PT1H": 3600, "PT6H": 21600, "PT12H": 43200,
            "P1D": 86400}  # fmt: skip
_AGGREGATIONS = ("average", "minimum", "maximum", "total", "count")
_DEFAULT_S = 3600
_MOST_POINTS = 1440 * 31
_TERM = re.compile(r"\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*(?:and\b|or\b|$)", re.IGNORECASE)
TYPE = "Microsoft.Insights/metrics"


@dataclass(frozen=True, slots=True)
class Asked:
    """A query of metrics. Times in whole epoch seconds; `filters` are the values wanted of a dimension, () all."""

    metrics: tuple[Metric, ...]
    start: int
    end: int
    step_s: int
    interval: str
    aggregations: tuple[str, ...]
    filters: Mapping[str, tuple[str, ...]]

    def wants(self, dimensions: Mapping[str, str]) -> bool:
        """Say whether the filters let a series through."""
        return all(not values or dimensions.get(name) in (None, *values) for name, values in self.filters.items())


def read_query(query: Mapping[str, str], offered: Mapping[str, Metric], *, of_deployment: bool, now: float) -> Asked:
    """Read what is asked of `offered` metrics. Raises InvalidRequest."""
    given = {name.lower(): value for name, value in query.items()}
    names = [name for name in given.get("metricnames", "").split(",") if name] or [m.name for m in offered.values()]
    unknown = [name for name in names if name.lower() not in offered]
    if unknown:
        known = ", ".join(metric.name for metric in offered.values())
        raise InvalidRequest(f"There is no metric {unknown[0]!r} here; there are {known}", target="metricnames")
    metrics = tuple(offered[name.lower()] for name in names)
    start, end = _timespan(given.get("timespan", ""), now)
    interval = given.get("interval", "PT1M").upper()
    step_s = end - start if interval == "FULL" else _STEPS_S.get(interval, 0)
    if not step_s:
        known = ", ".join(_STEPS_S)
        raise InvalidRequest(f"interval={interval!r} is not one of {known} and FULL", target="interval")
    if (end - start) // step_s > _MOST_POINTS:
        raise InvalidRequest("The timespan has more than 31 days of minutes: ask for less, or a longer interval")
    wanted = tuple(word.strip().lower() for word in given.get("aggregation", "average").split(",") if word.strip())
    if bad := [word for word in wanted if word not in _AGGREGATIONS]:
        raise InvalidRequest(f"aggregation {bad[0]!r} is not one of {', '.join(_AGGREGATIONS)}", target="aggregation")
    filters = _filters(given.get("$filter", ""), metrics, of_deployment=of_deployment)
    return Asked(metrics, start, end, step_s, interval, wanted, filters)


def answer(asked: Asked, resource: str, region: str, found: Mapping[str, Sequence[Series]]) -> dict[str, Json]:
    """Return the answer for a resource's ARM id; `found` are the series by the metric's name."""
    return {
        "cost": 0,
        "timespan": f"{_time(asked.start)}/{_time(asked.end)}",
        "interval": asked.interval,
        "namespace": _namespace(resource),
        "resourceregion": region,
        "value": [
            {
                "id": f"{resource}/providers/{TYPE}/{metric.name}",
                "type": TYPE,
                "name": _word(metric.name, metric.title),
                "displayDescription": metric.description,
                "unit": metric.unit,
                "timeseries": [_series(one, asked.aggregations) for one in found[metric.name]],
                "errorCode": "Success",
            }
            for metric in asked.metrics
        ],
    }


def definitions(metrics: Sequence[Metric], resource: str, *, of_deployment: bool) -> dict[str, Json]:
    """Return the list of metrics that there are."""
    return {
        "value": [
            {
                "id": f"{resource}/providers/Microsoft.Insights/metricDefinitions/{metric.name}",
                "resourceId": resource,
                "namespace": _namespace(resource),
                "name": _word(metric.name, metric.title),
                "displayDescription": metric.description,
                "isDimensionRequired": False,
                "unit": metric.unit,
                "primaryAggregationType": "Average",
                "supportedAggregationTypes": [word.capitalize() for word in _AGGREGATIONS],
                "metricAvailabilities": [{"timeGrain": grain, "retention": "P31D"} for grain in _STEPS_S],
                "dimensions": [_word(name, name) for name in metric.dimensions[of_deployment]],
            }
            for metric in metrics
        ]
    }


def _timespan(text: str, now: float) -> tuple[int, int]:
    if not text:
        end = int(now) // 60 * 60 + 60
        return end - _DEFAULT_S, end
    try:
        plain = text if "/" in text else unquote(text)  # azure-cli encodes it twice
        start, end = (int(_epoch(part)) for part in plain.split("/"))
    except ValueError:
        raise InvalidRequest(
            f"timespan={text!r} is not two times such as 2026-11-25T10:00:00Z/2026-11-25T11:00:00Z", target="timespan"
        ) from None
    if start >= end:
        raise InvalidRequest(f"timespan={text!r} ends before it begins", target="timespan")
    return start // 60 * 60, -(-end // 60) * 60


def _epoch(text: str) -> float:
    found = datetime.fromisoformat(text.strip().replace(" ", "+"))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _filters(text: str, metrics: Sequence[Metric], *, of_deployment: bool) -> dict[str, tuple[str, ...]]:
    """Read `deployment eq '*' and statusCode eq '200'`: by what to split, and which of it. Raises InvalidRequest."""
    found: dict[str, tuple[str, ...]] = {}
    at = 0
    while text[at:].strip():
        match = _TERM.match(text, at)
        if match is None:
            raise InvalidRequest(f"$filter: {text[at:]!r} is not understood; write deployment eq '*'", target="$filter")
        known = {name.lower(): name for metric in metrics for name in metric.dimensions.get(of_deployment, ())}
        name = known.get(match[1].lower())
        if name is None:
            raise InvalidRequest(
                f"$filter: there is no dimension {match[1]!r} here; there are {', '.join(known.values()) or 'none'}",
                target="$filter",
            )
        value = match[2].replace("''", "'")
        found[name] = () if value == "*" else (*found.get(name, ()), value)
        at = match.end()
    return found


def _series(one: Series, aggregations: Sequence[str]) -> dict[str, Json]:
    named = [{"name": _word(name, name), "value": value} for name, value in one.dimensions.items()]
    return {"metadatavalues": named, "data": [_point(point, aggregations) for point in one.points]}


def _point(point: Point, aggregations: Sequence[str]) -> dict[str, Json]:
    told: dict[str, Json] = {"timeStamp": _time(point.start)}
    for name in aggregations:
        value = getattr(point, name)
        if value is not None and point.count:
            told[name] = round(float(value), 3)
    return told


def _namespace(resource: str) -> str:
    is_deployment = "/deployments/" in resource.lower()
    return "Microsoft.MachineLearningServices/workspaces/onlineEndpoints" + "/deployments" * is_deployment


def _word(value: str, shown: str) -> dict[str, str]:
    return {"value": value, "localizedValue": shown}


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
