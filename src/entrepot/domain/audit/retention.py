"""Letting old entries go: whole sealed batches, with a signed checkpoint in their place, so that the rest verifies."""

from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import InvalidRequest, StateConflict
from entrepot.domain import access, audit
from entrepot.domain.audit import STREAM
from entrepot.domain.audit.sealing import CHECKPOINT, SEALS, Notary, seal, start_of
from entrepot.domain.audit.search import DELETE
from entrepot.domain.audit.verifying import verify
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import ABSENT, Entry, Put, Trim

Json = Any

_PAGE = 1000


def trim(hub: Hub, principal: Principal, notary: Notary, before: float, *, request_id: str = "") -> Json:
    """Let go of the sealed batches that ended before a time (epoch seconds); the newest batch always stays.

    Raises AccessDenied for who may not do so in the whole tenant, StateConflict when the trail does not verify.
    """
    access.require(hub, principal, DELETE, "", request_id=request_id)
    if before > hub.clock.now():
        raise InvalidRequest("Entries are kept at least until now: give a time in the past", target="before")
    seal(hub, notary)
    found = verify(hub, notary)
    if found.problems:
        raise StateConflict(f"The trail is not intact, so nothing is let go: {found.problems[0]}")
    document, start = start_of(hub)
    last = _last_before(hub, start.get("seal", 0), to_iso(before))
    if last is None:
        return {"removed": 0, "beginsBehind": start["position"]}
    kept = {name: last.body[name] for name in ("number", "position", "hash", "time")}
    checkpoint = notary.signed({**kept, "seal": last.position})
    now = hub.clock.now()
    told = {"removed": last.body["position"] - start["position"], "beginsBehind": last.body["position"]}
    hub.documents.commit(
        [
            Put(CHECKPOINT, checkpoint, match=document.revision if document else ABSENT),
            Trim(STREAM, last.body["position"]),
            Trim(SEALS, last.position),
            audit.record(principal, DELETE, target="/", now=now, request_id=request_id, details=told),
        ]
    )
    seal(hub, notary)
    return told


def _last_before(hub: Hub, after: int, end: str) -> Entry | None:
    """Return the last seal made before a time, but never the newest of all: positions go on from what is kept."""
    newest = hub.documents.read(SEALS, limit=1, newest=True)
    found: Entry | None = None
    while seals := hub.documents.read(SEALS, after=after, limit=_PAGE):
        for one in seals:
            if one.body["time"] >= end or one.position == newest[0].position:
                return found
            found = one
        after = seals[-1].position
    return found
