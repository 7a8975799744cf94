"""How many replicas are started and which go: updates and scaling, without any process."""

import pytest

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.endpoints.replicas import recipes
from entrepot.domain.endpoints.replicas.plans import plan
from entrepot.domain.endpoints.replicas.probes import Load
from entrepot.domain.endpoints.replicas.recipes import Scale
from entrepot.domain.endpoints.replicas.records import Replica
from entrepot.domain.endpoints.replicas.scaling import Scaler


def replica(id: str, generation: str, state: str = "Ready", created: float = 0) -> Replica:
    return Replica(id, generation, state, "secret", created)


def test_missing_replicas_are_started_once() -> None:
    assert plan([], generation="1", wanted=3).starts == 3
    begun = [replica("a", "1", "Preparing"), replica("b", "1", "Starting"), replica("c", "1")]
    assert plan(begun, generation="1", wanted=3) == plan(begun, generation="1", wanted=3)
    assert (plan(begun, generation="1", wanted=3).starts, plan(begun, generation="1", wanted=3).retired) == (0, ())


def test_an_update_replaces_replicas_by_and_by_and_never_serves_with_fewer() -> None:
    fleet = [replica(f"old{n}", "1", created=n) for n in range(5)]
    served, most, steps = [], 0, 0
    while any(one.generation == "1" for one in fleet):
        decided = plan(fleet, generation="2", wanted=5)
        fleet = [one for one in fleet if one.id not in decided.retired]
        fleet += [replica(f"new{steps}-{n}", "2", "Starting") for n in range(decided.starts)]
        served.append(sum(one.is_serving for one in fleet))
        most = max(most, len(fleet))
        fleet = [one.moved("Ready") if one.generation == "2" else one for one in fleet]
        steps += 1
        assert steps < 20
    assert min(served) >= 5 and most <= 6
    assert len(fleet) == 5


def test_old_replicas_stay_while_new_ones_fail_and_failed_old_ones_go_at_once() -> None:
    fleet = [replica("a", "1"), replica("b", "2", "Failed")]
    assert plan(fleet, generation="2", wanted=1).retired == ()
    fleet = [replica("a", "1", "Failed"), replica("b", "2", "Starting")]
    assert plan(fleet, generation="2", wanted=1).retired == ("a",)


def test_scaling_down_takes_those_that_do_not_serve_and_the_newest_first() -> None:
    fleet = [replica("a", "1", created=1), replica("b", "1", created=2), replica("c", "1", "Starting", created=0)]
    assert plan(fleet, generation="1", wanted=2).retired == ("c",)
    assert plan(fleet, generation="1", wanted=1).retired == ("c", "b")
    assert set(plan(fleet, generation="1", wanted=0).retired) == {"a", "b", "c"}


def test_draining_replicas_count_no_more() -> None:
    assert plan([replica("a", "1", "Draining")], generation="1", wanted=1).starts == 1


def test_busy_replicas_ask_for_more_and_calm_ones_for_fewer_after_a_minute() -> None:
    scale = Scale(True, 1, 4, 0.5, 1.0)
    scaler = Scaler(1, now=0)
    assert scaler.look({"a": Load(0, 0.0, 0, 1)}, scale, now=0) == 1
    assert scaler.look({"a": Load(10, 0.9, 1, 1)}, scale, now=1) == 2
    assert scaler.look({"a": Load(20, 1.9, 1, 1), "b": Load(0, 0.0, 0, 1)}, scale, now=2) == 2
    busy = {"a": Load(30, 2.9, 1, 1), "b": Load(9, 1.0, 1, 1)}
    assert scaler.look(busy, scale, now=3) == 4
    for second in range(4, 62):
        assert scaler.look(busy | {"a": Load(30, 2.9, 0, 1), "b": Load(9, 1.0, 0, 1)}, scale, now=second) == 4
    calm = {"a": Load(30, 2.9, 0, 1), "b": Load(9, 1.0, 0, 1)}
    assert scaler.look(calm, scale, now=64) == 1
    assert scaler.idle_s(64) > 55


def test_a_request_that_takes_long_counts_while_it_runs() -> None:
    scale = Scale(True, 1, 3, 0.5, 1.0)
    scaler = Scaler(1, now=0)
    scaler.look({"a": Load(0, 0.0, 1, 1)}, scale, now=0)
    assert scaler.look({"a": Load(0, 0.0, 1, 1)}, scale, now=1) == 2
    assert scaler.idle_s(1) == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"minInstances": 3, "maxInstances": 2}, "min_instances 3"),
        ({"minInstances": 0, "maxInstances": 0}, "max_instances at least 1"),
        ({"maxInstances": 2, "targetUtilizationPercentage": 120}, "120"),
        ({"maxInstances": 2, "pollingInterval": "soon"}, "soon"),
    ],
)
def test_scale_settings_that_cannot_be_are_told(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        recipes.scale_of({"scaleSettings": {"scaleType": "TargetUtilization", **settings}})


@pytest.mark.parametrize(
    ("cpu", "memory", "read"),
    [("500m", "512Mi", (0.5, 512 << 20)), ("2", "2G", (2.0, 2 * 10**9)), ("1.5", "1073741824", (1.5, 1 << 30))],
)
def test_limits_are_read_as_kubernetes_writes_them(cpu: str, memory: str, read: tuple[float, int]) -> None:
    body = {
        "properties": {
            "codeConfiguration": {"scoringScript": "s.py"},
            "containerResourceRequirements": {"containerResourceLimits": {"cpu": cpu, "memory": memory}},
        },
        "entrepot": {},
    }
    limits = recipes.read(recipes.part_of(body)).limits
    assert (limits.cpus, limits.memory_bytes) == read


def test_what_no_replica_can_be_is_refused_when_it_is_written() -> None:
    def body(kind: str | None, **properties: object) -> dict[str, object]:
        return {"properties": properties, "entrepot": {"resolved": {"model": {"type": kind}}}}

    with pytest.raises(Unsupported, match="triton"):
        recipes.read(recipes.part_of(body("triton_model")))
    with pytest.raises(Unsupported, match="container"):
        recipes.read(recipes.part_of(body("custom_model")))
    with pytest.raises(InvalidRequest, match="many"):
        recipes.read(recipes.part_of(body("mlflow_model", environmentVariables={"WORKER_COUNT": "many"})))
    assert recipes.read(recipes.part_of(body("mlflow_model"))).script is None
