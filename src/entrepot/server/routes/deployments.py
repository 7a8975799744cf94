"""Deployments of ARM templates in resource groups and subscriptions, and the statuses by which clients wait."""

import time
from collections.abc import Iterator
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain.deployments import deployments
from entrepot.domain.deployments.records import FINAL, SUCCEEDED, TYPE, Target
from entrepot.server.calls import Answer, Call, Header, reply, reply_document, reply_empty, reply_raw
from entrepot.server.inner.requests import Requests
from entrepot.server.places import GROUP, SUBSCRIPTION
from entrepot.server.routing import Route
from entrepot.wire.arm import list_query, next_url, page_body, resource_body
from entrepot.wire.json_text import decode_jsonc
from entrepot.wire.resource_lists import deployment_state

Json = Any

_SHORT_S = 1.0
"""So long a PUT waits for the end: most deployments are over by then, and their clients need not ask again."""
_GLANCE_S = 0.02
_RETRY: Header = (b"retry-after", b"1")  # with every answer until the end: Azure's clients wait 30 s without it
_VERSION = "2025-04-01"


def _target(call: Call) -> Target:
    return Target(call.params["subscription"], call.params.get("group", ""), call.params.get("deployment", ""))


def _body(call: Call) -> Json:
    """Read the body as JSON with comments: az splices the template's text into it as it is."""
    body = decode_jsonc(call.origins.inward(call.body))
    if not isinstance(body, dict) or not isinstance(body.get("properties"), dict):
        raise InvalidRequest("The body must be a JSON object with properties.template", target="properties")
    return resource_body(body)


def _validate(call: Call) -> Answer:
    return reply(deployments.validate(call.hub, call.principal, _target(call), _body(call), Requests(call.site)))


def _what_if(call: Call) -> Answer:
    return reply(deployments.what_if(call.hub, call.principal, _target(call), _body(call), Requests(call.site)))


def _put(call: Call) -> Answer:
    target = _target(call)
    accepted = deployments.create(
        call.hub, call.principal, target, _body(call), Requests(call.site), request_id=call.request_id
    )
    document, state, end = accepted, "", time.monotonic() + _SHORT_S
    while time.monotonic() < end and not call.site.stopping.wait(_GLANCE_S):
        document = call.hub.documents.get(target.key) or accepted
        state = document.body["properties"]["provisioningState"]
        if state in FINAL:
            break
    status = 201 if accepted.revision == 1 else 200
    if state == SUCCEEDED:
        return reply_document(document, status=status)
    operation = accepted.body["properties"]["correlationId"]
    address = call.url(f"{target.id}/operationStatuses/{operation}?api-version={_VERSION}")
    return Answer(status, accepted.raw, (*reply({}).headers, (b"azure-asyncoperation", address.encode()), _RETRY))


def _status(call: Call) -> Answer:
    told = deployments.status(call.hub, call.principal, _target(call), call.params["operation"])
    return reply(told, headers=() if told["status"] in FINAL else (_RETRY,))


def _get(call: Call) -> Answer:
    return reply_document(deployments.get(call.hub, call.principal, _target(call)))


def _head(call: Call) -> Answer:
    try:
        _get(call)
    except NotFound:
        return reply_empty(404)
    return reply_empty(204)


def _list(call: Call) -> Answer:
    asked = list_query(call.query)
    state = deployment_state(call.query.get("$filter", ""))
    page = deployments.list_(call.hub, call.principal, _target(call), after=asked.after, limit=asked.limit, state=state)
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _delete(call: Call) -> Answer:
    deployments.delete(call.hub, call.principal, _target(call), request_id=call.request_id)
    return reply_empty(204)


def _cancel(call: Call) -> Answer:
    deployments.cancel(call.hub, call.principal, _target(call), request_id=call.request_id)
    return reply_empty(204)


def _export(call: Call) -> Answer:
    return reply(deployments.export(call.hub, call.principal, _target(call)))


def _operations(call: Call) -> Answer:
    return reply({"value": deployments.operations(call.hub, call.principal, _target(call))})


def _operation(call: Call) -> Answer:
    for operation in deployments.operations(call.hub, call.principal, _target(call)):
        if operation["operationId"] == call.params["operation"]:
            return reply(operation)
    raise NotFound(f"The deployment {call.params['deployment']} has no operation {call.params['operation']}")


def _routes() -> Iterator[Route]:
    for scope in (GROUP, SUBSCRIPTION):
        collection = f"{scope}/providers/{TYPE}"
        one = collection + "/{deployment}"
        yield Route("POST", one + "/validate", f"{TYPE}/validate/action", _validate)
        yield Route("POST", one + "/whatIf", f"{TYPE}/whatIf/action", _what_if)
        yield Route("POST", one + "/exportTemplate", f"{TYPE}/exportTemplate/action", _export)
        yield Route("POST", one + "/cancel", f"{TYPE}/cancel/action", _cancel)
        yield Route("PUT", one, f"{TYPE}/write", _put, is_long=True)
        yield Route("GET", one, f"{TYPE}/read", _get, inline=True)
        yield Route("HEAD", one, f"{TYPE}/read", _head, inline=True)
        yield Route("DELETE", one, f"{TYPE}/delete", _delete)
        yield Route("GET", collection, f"{TYPE}/read", _list, inline=True)
        yield Route("GET", one + "/operationStatuses/{operation}", f"{TYPE}/read", _status, inline=True)
        for place in (one, scope + "/deployments/{deployment}"):  # az leaves the provider out
            yield Route("GET", place + "/operations", f"{TYPE}/read", _operations, inline=True)
            yield Route("GET", place + "/operations/{operation}", f"{TYPE}/read", _operation, inline=True)


ROUTES = tuple(_routes())
