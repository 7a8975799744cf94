"""The metrics that Azure Monitor documents for online endpoints and their deployments, made of minutes. Pure.

Names, units and dimensions: learn.microsoft.com, supported metrics of Microsoft.MachineLearningServices/workspaces/
onlineEndpoints and .../deployments. Those that this server cannot know are not among them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from entrepot.domain.endpoints.monitoring.minutes import MINUTE_S, Sample
from entrepot.domain.endpoints.tallies import Tally

Minutes = Sequence[tuple[int, Sample]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its unit, what it tells, and by what it can be split on an endpoint and on a deployment."""

    name: str
    title: str
    unit: str
    description: str
    dimensions: Mapping[bool, tuple[str, ...]]  # by whether a deployment is asked
    is_gauge: bool = False
    on_endpoints: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """A value of one interval. `count` is how many minutes it is made of; without any the rest is None."""

    start: int
    average: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    total: float | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one combination of dimensions."""

    points: tuple[Point, ...]
    dimensions: Mapping[str, str] = field(default_factory=dict)


_BY_DEPLOYMENT = {False: ("deployment",), True: ()}
_CODES = {False: ("deployment", "statusCode", "statusCodeClass"), True: ("envoy_response_code",)}
_ALONE: dict[bool, tuple[str, ...]] = {False: (), True: ()}
_QUANTILES = {"RequestLatency_P50": 0.5, "RequestLatency_P90": 0.9, "RequestLatency_P95": 0.95,
              "RequestLatency_P99": 0.99}  # fmt: skip

METRICS = (
    Metric("RequestsPerMinute", "Requests Per Minute", "Count", "The number of requests within a minute", _CODES),
    Metric("RequestLatency", "Request Latency", "Milliseconds", "The average time to an answer", _BY_DEPLOYMENT),
    *(
        Metric(
            name, name.replace("RequestLatency_", "Request Latency "), "Milliseconds",
            f"The time within which {share:.0%} of the requests were answered", _BY_DEPLOYMENT,
        )
        for name, share in _QUANTILES.items()
    ),
    Metric("DeploymentCapacity", "Deployment Capacity", "Count", "The number of instances", {True: ("State",)},
           is_gauge=True, on_endpoints=False),
    Metric("CpuUtilizationPercentage", "CPU Utilization Percentage", "Percent", "How busy the instances are", _ALONE,
           is_gauge=True, on_endpoints=False),
    Metric("CpuMemoryUtilizationPercentage", "CPU Memory Utilization Percentage", "Percent",
           "How much of the memory the instances use", _ALONE, is_gauge=True, on_endpoints=False),
)  # fmt: skip


def offered(*, of_deployment: bool) -> dict[str, Metric]:
    """Return the metrics of an endpoint or of a deployment, by lower-case name."""
    return {metric.name.lower(): metric for metric in METRICS if of_deployment or metric.on_endpoints}


def series(
    metric: Metric, samples: Mapping[str, Minutes], *, start: int, end: int, step_s: int, split: Sequence[str] = ()
) -> list[Series]:
    """Return the series of a metric from `start` to before `end`, a point each `step_s` (all in seconds).

    `samples` are minutes by deployment; `split` names the dimensions that get a series for each of their values.
    """
    parts: dict[tuple[str, ...], dict[int, list[tuple[int, Tally | float]]]] = {}
    for deployment, minutes in samples.items():
        for minute, sample in minutes:
            at = start + (minute - start) // step_s * step_s
            for key, value in _values(metric, deployment, sample, split):
                parts.setdefault(key, {}).setdefault(at, []).append((minute, value))
    if not parts:
        parts[()] = {}
    made = _tallied(metric) if not metric.is_gauge else _gauged
    found = []
    for key, values in sorted(parts.items()):
        points = tuple(made(at, values.get(at, []), step_s) for at in range(start, end, step_s))
        found.append(Series(points, dict(zip(split, key, strict=False))))
    return found


def _values(
    metric: Metric, deployment: str, sample: Sample, split: Sequence[str]
) -> Iterable[tuple[tuple[str, ...], Tally | float]]:
    if metric.name == "DeploymentCapacity":
        states = {"Running": sample.ready, "Pending": max(0, sample.wanted - sample.ready)}
        if "State" in split:
            return [((state,), float(count)) for state, count in states.items()]
        return [((), float(sample.wanted))]
    if metric.is_gauge:
        value = sample.cpu_percent if metric.name == "CpuUtilizationPercentage" else sample.memory_percent
        return [] if value is None else [((), value)]
    if not any(name in split for name in ("statusCode", "statusCodeClass", "envoy_response_code")):
        return [(tuple(deployment for _ in split), sample.tally)]
    found = []
    for status, count in sample.tally.statuses.items():
        named = {"deployment": deployment, "statusCode": str(status), "envoy_response_code": str(status),
                 "statusCodeClass": f"{status // 100}xx"}  # fmt: skip
        found.append((tuple(named[name] for name in split), Tally({status: count})))
    return found


def _tallied(metric: Metric) -> Callable[[int, list[tuple[int, Tally | float]], int], Point]:
    def made(at: int, values: list[tuple[int, Tally | float]], step_s: int) -> Point:
        minutes: dict[int, Tally] = {}
        for minute, tally in values:
            assert isinstance(tally, Tally)
            minutes[minute] = minutes.get(minute, Tally()).plus(tally)
        if metric.name == "RequestsPerMinute":
            counts = [tally.requests for tally in minutes.values()]
            counts += [0] * (step_s // MINUTE_S - len(counts))
            return Point(at, sum(counts) / len(counts), min(counts), max(counts), sum(counts), len(counts))
        read = [_latency(metric, tally) for tally in minutes.values()]
        known = [value for value in read if value is not None]
        if not known:
            return Point(at)
        return Point(
            at, _latency(metric, reduce(Tally.plus, minutes.values())), min(known), max(known), sum(known), len(known)
        )

    return made


def _latency(metric: Metric, tally: Tally) -> float | None:
    if metric.name in _QUANTILES:
        return tally.quantile_ms(_QUANTILES[metric.name])
    return tally.total_ms / tally.timed if tally.timed else None


def _gauged(at: int, values: list[tuple[int, Tally | float]], step_s: int) -> Point:
    known = [value for _, value in values if not isinstance(value, Tally)]
    if not known:
        return Point(at)
    return Point(at, sum(known) / len(known), min(known), max(known), sum(known), len(known))
