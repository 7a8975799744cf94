"""/metrics, in Prometheus' text format: the deployments', the server's and the store's numbers."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from entrepot.core.errors import Unauthenticated
from entrepot.domain import access
from entrepot.domain.endpoints import secrets
from entrepot.domain.endpoints.tallies import Tally
from entrepot.domain.jobs.records import STATES
from entrepot.server.calls import Answer, Call
from entrepot.server.monitoring.recording import Standing
from entrepot.server.routing import Route
from entrepot.server.site import Site
from entrepot.store.documents import Measured

READ = "Microsoft.Insights/metrics/read"
_QUANTILES = (0.5, 0.95, 0.99)
_OF = ("workspace", "endpoint", "deployment")

Family = Any
"""A metric family of prometheus_client, which has no types of its own that mypy could read here."""


def _metrics(call: Call) -> Answer:
    _admit(call)
    exposition = import_module("prometheus_client.exposition")  # 40 ms that only those who scrape pay
    text: bytes = exposition.generate_latest(_Collected(call.site))
    return Answer(200, text, ((b"content-type", exposition.CONTENT_TYPE_LATEST.encode()),))


def _admit(call: Call) -> None:
    """Return if the caller may read: the scraper's key, anybody where the settings say so, or whoever has the right."""
    settings = call.hub.settings
    presented = call.headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, key = presented.partition(" ")
    if settings.metrics_key and scheme.lower() == "bearer" and secrets.is_same(key.strip(), settings.metrics_key):
        return
    if not presented and settings.metrics_open:
        return
    if not presented:
        raise Unauthenticated("Metrics are read with a token or with the setting metrics_key: send Authorization")
    principal = call.site.authenticator.caller("GET", call.headers, address=call.address)
    access.require(call.hub, principal, READ, "", request_id=call.request_id)


class _Collected:
    """What prometheus_client takes for a registry."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def collect(self) -> Iterator[Family]:
        """Yield everything."""
        yield from _of_deployments(self._site.recorder.look())
        yield from _of_server(self._site)
        yield from _of_store(self._site)


def _of_deployments(standings: Iterable[Standing]) -> list[Family]:
    core = import_module("prometheus_client.core")
    name = "entrepot_deployment"
    requests = core.CounterMetricFamily(f"{name}_requests", "Answers of a deployment.", labels=[*_OF, "code"])
    errors = core.CounterMetricFamily(f"{name}_errors", "Answers that the model or its replica failed.", labels=_OF)
    took = core.HistogramMetricFamily(f"{name}_request_duration_seconds", "Time to an answer.", labels=_OF)
    quantiles = core.GaugeMetricFamily(
        f"{name}_request_duration_quantile_seconds", "Of the last minute or two.", labels=[*_OF, "quantile"]
    )
    in_flight = core.GaugeMetricFamily(f"{name}_requests_in_flight", "Requests under way.", labels=_OF)
    ready = core.GaugeMetricFamily(f"{name}_replicas_ready", "Replicas that answer, or wake by a request.", labels=_OF)
    wanted = core.GaugeMetricFamily(f"{name}_replicas_wanted", "Replicas that there shall be.", labels=_OF)
    cpu = core.CounterMetricFamily(
        "entrepot_replica_cpu_seconds", "Processor time of a replica's processes.", labels=[*_OF, "replica"]
    )
    memory = core.GaugeMetricFamily(
        "entrepot_replica_memory_bytes", "Resident memory of a replica's processes.", labels=[*_OF, "replica"]
    )
    for one in standings:
        parts = one.key.split("/")
        of = [parts[5], parts[7], parts[9]]
        for status, count in one.tally.statuses.items():
            requests.add_metric([*of, str(status)], count)
        errors.add_metric(of, one.tally.errors)
        if one.tally.within:
            took.add_metric(of, _buckets(one.tally), one.tally.total_ms / 1000)
        for share in _QUANTILES:
            if (value := one.last.quantile_ms(share)) is not None:
                quantiles.add_metric([*of, str(share)], value / 1000)
        in_flight.add_metric(of, one.tally.in_flight)
        ready.add_metric(of, one.ready)
        wanted.add_metric(of, one.wanted)
        for id, load in one.loads.items():
            cpu.add_metric([*of, id], load.cpu_s)
            memory.add_metric([*of, id], load.memory_bytes)
    return [requests, errors, took, quantiles, in_flight, ready, wanted, cpu, memory]


def _of_server(site: Site) -> Iterator[Family]:
    core = import_module("prometheus_client.core")
    requests = core.CounterMetricFamily(
        "entrepot_http_requests", "Answers of the API by family of routes.", labels=["family", "method", "code_class"]
    )
    for labels, count in site.requests.counts().items():
        requests.add_metric(labels, count)
    yield requests
    took = core.HistogramMetricFamily("entrepot_http_request_duration_seconds", "Time to an answer.", labels=["family"])
    for family, durations in site.requests.durations().items():
        within, sum_s = durations.told()
        took.add_metric([family], [(_bound(bound), count) for bound, count in within], sum_s)
    yield took
    up = core.GaugeMetricFamily("entrepot_gateway_up", "1 while the scoring gateway runs.")
    up.add_metric([], int(site.gateway.is_running))
    yield up
    followers = core.GaugeMetricFamily("entrepot_gateways_following", "Gateways elsewhere that follow this server.")
    followers.add_metric([], site.tellers.followers)
    yield followers


def _of_store(site: Site) -> Iterator[Family]:
    documents = site.hub.documents
    if not isinstance(documents, Measured):
        return
    core = import_module("prometheus_client.core")
    jobs = core.GaugeMetricFamily("entrepot_jobs", "Jobs by state, pipelines and their steps.", labels=["state"])
    for state, count in documents.tally(STATES, "status").items():
        jobs.add_metric([state], count)
    yield jobs
    items = core.GaugeMetricFamily("entrepot_work_items", "Work by queue.", labels=["queue", "state"])
    for queue, (waiting, leased) in documents.backlog().items():
        items.add_metric([queue, "waiting"], waiting)
        items.add_metric([queue, "running"], leased)
    yield items
    within, sum_s = documents.commits.told()
    took = core.HistogramMetricFamily("entrepot_store_commit_duration_seconds", "Time until a commit was durable.")
    took.add_metric([], [(_bound(bound), count) for bound, count in within], sum_s)
    yield took


def _buckets(tally: Tally) -> list[tuple[str, int]]:
    return [(_bound(bound / 1000), count) for bound, count in tally.within]


def _bound(seconds: float) -> str:
    return "+Inf" if seconds == float("inf") else f"{seconds:g}"


ROUTES = (Route("GET", "/metrics", READ, _metrics, is_anonymous=True, is_long=True),)
