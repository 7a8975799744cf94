"""Automatic canaries: steps, baking, going back; the counts are the tests' own, the documents are real."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.domain.endpoints import deployments, endpoints, rollouts
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.domain.endpoints.tallies import Counts, Tally, read
from entrepot.server.gateway.statistics import parsed
from entrepot.store.documents import Finish, Put
from entrepot.testing.hub import OWNER
from tests.endpoints.house import House

Json = Any
BAKE_S = 60


@dataclass
class Canary:
    """A deployment green on its way, with a clock that is moved by hand and counts as a gateway would keep them."""

    house: House
    endpoint: EndpointRef
    green: DeploymentRef
    counts: dict[str, Tally] = field(default_factory=dict)
    passed_s: float = 0

    def measure(self, slug: str, name: str) -> Counts:
        return {"gateway": self.counts.get(name, Tally())}

    def answered(self, good: int, bad: int = 0, *, within_ms: float = 50) -> None:
        """Count so many more answers of green."""
        before = self.measure("", "green")["gateway"]
        timed = (before.within[-1][1] if before.within else 0) + good + bad
        slow = 0 if within_ms > 50 else timed
        self.counts["green"] = Tally(
            {200: before.answers.get(200, 0) + good, 500: before.answers.get(500, 0) + bad},
            within=((50.0, slow), (1000.0, timed), (float("inf"), timed)),
        )

    def tick(self, passed_s: float = 0) -> None:
        """Let time pass and have the rollout looked at."""
        self.passed_s += passed_s
        hub, now = self.house.hub, self.house.hub.clock.now() + 10_000 + self.passed_s
        for work in hub.documents.lease([rollouts.QUEUE], owner="t", now=now, seconds=60):
            handler = rollouts.Rollouts(self.measure)
            body = deployments.get(hub, OWNER, self.green).body
            known = body["entrepot"].get("rollout")
            if known and known.get("state") == rollouts.RUNNING:
                self._age(passed_s)
            handler(hub, work)
            if self.status.get("state") != rollouts.RUNNING:
                hub.documents.commit([Finish(work)])

    def _age(self, passed_s: float) -> None:
        """Make the step look as old as the time that passed: the hub's clock is the machine's."""
        hub = self.house.hub
        document = hub.documents.get(self.green.key)
        assert document is not None
        body = document.body
        body["entrepot"]["rollout"]["began"] -= passed_s
        hub.documents.commit([Put(document.key, body, match=document.revision, facets=None)])

    @property
    def status(self) -> Json:
        return deployments.get(self.house.hub, OWNER, self.green).body["entrepot"].get("rollout") or {}

    @property
    def traffic(self) -> Json:
        return endpoints.get(self.house.hub, OWNER, self.endpoint).body["properties"]["traffic"]


@pytest.fixture
def canary(house: House) -> Canary:
    """Blue has all the traffic, green was just deployed with three steps."""
    endpoint = house.endpoint()
    house.serve(house.deploy(endpoint, "blue"))
    house.traffic(endpoint, blue=100)
    plan = {"steps": [10, 50, 100], "bakeTime": f"PT{BAKE_S}S", "maxErrorRate": 0.1, "maxP95Ms": 500, "minRequests": 5}
    green = house.deploy(endpoint, "green", rollout=plan)
    found = Canary(house, endpoint, green)
    assert found.status == {}
    house.serve(green)
    return found


def test_a_good_deployment_gets_all_the_traffic_step_by_step(canary: Canary) -> None:
    canary.tick()
    assert canary.traffic == {"blue": 90, "green": 10}
    canary.answered(20)
    canary.tick(BAKE_S / 2)
    assert canary.traffic == {"blue": 90, "green": 10}, "it bakes"
    canary.tick(BAKE_S)
    assert canary.traffic == {"blue": 50, "green": 50}
    canary.tick(BAKE_S * 2)
    assert canary.traffic == {"blue": 50, "green": 50}, "too few requests to judge by"
    canary.answered(20)
    canary.tick(1)
    assert canary.traffic == {"blue": 0, "green": 100}
    canary.answered(20)
    canary.tick(BAKE_S)
    assert canary.status["state"] == "Completed"
    told = rollouts.told(deployments.get(canary.house.hub, OWNER, canary.green).body)
    assert [line.partition("rollout: ")[2][:12] for line in told.splitlines()] == [
        "step 1 of 3:", "step 2 of 3:", "step 3 of 3:", "Completed: 2",
    ]  # fmt: skip


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_bad_deployment_loses_its_traffic_at_once(canary: Canary, *, is_slow: bool) -> None:
    canary.tick()
    if is_slow:
        canary.answered(20, within_ms=900)
    else:
        canary.answered(15, bad=5)
    canary.tick(1)
    assert canary.traffic == {"blue": 100, "green": 0}
    assert canary.status["state"] == "RolledBack"
    assert ("more than 500 ms" if is_slow else "5 of 20 requests failed: more than 10.00%") in canary.status["reason"]
    canary.tick(BAKE_S)
    assert canary.traffic == {"blue": 100, "green": 0}


def test_errors_of_before_do_not_count(canary: Canary) -> None:
    canary.answered(0, bad=100)
    canary.tick()
    canary.answered(20)
    canary.tick(BAKE_S)
    assert canary.traffic == {"blue": 50, "green": 50}


def test_whoever_divides_the_traffic_otherwise_ends_the_rollout(canary: Canary) -> None:
    canary.tick()
    canary.house.traffic(canary.endpoint, blue=70, green=30)
    canary.tick(BAKE_S)
    assert canary.traffic == {"blue": 70, "green": 30}
    assert canary.status["state"] == "Superseded"


def test_a_first_deployment_has_nobody_to_share_with(house: House) -> None:
    endpoint = house.endpoint("alone")
    green = house.deploy(endpoint, "green", rollout={"steps": [10, 100]})
    house.serve(green)
    found = Canary(house, endpoint, green)
    found.tick()
    assert found.traffic == {"green": 100}
    assert found.status["state"] == "Completed"


def test_a_rollout_is_once_for_each_generation(canary: Canary) -> None:
    canary.tick()
    canary.answered(0, bad=20)
    canary.tick(1)
    assert canary.status["state"] == "RolledBack"
    plan = deployments.get(canary.house.hub, OWNER, canary.green).body["properties"]["rollout"]
    canary.house.deploy(canary.endpoint, "green", rollout=plan)
    canary.house.settle()
    canary.tick()
    assert canary.status["state"] == "RolledBack", "the same again is not tried again"
    canary.house.deploy(canary.endpoint, "green", rollout=plan, environmentVariables={"FIXED": "yes"})
    canary.house.serve(canary.green, id="r2")
    canary.tick()
    assert canary.traffic == {"blue": 90, "green": 10}


@pytest.mark.parametrize(
    "change", [{"steps": []}, {"steps": [50, 10]}, {"steps": [0, 100]}, {"steps": [10, 110]}, {"steps": "10"},
               {"maxErrorRate": 2}, {"maxP95Ms": 0}, {"minRequests": -1}, {"bakeTime": "soon"}],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(house: House, change: Json) -> None:
    endpoint = house.endpoint()
    with pytest.raises(InvalidRequest):
        house.deploy(endpoint, "green", rollout={"steps": [10, 100], **change})


@pytest.mark.parametrize(
    ("before", "percent", "after"),
    [
        ({"blue": 100, "green": 0}, 10, {"blue": 90, "green": 10}),
        ({"a": 34, "b": 33, "c": 33, "green": 0}, 10, {"a": 30, "b": 30, "c": 30, "green": 10}),
        ({"a": 50, "b": 50, "green": 0}, 33, {"a": 34, "b": 33, "green": 33}),
        ({"green": 0}, 10, {"green": 100}),
    ],
)
def test_others_keep_their_proportion(before: dict[str, int], percent: int, after: dict[str, int]) -> None:
    assert rollouts.divided(before, "green", percent) == after


def test_what_envoy_counts_is_read() -> None:
    text = "".join(
        f'envoy_cluster_{name}{{{labels}envoy_cluster_name="a-1_blue"{more}}} {value}\n'
        for name, labels, more, value in (
            ("upstream_rq", 'envoy_response_code="200",', "", 90),
            ("upstream_rq", 'envoy_response_code="424",', "", 4),
            ("upstream_rq", 'envoy_response_code="503",', "", 6),
            ("upstream_rq_pending_overflow", "", "", 5),
            ("upstream_rq_active", "", "", 3),
            ("external_upstream_rq_time_bucket", "", ',le="10"', 50),
            ("external_upstream_rq_time_bucket", "", ',le="20"', 100),
            ("external_upstream_rq_time_bucket", "", ',le="+Inf"', 100),
            ("external_upstream_rq_time_sum", "", "", 1234.5),
        )
    )
    tally = parsed(text)["a-1_blue"]
    assert (tally.requests, tally.errors, tally.refused, tally.in_flight) == (100, 5, 5, 3)
    assert (tally.quantile_ms(0.5), tally.quantile_ms(0.75)) == (10.0, 15.0)
    assert read(tally.stored()).within == tally.within
    assert tally.since(tally).requests == 0
    assert tally.since(Tally({200: 1000})) == tally, "a gateway that began anew"
