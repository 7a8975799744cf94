"""Who holds which role where, in memory: the answer to "may they?" in microseconds. Rules and texts: `access.py`.

Read whole once, then kept up by the stream of changes, which every process reads twice a second: 100,000 assignments
are not read again because one of them changed.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from entrepot.core.ids import WorkspaceScope
from entrepot.domain.authorization.holdings import (
    ASSIGNMENTS,
    CHANGES,
    DEFINITIONS,
    DENIALS,
    EVERYBODY,
    REGISTRIES,
    Holding,
    holdings_of,
    role_of,
)
from entrepot.domain.authorization.places import TENANT, containing
from entrepot.domain.authorization.roles import BY_ID, Role
from entrepot.store.documents import DocumentStore, View

PEERS_NOTICE_S = 0.5
"""How long a process goes on without looking for what others changed."""

_MEMO_CAPACITY = 100_000
_PAGE = 1000

_Table = dict[str, dict[str, tuple[Holding, ...]]]


class Coverage(Enum):
    """How much of a scope a principal may act on: nothing below it either, some things below it, or all."""

    NONE = 0
    SOME = 1
    ALL = 2


@dataclass(slots=True)
class _Index:
    """All holdings, by who and by where. Inner tuples are replaced, never changed, so readers need no lock."""

    given: _Table = field(default_factory=dict)
    denied: _Table = field(default_factory=dict)
    at: dict[str, dict[Holding, None]] = field(default_factory=dict)
    by_key: dict[str, tuple[Holding, ...]] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    roles: dict[str, Role] = field(default_factory=lambda: dict(BY_ID))

    def replace(self, key: str, fresh: tuple[Holding, ...]) -> None:
        """Put what a document says now in the place of what it said before."""
        for old in self.by_key.pop(key, ()):
            table = self._table(old)[old.holder]
            left = tuple(one for one in table[old.scope] if one is not old)
            if left:
                table[old.scope] = left
            else:
                del table[old.scope]
            self.at[old.scope].pop(old, None)
            if old.is_protected:
                self.protected.discard(old.holder)
        for new in fresh:
            table = self._table(new).setdefault(new.holder, {})
            table[new.scope] = (*table.get(new.scope, ()), new)
            self.at.setdefault(new.scope, {})[new] = None
            if new.is_protected:
                self.protected.add(new.holder)
        if fresh:
            self.by_key[key] = fresh

    def _table(self, holding: Holding) -> _Table:
        return self.denied if holding.is_denial else self.given


class Grants:
    """Role assignments and denials, indexed, with a memo of decisions. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._position: int | None = None
        self._checked = float("-inf")
        self._index = _Index()
        self._memo: dict[tuple[tuple[str, ...], str, str], Any] = {}
        self._parents: dict[str, str] = {}

    def decide(
        self, documents: DocumentStore, holders: tuple[str, ...], action: str, scope_key: str, now: float
    ) -> bool:
        """Say whether a principal (its id, its groups, its tenant) has the action at the scope or from above it."""
        if now - self._checked >= PEERS_NOTICE_S or now < self._checked:
            self._refresh(documents, now)
        memo = self._memo  # before the index is read: an answer from an old index goes to the old memo
        question = (holders, action, scope_key)
        known: bool | None = memo.get(question)
        if known is None:
            known = self._decided(holders, action, self.ancestry(documents, scope_key))
            _remember(memo, question, known)
        return known

    def coverage(
        self, documents: DocumentStore, holders: tuple[str, ...], action: str, scope_key: str, now: float
    ) -> Coverage:
        """Say on how much of what lies at and below a scope the principal has the action."""
        is_allowed = self.decide(documents, holders, action, scope_key, now)
        memo = self._memo
        question = (holders, action, scope_key + "/*")
        known: Coverage | None = memo.get(question)
        if known is None:
            passes_down = is_allowed or self.passes_down(documents, holders, action, scope_key)
            known = self._covered(holders, action, scope_key, is_allowed=is_allowed, passes_down=passes_down)
            _remember(memo, question, known)
        return known

    def passes_down(self, documents: DocumentStore, holders: tuple[str, ...], action: str, scope_key: str) -> bool:
        """Say whether what is given and denied at a scope and above gives the action to what lies below.

        A denial at the scope that does not apply to its children takes it from the scope alone.
        """
        return self._decided(holders, action, self.ancestry(documents, scope_key), is_below=True)

    def reaches(self, documents: DocumentStore, holders: Iterable[str], scope_key: str, now: float) -> bool:
        """Say whether anything at all was given to one of the holders at a scope, above it or below it."""
        if now - self._checked >= PEERS_NOTICE_S or now < self._checked:
            self._refresh(documents, now)
        around, prefix = frozenset(self.ancestry(documents, scope_key)), scope_key + "/"
        held = (scope for holder in holders for scope in tuple(self._index.given.get(holder, ())))
        return any(scope in around or scope.startswith(prefix) for scope in held)

    def below(self, holders: tuple[str, ...], action: str, scope_key: str) -> set[str]:
        """Return the scopes below a scope at which the principal was given the action; denials are not looked at."""
        return {holding.scope for holding in self._within(self._index.given, holders, action, scope_key)}

    def reasons(self, documents: DocumentStore, scope_key: str, *, holder: str | None = None) -> Iterator[Holding]:
        """Yield what is given and denied at a scope and above it, the nearest first; of one holder or of all."""
        index = self._index
        for depth, scope in enumerate(self.ancestry(documents, scope_key)):
            for holding in tuple(index.at.get(scope, ())):
                if (holder is None or holding.holder == holder) and not (holding.is_only_here and depth):
                    yield holding

    def at_or_below(self, scope_key: str) -> list[Holding]:
        """Return what is given and denied at a scope and below it."""
        prefix = scope_key + "/" if scope_key else ""
        at = self._index.at
        scopes = [scope for scope in tuple(at) if scope == scope_key or scope.startswith(prefix)]
        return [holding for scope in scopes for holding in tuple(at[scope])]

    def at(self, scope_key: str) -> tuple[Holding, ...]:
        """Return what is given and denied at exactly this scope."""
        return tuple(self._index.at.get(scope_key, ()))

    def role(self, holding: Holding) -> Role | None:
        """Return the role of a holding; None when its definition is gone."""
        return holding.role or self._index.roles.get(holding.role_id)

    def roles(self) -> list[Role]:
        """Return all roles, built-in and custom."""
        return list(self._index.roles.values())

    def is_protected(self, holder: str) -> bool:
        """Say whether a principal keeps its rights whatever happens: the home's owner does."""
        return holder in self._index.protected

    def load(self, documents: DocumentStore, now: float) -> None:
        """Be up to date now, rather than within half a second."""
        self._refresh(documents, now)

    def notice(self) -> None:
        """Look for changes at the next question: this process has just made one."""
        self._checked = float("-inf")

    def ancestry(self, documents: DocumentStore, scope_key: str) -> list[str]:
        """Return the scope and all that contain it, up to the tenant (''); a registry lies in its resource group."""
        scopes = containing(scope_key)
        if scope_key.startswith("registries/"):
            scopes += containing(self._group_of("/".join(scope_key.split("/", 2)[:2]), documents))
        scopes.append(TENANT)
        return scopes

    def _decided(self, holders: tuple[str, ...], action: str, scopes: list[str], *, is_below: bool = False) -> bool:
        index = self._index
        if index.protected and holders[0] in index.protected:
            return True
        for holder in holders:
            if self._grants(index.given, holder, action, scopes):
                break
        else:
            return False
        if not index.denied:
            return True
        denied = (*holders, EVERYBODY)
        return not any(self._denies(holder, holders, action, scopes, is_below=is_below) for holder in denied)

    def _grants(self, table: _Table, holder: str, action: str, scopes: list[str]) -> bool:
        held = table.get(holder)
        if not held:
            return False
        for scope in scopes:  # no generators here: this is where checks spend their time
            for one in held.get(scope, ()):
                if self._covers(one, action):
                    return True
        return False

    def _denies(self, holder: str, holders: tuple[str, ...], action: str, scopes: list[str], *, is_below: bool) -> bool:
        held = self._index.denied.get(holder)
        if not held:
            return False
        return any(
            self._covers(one, action)
            and not (one.is_only_here and (depth or is_below))
            and one.excepted.isdisjoint(holders)
            for depth, scope in enumerate(scopes)
            for one in held.get(scope, ())
        )

    def _covers(self, holding: Holding, action: str) -> bool:
        role = self.role(holding)
        return role is not None and role.grants(action)

    def _covered(
        self, holders: tuple[str, ...], action: str, scope_key: str, *, is_allowed: bool, passes_down: bool
    ) -> Coverage:
        index = self._index
        if not passes_down:
            given = self._within(index.given, holders, action, scope_key)
            return Coverage.NONE if next(given, None) is None else Coverage.SOME
        if not is_allowed:
            return Coverage.SOME
        if not index.denied or holders[0] in index.protected:
            return Coverage.ALL
        denied = self._within(index.denied, (*holders, EVERYBODY), action, scope_key)
        return Coverage.ALL if next(denied, None) is None else Coverage.SOME

    def _within(self, table: _Table, holders: Iterable[str], action: str, scope_key: str) -> Iterator[Holding]:
        prefix = scope_key + "/"
        for holder in holders:
            for scope, holdings in tuple(table.get(holder, {}).items()):
                if scope.startswith(prefix):
                    yield from (one for one in holdings if self._covers(one, action))

    def _group_of(self, registry_key: str, documents: DocumentStore) -> str:
        known = self._parents.get(registry_key)
        if known is not None:
            return known
        parents = self._parents
        document = documents.get(registry_key)
        if document is None:
            return ""
        parts = document.body["id"].strip("/").split("/")
        group = WorkspaceScope(parts[1], parts[3], "").key.rpartition("/workspaces/")[0]
        parents[registry_key] = group
        return group

    def _refresh(self, documents: DocumentStore, now: float) -> None:
        with self._lock:
            if self._position is None:
                newest = documents.read(CHANGES, limit=1, newest=True)
                self._position = newest[0].position if newest else 0
                self._load(documents)
                self._memo = {}
            while entries := documents.read(CHANGES, after=self._position, limit=_PAGE):
                for key in {entry.body["key"] for entry in entries}:
                    self._take(documents, key)
                self._position = entries[-1].position
                self._memo = {}
            self._checked = now

    def _take(self, documents: DocumentStore, key: str) -> None:
        """Read one document afresh, whatever became of it."""
        document = documents.get(key)
        index = self._index
        if key.startswith(DEFINITIONS + "/"):
            if document is None:
                index.roles.pop(key.rpartition("/")[2], None)
            else:
                role = role_of(document)
                index.roles[role.id] = role
            return
        if key.startswith(REGISTRIES + "/"):
            self._parents = {}
        index.replace(key, holdings_of(document) if document else ())

    def _load(self, documents: DocumentStore) -> None:
        index = _Index()
        for family in (DEFINITIONS, DENIALS, ASSIGNMENTS):
            after: str | None = None
            while True:
                page = documents.scan(family + "/", after=after, limit=_PAGE)
                for document in page.documents:
                    if family == DEFINITIONS:
                        role = role_of(document)
                        index.roles[role.id] = role
                    else:
                        index.replace(document.key, holdings_of(document))
                if (after := page.next) is None:
                    break
        while True:
            page = documents.list(REGISTRIES, view=View.ALL, after=after, limit=_PAGE)
            for document in page.documents:
                index.replace(document.key, holdings_of(document))
            if (after := page.next) is None:
                break
        self._index = index
        self._parents = {}


def _remember(
    memo: dict[tuple[tuple[str, ...], str, str], Any], question: tuple[tuple[str, ...], str, str], answer: Any
) -> None:
    if len(memo) >= _MEMO_CAPACITY:
        memo.clear()
    memo[question] = answer
