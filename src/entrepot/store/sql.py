"""The DocumentStore on SQL: reading, paging, leasing. SQLite and PostgreSQL differ only in their `Database`.

`open_documents` is the way in. Here are no statements (`statements/`), no writing (`sql_changes.py`) and no
tables (`tables.py`).
"""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from entrepot.core.durations import Durations
from entrepot.core.errors import EntrepotError, InvalidRequest
from entrepot.store.documents import (
    LAST_SEQUENCE,
    Change,
    Delete,
    Document,
    DocumentStore,
    Entry,
    Link,
    Order,
    Page,
    Put,
    View,
    Work,
    decode_cursor,
    encode_cursor,
    is_storable,
)
from entrepot.store.migrations import prepare
from entrepot.store.recent import MISSING, Recent
from entrepot.store.sql_changes import HIGHEST, Row, Session, apply, indexed, plan
from entrepot.store.statements import load

T = TypeVar("T")
_FIELDS = tuple(getattr(Document, field.name).__set__ for field in fields(Document))  # its slots' own setters
_KEPT_BYTES = 16 << 20
_OVERHEAD_BYTES = 512  # of what is kept, each
_NOTHING_WRITTEN: Mapping[str, tuple[Document, int]] = {}
_KEPT_PAGE_LIMIT = 1000
_COMMITS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_STARTS: dict[Order, int | str] = {Order.NEWEST: LAST_SEQUENCE, Order.OLDEST: 0, Order.KEY: ""}


class Database(Protocol):
    """Connections to one database: what differs between SQLite and PostgreSQL."""

    dialect: str
    address: str  # as SQLAlchemy spells it, for migrations

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a reading statement; return its rows."""
        ...

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run work in a transaction and return its result once that is durable. Work may run more than once."""
        ...

    def watch(self, woken: Callable[[], None]) -> None:
        """Call `woken` whenever a peer has committed work, from now on, where that can be known."""
        ...

    def close(self) -> None:
        """Release all connections."""
        ...


def open_documents(url: str | Path, *, fsync: bool = True, is_alone: bool = False) -> DocumentStore:
    """Open the store at a path, a `sqlite:///path` or a `postgresql://` URL; make or migrate its tables.

    Without `fsync` a crash of the machine, not of the process, may lose the newest commits: for tests.
    `is_alone` promises that nobody else writes a SQLite file while it is open here: then reads are remembered.
    """
    text = str(url)
    if text.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        from entrepot.store.sql_postgres import PostgresDatabase  # costs 50 ms, and SQLite does not need it

        return SqlDocuments(PostgresDatabase("postgresql://" + text.partition("://")[2], fsync=fsync))
    from entrepot.store.sql_sqlite import SqliteDatabase

    if "://" in text and not text.startswith("sqlite:///"):
        scheme = text.partition("://")[0]
        raise InvalidRequest(f"No document store opens {scheme}:// URLs: give a path, sqlite:///path or postgresql://")
    path = Path(text.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqlDocuments(SqliteDatabase(path, fsync=fsync), is_alone=is_alone)


class SqlDocuments:
    """A DocumentStore over a Database."""

    def __init__(self, database: Database, *, is_alone: bool = False) -> None:
        self._database = database
        self._query = database.query
        self._statements = s = load(database.dialect).statements
        self._get = self._statements.get
        self._pages = {  # by order: of one view, of all
            Order.NEWEST: (s.newest, s.newest_all),
            Order.OLDEST: (s.oldest, s.oldest_all),
            Order.KEY: (s.by_name, s.by_name_all),
        }
        self.commits = Durations(_COMMITS_S)
        self._woken = threading.Condition()
        self._wakes = 0
        self._seen = threading.local()
        self._is_watching = False
        self._known = Recent(_KEPT_BYTES) if is_alone else None
        self._known_pages = Recent(_KEPT_BYTES) if is_alone else None
        try:
            prepare(database)
        except BaseException:
            database.close()
            raise

    def get(self, key: str) -> Document | None:
        """Return the document, or None."""
        known = self._known
        if known is None:
            return self._read_document(key)
        found: Document | None = known.recall(key)
        if found is MISSING:
            ticket = known.ticket
            found = self._read_document(key)
            known.keep(ticket, key, found, size_bytes=_kept_bytes(found))
        return found

    def _read_document(self, key: str) -> Document | None:
        rows = self._query(self._get, {"key": key}) if is_storable(key) else ()
        return _document(rows[0]) if rows else None

    def list(
        self,
        collection: str,
        *,
        view: View = View.ACTIVE,
        order: Order = Order.NEWEST,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Return a page of the documents whose key is `collection/<one segment>`. `after` is a Page's `next`."""
        known = self._known_pages
        if known is None or limit > _KEPT_PAGE_LIMIT:
            return self._read_page(collection, view, order, after, limit)
        question = (view, order, after, limit)
        page: Page = known.recall(collection, question)
        if page is MISSING:
            ticket = known.ticket
            page = self._read_page(collection, view, order, after, limit)
            size_bytes = sum(map(_kept_bytes, page.documents)) + _OVERHEAD_BYTES
            known.keep(ticket, collection, page, question=question, size_bytes=size_bytes)
        return page

    def _read_page(self, collection: str, view: View, order: Order, after: str | None, limit: int) -> Page:
        given = decode_cursor(after, _STARTS[order])
        if not is_storable(collection):
            return Page(())
        parameters = {"collection": collection, "after": given, "limit": _checked(limit) + 1}
        if view is not View.ALL:
            parameters["is_archived"] = view is View.ARCHIVED
        rows = self._query(self._pages[order][view is View.ALL], parameters)
        if order is Order.KEY:
            return _page(rows, limit, lambda document: document.key.rpartition("/")[2])
        return _page(rows, limit, lambda document: document.sequence)

    def scan(self, prefix: str, *, after: str | None = None, limit: int = 1000) -> Page:
        """Return a page, in key order, of all documents whose key starts with `prefix`, archived ones too."""
        low = decode_cursor(after, "")
        if not is_storable(prefix):
            return Page(())
        sql = self._statements.scan_on if low >= prefix and after else self._statements.scan
        parameters = {"low": max(low, prefix), "high": prefix + HIGHEST, "limit": _checked(limit) + 1}
        return _page(self._query(sql, parameters), limit, lambda document: document.key)

    def find(
        self,
        space: str,
        name: str,
        value: str,
        *,
        view: View = View.ACTIVE,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Return a page, newest first, of the documents that carry the facet."""
        given = decode_cursor(after, LAST_SEQUENCE)
        if not is_storable(space):
            return Page(())
        parameters: dict[str, Any] = {"space": space, "name": indexed(name), "value": indexed(value)}
        parameters |= {"after": given, "limit": _checked(limit) + 1}
        sql = self._statements.find_all
        if view is not View.ALL:
            sql = self._statements.find
            parameters["is_archived"] = view is View.ARCHIVED
        return _page(self._query(sql, parameters), limit, lambda document: document.sequence)

    def links(
        self, name: str, *, reverse: bool = False, relation: str | None = None, limit: int | None = None
    ) -> Sequence[Link]:
        """Return the edges that leave `name` (or arrive at it, when reverse), oldest first."""
        if not is_storable(name) or not is_storable(relation or ""):
            return ()
        s = self._statements
        parameters = {"name": name, "limit": LAST_SEQUENCE if limit is None else _checked(limit)}
        if relation is None:
            sql = s.links_to if reverse else s.links_from
        else:
            sql = s.links_to_by_relation if reverse else s.links_from_by_relation
            parameters["relation"] = relation
        return tuple(Link(a, b, c, _decoded(body)) for a, b, c, body in self._query(sql, parameters))

    def read(self, stream: str, *, after: int = 0, limit: int = 1000, newest: bool = False) -> Sequence[Entry]:
        """Return entries with position > `after`, oldest first; with `newest`, the last `limit`, newest first."""
        if not is_storable(stream):
            return ()
        sql = self._statements.read_newest if newest else self._statements.read
        rows = self._query(sql, {"stream": stream, "after": after, "limit": _checked(limit)})
        return tuple(Entry(position, msgspec.json.decode(body)) for position, body in rows)

    def lease(self, queues: Sequence[str], *, owner: str, now: float, seconds: float, limit: int = 1) -> Sequence[Work]:
        """Claim up to `limit` due items of the queues, oldest first, for `seconds`."""
        self._seen.wakes = self._wakes  # what is enqueued from here on ends this thread's next wait at once
        s = self._statements
        asked = [{"queue": queue, "now": float(now), "limit": _checked(limit)} for queue in queues]
        if not any(self._query(s.due, parameters) for parameters in asked):
            return ()  # an idle worker's look costs no transaction
        lease = f"{owner}#{uuid.uuid4().hex}"

        def claim(session: Session) -> list[Work]:
            rows = [row for parameters in asked for row in session.rows(s.due_locked, parameters)]
            rows = sorted(rows, key=lambda row: (row[1], row[0]))[:limit]
            session.many(s.claim, [{"id_": row[0], "lease_": lease, "until": float(now) + seconds} for row in rows])
            return [_work(row, lease) for row in rows]

        return self._database.transact(claim)

    def wait_for_work(self, timeout_s: float) -> None:
        """Return when work was committed since this thread last leased or waited, or at the timeout."""
        with self._woken:
            if not self._is_watching:
                self._is_watching = True
                self._database.watch(self._wake)
            seen = getattr(self._seen, "wakes", self._wakes)
            self._woken.wait_for(lambda: self._wakes != seen, timeout_s)
            self._seen.wakes = self._wakes

    def commit(self, changes: Sequence[Change]) -> Sequence[Document]:
        """Apply all changes or none, durably; return the documents put, in order. Raises RevisionMismatch."""
        began = time.perf_counter()
        steps = plan(changes)
        keys = {change.key for change in changes if isinstance(change, Put | Delete)}
        collections = {key.rpartition("/")[0] for key in keys}
        for known, names in ((self._known, keys), (self._known_pages, collections)):
            if known is not None:
                known.announce(names)
        try:
            applied = self._database.transact(lambda session: apply(session, self._statements, steps))
        except EntrepotError:
            self._settle(keys, collections)
            raise
        # After any other exception the writer may still be at it, so the names stay announced: slower, never wrong.
        written = {document.key: (document, _kept_bytes(document)) for document in applied.documents}
        for change in changes:
            if isinstance(change, Delete):
                written.pop(change.key, None)  # put and deleted in one commit: which came last is read when asked
        self._settle(keys, collections, written)
        self.commits.add(time.perf_counter() - began)
        if applied.has_work:
            self._wake()
        return applied.documents

    def _settle(
        self,
        keys: Collection[str],
        collections: Collection[str],
        written: Mapping[str, tuple[Document, int]] = _NOTHING_WRITTEN,
    ) -> None:
        if self._known is not None:
            self._known.over(keys, written)
        if self._known_pages is not None:
            self._known_pages.over(collections)

    def backlog(self) -> Mapping[str, tuple[int, int]]:
        """Return {queue: (items that wait, items that are leased)}."""
        return {queue: (total - leased, leased) for queue, total, leased in self._query(self._statements.backlog, {})}

    def tally(self, space: str, name: str) -> Mapping[str, int]:
        """Return how many documents carry each value of a facet."""
        return dict(self._query(self._statements.tally, {"space": space, "name": indexed(name)}))

    def close(self) -> None:
        """Release files and connections; committed work is kept."""
        for known in (self._known, self._known_pages):
            if known is not None:
                known.close()
        self._database.close()
        self._wake()

    def _wake(self) -> None:
        with self._woken:
            self._wakes += 1
            self._woken.notify_all()


def _kept_bytes(document: Document | None) -> int:
    return _OVERHEAD_BYTES + (len(document.raw) if document else 0)


def _document(row: Row) -> Document:
    key, raw, revision, sequence, is_archived = row
    return Document(key, raw, revision, sequence, bool(is_archived))


def _documents(rows: Sequence[Row]) -> tuple[Document, ...]:
    """Make documents field by field, in C: a frozen dataclass's own `__init__` is 40 % of a page's time."""
    if not rows:
        return ()
    documents = tuple(map(object.__new__, repeat(Document, len(rows))))
    *columns, archived = zip(*rows, strict=True)
    for set_field, column in zip(_FIELDS, (*columns, map(bool, archived)), strict=True):
        deque(map(set_field, documents, column), maxlen=0)
    return documents


def _page(rows: Sequence[Row], limit: int, place: Callable[[Document], int | str]) -> Page:
    documents = _documents(rows[:limit])
    return Page(documents, encode_cursor(place(documents[-1])) if len(rows) > limit else None)


def _work(row: Row, lease: str) -> Work:
    number, _, queue, key, payload, attempt = row
    return Work(number, queue, key, msgspec.json.decode(payload), attempt + 1, lease)


def _decoded(body: bytes | None) -> Any:
    return None if body is None else msgspec.json.decode(body)


def _checked(limit: int) -> int:
    if limit < 1:
        raise InvalidRequest(f"A page needs a limit of at least 1: got {limit}")
    return limit
