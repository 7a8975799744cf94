"""The audit trail: one entry per write, in the write's own commit, and one per refusal. Entries are never changed.

Here is recording; searching is in `search.py`, the seals that make changes show in `sealing.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from entrepot.core.clock import to_iso
from entrepot.store.documents import Append, Entry

if TYPE_CHECKING:
    from entrepot.domain.hub import Hub, Principal

Json = Any

STREAM = "audit"
ALLOWED = "allowed"
DENIED = "denied"
UNAUTHENTICATED = "unauthenticated"

_REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The request that is being answered, for entries of refusals deep within it."""


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    """Let entries that are made meanwhile, on this thread, tell of this request; '' is of the one before."""
    token = _REQUEST.set(request_id or _REQUEST.get())
    try:
        yield
    finally:
        _REQUEST.reset(token)


def entry(
    principal: "Principal",
    action: str,
    *,
    target: str,
    now: float,
    outcome: str = ALLOWED,
    request_id: str = "",
    details: Json = None,
) -> dict[str, Json]:
    """Return what the trail tells of one act: who did what to what, when, and how it ended."""
    who: dict[str, Json] = {"id": principal.id, "name": principal.name, "kind": principal.kind}
    if principal.via:
        who["via"] = principal.via
    told: dict[str, Json] = {
        "time": to_iso(now),
        "principal": who,
        "action": action,
        "target": target,
        "outcome": outcome,
        "requestId": request_id or _REQUEST.get(),
    }
    if details is not None:
        told["details"] = details
    return told


def record(
    principal: "Principal",
    action: str,
    *,
    target: str,
    now: float,
    outcome: str = ALLOWED,
    request_id: str = "",
    details: Json = None,
) -> Append:
    """Return the change that records who did what to what; put it into the commit that does it."""
    told = entry(principal, action, target=target, now=now, outcome=outcome, request_id=request_id, details=details)
    return Append(STREAM, told)


def entries(hub: "Hub", *, after: int = 0, limit: int = 1000, newest: bool = False) -> Sequence[Entry]:
    """Return entries after a position, oldest first; with `newest` the last ones, newest first."""
    return hub.documents.read(STREAM, after=after, limit=limit, newest=newest)
