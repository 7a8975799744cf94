"""Automatic canaries: a new deployment gets its share of the traffic step by step, and loses it when it does badly.

`rollout` in a deployment says the steps, how long each bakes, and what is too bad. It begins when the deployment has
Succeeded, once for each generation; what it does is written into the deployment, where `show` and `get-logs` tell it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.digests import digest_json
from entrepot.core.errors import InvalidRequest
from entrepot.domain import access, audit
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.endpoints import bodies, endpoints, tallies
from entrepot.domain.endpoints.announcements import gateways_changed
from entrepot.domain.endpoints.places import WRITE, deployment_of
from entrepot.domain.endpoints.tallies import Counts, Measure, Tally
from entrepot.domain.hub import Hub
from entrepot.domain.jobs.fields import read_duration
from entrepot.store.documents import Document, Enqueue, Postpone, Put, Work

Json = Any

QUEUE = "rollout"
RUNNING, COMPLETED, ROLLED_BACK, SUPERSEDED = "Running", "Completed", "RolledBack", "Superseded"
_GLANCE_S = 1.0
_EVENTS_KEPT = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollout does: shares in percent, seconds for each, and its limits; None: no such limit."""

    steps: tuple[int, ...]
    bake_s: float
    max_error_rate: float
    max_p95_ms: float | None
    min_requests: int


def read_plan(given: Json) -> Plan:
    """Read `rollout`. Raises InvalidRequest."""
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"rollout must be an object with steps: got {given!r}", target="rollout")
    steps = given.get("steps")
    is_list = isinstance(steps, list) and bool(steps) and all(type(step) is int for step in steps)
    if not isinstance(steps, list) or not is_list or not _rises(steps):
        raise InvalidRequest(
            f"rollout.steps must be rising percentages such as [10, 50, 100]: got {steps!r}", target="rollout.steps"
        )
    rate, p95, least = given.get("maxErrorRate", 0.05), given.get("maxP95Ms"), given.get("minRequests", 10)
    for name, value, is_good in (
        ("maxErrorRate", rate, _is_number(rate) and 0 <= rate <= 1),
        ("maxP95Ms", p95, p95 is None or (_is_number(p95) and p95 > 0)),
        ("minRequests", least, type(least) is int and least >= 0),
    ):
        if not is_good:
            raise InvalidRequest(f"rollout.{name} cannot be {value!r}", target=f"rollout.{name}")
    return Plan(tuple(steps), read_duration(given.get("bakeTime")) or 60.0, float(rate), p95, least)


def begun(body: Mapping[str, Json], key: str) -> list[Enqueue]:
    """Return the change that begins a deployment's rollout, if it has one that has not been."""
    if not body["properties"].get("rollout"):
        return []
    known = body["entrepot"].get("rollout") or {}
    return [] if known.get("of") == _identity(body) else [Enqueue(QUEUE, key, {"key": key})]


def divided(before: Mapping[str, int], name: str, percent: int) -> dict[str, int]:
    """Return the traffic in which a deployment has this share and the others what they had, made smaller in proportion.

    Shares are whole; what rounding leaves over goes to those that lost most by it.
    """
    others = {other: share for other, share in before.items() if other != name and share}
    total = sum(others.values())
    left = 100 - percent if total else 0
    exact = {other: share * left / total for other, share in others.items()}
    shares = {other: int(value) for other, value in exact.items()}
    for other in sorted(exact, key=lambda other: shares[other] - exact[other])[: left - sum(shares.values())]:
        shares[other] += 1
    return {**dict.fromkeys(before, 0), **shares, name: percent if total else 100}


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The handler of the queue `rollout`."""

    measure: Measure

    def __call__(self, hub: Hub, work: Work) -> None:
        """Take a step, wait on, or end; one that goes on is looked at again in a second."""
        if settled(lambda: self._tick(hub, work.payload["key"])):
            hub.documents.commit([Postpone(work, due=hub.clock.now() + _GLANCE_S)])

    def _tick(self, hub: Hub, key: str) -> bool:
        """Return whether the rollout goes on."""
        document = hub.documents.get(key)
        if document is None:
            return False
        body = document.body
        endpoint = hub.documents.get(deployment_of(body["id"]).endpoint.key)
        if endpoint is None or body["properties"]["provisioningState"] != bodies.SUCCEEDED:
            return False
        if not body["properties"].get("rollout"):
            return False
        step = _Step(hub, document, body, endpoint, read_plan(body["properties"]["rollout"]), self.measure)
        return step.taken()


@dataclass(frozen=True, slots=True)
class _Step:
    hub: Hub
    document: Document
    body: dict[str, Json]
    endpoint: Document
    plan: Plan
    measure: Measure

    @property
    def name(self) -> str:
        return str(self.body["name"])

    def taken(self) -> bool:
        known = self.body["entrepot"].get("rollout") or {}
        if known.get("of") != _identity(self.body):
            before = self.endpoint.body["properties"]["traffic"]
            return self._go({"of": _identity(self.body), "step": -1, "before": before, "events": []})
        if known["state"] != RUNNING:
            return False
        if self.endpoint.body["properties"]["traffic"] != known["traffic"]:
            return self._end(known, SUPERSEDED, "somebody divided the traffic otherwise", traffic=None)
        before = {name: tallies.read(stored) for name, stored in known["baseline"].items()}
        tally = tallies.gained(self._counts(), before)
        if trouble := self._trouble(tally):
            return self._end(known, ROLLED_BACK, trouble, traffic=known["before"])
        if self.hub.clock.now() - known["began"] < self.plan.bake_s or tally.requests < self.plan.min_requests:
            return True
        if known["percent"] == self.plan.steps[-1] or known["percent"] == 100:
            return self._end(known, COMPLETED, f"{tally.requests} requests at {known['percent']} %", traffic=None)
        return self._go(known)

    def _trouble(self, tally: Tally) -> str:
        if tally.requests < max(1, self.plan.min_requests):
            return ""
        rate, p95 = tally.errors / tally.requests, tally.quantile_ms(0.95)
        if rate > self.plan.max_error_rate:
            return f"{tally.errors} of {tally.requests} requests failed: more than {self.plan.max_error_rate:.2%}"
        if self.plan.max_p95_ms is not None and p95 is not None and p95 > self.plan.max_p95_ms:
            return f"95 % of the requests took up to {p95:.0f} ms: more than {self.plan.max_p95_ms:g} ms"
        return ""

    def _go(self, known: dict[str, Json]) -> bool:
        at = known["step"] + 1
        traffic = divided(known["before"], self.name, self.plan.steps[at])
        percent = traffic[self.name]
        fresh = known | {
            "state": RUNNING, "step": at, "percent": percent, "traffic": traffic, "began": self.hub.clock.now(),
            "baseline": {name: tally.stored() for name, tally in self._counts().items()},
        }  # fmt: skip
        if len([share for share in traffic.values() if share]) == 1 and at == 0:
            return self._end(fresh, COMPLETED, "nothing else has traffic", traffic=traffic)
        return self._write(fresh, f"step {at + 1} of {len(self.plan.steps)}: {percent} %", traffic=traffic)

    def _end(self, known: dict[str, Json], state: str, reason: str, *, traffic: Json) -> bool:
        fresh = {name: value for name, value in known.items() if name != "baseline"}
        fresh |= {"state": state, "reason": reason}
        if traffic is not None:
            fresh |= {"traffic": traffic, "percent": traffic.get(self.name, 0)}
        self._write(fresh, f"{state}: {reason}", traffic=traffic)
        return False

    def _write(self, fresh: dict[str, Json], event: str, *, traffic: Json) -> bool:
        now, ref = self.hub.clock.now(), deployment_of(self.body["id"])
        fresh["events"] = [*fresh["events"], {"time": to_iso(now), "event": event}][-_EVENTS_KEPT:]
        self.body["entrepot"]["rollout"] = fresh
        changes: list[Json] = [Put(self.document.key, self.body, match=self.document.revision, facets=None)]
        if traffic is not None:
            above = self.endpoint.body
            above["properties"]["traffic"] = traffic
            note = audit.record(
                access.SYSTEM, WRITE, target=ref.endpoint.id, now=now, details={"rollout": ref.name, "traffic": traffic}
            )
            changes += [endpoints.put_of(ref.endpoint, above, match=self.endpoint.revision), note]
            changes.append(gateways_changed(ref.endpoint.key))
        self.hub.documents.commit(changes)
        return bool(fresh["state"] == RUNNING)

    def _counts(self) -> Counts:
        return self.measure(str(self.endpoint.body["entrepot"]["slug"]), self.name)


def told(body: Mapping[str, Json]) -> str:
    """Return what a deployment's rollout did, a line each, for its log; '' when it has none."""
    events = (body["entrepot"].get("rollout") or {}).get("events") or ()
    return "".join(f"{event['time']} rollout: {event['event']}\n" for event in events)


def _identity(body: Mapping[str, Json]) -> str:
    return f"{body['entrepot']['generation']}-{digest_json(body['properties']['rollout'])[:12]}"


def _rises(steps: list[int]) -> bool:
    return steps == sorted(set(steps)) and 0 < steps[0] <= steps[-1] <= 100


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
