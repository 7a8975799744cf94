"""A deployment's past, a minute a sample: `{deployment}/metrics/{hour}` holds those of one hour, in UTC.

Only minutes in which something was asked or changed are written. Hours older than a month go when a new one begins.
Written in the same commit is up to what the gateways' counts are in the minutes, so that a server that was killed
leaves nothing out and counts nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from entrepot.domain.concurrency.retries import settled
from entrepot.domain.endpoints import tallies
from entrepot.domain.endpoints.tallies import Tally
from entrepot.domain.hub import Hub
from entrepot.store.documents import ABSENT, Change, Delete, Document, Order, Put, View

Json = Any

MINUTE_S, HOUR_S = 60, 3600
KEPT_S = 31 * 24 * HOUR_S
UP_TO_KEY = "gateways/counted"
_GATEWAY_KEPT_S = 24 * HOUR_S  # the counts of one that was not heard of for so long are forgotten
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """What one minute saw: requests, replicas at its end, and how busy these were (percent; None: not known)."""

    tally: Tally = field(default_factory=Tally)
    ready: int = 0
    wanted: int = 0
    cpu_percent: float | None = None
    memory_percent: float | None = None

    def plus(self, later: "Sample") -> "Sample":
        """Return the sample of a minute that was looked at twice."""
        return replace(later, tally=self.tally.plus(later.tally))


def write(
    hub: Hub,
    samples: Mapping[tuple[str, int], Sample],
    *,
    now: float,
    up_to: Mapping[str, Mapping[str, Tally]] = MappingProxyType({}),
) -> None:
    """Add samples by deployment key and minute (epoch seconds), all in one commit.

    `up_to`: the counts by gateway and cluster that are in the samples now.
    """
    hours: dict[str, dict[int, Sample]] = {}
    for (key, minute), sample in samples.items():
        hours.setdefault(f"{key}/metrics/{_name_of(minute)}", {})[minute] = sample
    if hours:
        settled(lambda: hub.documents.commit(
            [*(one for place in hours for one in _added(hub, place, hours[place], now)), *_noted(hub, up_to, now)]
        ))  # fmt: skip


def written_up_to(hub: Hub) -> dict[str, dict[str, Tally]]:
    """Return the counts by gateway and cluster that are in the minutes."""
    document = hub.documents.get(UP_TO_KEY)
    known: Json = document.body["gateways"] if document is not None else {}
    return {
        name: {cluster: tallies.read(stored) for cluster, stored in one["tallies"].items()}
        for name, one in known.items()
    }


def minute_of(moment: float) -> int:
    """Return the minute of a time, both in epoch seconds."""
    return int(moment) // MINUTE_S * MINUTE_S


def read(hub: Hub, deployment_key: str, *, start: float, end: float) -> list[tuple[int, Sample]]:
    """Return [(minute in epoch seconds, sample)] with start <= minute < end, oldest first; some minutes have none."""
    found = []
    for document in _hours(hub, deployment_key):
        hour = _time_of(document)
        if hour + HOUR_S <= start or hour >= end:
            continue
        for minute, told in document.body["minutes"].items():
            if start <= int(minute) < end:
                found.append((int(minute), _sample(told)))
    return sorted(found, key=lambda one: one[0])


def _added(hub: Hub, place: str, samples: Mapping[int, Sample], now: float) -> list[Change]:
    known = hub.documents.get(place)
    body: dict[str, Json] = known.body if known is not None else {"minutes": {}}
    for minute, sample in samples.items():
        before = body["minutes"].get(str(minute))
        body["minutes"][str(minute)] = _stored(sample if before is None else _sample(before).plus(sample))
    changes: list[Change] = [Put(place, body, match=known.revision if known is not None else ABSENT)]
    if known is None:
        key = place.rpartition("/metrics/")[0]
        changes += [Delete(old.key) for old in _hours(hub, key) if _time_of(old) < now - KEPT_S]
    return changes


def _noted(hub: Hub, up_to: Mapping[str, Mapping[str, Tally]], now: float) -> list[Change]:
    """Return the note of what is counted; what other servers noted of other gateways stays as long as it is fresh."""
    if not up_to:
        return []
    document = hub.documents.get(UP_TO_KEY)
    known: dict[str, Json] = document.body["gateways"] if document is not None else {}
    for name, counted in up_to.items():
        stored = {cluster: tally.stored() for cluster, tally in counted.items()}
        if name not in known or known[name]["tallies"] != stored:
            known[name] = {"at": now, "tallies": stored}
    fresh = {name: one for name, one in known.items() if now - one["at"] < _GATEWAY_KEPT_S or name in up_to}
    return [Put(UP_TO_KEY, {"gateways": fresh}, match=document.revision if document is not None else ABSENT)]


def _hours(hub: Hub, key: str) -> Sequence[Document]:
    return hub.documents.list(f"{key}/metrics", view=View.ALL, order=Order.KEY, limit=_PAGE).documents


def _name_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d%H")


def _time_of(document: Document) -> float:
    name = document.key.rpartition("/")[2]
    return datetime.strptime(name, "%Y%m%d%H").replace(tzinfo=UTC).timestamp()


def _stored(sample: Sample) -> dict[str, Json]:
    told = {"ready": sample.ready, "wanted": sample.wanted, **sample.tally.stored()}
    for name, value in (("cpu", sample.cpu_percent), ("memory", sample.memory_percent)):
        if value is not None:
            told[name] = round(value, 2)
    return told


def _sample(told: Mapping[str, Json]) -> Sample:
    return Sample(tallies.read(told), told["ready"], told["wanted"], told.get("cpu"), told.get("memory"))
