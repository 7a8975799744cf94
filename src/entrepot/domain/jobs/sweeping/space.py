"""Search spaces: each parameter turns a number of [0, 1) into its value, so that samplers know only the unit cube.

Read from ARM's `["uniform", [0.1, 0.9]]` and from the pipeline nodes' `{"type": "uniform", "min_value": 0.1, ...}`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.jobs.fields import get

Json = Any

_BOUNDS = ("min_value", "max_value")
_BELL = ("mu", "sigma")
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "choice": ("values",),
    "randint": ("upper",),
    "uniform": _BOUNDS,
    "loguniform": _BOUNDS,
    "quniform": (*_BOUNDS, "q"),
    "qloguniform": (*_BOUNDS, "q"),
    "normal": _BELL,
    "lognormal": _BELL,
    "qnormal": (*_BELL, "q"),
    "qlognormal": (*_BELL, "q"),
}
_EDGE = 1e-9  # a normal distribution has no value at 0 and 1
_LARGEST_EXPONENT = 300.0


@dataclass(frozen=True, slots=True)
class Parameter:
    """One dimension of a search space: a distribution by its name, with its arguments in ARM's order."""

    name: str
    kind: str
    arguments: tuple[Json, ...]
    base: float = math.e  # of the logarithmic distributions

    @property
    def size(self) -> int | None:
        """How many values there are; None when they are not counted."""
        if self.kind == "choice":
            return len(self.arguments[0])
        return int(self.arguments[0]) if self.kind == "randint" else None

    def value(self, unit: float) -> Json:
        """Return the value at a number of [0, 1)."""
        if self.kind == "choice":
            return self.arguments[0][min(int(unit * len(self.arguments[0])), len(self.arguments[0]) - 1)]
        if self.kind == "randint":
            return min(int(unit * self.arguments[0]), int(self.arguments[0]) - 1)
        first, second, *steps = self.arguments
        if "uniform" in self.kind:
            number = first + unit * (second - first)
        else:
            number = NormalDist(first, second).inv_cdf(min(max(unit, _EDGE), 1 - _EDGE))
        if "log" in self.kind:
            number = self.base ** min(number, _LARGEST_EXPONENT)
        return _stepped(number, steps[0]) if steps else number

    def told(self) -> list[Json]:
        """Return the parameter as ARM writes it."""
        return [self.kind, list(self.arguments)]


def read_space(body: Mapping[str, Json], *, base: float = math.e) -> tuple[Parameter, ...]:
    """Read a search space. Raises InvalidRequest and Unsupported, naming the parameter."""
    if not body:
        raise InvalidRequest("The sweep has no search space: give at least one parameter under `search_space`")
    return tuple(_read(name, value, base) for name, value in body.items())


def _read(name: str, body: Json, base: float) -> Parameter:
    kind, arguments = _parts(name, body)
    known = _ARGUMENTS.get(kind)
    if known is None:
        raise InvalidRequest(f"Parameter {name} has distribution {kind!r}: there are {', '.join(sorted(_ARGUMENTS))}")
    if len(arguments) != len(known) or any(argument is None for argument in arguments):
        raise InvalidRequest(f"Parameter {name} is {kind}, which takes {', '.join(known)}: got {arguments!r}")
    if kind == "choice":
        return Parameter(name, kind, (_choices(name, arguments[0]),), base)
    numbers = tuple(_number(name, argument) for argument in arguments)
    _CHECKS.get(kind, _check_range if "uniform" in kind else _check_bell)(name, numbers)
    return Parameter(name, kind, numbers, base)


def _parts(name: str, body: Json) -> tuple[str, Sequence[Json]]:
    if isinstance(body, Mapping):
        kind = str(get(body, "type") or "").lower()
        return kind, [get(body, argument) for argument in _ARGUMENTS.get(kind, ())]
    if isinstance(body, list) and len(body) == 2 and isinstance(body[1], list):
        return str(body[0]).lower(), body[1]
    raise InvalidRequest(f'Parameter {name} is {body!r}: write a distribution, such as ["uniform", [0.1, 0.9]]')


def _choices(name: str, values: Json) -> list[Json]:
    if not isinstance(values, list) or not values:
        raise InvalidRequest(f"Parameter {name} is a choice of {values!r}: give a list of values")
    if any(isinstance(value, Mapping | list) for value in values):
        raise Unsupported(f"A choice of whole objects, as of parameter {name}", instead="Choose between plain values.")
    return values


def _number(name: str, argument: Json) -> float:
    if isinstance(argument, bool) or not isinstance(argument, int | float) or not math.isfinite(argument):
        raise InvalidRequest(f"Parameter {name} needs numbers: got {argument!r}")
    return argument


def _check_upper(name: str, numbers: Sequence[float]) -> None:
    if numbers[0] < 1 or int(numbers[0]) != numbers[0]:
        raise InvalidRequest(f"Parameter {name} is randint: its upper bound is a whole number of at least 1")


def _check_range(name: str, numbers: Sequence[float]) -> None:
    if numbers[0] > numbers[1]:
        raise InvalidRequest(f"Parameter {name} runs from {numbers[0]:g} to {numbers[1]:g}: give the smaller one first")
    _check_step(name, numbers[2:])


def _check_bell(name: str, numbers: Sequence[float]) -> None:
    if numbers[1] <= 0:
        raise InvalidRequest(f"Parameter {name} has sigma {numbers[1]:g}: it has to be more than 0")
    _check_step(name, numbers[2:])


def _check_step(name: str, steps: Sequence[float]) -> None:
    if steps and steps[0] <= 0:
        raise InvalidRequest(f"Parameter {name} has q {steps[0]:g}: it has to be more than 0")


_CHECKS: Mapping[str, Callable[[str, Sequence[float]], None]] = {"randint": _check_upper}


def _stepped(number: float, step: float) -> float:
    """Return the multiple of `step` nearest to a number: whole when the step is, and without binary dust."""
    found = float(f"{round(number / step) * step:.12g}")
    return int(found) if step == int(step) else found
