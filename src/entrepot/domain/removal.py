"""Removing a registry, workspace or group with all it holds: marked in one commit, emptied in batches, resumable.

Bytes are not touched here: other assets may have the same ones.
"""

from typing import Any

from entrepot.domain.authorization.assignments import swept
from entrepot.domain.authorization.holdings import changed
from entrepot.domain.hub import Hub
from entrepot.store.documents import Change, Delete, Document, Enqueue, Put, Work

Json = Any

QUEUE = "provision"
DELETING = "Deleting"
_BATCH = 500


def mark(document: Document) -> list[Change]:
    """Return the changes that say a home is being deleted and have it emptied, also after a crash."""
    body = document.body
    body["properties"]["provisioningState"] = DELETING
    guid = body["entrepot"]["guid"]
    return [
        Put(document.key, body, match=document.revision, facets=None),
        Enqueue(QUEUE, f"remove:{guid}", {"remove": document.key, "guid": guid}),
    ]


def empty(hub: Hub, key: str, guid: str) -> None:
    """Delete everything below a marked home and then the home; nothing happens when it is another one by now."""
    document = hub.documents.get(key)
    if document is None:
        return
    body = document.body
    if body["entrepot"]["guid"] != guid or body["properties"]["provisioningState"] != DELETING:
        return
    while True:
        page = hub.documents.scan(key + "/", limit=_BATCH)
        if not page.documents:
            break
        hub.documents.commit([Delete(found.key) for found in page.documents])
    hub.documents.commit([Delete(key), Delete(f"workspaceids/{guid}"), changed(key), *swept(hub, key)])
    hub.grants.notice()


def provision(hub: Hub, work: Work) -> None:
    """Handle one item of the queue `provision`."""
    payload: dict[str, Json] = work.payload
    empty(hub, payload["remove"], payload["guid"])
