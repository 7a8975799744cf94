"""A deployment's past by the minute: written, added up, read back, and gone with its month or its deployment."""

from entrepot.domain.endpoints import deployments
from entrepot.domain.endpoints.monitoring import metrics, minutes
from entrepot.domain.endpoints.monitoring.minutes import KEPT_S, Sample
from entrepot.domain.endpoints.tallies import Tally
from entrepot.testing.hub import OWNER
from tests.endpoints.house import House

NOON = 1_790_000_040
BOUNDS = (1.0, 10.0, float("inf"))


def sample(count: int, *, slow: int = 0, status: int = 200) -> Sample:
    within = tuple(zip(BOUNDS, (count - slow, count, count), strict=True))
    return Sample(Tally({status: count}, within=within, total_ms=count - slow + 10.0 * slow), ready=1, wanted=2)


def test_minutes_are_added_up_and_read_in_order(house: House) -> None:
    key = house.deploy(house.endpoint(), "blue").key
    minutes.write(house.hub, {(key, NOON + 3600): sample(1), (key, NOON): sample(2)}, now=NOON)
    minutes.write(house.hub, {(key, NOON): sample(3, status=424)}, now=NOON)
    found = minutes.read(house.hub, key, start=NOON, end=NOON + 7200)
    assert [(minute, one.tally.answers) for minute, one in found] == [(NOON, {200: 2, 424: 3}), (NOON + 3600, {200: 1})]
    assert minutes.read(house.hub, key, start=NOON + 60, end=NOON + 3600) == []


def test_what_is_older_than_a_month_goes(house: House) -> None:
    key = house.deploy(house.endpoint(), "blue").key
    minutes.write(house.hub, {(key, NOON): sample(1)}, now=NOON)
    later = NOON + int(KEPT_S) + 7200
    minutes.write(house.hub, {(key, later): sample(1)}, now=later)
    assert [minute for minute, _ in minutes.read(house.hub, key, start=0, end=later + 60)] == [later]


def test_it_goes_with_its_deployment(house: House) -> None:
    blue = house.deploy(house.endpoint(), "blue")
    minutes.write(house.hub, {(blue.key, NOON): sample(1)}, now=NOON)
    deployments.delete(house.hub, OWNER, blue)
    house.settle()
    assert house.hub.documents.scan(blue.key).documents == ()


def test_a_month_of_minutes_takes_no_longer_than_its_points() -> None:
    end = int(KEPT_S)
    past = {"blue": [(minute, sample(1)) for minute in range(0, end, 60)]}
    (requests,) = metrics.series(
        metrics.offered(of_deployment=False)["requestsperminute"], past, start=0, end=end, step_s=60
    )
    assert {point.total for point in requests.points} == {1}


def test_longer_intervals_average_requests_and_merge_times() -> None:
    offered = metrics.offered(of_deployment=False)
    past = {"blue": [(0, sample(8)), (60, sample(2, slow=2))], "green": [(60, sample(10))]}
    (requests,) = metrics.series(offered["requestsperminute"], past, start=0, end=300, step_s=300)
    (point,) = requests.points
    assert (point.total, point.average, point.minimum, point.maximum, point.count) == (20, 4, 0, 12, 5)
    (times,) = metrics.series(offered["requestlatency"], past, start=0, end=300, step_s=300)
    assert times.points[0].average == (18 + 20) / 20
    split = metrics.series(offered["requestlatency_p99"], past, start=0, end=60, step_s=60, split=["deployment"])
    assert {one.dimensions["deployment"]: one.points[0].count for one in split} == {"blue": 1, "green": 0}
