"""How large a YAML document may become when it is read: the bounds that every reader of YAML here keeps.

A file of a kilobyte can stand for gigabytes (aliases of aliases), end a process (libyaml's readers recurse in C), or
take minutes (a number of a million digits). Readers show what PyYAML parsed and composed here before they build values
of it. Knows PyYAML's events and nodes by their attributes alone.
"""

from collections.abc import Iterable
from typing import Any

MOST_LEVELS = 100
MOST_ALIASED = 100_000
"""How many nodes aliases may add to those that are written."""
LONGEST_NUMBER = 400
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What PyYAML's constructors raise, beside its own errors, for values that are not what their tag says."""


def check_depth(events: Iterable[Any]) -> None:
    """Look at the events of a text before it is composed. Raises ValueError when it is nested too deeply."""
    level = 0
    for event in events:
        name = type(event).__name__
        if name in ("MappingStartEvent", "SequenceStartEvent"):
            level += 1
            if level > MOST_LEVELS:
                line = event.start_mark.line + 1
                raise ValueError(f"line {line} is nested too deeply: at most {MOST_LEVELS} levels are read")
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            level -= 1


def check_nodes(root: Any) -> None:
    """Look at composed nodes, of a depth that was checked, before values are made. Raises ValueError."""
    known: dict[int, tuple[int, int] | None] = {}
    total, _ = _measured(root, known)
    if total - len(known) > MOST_ALIASED:
        raise ValueError(f"its aliases stand for {total:,} values: at most {MOST_ALIASED:,} more than written are read")


def _measured(node: Any, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Return how many nodes one stands for, aliases followed, and how deep they are."""
    line = node.start_mark.line + 1
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise ValueError(f"line {line} holds an alias of itself")
        return found
    known[id(node)] = None
    if node.id == "scalar":
        if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise ValueError(f"line {line} has a number of {len(node.value):,} characters: write it as text, in quotes")
        below: list[Any] = []
    else:
        below = [part for pair in node.value for part in pair] if node.id == "mapping" else node.value
    total, levels = 1, 0
    for child in below:
        count, height = _measured(child, known)
        total, levels = total + count, max(levels, height + 1)
    if levels > MOST_LEVELS:
        raise ValueError(f"line {line} is nested too deeply by its aliases: at most {MOST_LEVELS} levels are read")
    known[id(node)] = (total, levels)
    return total, levels
