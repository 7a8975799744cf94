"""The grammar of the command line as data, one file per group: `ml/` is generated, `core/` is written by hand.

A file maps `group verb` to a list of options: [names, what is special], where what is special may hold `required`,
`flag`, `nargs`, `default`, `choices` and `configured` (the name of the default that fills the option in).
To make `ml/` anew: `python -m entrepot.cli.grammar az_ml_grammar.json`.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False  # typing costs 5 ms at start-up; type checkers read this name as true
if TYPE_CHECKING:
    from typing import Any

FOLDER = os.path.dirname(__file__)


def load(area: str, group: str) -> dict[str, list[list[Any]]] | None:
    """Return the commands of one group; None when there is no such group. `area` is `ml` or `core`."""
    try:
        with open(f"{FOLDER}/{area}/{group}.json", "rb") as file:
            return dict(json.loads(file.read()))
    except OSError:
        return None


def groups(area: str) -> list[str]:
    """Return the names of the groups, sorted."""
    return sorted(name[:-5] for name in os.listdir(f"{FOLDER}/{area}") if name.endswith(".json"))
