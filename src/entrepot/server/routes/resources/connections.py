"""Connections of a workspace: create, read, change, list, delete, and tell their credentials."""

from collections.abc import Iterator

from entrepot.domain.connections import connections
from entrepot.domain.connections.connections import DELETE, READ, SECRETS, WRITE
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import PREFIXES, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.wire.arm import list_query, next_url, page_body


def _put(call: Call) -> Answer:
    document = connections.put(
        call.hub, call.principal, workspace_of(call), call.params["connection"], call.properties,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document)  # azure-ai-ml 1.35 takes no 201 here


def _get(call: Call) -> Answer:
    return reply_document(connections.get(call.hub, call.principal, workspace_of(call), call.params["connection"]))


def _list(call: Call) -> Answer:
    asked = list_query(call.query)
    page = connections.list_(
        call.hub, call.principal, workspace_of(call), category=call.query.get("category"),
        target=call.query.get("target"), after=asked.after, limit=asked.limit,
    )  # fmt: skip
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _secrets(call: Call) -> Answer:
    return reply(
        connections.secrets(
            call.hub, call.principal, workspace_of(call), call.params["connection"], request_id=call.request_id
        )
    )


def _delete(call: Call) -> Answer:
    connections.delete(
        call.hub, call.principal, workspace_of(call), call.params["connection"], request_id=call.request_id
    )
    return reply_empty(200)


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        place = prefix + WORKSPACE + "/connections"
        one = place + "/{connection}"
        yield Route("PUT", one, WRITE, _put)
        yield Route("PATCH", one, WRITE, _put)
        yield Route("GET", one, READ, _get, inline=True)
        yield Route("DELETE", one, DELETE, _delete)
        yield Route("GET", place, READ, _list, inline=True)
        yield Route("POST", one + "/listsecrets", SECRETS, _secrets)


ROUTES = tuple(_routes())
