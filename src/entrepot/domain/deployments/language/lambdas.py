"""Functions of templates that take a function: `map(array, lambda('item', expression))`, as Bicep writes them. Pure."""

from collections.abc import Callable, Mapping
from functools import cmp_to_key
from typing import Any

Json = Any
Lazy = Callable[[], Json]


class Variables:
    """The values of `lambdaVariables('item')` in the lambda that runs, innermost last."""

    def __init__(self) -> None:
        self._stack: list[tuple[str, Json]] = []

    def declared(self, *parts: Lazy) -> Callable[..., Json]:
        """Return the function that `lambda('a', 'b', body)` stands for."""
        names = [str(part()) for part in parts[:-1]]

        def called(*values: Json) -> Json:
            pairs = list(zip(names, values, strict=False))
            self._stack.extend(pairs)
            try:
                return parts[-1]()
            finally:
                del self._stack[len(self._stack) - len(pairs) :]

        return called

    def value(self, name: str) -> Json:
        """Return the value of a lambda's variable. Raises ValueError outside of the lambda."""
        for known, value in reversed(self._stack):
            if known == name:
                return value
        raise ValueError(f"no lambda around it has the variable {name!r}")


def _reduced(items: list[Json], start: Json, step: Callable[..., Json]) -> Json:
    value = start
    for index, item in enumerate(items):
        value = step(value, item, index)
    return value


def _sorted(items: list[Json], is_before: Callable[..., Json]) -> list[Json]:
    return sorted(items, key=cmp_to_key(lambda one, other: -1 if is_before(one, other) else 1))


def _to_object(
    items: list[Json], key: Callable[..., Json], value: Callable[..., Json] = lambda item: item
) -> dict[str, Json]:
    return {str(key(item)): value(item) for item in items}


def _grouped(items: list[Json], key: Callable[..., Json]) -> dict[str, list[Json]]:
    groups: dict[str, list[Json]] = {}
    for item in items:
        groups.setdefault(str(key(item)), []).append(item)
    return groups


def lambda_functions() -> Mapping[str, Callable[..., Json]]:
    """Return the functions, with variables of their own."""
    variables = Variables()
    return {
        "filter": lambda items, keeps: [item for index, item in enumerate(items) if keeps(item, index)],
        "groupBy": _grouped,
        "lambda": variables.declared,
        "lambdaVariables": variables.value,
        "map": lambda items, made: [made(item, index) for index, item in enumerate(items)],
        "mapValues": lambda table, made: {name: made(value) for name, value in table.items()},
        "reduce": _reduced,
        "sort": _sorted,
        "toObject": _to_object,
    }
