"""Sealing every secret of the store anew with the newest key, so that older keys may go."""

from typing import Any

from entrepot.core.errors import RevisionMismatch
from entrepot.domain import audit
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.secrets.sealing import MARK, is_sealed, sealed_with
from entrepot.store.documents import Document, Put

Json = Any

ROTATE = "Microsoft.Authorization/secrets/rotate/action"
_MARK = MARK.encode()
_PAGE = 500


def reseal(hub: Hub, principal: Principal, *, request_id: str = "") -> int:
    """Seal with the newest key whatever is sealed with another one, and return how many documents changed.

    A document that changes meanwhile is read again. May be run again at any time, and after a crash has to be.
    """
    changed = 0
    after: str | None = None
    while True:
        page = hub.documents.scan("", after=after, limit=_PAGE)
        for document in page.documents:
            if _MARK in document.raw:
                changed += _resealed(hub, document)
        after = page.next
        if after is None:
            break
    record = audit.record(
        principal, ROTATE, target="/", now=hub.clock.now(), request_id=request_id, details={"documents": changed}
    )
    hub.documents.commit([record])
    return changed


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
