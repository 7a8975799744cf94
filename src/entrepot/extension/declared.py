"""The commands and options of our grammar as az wants to know them, for its index, its help and its completion."""

from collections.abc import Iterator
from typing import Any

from entrepot.cli import grammar
from entrepot.cli.handlers import MODULES


def commands() -> Iterator[str]:
    """Yield every command of the grammar: `ml model show`."""
    for group in grammar.groups("ml"):
        if group in MODULES:
            yield from (f"ml {name}" for name in grammar.load("ml", group) or ())


def options(command: str) -> Iterator[tuple[str, list[str], bool]]:
    """Yield the options of a command: (attribute, names, whether it is a flag)."""
    name = command.removeprefix("ml ")
    table = grammar.load("ml", name.split()[0]) if name else None
    for entry in (table or {}).get(name, ()):
        special: dict[str, Any] = entry[1] if len(entry) > 1 else {}
        yield entry[0][0][2:].replace("-", "_"), entry[0], bool(special.get("flag"))


def carried_out() -> None:
    """Stand for every command: az looks at it, and our command line does the work before az would call it."""
