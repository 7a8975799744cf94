"""Deployments of ARM templates in a resource group. They are over when answered, so there is nothing to poll."""

from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain.deployments import deployments
from entrepot.domain.deployments.deployments import Target
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import GROUP
from entrepot.server.routing import Route
from entrepot.wire.arm import list_query, next_url, page_body, resource_body
from entrepot.wire.json_text import decode_jsonc

Json = Any

_ACTION = "Microsoft.Resources/deployments"
_COLLECTION = f"{GROUP}/providers/{_ACTION}"
_ONE = _COLLECTION + "/{deployment}"


def _target(call: Call) -> Target:
    return Target(call.params["subscription"], call.params["group"], call.params["deployment"])


def _body(call: Call) -> Json:
    """Read the body as JSON with comments: az splices the template's text into it as it is."""
    body = decode_jsonc(call.origins.inward(call.body))
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object with properties.template", target="properties")
    return resource_body(body)


def _validate(call: Call) -> Answer:
    return reply(deployments.validate(call.hub, call.principal, _target(call), _body(call)))


def _what_if(call: Call) -> Answer:
    return reply(deployments.what_if(call.hub, call.principal, _target(call), _body(call)))


def _put(call: Call) -> Answer:
    document = deployments.create(call.hub, call.principal, _target(call), _body(call), request_id=call.request_id)
    return reply_document(document, status=201 if document.revision == 1 else 200)


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
    page = deployments.list_(
        call.hub, call.principal, call.params["subscription"], call.params["group"], after=asked.after,
        limit=asked.limit,
    )  # fmt: skip
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _delete(call: Call) -> Answer:
    deployments.delete(call.hub, call.principal, _target(call), request_id=call.request_id)
    return reply_empty(204)


def _operations(call: Call) -> Answer:
    return reply({"value": deployments.operations(call.hub, call.principal, _target(call))})


ROUTES = (
    Route("POST", _ONE + "/validate", f"{_ACTION}/validate/action", _validate),
    Route("POST", _ONE + "/whatIf", f"{_ACTION}/whatIf/action", _what_if),
    Route("PUT", _ONE, f"{_ACTION}/write", _put),
    Route("GET", _ONE, f"{_ACTION}/read", _get, inline=True),
    Route("HEAD", _ONE, f"{_ACTION}/read", _head, inline=True),
    Route("DELETE", _ONE, f"{_ACTION}/delete", _delete),
    Route("GET", _COLLECTION, f"{_ACTION}/read", _list, inline=True),
    Route("GET", _ONE + "/operations", f"{_ACTION}/read", _operations, inline=True),
    Route("GET", GROUP + "/deployments/{deployment}/operations", f"{_ACTION}/read", _operations, inline=True),
)
