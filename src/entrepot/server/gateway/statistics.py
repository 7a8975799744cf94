"""What Envoy counted, by deployment; read from its private admin socket when somebody asks."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from entrepot.domain.endpoints.tallies import Tally
from entrepot.server.gateway import process
from entrepot.server.gateway.rendering import cluster_name

_LINE = re.compile(r"envoy_cluster_(\w+)\{([^}]*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WANTED = (
    "^cluster%5C..*%5C.(upstream_rq_%5Cd+|upstream_rq_active|upstream_rq_pending_overflow|external.upstream_rq_time)$"
)
_TIMED = "external_upstream_rq_time"


@dataclass(slots=True)
class _Counts:
    answers: dict[int, int] = field(default_factory=dict)
    refused: int = 0
    in_flight: int = 0
    within: list[tuple[float, int]] = field(default_factory=list)
    total_ms: float = 0.0


def read(folder: Path) -> dict[str, Tally]:
    """Return the tallies by cluster; none while no Envoy runs."""
    try:
        status, body = process.ask(folder, f"/stats/prometheus?filter={_WANTED}")
    except OSError:
        return {}
    return parsed(body.decode()) if status == 200 else {}


def tally_of(folder: Path, slug: str, deployment: str) -> Tally:
    """Return what a deployment answered so far."""
    return read(folder).get(cluster_name(slug, deployment), Tally())


def parsed(text: str) -> dict[str, Tally]:
    """Read Prometheus text of Envoy 1.40."""
    found: defaultdict[str, _Counts] = defaultdict(_Counts)
    for match in _LINE.finditer(text):
        name, labels, value = match[1], dict(_LABEL.findall(match[2])), float(match[3])
        counts = found[labels.get("envoy_cluster_name", "")]
        if name == "upstream_rq" and "envoy_response_code" in labels:
            counts.answers[int(labels["envoy_response_code"])] = int(value)
        elif name == "upstream_rq_pending_overflow":
            counts.refused = int(value)
        elif name == "upstream_rq_active":
            counts.in_flight = int(value)
        elif name == f"{_TIMED}_bucket":
            counts.within.append((float(labels["le"]), int(value)))
        elif name == f"{_TIMED}_sum":
            counts.total_ms = value
    return {
        name: Tally(counts.answers, counts.refused, counts.in_flight, tuple(counts.within), counts.total_ms)
        for name, counts in found.items()
        if name
    }
