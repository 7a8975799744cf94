"""The audit trail: one entry per write, in the write's own commit, and one per refusal. Entries are never changed.

Here is recording; searching is in `search.py`, the seals that make changes show in `sealing.py`.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from entrepot.core.clock import to_iso
from entrepot.store.documents import Append, DocumentStore, Entry

if TYPE_CHECKING:
    from entrepot.domain.hub import Hub, Principal

Json = Any

STREAM = "audit"
ALLOWED = "allowed"
DENIED = "denied"
UNAUTHENTICATED = "unauthenticated"

_MOST_WAITING = 1000


class Notes:
    """Entries on their way to the trail that nobody waits for: refused reads, and writes that come by the thousand.

    The same again before it is written is counted, not repeated, so that asking is not a way to fill the disk. Other
    writes and their refusals are in the trail before they are answered; they do not come here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str, str], dict[str, Json]] = {}
        self._lost = 0

    def note(self, entry: dict[str, Json]) -> None:
        """Remember an entry until the next `write`."""
        which = (entry["principal"]["id"], entry["action"], entry["target"])
        with self._lock:
            known = self._waiting.get(which)
            if known is not None:
                known["count"] = known.get("count", 1) + 1
            elif len(self._waiting) < _MOST_WAITING:
                self._waiting[which] = entry
            else:
                self._lost += 1

    def write(self, documents: DocumentStore) -> None:
        """Append what was noted since the last time, in one commit; when there were too many, how many more."""
        with self._lock:
            waiting, self._waiting, lost, self._lost = self._waiting, {}, self._lost, 0
        if not waiting:
            return
        entries = list(waiting.values())
        if lost:
            entries[-1]["more"] = lost
        try:
            documents.commit([Append(STREAM, entry) for entry in entries])
        except BaseException:
            for entry in entries:
                self.note(entry)
            raise


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
        "requestId": request_id,
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
