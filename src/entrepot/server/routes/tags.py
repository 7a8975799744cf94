"""ARM's tags of a group, a registry or a workspace, as `az tag` reads and changes them beside all else of it."""

from collections.abc import Iterator
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain import groups, registries, workspaces
from entrepot.server.calls import Answer, Call, Handler, reply
from entrepot.server.inner.requests import Requests
from entrepot.server.places import GROUP, REGISTRY, WORKSPACE
from entrepot.server.routing import Route

Json = Any

_TAGS = "/providers/Microsoft.Resources/tags/default"
_NOT_SENT = frozenset({"id", "name", "type", "systemData", "entrepot"})


def _owner(call: Call) -> str:
    """Return the ARM id of what has the tags."""
    return "/" + call.path.strip("/").rpartition("/providers/")[0]


def _found(call: Call) -> dict[str, Json]:
    body = Requests(call.site).get(call.principal, _owner(call))
    if body is None:
        raise NotFound(f"There is no {_owner(call)}, or you may not see it")
    return dict(body)


def _shown(call: Call, tags: Json) -> Answer:
    id = _owner(call) + _TAGS
    return reply({"id": id, "name": "default", "type": "Microsoft.Resources/tags", "properties": {"tags": tags}})


def _get(call: Call) -> Answer:
    return _shown(call, _found(call).get("tags") or {})


def _put(call: Call) -> Answer:
    return _changed(call, _found(call), _given(call))


def _patch(call: Call) -> Answer:
    body, given = _found(call), _given(call)
    tags, operation = body.get("tags") or {}, str(call.object.get("operation") or "Merge").lower()
    if operation == "merge":
        return _changed(call, body, {**tags, **given})
    if operation == "delete":
        return _changed(call, body, {name: value for name, value in tags.items() if given.get(name) != value})
    if operation != "replace":
        raise InvalidRequest(f"operation is {operation!r}; it must be Merge, Replace or Delete", target="operation")
    return _changed(call, body, given)


def _delete(call: Call) -> Answer:
    return _changed(call, _found(call), {})


def _given(call: Call) -> dict[str, str]:
    tags = call.properties.get("tags")
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise InvalidRequest("properties.tags must be an object of texts", target="properties.tags")
    return tags


def _changed(call: Call, body: dict[str, Json], tags: dict[str, str]) -> Answer:
    kept = {name: value for name, value in body.items() if name not in _NOT_SENT}
    Requests(call.site).put(call.principal, _owner(call), {**kept, "tags": tags}, request_id=call.request_id)
    return _shown(call, tags)


def _routes() -> Iterator[Route]:
    verbs: tuple[tuple[str, Handler], ...] = (("PUT", _put), ("PATCH", _patch), ("DELETE", _delete))
    for place, read, write in (
        (GROUP, groups.READ, groups.WRITE),
        (REGISTRY, registries.READ, registries.WRITE),
        (WORKSPACE, workspaces.READ, workspaces.WRITE),
    ):
        yield Route("GET", place + _TAGS, read, _get)
        for method, handler in verbs:
            yield Route(method, place + _TAGS, write, handler)


ROUTES = tuple(_routes())
