"""Every SQL statement of the document store, written once in SQLAlchemy Core for both dialects.

Run as a program it writes `compiled.json`; a running server reads that and never imports this module. No statement
uses OFFSET; all parameters are named.
"""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from typing import Any, cast

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Select,
    Table,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy import cast as cast_
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from entrepot.store import tables
from entrepot.store.documents import Order
from entrepot.store.statements import COMPILED, Statements

# SQLAlchemy follows every SQLite LIMIT with an OFFSET of zero.
_NO_OFFSET = re.compile(r" OFFSET :param_\d+")
_LIMIT = bindparam("limit", type_=tables.NUMBER)
_ZERO: ColumnElement[Any] = literal_column("0")
_ONE: ColumnElement[Any] = literal_column("1")
_NULL: ColumnElement[Any] = literal_column("NULL")

# Document's fields, in its order.
_DOCUMENT = (
    tables.documents.c.key,
    tables.documents.c.raw,
    tables.documents.c.revision,
    tables.documents.c.sequence,
    tables.documents.c.is_archived,
)


class Queries:
    """The statements of one dialect: a method for each field of `Statements`."""

    def __init__(self, dialect: str) -> None:
        self._is_postgresql = dialect == "postgresql"
        self._dialect = _dialect(dialect)
        self._insert = import_module(f"sqlalchemy.dialects.{dialect}").insert

    def _text(self, statement: ClauseElement) -> str:
        compiled = statement.compile(dialect=self._dialect)
        text = _NO_OFFSET.sub("", str(compiled))
        left = [name for name, value in (compiled.params or {}).items() if value is not None and f":{name}" in text]
        assert not left, f"a constant became a parameter: {left}"
        return text

    def _insert_into(self, table: Table, *columns: str) -> Any:
        # inline: without it PostgreSQL's form would return every new primary key
        return self._insert(table).values({column: bindparam(column) for column in columns}).inline()

    def get(self) -> str:
        """key -> the document."""
        return self._text(select(*_DOCUMENT).where(tables.documents.c.key == bindparam("key")))

    def newest(self) -> str:
        """collection, is_archived, after, limit -> documents, newest first."""
        return self._text(_page(Order.NEWEST, all_views=False))

    def newest_all(self) -> str:
        """collection, after, limit -> documents of both views, newest first."""
        return self._text(_page(Order.NEWEST, all_views=True))

    def oldest(self) -> str:
        """collection, is_archived, after, limit -> documents, oldest first."""
        return self._text(_page(Order.OLDEST, all_views=False))

    def oldest_all(self) -> str:
        """collection, after, limit -> documents of both views, oldest first."""
        return self._text(_page(Order.OLDEST, all_views=True))

    def by_name(self) -> str:
        """collection, is_archived, after, limit -> documents, by name."""
        return self._text(_page(Order.KEY, all_views=False))

    def by_name_all(self) -> str:
        """collection, after, limit -> documents of both views, by name."""
        return self._text(_page(Order.KEY, all_views=True))

    def scan(self) -> str:
        """low (inclusive), high (exclusive), limit -> documents by key."""
        key = tables.documents.c.key
        return self._text(_ranged(key >= bindparam("low")))

    def scan_on(self) -> str:
        """As scan, with low exclusive."""
        return self._text(_ranged(tables.documents.c.key > bindparam("low")))

    def find(self) -> str:
        """space, name, value, is_archived, after, limit -> documents, newest first."""
        return self._text(_found(tables.facets.c.is_archived == bindparam("is_archived")))

    def find_all(self) -> str:
        """space, name, value, after, limit -> documents of both views, newest first."""
        merged = _merged(lambda flag: _found(_in_view(tables.facets, flag)), "sequence", descending=True)
        return self._text(merged)

    def links_from(self) -> str:
        """name, limit -> edges that leave it."""
        return self._text(_edges(tables.links.c.source))

    def links_to(self) -> str:
        """name, limit -> edges that arrive at it."""
        return self._text(_edges(tables.links.c.target))

    def links_from_by_relation(self) -> str:
        """name, relation, limit -> edges that leave it."""
        return self._text(_edges(tables.links.c.source, by_relation=True))

    def links_to_by_relation(self) -> str:
        """name, relation, limit -> edges that arrive at it."""
        return self._text(_edges(tables.links.c.target, by_relation=True))

    def read(self) -> str:
        """stream, after, limit -> entries, oldest first."""
        return self._text(_entries().order_by(tables.streams.c.position))

    def read_newest(self) -> str:
        """stream, after, limit -> entries, newest first."""
        return self._text(_entries().order_by(tables.streams.c.position.desc()))

    def state(self) -> str:
        """key -> sequence, revision, is_archived, facets of the document, locked until the transaction ends."""
        c = tables.documents.c
        found = select(c.sequence, c.revision, c.is_archived, c.facets).where(c.key == bindparam("key"))
        return self._text(found.with_for_update() if self._is_postgresql else found)

    def create(self) -> str:
        """A document's columns -> its sequence; no row when the key exists."""
        columns = ("key", "collection", "name", "is_archived", "revision", "facets", "raw")
        made = self._insert_into(tables.documents, *columns).on_conflict_do_nothing(index_elements=["key"])
        return self._text(made.returning(tables.documents.c.sequence))

    def overwrite(self) -> str:
        """sequence_ and the new columns: writes the document again."""
        new: dict[str, Any] = {name: bindparam(name) for name in ("is_archived", "revision", "facets", "raw")}
        c = tables.documents.c
        return self._text(update(tables.documents).where(c.sequence == bindparam("sequence_")).values(new))

    def rewrite(self) -> str:
        """key_, match_, is_archived_, raw -> sequence: writes a body over this revision; no row when it is another.

        Sets no indexed column, so no index is touched.
        """
        c = tables.documents.c
        found = (c.key == bindparam("key_"), c.revision == bindparam("match_"))
        kept = c.is_archived == bindparam("is_archived_")
        made = update(tables.documents).where(*found, kept).values(revision=c.revision + _ONE, raw=bindparam("raw"))
        return self._text(made.returning(c.sequence))

    def remove(self) -> str:
        """sequence: deletes the document."""
        c = tables.documents.c
        return self._text(delete(tables.documents).where(c.sequence == bindparam("sequence")))

    def add_facet(self) -> str:
        """A facet's columns."""
        columns = ("space", "name", "value", "is_archived", "sequence")
        return self._text(self._insert_into(tables.facets, *columns).on_conflict_do_nothing())

    def remove_facet(self) -> str:
        """A facet's columns."""
        c = tables.facets.c
        matches = (column == bindparam(column.name) for column in (c.space, c.name, c.value, c.is_archived, c.sequence))
        return self._text(delete(tables.facets).where(*matches))

    def add_link(self) -> str:
        """source, relation, target, body: adds an edge, or writes its body again."""
        made = self._insert_into(tables.links, "source", "relation", "target", "body")
        once = ["source", "relation", "target"]
        return self._text(made.on_conflict_do_update(index_elements=once, set_={"body": made.excluded.body}))

    def remove_links(self) -> str:
        """source: deletes the edges that leave it."""
        return self._text(delete(tables.links).where(tables.links.c.source == bindparam("source")))

    def append(self) -> str:
        """stream_, body_: appends an entry behind the stream's last one."""
        c = tables.streams.c
        last = func.coalesce(func.max(c.position), _ZERO)
        stream, body = bindparam("stream_", type_=c.stream.type), bindparam("body_", type_=c.body.type)
        entry = select(cast_(stream, c.stream.type), last + _ONE, cast_(body, c.body.type)).where(c.stream == stream)
        return self._text(self._insert(tables.streams).from_select(["stream", "position", "body"], entry).inline())

    def trim(self) -> str:
        """stream, position: removes the entries up to a position."""
        c = tables.streams.c
        chosen = delete(tables.streams).where(c.stream == bindparam("stream"), c.position <= bindparam("position"))
        return self._text(chosen)

    def enqueue(self) -> str:
        """queue, key, payload, due, attempt: adds an item; one that is being worked on will be put back instead."""
        made = self._insert_into(tables.work, "queue", "key", "payload", "due", "attempt")
        again = {"again_due": made.excluded.due, "again_payload": made.excluded.payload}
        is_leased = tables.work.c.lease.is_not(None)
        return self._text(made.on_conflict_do_update(index_elements=["queue", "key"], set_=again, where=is_leased))

    def due(self) -> str:
        """queue, now, limit -> id, due, queue, key, payload, attempt of claimable items, oldest first."""
        return self._text(_due())

    def due_locked(self) -> str:
        """As due, locked for this transaction, passing over what others have locked (SQLite locks all in any case)."""
        return self._text(_due().with_for_update(skip_locked=True))

    def claim(self) -> str:
        """id_, lease_, until: leases an item."""
        c = tables.work.c
        new = {"lease": bindparam("lease_"), "due": bindparam("until"), "attempt": c.attempt + _ONE}
        return self._text(update(tables.work).where(c.id == bindparam("id_")).values(new))

    def finish(self) -> str:
        """id_, lease_: deletes an item whose lease is held and which was not enqueued meanwhile."""
        return self._text(delete(tables.work).where(*_held(), tables.work.c.again_due.is_(None)))

    def finish_again(self) -> str:
        """id_, lease_: puts back an item whose lease is held and which was enqueued meanwhile."""
        c = tables.work.c
        new = {"lease": _NULL, "due": c.again_due, "payload": c.again_payload, "attempt": _ZERO}
        new |= {"again_due": _NULL, "again_payload": _NULL}
        return self._text(update(tables.work).where(*_held(), c.again_due.is_not(None)).values(new))

    def postpone(self) -> str:
        """id_, lease_, due_, payload_: gives an item back; one that was enqueued meanwhile is due with that."""
        c = tables.work.c
        is_sooner = c.again_due < bindparam("due_")  # false when there is none
        new = {"lease": _NULL, "due": case((is_sooner, c.again_due), else_=bindparam("due_", type_=c.due.type))}
        new |= {"payload": _payload_or_kept(), "again_due": _NULL, "again_payload": _NULL}
        return self._text(update(tables.work).where(*_held()).values(new))

    def renew(self) -> str:
        """id_, lease_, due_, payload_: prolongs a lease that is held."""
        new = {"due": bindparam("due_"), "payload": _payload_or_kept()}
        return self._text(update(tables.work).where(*_held()).values(new))

    def release(self) -> str:
        """low, high: makes the items leased by these owners due at once."""
        c = tables.work.c
        owned = (c.lease >= bindparam("low"), c.lease < bindparam("high"))
        return self._text(update(tables.work).where(*owned).values({"lease": _NULL, "due": _ZERO}))

    def backlog(self) -> str:
        """-> (queue, how many items it has, how many of them are leased)."""
        c = tables.work.c
        return self._text(select(c.queue, func.count(), func.count(c.lease)).group_by(c.queue))

    def tally(self) -> str:
        """space, name -> (value, how many documents carry it)."""
        c = tables.facets.c
        chosen = (c.space == bindparam("space"), c.name == bindparam("name"))
        return self._text(select(c.value, func.count()).where(*chosen).group_by(c.value))


def _in_view(table: Table, is_archived: bool) -> ColumnElement[bool]:
    flag: ColumnElement[bool] = literal_column("true" if is_archived else "false", tables.documents.c.is_archived.type)
    return cast("ColumnElement[bool]", table.c.is_archived.op("=")(flag))


def _page(order: Order, *, all_views: bool) -> Select[Any]:
    c = tables.documents.c
    column = c.name if order is Order.KEY else c.sequence
    ahead = column < bindparam("after") if order is Order.NEWEST else column > bindparam("after")

    def walk(view: ColumnElement[bool]) -> Select[Any]:
        columns = (*_DOCUMENT, c.name) if all_views else _DOCUMENT
        chosen = select(*columns).where(c.collection == bindparam("collection"), view, ahead)
        return chosen.order_by(column.desc() if order is Order.NEWEST else column).limit(_LIMIT)

    if not all_views:
        return walk(c.is_archived == bindparam("is_archived"))
    return _merged(lambda flag: walk(_in_view(tables.documents, flag)), column.name, descending=order is Order.NEWEST)


def _merged(walk: Callable[[bool], Select[Any]], column: str, *, descending: bool) -> Select[Any]:
    both = union_all(*(select(walk(flag).subquery()) for flag in (False, True))).subquery()
    ordered = both.c[column].desc() if descending else both.c[column].asc()
    return select(*(both.c[field.name] for field in _DOCUMENT)).order_by(ordered).limit(_LIMIT)


def _ranged(low: ColumnElement[bool]) -> Select[Any]:
    key = tables.documents.c.key
    return select(*_DOCUMENT).where(low, key < bindparam("high")).order_by(key).limit(_LIMIT)


def _found(view: ColumnElement[bool]) -> Select[Any]:
    f = tables.facets.c
    joined = tables.facets.join(tables.documents, tables.documents.c.sequence == f.sequence)
    matches = (f.space == bindparam("space"), f.name == bindparam("name"), f.value == bindparam("value"))
    chosen = select(*_DOCUMENT).select_from(joined).where(*matches, view, f.sequence < bindparam("after"))
    return chosen.order_by(f.sequence.desc()).limit(_LIMIT)


def _edges(end: ColumnElement[str], *, by_relation: bool = False) -> Select[Any]:
    c = tables.links.c
    chosen = select(c.source, c.relation, c.target, c.body).where(end == bindparam("name"))
    if by_relation:
        chosen = chosen.where(c.relation == bindparam("relation"))
    return chosen.order_by(c.id).limit(_LIMIT)


def _entries() -> Select[Any]:
    c = tables.streams.c
    chosen = select(c.position, c.body).where(c.stream == bindparam("stream"), c.position > bindparam("after"))
    return chosen.limit(_LIMIT)


def _due() -> Select[Any]:
    c = tables.work.c
    chosen = select(c.id, c.due, c.queue, c.key, c.payload, c.attempt)
    chosen = chosen.where(c.queue == bindparam("queue"), c.due <= bindparam("now"))
    return chosen.order_by(c.due, c.id).limit(_LIMIT)


def _held() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return tables.work.c.id == bindparam("id_"), tables.work.c.lease == bindparam("lease_")


def _payload_or_kept() -> ColumnElement[bytes]:
    c = tables.work.c
    return func.coalesce(bindparam("payload_", type_=c.payload.type), c.payload)


def _dialect(name: str) -> Dialect:
    """Return SQLAlchemy's dialect, with named parameters, without loading a driver."""
    module, title, paramstyle = {
        "sqlite": ("sqlalchemy.dialects.sqlite.pysqlite", "SQLiteDialect_pysqlite", "named"),
        "postgresql": ("sqlalchemy.dialects.postgresql.psycopg", "PGDialect_psycopg", "pyformat"),
    }[name]
    return cast(Dialect, getattr(import_module(module), title)(paramstyle=paramstyle))


def _schema(dialect: str) -> list[str]:
    """Return what `metadata.create_all` would send to an empty database."""
    made: list[str] = []
    for table in tables.metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=_dialect(dialect))))
        ordered = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=_dialect(dialect))) for index in ordered]
    return [statement.strip() for statement in made]


def compile_all() -> bytes:
    """Return the content of `compiled.json`."""
    dialects: dict[str, Any] = {}
    for dialect in ("sqlite", "postgresql"):
        queries = Queries(dialect)
        texts = {field.name: getattr(queries, field.name)() for field in fields(Statements)}
        dialects[dialect] = {"statements": texts, "schema": _schema(dialect)}
    return json.dumps(dialects, indent=1).encode() + b"\n"


if __name__ == "__main__":
    COMPILED.write_bytes(compile_all())
