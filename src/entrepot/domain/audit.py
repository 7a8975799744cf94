"""The audit trail: one entry per write, in the write's own commit, and one per refusal. Entries are never changed."""

from collections.abc import Sequence
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Append, Entry

Json = Any

STREAM = "audit"
ALLOWED = "allowed"
DENIED = "denied"


def record(
    principal: Principal,
    action: str,
    *,
    target: str,
    now: float,
    outcome: str = ALLOWED,
    request_id: str = "",
    details: Json = None,
) -> Append:
    """Return the change that records who did what to what; put it into the commit that does it."""
    who: dict[str, Json] = {"id": principal.id, "name": principal.name, "kind": principal.kind}
    if principal.via:
        who["via"] = principal.via
    entry: dict[str, Json] = {
        "time": to_iso(now),
        "principal": who,
        "action": action,
        "target": target,
        "outcome": outcome,
        "requestId": request_id,
    }
    if details is not None:
        entry["details"] = details
    return Append(STREAM, entry)


def entries(hub: Hub, *, after: int = 0, limit: int = 1000, newest: bool = False) -> Sequence[Entry]:
    """Return entries after a position, oldest first; with `newest` the last ones, newest first."""
    return hub.documents.read(STREAM, after=after, limit=limit, newest=newest)
