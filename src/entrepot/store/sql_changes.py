"""Applying a commit's changes inside one transaction, the same for both dialects. Transactions are made elsewhere."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from entrepot.core.digests import digest_of
from entrepot.core.errors import InvalidRequest, RevisionMismatch
from entrepot.store.documents import (
    ABSENT,
    Append,
    Change,
    Delete,
    Document,
    Enqueue,
    Facet,
    Finish,
    Link,
    Postpone,
    Put,
    ReleaseLeases,
    Trim,
    Unlink,
    Work,
    is_storable,
)
from entrepot.store.statements import Statements

Row = tuple[Any, ...]
# PostgreSQL's B-trees take 2,704 bytes per entry; keys stand in one alone, the other names in twos and threes.
KEY_LIMIT_BYTES = 2048
NAME_LIMIT_BYTES = 1024
_LONG_VALUE = 256
HIGHEST = "\U0010ffff"
"""Sorts after every other character, in SQLite's and PostgreSQL's byte order."""


class Session(Protocol):
    """One transaction on a raw driver connection."""

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Run a statement and return all its rows."""
        ...

    def count(self, sql: str, parameters: Mapping[str, Any]) -> int:
        """Run a statement and return how many rows it changed."""
        ...

    def many(self, sql: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each set of parameters."""
        ...

    def lock_names(self, names: Collection[str]) -> None:
        """Keep other transactions that lock one of these names waiting; all in one order, so that none deadlock."""
        ...

    def lock_stream(self, stream: str) -> None:
        """Keep other transactions from appending to the stream until this one ends."""
        ...

    def announce(self) -> None:
        """Tell other processes, once this transaction is committed, that work may be due."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A change and its encoded body."""

    change: Change
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a commit did: the documents put, and whether work may have become due."""

    documents: tuple[Document, ...]
    has_work: bool


def indexed(value: str) -> str:
    """Return a facet's name or value as it is indexed: long ones by digest, which serves equality as well."""
    return value if len(value) <= _LONG_VALUE and is_storable(value) else "sha256:" + digest_of(_as_bytes(value))


def plan(changes: Iterable[Change]) -> tuple[Step, ...]:
    """Check and encode the changes, outside any transaction. Appends come last: their streams are locked briefly."""
    steps = [_encoded(change) for change in changes]
    appends = [step for step in steps if isinstance(step.change, Append)]
    if appends:  # by name, so that two commits never wait for each other's streams
        appends.sort(key=lambda step: step.change.stream)  # type: ignore[union-attr]
        steps = [step for step in steps if not isinstance(step.change, Append)] + appends
    return tuple(steps)


def apply(session: Session, statements: Statements, steps: Sequence[Step]) -> Applied:
    """Apply all steps. Raises RevisionMismatch, after which the transaction must be rolled back."""
    documents: list[Document] = []
    has_work = False
    appends: dict[str, list[bytes]] = {}
    if len(steps) > 1:
        session.lock_names({name for step in steps if (name := _locked_name(step.change))})
    for step in steps:
        change = step.change
        if isinstance(change, Put):
            documents.append(_put(session, statements, change, step.body or b"{}"))
        elif isinstance(change, Append):
            appends.setdefault(change.stream, []).append(step.body or b"null")
        elif isinstance(change, Link):
            edge = {"source": change.source, "relation": change.relation, "target": change.target, "body": step.body}
            session.count(statements.add_link, edge)
        elif isinstance(change, Unlink):
            session.count(statements.remove_links, {"source": change.source})
        elif isinstance(change, Delete):
            _delete(session, statements, change)
        elif isinstance(change, Trim):
            session.count(statements.trim, {"stream": change.stream, "position": change.position})
        else:
            has_work |= _APPLY_WORK[type(change)](session, statements, step)
    for stream, bodies in appends.items():
        _append(session, statements, stream, bodies)
    if has_work:
        session.announce()
    return Applied(tuple(documents), has_work)


def _encoded(change: Change) -> Step:
    if isinstance(change, Put):
        _check("key", change.key, KEY_LIMIT_BYTES)
        for facet in change.facets or ():
            _check("facet space", facet.space, NAME_LIMIT_BYTES)
        return Step(change, change.body if isinstance(change.body, bytes) else msgspec.json.encode(change.body))
    if isinstance(change, Link):
        for part, text in (("source", change.source), ("relation", change.relation), ("target", change.target)):
            _check(f"link {part}", text, NAME_LIMIT_BYTES)
        return Step(change, None if change.body is None else msgspec.json.encode(change.body))
    if isinstance(change, Append):
        _check("stream", change.stream, KEY_LIMIT_BYTES)
        return Step(change, msgspec.json.encode(change.entry))
    if isinstance(change, Enqueue):
        _check("queue", change.queue, NAME_LIMIT_BYTES)
        _check("work key", change.key, NAME_LIMIT_BYTES)
        return Step(change, msgspec.json.encode(change.payload))
    if isinstance(change, Postpone) and change.payload is not None:
        return Step(change, msgspec.json.encode(change.payload))
    return Step(change)


def _locked_name(change: Change) -> str | None:
    if isinstance(change, Put | Delete):
        return change.key
    if isinstance(change, Link | Unlink):
        return change.source
    if isinstance(change, Enqueue):
        return f"{change.queue}/{change.key}"
    if isinstance(change, Finish | Postpone):
        return f"{change.work.queue}/{change.work.key}"
    return None


def _check(what: str, text: str, limit_bytes: int) -> None:
    if not text or not is_storable(text):
        raise InvalidRequest(f"{text!r} cannot be a {what}: give text without NUL and lone surrogates")
    if len(text) * 4 > limit_bytes and len(text.encode()) > limit_bytes:
        raise InvalidRequest(f"{what} {text[:60]!r}... has {len(text.encode())} bytes: at most {limit_bytes} are kept")


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _put(session: Session, statements: Statements, change: Put, raw: bytes) -> Document:
    if change.match and change.facets is None:
        known = {"key_": change.key, "match_": change.match, "is_archived_": change.is_archived, "raw": raw}
        if rewritten := session.rows(statements.rewrite, known):
            return Document(change.key, raw, change.match + 1, rewritten[0][0], change.is_archived)
    if change.match != ABSENT:
        found = session.rows(statements.state, {"key": change.key})
        if found:
            return _overwrite(session, statements, change, raw, found[0])
        if change.match is not None:
            raise RevisionMismatch(change.key, expected=change.match, found=None)
    new = tuple(dict.fromkeys(_facet_row(facet) for facet in change.facets or ()))
    collection, _, name = change.key.rpartition("/")
    columns = {"key": change.key, "collection": collection, "name": name, "is_archived": change.is_archived}
    columns |= {"revision": 1, "facets": msgspec.json.encode(new) if new else None, "raw": raw}
    made = session.rows(statements.create, columns)
    if not made:
        return _put_over_peer(session, statements, change, raw)
    sequence = made[0][0]
    _change_facets(session, statements, sequence, remove=set(), add={(*row, change.is_archived) for row in new})
    return Document(change.key, raw, 1, sequence, change.is_archived)


def _put_over_peer(session: Session, statements: Statements, change: Put, raw: bytes) -> Document:
    """Put where another has just created the document, or (ABSENT) where it was there already."""
    found = session.rows(statements.state, {"key": change.key})
    if change.match == ABSENT:
        raise RevisionMismatch(change.key, expected=ABSENT, found=found[0][1] if found else None)
    # Not found: yet another has just deleted it.
    return _overwrite(session, statements, change, raw, found[0]) if found else _put(session, statements, change, raw)


def _overwrite(session: Session, statements: Statements, change: Put, raw: bytes, state: Row) -> Document:
    sequence, revision, was_archived, old_facets = state
    if change.match is not None and change.match != revision:
        raise RevisionMismatch(change.key, expected=change.match, found=revision)
    old = _facet_rows(old_facets)
    new = old if change.facets is None else tuple(dict.fromkeys(_facet_row(facet) for facet in change.facets))
    columns = {"sequence_": sequence, "is_archived": change.is_archived, "revision": revision + 1, "raw": raw}
    columns["facets"] = msgspec.json.encode(new) if new else None
    session.count(statements.overwrite, columns)
    before = {(*row, bool(was_archived)) for row in old}
    after = {(*row, change.is_archived) for row in new}
    _change_facets(session, statements, sequence, remove=before - after, add=after - before)
    return Document(change.key, raw, revision + 1, sequence, change.is_archived)


def _delete(session: Session, statements: Statements, change: Delete) -> None:
    found = session.rows(statements.state, {"key": change.key})
    if change.match is not None and (found[0][1] if found else ABSENT) != change.match:
        raise RevisionMismatch(change.key, expected=change.match, found=found[0][1] if found else None)
    if not found:
        return
    sequence, _, was_archived, old_facets = found[0]
    rows = {(*row, bool(was_archived)) for row in _facet_rows(old_facets)}
    _change_facets(session, statements, sequence, remove=rows, add=set())
    session.count(statements.remove_links, {"source": change.key})
    session.count(statements.remove, {"sequence": sequence})


def _facet_row(facet: Facet) -> tuple[str, str, str]:
    return facet.space, indexed(facet.name), indexed(facet.value)


def _facet_rows(encoded: bytes | None) -> tuple[tuple[str, str, str], ...]:
    return msgspec.json.decode(encoded, type=tuple[tuple[str, str, str], ...]) if encoded else ()


def _change_facets(session: Session, statements: Statements, sequence: int, *, remove: set[Row], add: set[Row]) -> None:
    names = ("space", "name", "value", "is_archived")
    for sql, rows in ((statements.remove_facet, remove), (statements.add_facet, add)):
        if rows:
            session.many(sql, [dict(zip(names, row, strict=True), sequence=sequence) for row in sorted(rows)])


def _append(session: Session, statements: Statements, stream: str, bodies: list[bytes]) -> None:
    session.lock_stream(stream)
    session.many(statements.append, [{"stream_": stream, "body_": body} for body in bodies])


def _enqueue(session: Session, statements: Statements, step: Step) -> bool:
    change = step.change
    assert isinstance(change, Enqueue)
    item = {"queue": change.queue, "key": change.key, "payload": step.body, "due": float(change.due), "attempt": 0}
    session.count(statements.enqueue, item)
    return True


def _finish(session: Session, statements: Statements, step: Step) -> bool:
    change = step.change
    assert isinstance(change, Finish)
    held = {"id_": change.work.id, "lease_": change.work.lease}
    if session.count(statements.finish, held):
        return False
    if not session.count(statements.finish_again, held):
        raise _lost(change.work)
    return True


def _postpone(session: Session, statements: Statements, step: Step) -> bool:
    change = step.change
    assert isinstance(change, Postpone)
    held = {"id_": change.work.id, "lease_": change.work.lease, "payload_": step.body}
    is_renewal = change.renew_s is not None
    due = (change.due or time.time()) + change.renew_s if change.renew_s is not None else change.due
    if not session.count(statements.renew if is_renewal else statements.postpone, held | {"due_": float(due)}):
        raise _lost(change.work)
    return not is_renewal


def _release(session: Session, statements: Statements, step: Step) -> bool:
    change = step.change
    assert isinstance(change, ReleaseLeases)
    owners = {"low": change.owner_prefix, "high": change.owner_prefix + HIGHEST}
    return session.count(statements.release, owners) > 0


def _lost(work: Work) -> RevisionMismatch:
    return RevisionMismatch(f"work {work.queue}/{work.key} leased by {work.lease}", expected=work.attempt, found=None)


_APPLY_WORK: dict[type, Callable[[Session, Statements, Step], bool]] = {
    Enqueue: _enqueue,
    Finish: _finish,
    Postpone: _postpone,
    ReleaseLeases: _release,
}
