"""What a sweep is asked to do, read once from job bodies and pipeline nodes: space, sampling, objective, limits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.jobs.fields import boolean, get, mapping, number, read_duration
from entrepot.domain.jobs.sweeping.space import Parameter, read_space

Json = Any

GRID, RANDOM, BAYESIAN = "Grid", "Random", "Bayesian"
BANDIT, MEDIAN, TRUNCATION = "Bandit", "MedianStopping", "TruncationSelection"
_SAMPLINGS = {name.lower(): name for name in (GRID, RANDOM, BAYESIAN)}
_POLICIES = {name.lower(): name for name in (BANDIT, MEDIAN, TRUNCATION)}
_MOST_TRIALS = 1000  # Azure ML's default and upper bound


@dataclass(frozen=True, slots=True)
class Policy:
    """When to end trials early. Intervals count the values that a trial logged of its primary metric."""

    kind: str
    delay: int = 0
    interval: int = 1
    slack_factor: float = 0.0
    slack_amount: float = 0.0
    percentage: int = 10


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """A sweep's settings, checked. `told` is their ARM form, from which they can be read again."""

    space: tuple[Parameter, ...]
    sampling: str
    metric: str
    is_maximized: bool
    most_trials: int
    most_at_once: int
    seed: int | None = None
    is_sobol: bool = False
    timeout_s: float | None = None
    trial_timeout_s: float | None = None
    policy: Policy | None = None
    told: Mapping[str, Json] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(parameter.name for parameter in self.space)


def read_sweep(body: Mapping[str, Json]) -> SweepSettings:
    """Read a sweep's settings from a job's properties or a node. Raises InvalidRequest and Unsupported."""
    sampling = _sampling(get(body, "sampling_algorithm"))
    space = _space(body, sampling)
    goal, metric = _objective(mapping(body, "objective"))
    limits, policy = mapping(body, "limits"), mapping(body, "early_termination")
    most = _count(limits, "max_total_trials", _MOST_TRIALS)
    told = {
        "searchSpace": {parameter.name: parameter.told() for parameter in space},
        "samplingAlgorithm": sampling,
        "objective": {"goal": goal, "primaryMetric": metric},
        "limits": _limits(limits),
    }
    return SweepSettings(
        space=space,
        sampling=sampling["samplingAlgorithmType"],
        metric=metric,
        is_maximized=goal == "maximize",
        most_trials=most,
        most_at_once=_count(limits, "max_concurrent_trials", most),
        seed=sampling.get("seed"),
        is_sobol=sampling.get("rule") == "sobol",
        timeout_s=read_duration(get(limits, "timeout")),
        trial_timeout_s=read_duration(get(limits, "trial_timeout")),
        policy=_policy(policy) if policy else None,
        told=told | ({"earlyTermination": _told_policy(policy)} if policy else {}),
    )


def _space(body: Mapping[str, Json], sampling: Mapping[str, Json]) -> tuple[Parameter, ...]:
    space = read_space(mapping(body, "search_space"), base=_base(sampling.get("logbase")))
    endless = [parameter.name for parameter in space if parameter.kind != "choice"]
    if sampling["samplingAlgorithmType"] == GRID and endless:
        raise InvalidRequest(f"Grid sampling takes choices only: {', '.join(endless)} is another distribution")
    return space


def _objective(body: Mapping[str, Json]) -> tuple[str, str]:
    goal, metric = str(get(body, "goal") or "").lower(), str(get(body, "primary_metric") or "")
    if goal not in ("maximize", "minimize") or not metric:
        raise InvalidRequest("A sweep's objective needs a goal, maximize or minimize, and a primary_metric")
    return goal, metric


def _sampling(body: Json) -> dict[str, Json]:
    given = body if isinstance(body, Mapping) else {"type": body or RANDOM}
    kind = str(get(given, "sampling_algorithm_type") or get(given, "type") or RANDOM)
    if kind.lower() not in _SAMPLINGS:
        raise InvalidRequest(f"Sampling algorithm {kind!r} is not known: there are grid, random and bayesian")
    found: dict[str, Json] = {"samplingAlgorithmType": _SAMPLINGS[kind.lower()]}
    seed, rule, base = get(given, "seed"), str(get(given, "rule") or "").lower(), get(given, "logbase")
    if rule not in ("", "random", "sobol"):
        raise InvalidRequest(f"Sampling rule {rule!r} is not known: there are random and sobol")
    if seed is not None:
        found["seed"] = int(number(seed) or 0)
    return found | ({"rule": rule} if rule else {}) | ({"logbase": base} if base is not None else {})


def _base(value: Json) -> float:
    if value is None or value == "e":
        return math.e
    found = number(value)
    if found is None or found <= 0 or found == 1:
        raise InvalidRequest(f"logbase must be e or a positive number other than 1: got {value!r}")
    return found


def _count(limits: Mapping[str, Json], name: str, default: int) -> int:
    found = number(get(limits, name))
    if found is None:
        return default
    if found < 1 or found != int(found):
        raise InvalidRequest(f"{name} must be a whole number of at least 1: got {found:g}")
    return int(found)


def _limits(limits: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {"jobLimitsType": "Sweep"}
    for arm, name in (("maxTotalTrials", "max_total_trials"), ("maxConcurrentTrials", "max_concurrent_trials")):
        if get(limits, name) is not None:
            found[arm] = get(limits, name)
    for arm, name in (("timeout", "timeout"), ("trialTimeout", "trial_timeout")):
        seconds = read_duration(get(limits, name))
        if seconds is not None:
            found[arm] = f"PT{seconds:g}S"
    return found


def _policy(body: Mapping[str, Json]) -> Policy:
    kind = str(get(body, "policy_type") or get(body, "type") or "")
    found = _POLICIES.get(kind.replace("_", "").lower())
    if found is None:
        raise InvalidRequest(
            f"Early termination {kind!r} is not known: there are bandit, median_stopping and truncation_selection"
        )
    factor, amount = number(get(body, "slack_factor")) or 0.0, number(get(body, "slack_amount")) or 0.0
    if factor < 0 or amount < 0:
        raise InvalidRequest(f"The slack of a bandit policy cannot be negative: got {min(factor, amount):g}")
    percentage = number(get(body, "truncation_percentage"))
    if percentage is not None and not 1 <= percentage <= 99:
        raise InvalidRequest(f"truncation_percentage must be from 1 to 99: got {percentage:g}")
    return Policy(
        found,
        delay=int(number(get(body, "delay_evaluation")) or 0),
        interval=max(1, int(number(get(body, "evaluation_interval")) or 0)),  # 0 is azure-ai-ml's word for the default
        slack_factor=factor,
        slack_amount=amount,
        percentage=int(percentage or 10),
    )


def _told_policy(body: Mapping[str, Json]) -> dict[str, Json]:
    policy = _policy(body)
    found: dict[str, Json] = {"policyType": policy.kind, "delayEvaluation": policy.delay}
    found["evaluationInterval"] = policy.interval
    if policy.kind == BANDIT:
        found |= {"slackFactor": policy.slack_factor, "slackAmount": policy.slack_amount}
    if policy.kind == TRUNCATION:
        found["truncationPercentage"] = policy.percentage
        excludes = get(body, "exclude_finished_jobs")
        found |= {} if excludes is None else {"excludeFinishedJobs": boolean(excludes)}
    return found
