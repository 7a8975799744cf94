"""How large a template's values may become, and how much work it may be: counted while it is evaluated. Pure.

Values are shared, not copied: thirty variables of `[createArray(x, x)]` each are thirty short lists, and a billion
items once they are written out. So every value is weighed as it would be written, each part of it once.
"""

from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

LARGEST = 4 << 20
"""Characters and items of one value, written out: as much as a template of Azure's may have."""
DEEPEST = 64
MOST_WORK = 40_000_000
"""About two seconds' worth; a unit is what a character costs."""

CALL, NODE, ITEM = 100, 20, 16
_PER_UNIT = 16  # characters that a function passes over


class TemplateTooLarge(InvalidRequest):
    """A value of the template is too large or too deep, or all of it is too much to evaluate."""

    code = "InvalidTemplate"


class Budget:
    """What is left to spend on one reading of a template, and how much each of its values weighs."""

    def __init__(self) -> None:
        self._left = MOST_WORK
        self._weighed: dict[
            int, tuple[Json, int, int]
        ] = {}  # by identity; holds the value, so that none gets its place

    def spend(self, units: int) -> None:
        """Take work off what is left. Raises TemplateTooLarge."""
        self._left -= units
        if self._left < 0:
            raise TemplateTooLarge(
                "The template is too much to evaluate: make its loops shorter, or divide it into several deployments"
            )

    def weigh(self, value: Json) -> int:
        """Return how many characters and items a value has, written out. Raises TemplateTooLarge, ValueError."""
        weight, _ = self._measured(value, DEEPEST)
        return weight

    def pass_over(self, value: Json, *, wholly: bool) -> None:
        """Spend what a function costs that looks at a value: at all that is in it, or at its outermost items."""
        if isinstance(value, str):
            self.spend(len(value) // _PER_UNIT)
        elif isinstance(value, list | dict):
            self.spend(self.weigh(value) if wholly else len(value))

    def _measured(self, value: Json, levels: int) -> tuple[int, int]:
        """Return a value's weight and depth; `levels` are those that it may have."""
        if isinstance(value, str):
            return _bounded(len(value) + 1), 0
        if isinstance(value, int) and not isinstance(value, bool):
            return 1 + value.bit_length() // 3, 0
        if not isinstance(value, list | dict):
            return 1, 0
        known = self._weighed.get(id(value))
        if known is None:
            known = self._weighed[id(value)] = (value, *self._summed(value, levels))
        if known[2] > levels:
            raise ValueError(f"the result nests deeper than {DEEPEST} levels")
        return known[1], known[2]

    def _summed(self, value: Json, levels: int) -> tuple[int, int]:
        if levels == 0:
            raise ValueError(f"the result nests deeper than {DEEPEST} levels")
        self.spend(ITEM * len(value))
        weight, depth = 1, 0
        for item in value.values() if isinstance(value, dict) else value:
            more, below = self._measured(item, levels - 1)
            weight, depth = _bounded(weight + more), max(depth, below)
        if isinstance(value, dict):
            weight = _bounded(weight + sum(map(len, value)))
        return weight, depth + 1


def _bounded(weight: int) -> int:
    if weight > LARGEST:
        raise ValueError(f"the result would have more than {LARGEST:,} characters and items, written out")
    return weight
