"""Schedules of a workspace: create, read, list, delete, and fire now."""

from collections.abc import Iterator

from entrepot.domain.schedules import firing, schedules
from entrepot.domain.schedules.schedules import DELETE, READ, WRITE
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import PREFIXES, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.wire.arm import next_url, page_body
from entrepot.wire.schedules import schedules_query


def _put(call: Call) -> Answer:
    document, is_created = schedules.put(
        call.hub, call.principal, workspace_of(call), call.params["schedule"], call.properties,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document, status=201 if is_created else 200)


def _get(call: Call) -> Answer:
    return reply_document(schedules.get(call.hub, call.principal, workspace_of(call), call.params["schedule"]))


def _list(call: Call) -> Answer:
    asked = schedules_query(call.query)
    page = schedules.list_(
        call.hub, call.principal, workspace_of(call), view=asked.view, after=asked.after, limit=asked.limit
    )
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _delete(call: Call) -> Answer:
    schedules.delete(call.hub, call.principal, workspace_of(call), call.params["schedule"], request_id=call.request_id)
    return reply_empty(200)


def _trigger(call: Call) -> Answer:
    return reply(
        firing.trigger(
            call.hub, call.principal, workspace_of(call), call.params["schedule"], request_id=call.request_id
        )
    )


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        schedule = prefix + WORKSPACE + "/schedules/{schedule}"
        yield Route("PUT", schedule, WRITE, _put)
        yield Route("GET", schedule, READ, _get, inline=True)
        yield Route("DELETE", schedule, DELETE, _delete)
        yield Route("GET", prefix + WORKSPACE + "/schedules", READ, _list, inline=True)
        yield Route("POST", schedule + "/trigger", WRITE, _trigger)


ROUTES = tuple(_routes())
