"""Long-running operations as clients poll them: a document each, from InProgress to Succeeded or Failed."""

from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import EntrepotError, NotFound
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document, Put

Json = Any

IN_PROGRESS = "InProgress"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
_KEY = "operations"


def opened(hub: Hub, principal: Principal, *, what: str, target: str) -> Put:
    """Return the change that opens an operation, for a commit that also starts the work."""
    name = hub.new_id()
    body = {
        "id": f"/{_KEY}/{name}",
        "name": name,
        "status": IN_PROGRESS,
        "startTime": to_iso(hub.clock.now()),
        "properties": {"operation": what, "target": target, "startedBy": principal.id},
    }
    return Put(f"{_KEY}/{name}", body)


def start(hub: Hub, principal: Principal, *, what: str, target: str) -> Document:
    """Open an operation; its body's `name` is the id to poll. `target` is the id of what it makes."""
    return hub.documents.commit([opened(hub, principal, what=what, target=target)])[0]


def finish(hub: Hub, name: str, *, error: EntrepotError | None = None, result: Json = None) -> Document:
    """End an operation, well or with an error; ending it twice keeps the first end. Raises NotFound."""
    document = _find(hub, name)
    body = document.body
    if body["status"] != IN_PROGRESS:
        return document
    body |= {"status": FAILED if error else SUCCEEDED, "endTime": to_iso(hub.clock.now())}
    if error:
        body["error"] = {"code": error.code, "message": error.message}
    if result is not None:
        body["properties"]["result"] = result
    return hub.documents.commit([Put(document.key, body)])[0]


def ended(hub: Hub, name: str, *, error: Json = None) -> Put | None:
    """Return the change that ends an operation, for the commit that ends its work; None when there is none to end.

    `error`: {"code", "message"}.
    """
    document = hub.documents.get(f"{_KEY}/{name}")
    if document is None or document.body["status"] != IN_PROGRESS:
        return None
    body = document.body | {"status": FAILED if error else SUCCEEDED, "endTime": to_iso(hub.clock.now())}
    if error:
        body["error"] = error
    return Put(document.key, body, match=document.revision)


def under_way(hub: Hub, name: str, *, progress: str) -> Put | None:
    """Return the change that says how far an operation is; None when there is none, or it has ended."""
    document = hub.documents.get(f"{_KEY}/{name}")
    if document is None or document.body["status"] != IN_PROGRESS:
        return None
    body = document.body
    body["properties"]["progress"] = progress
    return Put(document.key, body, match=document.revision)


def get(hub: Hub, principal: Principal, name: str) -> Document:
    """Return an operation to whoever started it; its name is a secret GUID. Raises NotFound."""
    document = _find(hub, name)
    if document.body["properties"]["startedBy"] != principal.id:
        raise NotFound(f"There is no operation {name}")
    return document


def _find(hub: Hub, name: str) -> Document:
    document = hub.documents.get(f"{_KEY}/{name}")
    if document is None:
        raise NotFound(f"There is no operation {name}")
    return document
