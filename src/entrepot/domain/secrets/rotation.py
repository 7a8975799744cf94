"""Rotation: a new key for all secrets of the store, so that older keys may go. It may be killed at any moment."""

from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import RevisionMismatch
from entrepot.domain import access, audit
from entrepot.domain.authorization.roles import AUTHORIZATION
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.secrets.sealing import MARK, SealedElsewhere, is_sealed, sealed_with
from entrepot.store.documents import Document, Put

Json = Any

ROTATE = f"{AUTHORIZATION}/secrets/write"
_MARK = MARK.encode()
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many documents were sealed anew, and the keys of those that no key of this server opens."""

    count: int
    unreadable: tuple[str, ...]


def rotate(hub: Hub, principal: Principal, *, request_id: str = "") -> Json:
    """Make a new key and seal every secret with it; where keys are given from outside, seal with the newest of them.

    An older key is dropped only when nothing is sealed with it, so a rotation that was cut off leaves all secrets
    readable, and the next one ends it. Raises AccessDenied.
    """
    access.require(hub, principal, ROTATE, "", request_id=request_id)
    with hub.locks.of("secrets"):
        done, file = reseal(hub), hub.sealer.file
        if file is not None:
            file.add()
            hub.sealer.forget()
            done = reseal(hub)
            file.retire()
            hub.sealer.forget()
    told = {
        "key": hub.sealer.newest, "isNewKey": file is not None, "documents": done.count,
        "unreadable": list(done.unreadable),
    }  # fmt: skip
    record = audit.record(principal, ROTATE, target="/", now=hub.clock.now(), request_id=request_id, details=told)
    hub.documents.commit([record])
    return told


def reseal(hub: Hub) -> Resealed:
    """Seal with the newest key whatever is sealed with another one. A document that changes meanwhile is read again."""
    count = 0
    unreadable: list[str] = []
    after: str | None = None
    while True:
        page = hub.documents.scan("", after=after, limit=_PAGE)
        for document in page.documents:
            if _MARK in document.raw:
                try:
                    count += _resealed(hub, document)
                except SealedElsewhere:
                    unreadable.append(document.key)
        after = page.next
        if after is None:
            return Resealed(count, tuple(unreadable))


def _resealed(hub: Hub, document: Document) -> bool:
    found: Document | None = document
    while found is not None:
        body = found.body
        fresh = _anew(hub, body, found.key)
        if fresh == body:
            return False
        put = Put(found.key, fresh, match=found.revision, is_archived=found.is_archived, facets=None)
        try:
            hub.documents.commit([put])
        except RevisionMismatch:
            found = hub.documents.get(found.key)
        else:
            return True
    return False


def _anew(hub: Hub, value: Json, at: str) -> Json:
    if isinstance(value, dict):
        return {name: _anew(hub, item, at) for name, item in value.items()}
    if isinstance(value, list):
        return [_anew(hub, item, at) for item in value]
    if is_sealed(value) and sealed_with(value) != hub.sealer.newest:
        return hub.sealer.seal(hub.sealer.open(value, at=at), at=at)
    return value
