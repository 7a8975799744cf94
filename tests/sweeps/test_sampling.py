"""Search spaces, samplers and early termination: pure functions of what was tried so far."""

import math
from typing import Any

import pytest

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.jobs.sweeping import sobol, termination
from entrepot.domain.jobs.sweeping.sampling import Tried, next_point
from entrepot.domain.jobs.sweeping.settings import SweepSettings, read_sweep
from entrepot.domain.jobs.sweeping.space import Parameter, read_space

OBJECTIVE = {"goal": "maximize", "primaryMetric": "acc"}


def parameter(kind: str, *arguments: Any, base: float = math.e) -> Parameter:
    return read_space({"p": [kind, list(arguments)]}, base=base)[0]


def settings(space: Any, algorithm: Any = "random", *, goal: str = "maximize", **more: Any) -> SweepSettings:
    objective = {"goal": goal, "primaryMetric": "acc"}
    return read_sweep({"searchSpace": space, "samplingAlgorithm": algorithm, "objective": objective, **more})


def drawn(what: SweepSettings, count: int) -> list[dict[str, Any]]:
    tried: list[Tried] = []
    found = []
    for _ in range(count):
        point = next_point(what, tried, seed=7)
        if point is None:
            break
        tried.append(Tried(point, 0.5))
        found.append({p.name: p.value(u) for p, u in zip(what.space, point, strict=True)})
    return found


@pytest.mark.parametrize(
    ("given", "unit", "value"),
    [
        (parameter("uniform", 0.1, 0.9), 0.5, 0.5),
        (parameter("quniform", 1, 10, 2), 0.99, 10),
        (parameter("quniform", 0, 1, 0.1), 0.31, 0.3),
        (parameter("normal", 10, 3), 0.5, 10.0),
        (parameter("qnormal", 10, 3, 4), 0.5, 8),
        (parameter("lognormal", 0, 1), 0.5, 1.0),
        (parameter("qlognormal", 2, 1, 5), 0.5, 5),
        (parameter("loguniform", -3, -1), 0.0, math.exp(-3)),
        (parameter("loguniform", -3, -1, base=10), 0.5, 0.01),
        (parameter("qloguniform", 0, 2, 3), 0.999, 6),
        (parameter("randint", 5), 0.99999, 4),
        (parameter("choice", ["a", "b"]), 0.49, "a"),
        (parameter("choice", ["a", "b"]), 0.5, "b"),
    ],
)
def test_a_distribution_is_its_quantile_function(given: Parameter, unit: float, value: Any) -> None:
    assert given.value(unit) == (pytest.approx(value) if isinstance(value, float) else value)
    assert isinstance(given.value(0.0), type(value))


def test_a_node_writes_the_same_space_with_names() -> None:
    named = {
        "a": {"type": "uniform", "min_value": 0.1, "max_value": 0.9},
        "b": {"type": "choice", "values": [1, 2]},
        "c": {"type": "qnormal", "mu": 0, "sigma": 1, "q": 2},
        "d": {"type": "randint", "upper": 3},
    }
    positional = {
        "a": ["uniform", [0.1, 0.9]], "b": ["choice", [[1, 2]]], "c": ["qnormal", [0, 1, 2]], "d": ["randint", [3]],
    }  # fmt: skip
    assert read_space(named) == read_space(positional)
    assert {p.name: p.told() for p in read_space(named)} == positional


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "no search space"),
        ({"x": ["zipf", [1]]}, "there are choice"),
        ({"x": ["uniform", [1]]}, "takes min_value, max_value"),
        ({"x": ["uniform", [2, 1]]}, "smaller one first"),
        ({"x": ["uniform", ["a", 1]]}, "needs numbers"),
        ({"x": ["normal", [0, 0]]}, "sigma"),
        ({"x": ["quniform", [0, 1, 0]]}, "q 0"),
        ({"x": ["choice", [[]]]}, "give a list"),
        ({"x": ["randint", [0]]}, "at least 1"),
        ({"x": 3}, "write a distribution"),
    ],
)
def test_what_is_wrong_with_a_search_space_is_told(body: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_space(body)


def test_a_choice_of_objects_is_refused() -> None:
    with pytest.raises(Unsupported):
        read_space({"x": ["choice", [[{"a": 1}]]]})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"objective": {"goal": "best", "primaryMetric": "m"}}, "goal"),
        ({"objective": {"goal": "minimize"}}, "primary_metric"),
        ({"samplingAlgorithm": "annealing"}, "grid, random and bayesian"),
        ({"samplingAlgorithm": "grid"}, "choices only"),
        ({"limits": {"maxTotalTrials": 0}}, "at least 1"),
        ({"earlyTermination": {"policyType": "Coin"}}, "bandit"),
        ({"earlyTermination": {"policyType": "TruncationSelection", "truncationPercentage": 100}}, "1 to 99"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_told(body: Any, words: str) -> None:
    sound = {"searchSpace": {"lr": ["uniform", [0, 1]]}, "objective": OBJECTIVE}
    with pytest.raises(InvalidRequest, match=words):
        read_sweep({**sound, **body})


def test_settings_can_be_read_again_from_what_is_told() -> None:
    first = read_sweep(
        {
            "search_space": {"lr": {"type": "uniform", "min_value": 0, "max_value": 1}},
            "sampling_algorithm": {"type": "random", "seed": 3, "rule": "sobol", "logbase": 10},
            "objective": {"goal": "Minimize", "primary_metric": "loss"},
            "limits": {"max_total_trials": 4, "max_concurrent_trials": 2, "timeout": 100, "trial_timeout": 9},
            "early_termination": {"policy_type": "Bandit", "slack_factor": 0.1, "evaluation_interval": 2},
        }
    )
    assert read_sweep(first.told) == first
    assert (first.most_trials, first.most_at_once, first.timeout_s, first.trial_timeout_s) == (4, 2, 100, 9)


def test_a_grid_is_every_combination_once() -> None:
    what = settings({"a": ["choice", [[1, 2]]], "b": ["choice", [["x", "y", "z"]]]}, "grid")
    found = [(values["a"], values["b"]) for values in drawn(what, 10)]
    assert found == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]


def test_random_trials_are_told_by_the_seed() -> None:
    space = {"a": ["uniform", [0, 1]], "b": ["choice", [[1, 2, 3]]]}
    one = drawn(settings(space, {"samplingAlgorithmType": "Random", "seed": 1}), 5)
    assert one == drawn(settings(space, {"samplingAlgorithmType": "Random", "seed": 1}), 5)
    assert one != drawn(settings(space, {"samplingAlgorithmType": "Random", "seed": 2}), 5)
    assert len({values["a"] for values in one}) == 5


@pytest.mark.parametrize("seed", [None, 5])
def test_sobol_points_fall_evenly_into_every_dimension(seed: int | None) -> None:
    points = [sobol.point(index, sobol.MOST_DIMENSIONS, seed=seed) for index in range(64)]
    for dimension in range(sobol.MOST_DIMENSIONS):
        assert sorted(int(point[dimension] * 64) for point in points) == list(range(64))


def test_the_first_sobol_points_are_the_known_ones() -> None:
    found = [sobol.point(index, 3) for index in range(4)]
    assert found == [(0, 0, 0), (0.5, 0.5, 0.5), (0.75, 0.25, 0.25), (0.25, 0.75, 0.75)]


def test_more_dimensions_than_sobol_has_are_refused() -> None:
    with pytest.raises(Unsupported, match="21"):
        sobol.point(0, 22)


def test_bayesian_sampling_closes_in_on_the_best() -> None:
    what = settings({"x": ["uniform", [0, 10]], "c": ["choice", [["bad", "good"]]]}, "bayesian")
    tried: list[Tried] = []
    for _ in range(30):
        point = next_point(what, tried, seed=1)
        assert point is not None
        x, c = (p.value(u) for p, u in zip(what.space, point, strict=True))
        tried.append(Tried(point, -abs(x - 7) - (0 if c == "good" else 5)))
    late = [what.space[0].value(trial.point[0]) for trial in tried[20:]]
    assert sum(abs(x - 7) < 2 for x in late) >= 7
    assert sum(what.space[1].value(trial.point[1]) == "good" for trial in tried[20:]) >= 7


def test_bayesian_sampling_goes_on_where_it_stopped() -> None:
    what = settings({"x": ["uniform", [0, 1]], "n": ["randint", [4]]}, "bayesian")
    tried = [Tried((0.1 * number, 0.2), 0.1 * number) for number in range(7)] + [
        Tried((0.3, 0.4)),
        Tried((0.9, 0.9), None, True),
    ]
    assert next_point(what, tried, seed=3) == next_point(what, tried, seed=3)
    assert next_point(what, tried, seed=3) != next_point(what, tried[:-1], seed=3)


def ended(policy: dict[str, Any], histories: dict[str, list[float]], *, goal: str = "maximize") -> set[str]:
    what = settings({"x": ["uniform", [0, 1]]}, goal=goal, earlyTermination=policy)
    return set(termination.to_end(what, histories, list(histories)))


def test_a_bandit_ends_what_is_beyond_the_slack() -> None:
    histories = {"best": [0.8], "near": [0.67], "far": [0.66]}
    assert ended({"policyType": "Bandit", "slackFactor": 0.2}, histories) == {"far"}
    assert ended({"policyType": "Bandit", "slackAmount": 0.135}, histories) == {"far"}


def test_a_bandit_works_for_minima_and_for_negative_values() -> None:
    bandit = {"policyType": "bandit", "slackFactor": 0.5}
    assert ended(bandit, {"best": [1.0], "near": [1.4], "far": [1.6]}, goal="minimize") == {"far"}
    assert ended(bandit, {"best": [-1.0], "near": [-1.4], "far": [-1.6]}) == {"far"}
    assert ended(bandit, {"best": [-3.0], "near": [-2.1], "far": [-1.9]}, goal="minimize") == {"far"}


def test_intervals_and_delays_are_counted_in_values() -> None:
    histories = {"best": [0.9, 0.9, 0.9], "far": [0.1, 0.1, 0.1]}
    assert ended({"policyType": "Bandit", "delayEvaluation": 4}, histories) == set()
    assert ended({"policyType": "Bandit", "evaluationInterval": 4}, histories) == set()
    assert ended({"policyType": "Bandit", "evaluationInterval": 2, "delayEvaluation": 2}, histories) == {"far"}
    late = {"best": [0.1, 0.1, 0.9], "far": [0.2, 0.2]}
    assert ended({"policyType": "Bandit", "evaluationInterval": 2}, late) == {"best"}


def test_the_median_of_running_averages_decides() -> None:
    histories = {"a": [0.5, 0.7], "b": [0.6, 0.8], "c": [0.1, 0.3]}
    assert ended({"policyType": "MedianStopping"}, histories) == {"c"}


def test_truncation_ends_the_lowest_part() -> None:
    histories = {str(number): [number / 10] for number in range(10)}
    assert ended({"policyType": "TruncationSelection", "truncationPercentage": 20}, histories) == {"0", "1"}


def test_without_a_value_nobody_is_ended() -> None:
    assert ended({"policyType": "Bandit"}, {"a": [], "b": [1.0]}) == set()
