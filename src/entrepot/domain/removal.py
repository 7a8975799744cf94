"""Removing a registry, workspace or group with all it holds: marked in one commit, emptied in batches, resumable.

With its documents go the edges that leave them, the streams that belong to them and the containers that it owns: a home
of the same name that is made later finds nothing of the old one. Bytes are not touched here: other assets may have the
same ones.
"""

from collections.abc import Iterator
from typing import Any

from entrepot.domain.authorization.assignments import swept
from entrepot.domain.authorization.holdings import changed
from entrepot.domain.hub import Hub
from entrepot.store.documents import LAST_SEQUENCE, Change, Delete, Document, Enqueue, Put, Trim, Unlink, Work

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
        hub.documents.commit([change for found in page.documents for change in _removed(found)])
    hub.containers.abandon(key)
    hub.documents.commit([Delete(key), Delete(f"workspaceids/{guid}"), changed(key), *swept(hub, key)])
    hub.grants.notice()


def _removed(document: Document) -> Iterator[Change]:
    body = document.body
    yield Delete(document.key)
    if isinstance(body.get("id"), str):
        yield Unlink(body["id"])
    yield from trimmed(document.key, body)


def trimmed(key: str, body: Json) -> list[Change]:
    """Return the changes that empty the streams of a document that goes."""
    return [Trim(stream, LAST_SEQUENCE) for stream in _streams(key, body)]


def _streams(key: str, body: Json) -> Iterator[str]:
    """Yield the streams of a document: a pipeline's events, the values of each metric of a run."""
    collection = key.rpartition("/")[0]
    if collection.endswith("/jobs"):
        yield f"{key}/events"
    if collection.endswith("/runs"):
        yield from (f"{key}/metrics/{name}" for name in body.get("metrics") or ())


def provision(hub: Hub, work: Work) -> None:
    """Handle one item of the queue `provision`."""
    payload: dict[str, Json] = work.payload
    empty(hub, payload["remove"], payload["guid"])
