"""The document store's SQL text, read from `compiled.json`, which `queries.py` writes from SQLAlchemy Core.

A running server executes this text on the raw driver connection and never imports SQLAlchemy: its execution layer
costs more than SQLite's own work (10,566 against 25,485 point reads per second behind HTTP), its import 0.7 s and
35 MB. After a change of `queries.py` or `tables.py`: `python -m entrepot.store.statements.queries`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

COMPILED = Path(__file__).with_name("compiled.json")


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one dialect, parameters by name. `queries.py` says what each takes and returns."""

    get: str
    newest: str
    newest_all: str
    oldest: str
    oldest_all: str
    by_name: str
    by_name_all: str
    scan: str
    scan_on: str
    find: str
    find_all: str
    links_from: str
    links_to: str
    links_from_by_relation: str
    links_to_by_relation: str
    read: str
    read_newest: str
    state: str
    create: str
    overwrite: str
    rewrite: str
    remove: str
    add_facet: str
    remove_facet: str
    add_link: str
    remove_links: str
    append: str
    trim: str
    enqueue: str
    due: str
    due_locked: str
    claim: str
    finish: str
    finish_again: str
    postpone: str
    renew: str
    release: str
    backlog: str
    tally: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """What `compiled.json` holds for one dialect: the statements, and those that make an empty database's tables."""

    statements: Statements
    schema: tuple[str, ...]


@cache
def load(dialect: str) -> Compiled:
    """Return the text for `sqlite` or `postgresql`."""
    compiled = msgspec.json.decode(COMPILED.read_bytes(), type=dict[str, Compiled])
    return compiled[dialect]
