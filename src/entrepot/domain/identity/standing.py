"""What one process knows of principals between requests: may they still act, and in which groups are they?

Answers come from memory until the directory changes; a change by another process is noticed within half a second.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.digests import digest_of
from entrepot.store.documents import DocumentStore

Json = Any

EPOCH_KEY = "principals"
"""A document that changes with everything in the directory, so that other processes notice."""

_PEERS_NOTICE_S = 0.5
_CAPACITY = 20_000
_MOST_GROUPS = 10_000


@dataclass(frozen=True, slots=True)
class Holder:
    """A principal as it stands now. `generation` counts revocations; `credentials` are what its application has."""

    id: str
    name: str
    kind: str
    is_enabled: bool
    generation: int
    groups: tuple[str, ...] = ()
    credentials: frozenset[str] = frozenset()
    is_guest: bool = False
    body: Mapping[str, Json] = field(default_factory=dict)


class Standing:
    """Holders by id, for as long as the directory stays as it is. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoch = -1
        self._changes = 0
        self._checked = float("-inf")
        self._holders: dict[str, Holder | None] = {}

    def stamp(self, documents: DocumentStore, now: float) -> int:
        """Return a number that changes when the directory did."""
        if now - self._checked >= _PEERS_NOTICE_S or now < self._checked:
            self._refresh(documents, now)
        return self._changes

    def of(self, documents: DocumentStore, id: str, now: float) -> Holder | None:
        """Return the principal with this id, its groups resolved; None when there is none."""
        stamp = self.stamp(documents, now)
        holders = self._holders
        if id not in holders:
            found = _load(documents, id)
            if len(holders) >= _CAPACITY:
                holders.clear()
            if stamp != self._changes:
                return found
            holders[id] = found
            return found
        return holders[id]

    def forget(self) -> None:
        """Read afresh from now on: this process changed the directory."""
        with self._lock:
            self._changes += 1
            self._holders = {}
            self._checked = float("-inf")

    def _refresh(self, documents: DocumentStore, now: float) -> None:
        with self._lock:
            epoch = documents.get(EPOCH_KEY)
            revision = 0 if epoch is None else epoch.revision
            if revision != self._epoch:
                self._epoch = revision
                self._changes += 1
                self._holders = {}
            self._checked = now


def _load(documents: DocumentStore, id: str) -> Holder | None:
    document = documents.get(f"principals/{id.lower()}")
    if document is None:
        return None
    body = document.body
    kind = str(body["@odata.type"]).rpartition(".")[2]
    if kind not in ("user", "servicePrincipal"):
        return None
    return Holder(
        id=body["id"],
        name=body.get("userPrincipalName") or body["displayName"],
        kind="User" if kind == "user" else "ServicePrincipal",
        is_enabled=body["accountEnabled"],
        generation=body["entrepot"]["generation"],
        groups=groups_of(documents, body["id"], given=body["entrepot"].get("mappedGroups", ())),
        is_guest=body.get("userType") == "Guest",
        credentials=_credentials(documents, body) if kind == "servicePrincipal" else frozenset(),
        body=body,
    )


def _credentials(documents: DocumentStore, body: Json) -> frozenset[str]:
    """Return the ids of what the principal's application proves itself with."""
    named = documents.get(name_key("application", body["appId"]))
    application = documents.get(f"principals/{named.body['id']}") if named else None
    if application is None:
        return frozenset()
    held = application.body
    lists = (held["passwordCredentials"], held["keyCredentials"], held["entrepot"].get("federated", ()))
    return frozenset(entry.get("keyId") or entry["id"] for entries in lists for entry in entries)


def name_key(kind: str, name: str) -> str:
    """Return the key of the document that says who has a name which only one may have."""
    return f"principalnames/{kind}/{digest_of(name.lower().encode())}"


def groups_of(documents: DocumentStore, id: str, *, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the ids of all groups that a principal is in, directly, through other groups, or as is `given`."""
    found: dict[str, None] = dict.fromkeys(given)
    waiting = [id, *given]
    while waiting and len(found) < _MOST_GROUPS:
        for group in _direct(documents, waiting.pop()):
            if group not in found:
                found[group] = None
                waiting.append(group)
    return tuple(found)


def _direct(documents: DocumentStore, id: str) -> list[str]:
    groups: list[str] = []
    after: str | None = None
    while True:
        page = documents.find("principals", "member", id, after=after, limit=1000)
        groups += [document.body["group"] for document in page.documents]
        after = page.next
        if after is None:
            return groups
