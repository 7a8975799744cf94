"""Copy loops of templates: of resources, of properties, of variables and of outputs. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.deployments.language.budget import NODE
from entrepot.domain.deployments.language.expressions import Evaluator

Json = Any

LIMIT = 800  # ARM's own


@dataclass(slots=True)
class Loops:
    """The indexes of the loops that an expression stands in, the innermost last: {loop's name: index}."""

    indexes: dict[str, int] = field(default_factory=dict)
    current: list[str] = field(default_factory=list)

    def index(self, *arguments: Json) -> int:
        """Return what copyIndex([loop,] [offset]) means here. Raises ValueError outside of a loop."""
        names = [argument for argument in arguments if isinstance(argument, str)]
        offset = sum(argument for argument in arguments if isinstance(argument, int))
        name = names[0] if names else (self.current[-1] if self.current else "")
        if name not in self.indexes:
            raise ValueError(f"there is no copy loop {name!r} around it" if name else "there is no copy loop around it")
        return self.indexes[name] + offset

    def over(self, name: str, count: int) -> Iterator[int]:
        """Yield 0 to count - 1 while copyIndex() tells each."""
        before = self.indexes.get(name)
        self.current.append(name)
        try:
            for number in range(count):
                self.indexes[name] = number
                yield number
        finally:
            self.current.pop()
            if before is None:
                self.indexes.pop(name, None)
            else:
                self.indexes[name] = before

    def copy(self) -> "Loops":
        """Return the loops as they are now, for what is evaluated later."""
        return Loops(dict(self.indexes), list(self.current))


def count_of(loop: Mapping[str, Json], evaluator: Evaluator, *, where: str) -> int:
    """Return how often a copy loop runs. Raises InvalidRequest."""
    count = evaluator.value(loop.get("count"), where=f"{where}.copy.count")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= LIMIT:
        raise InvalidRequest(
            f"{where}.copy.count must be a whole number from 0 to {LIMIT}: got {count!r}", target=where
        )
    return count


def unrolled(value: Json, evaluator: Evaluator, loops: Loops, *, where: str) -> Json:
    """Return a JSON value evaluated, with every `"copy": [{name, count, input}]` in it written out."""
    evaluator.budget.spend(NODE)
    if isinstance(value, list):
        return [unrolled(item, evaluator, loops, where=f"{where}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return evaluator.value(value, where=where)
    made = {
        evaluator.text(name, where=where): unrolled(item, evaluator, loops, where=f"{where}.{name}")
        for name, item in value.items()
        if not (name == "copy" and _is_loops(item))
    }
    if _is_loops(value.get("copy")):
        for loop in value["copy"]:
            made[loop["name"]] = run(loop, evaluator, loops, where=f"{where}.{loop['name']}")
    return made


def run(loop: Mapping[str, Json], evaluator: Evaluator, loops: Loops, *, where: str, name: str = "") -> list[Json]:
    """Return the loop's `input`, evaluated once for each index."""
    numbers = loops.over(name or str(loop.get("name") or ""), count_of(loop, evaluator, where=where))
    return [unrolled(loop.get("input"), evaluator, loops, where=f"{where}[{number}]") for number in numbers]


def _is_loops(value: Json) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and {"name", "count"} <= item.keys() for item in value
    )
