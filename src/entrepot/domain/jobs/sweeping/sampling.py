"""Which point of the search space the next trial tries. The same trials before it always give the same point.

So nothing is kept but the trials themselves, and a server that starts again goes on where the last one stopped.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from entrepot.domain.jobs.sweeping import sobol
from entrepot.domain.jobs.sweeping.settings import BAYESIAN, GRID, SweepSettings

Point = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial as samplers see it. `score` is None while it runs; `is_lost` when it ended without one."""

    point: Point
    score: float | None = None
    is_lost: bool = False


def next_point(settings: SweepSettings, tried: Sequence[Tried], *, seed: int) -> Point | None:
    """Return where the next trial is in the unit cube; None when a grid has no more. `seed`: when none was asked."""
    index = len(tried)
    if settings.sampling == GRID:
        return _cell(settings, index)
    chosen = seed if settings.seed is None else settings.seed
    if settings.sampling == BAYESIAN:
        return _promising(settings, tried, seed=chosen)
    if settings.is_sobol:
        return sobol.point(index, len(settings.space), seed=settings.seed)
    drawn = random.Random(f"{chosen}/{index}")  # noqa: S311 - no secret
    return tuple(drawn.random() for _ in settings.space)


def _cell(settings: SweepSettings, index: int) -> Point | None:
    """Return the middle of a cell of the grid; the last parameter changes fastest."""
    sizes = [parameter.size or 1 for parameter in settings.space]
    if index >= math.prod(sizes):
        return None
    found = []
    for size in reversed(sizes):
        index, place = divmod(index, size)
        found.append((place + 0.5) / size)
    return tuple(reversed(found))


def _promising(settings: SweepSettings, tried: Sequence[Tried], *, seed: int) -> Point:
    """Ask optuna's tree-structured Parzen estimator; trials that still run count as poor ones, to spread them."""
    import optuna  # numpy comes with it: only sweeps that ask for it pay

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    shapes: dict[str, optuna.distributions.BaseDistribution] = {}
    for parameter in settings.space:
        if parameter.size is None:
            shapes[parameter.name] = optuna.distributions.FloatDistribution(0.0, 1.0)
        elif parameter.kind == "choice":
            shapes[parameter.name] = optuna.distributions.CategoricalDistribution(range(parameter.size))
        else:
            shapes[parameter.name] = optuna.distributions.IntDistribution(0, parameter.size - 1)
    sampler = optuna.samplers.TPESampler(seed=(seed + len(tried)) % 2**32, constant_liar=True, n_startup_trials=5)
    study = optuna.create_study(direction="maximize" if settings.is_maximized else "minimize", sampler=sampler)
    states = optuna.trial.TrialState
    for trial in tried:
        state = states.FAIL if trial.is_lost else states.RUNNING if trial.score is None else states.COMPLETE
        params = {p.name: _to_optuna(u, p.size) for p, u in zip(settings.space, trial.point, strict=True)}
        score = trial.score if state is states.COMPLETE else None
        study.add_trial(optuna.trial.create_trial(state=state, params=params, distributions=shapes, value=score))
    asked = study.ask(shapes).params
    return tuple(_from_optuna(asked[parameter.name], parameter.size) for parameter in settings.space)


def _to_optuna(unit: float, size: int | None) -> float:
    return unit if size is None else min(int(unit * size), size - 1)


def _from_optuna(value: float, size: int | None) -> float:
    return value if size is None else (value + 0.5) / size
