"""Who holds which role where, in memory: the answer to "may they?" in microseconds. Rules and texts: `access.py`."""

import threading
from collections import defaultdict

from entrepot.core.ids import WorkspaceScope
from entrepot.domain.authorization.roles import BUILT_IN_ROLES, Role
from entrepot.store.documents import DocumentStore

EPOCH_KEY = "roleassignments"
"""A document that changes with every assignment, so that other processes notice."""

_PEERS_NOTICE_S = 1.0
_MEMO_CAPACITY = 100_000


class Grants:
    """Role assignments indexed by principal and scope, with a memo of decisions. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoch = -1
        self._checked = float("-inf")
        self._roles: dict[tuple[str, str], list[Role]] = {}
        self._memo: dict[tuple[tuple[str, ...], str, str], bool] = {}
        self._parents: dict[str, str] = {}

    def decide(
        self, documents: DocumentStore, holders: tuple[str, ...], action: str, scope_key: str, now: float
    ) -> bool:
        """Say whether any of the holders (a principal and its groups) has the action at the scope or above it."""
        if now - self._checked >= _PEERS_NOTICE_S or now < self._checked:
            self._refresh(documents, now)
        memo = self._memo
        question = (holders, action, scope_key)
        known = memo.get(question)
        if known is None:
            known = self._walk(documents, holders, action, scope_key)
            if len(memo) >= _MEMO_CAPACITY:
                memo.clear()
            memo[question] = known
        return known

    def forget(self) -> None:
        """Read the assignments afresh at the next question: this process changed them, or a registry went."""
        with self._lock:
            self._checked = float("-inf")
            self._epoch = -1
            self._parents = {}

    def _walk(self, documents: DocumentStore, holders: tuple[str, ...], action: str, scope_key: str) -> bool:
        roles = self._roles
        for scope in self.ancestry(documents, scope_key):
            for holder in holders:
                for role in roles.get((holder, scope), ()):
                    if role.grants(action):
                        return True
        return False

    def ancestry(self, documents: DocumentStore, scope_key: str) -> list[str]:
        """Return the scope and all that contain it, up to the tenant (''); a registry lies in its resource group."""
        scopes = []
        rest = scope_key
        while rest:
            scopes.append(rest)
            rest = rest.rpartition("/")[0]
        if scope_key.startswith("registries/"):
            group = self._group_of("/".join(scope_key.split("/", 2)[:2]), documents)
            while group:
                scopes.append(group)
                group = group.rpartition("/")[0]
        scopes.append("")
        return scopes

    def _group_of(self, registry_key: str, documents: DocumentStore) -> str:
        known = self._parents.get(registry_key)
        if known is not None:
            return known
        document = documents.get(registry_key)
        if document is None:
            return ""
        parts = document.body["id"].strip("/").split("/")
        group = WorkspaceScope(parts[1], parts[3], "").key.rpartition("/workspaces/")[0]
        self._parents[registry_key] = group
        return group

    def _refresh(self, documents: DocumentStore, now: float) -> None:
        with self._lock:
            epoch = documents.get(EPOCH_KEY)
            revision = 0 if epoch is None else epoch.revision
            if revision != self._epoch:
                self._roles = _load(documents)
                self._memo = {}
                self._epoch = revision
            self._checked = now


def _load(documents: DocumentStore) -> dict[tuple[str, str], list[Role]]:
    roles: defaultdict[tuple[str, str], list[Role]] = defaultdict(list)
    after: str | None = None
    while True:
        page = documents.scan(EPOCH_KEY + "/", after=after)
        for document in page.documents:
            body = document.body
            role = BUILT_IN_ROLES.get(body["entrepot"]["role"])
            if role is not None:
                roles[(body["properties"]["principalId"], body["entrepot"]["scopeKey"])].append(role)
        after = page.next
        if after is None:
            return dict(roles)
