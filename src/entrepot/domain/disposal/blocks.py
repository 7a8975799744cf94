"""Blocks of uploads that were never committed: kept for a week, as in Azure, so that a client may go on; then deleted.

The work item waits for itself, so that it survives restarts and runs once for all servers of a store.
"""

from entrepot.domain.hub import Hub
from entrepot.domain.scopes import known_regions
from entrepot.store.documents import Enqueue, Postpone, Work

QUEUE = "disposal"
KEPT_S = 7 * 24 * 3600.0
PAUSE_S = 6 * 3600.0
_KEY = "blocks"


def begin(hub: Hub) -> None:
    """Have abandoned blocks looked for, now and ever again; an item that waits already stays."""
    hub.documents.commit([Enqueue(QUEUE, _KEY)])


def dispose(hub: Hub, work: Work) -> None:
    """Handle the item of the queue `disposal`."""
    now = hub.clock.now()
    for region in known_regions(hub):
        hub.containers.sweep(region, before=now - KEPT_S)
    hub.documents.commit([Postpone(work, due=now + PAUSE_S)])
