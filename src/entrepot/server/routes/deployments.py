"""Deployments of ARM templates. The bodies may be JSON with comments: `az` sends the template's text as it is."""

from entrepot.domain.deployments import deployments
from entrepot.domain.deployments.deployments import Target
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.routes.places import GROUP
from entrepot.server.routing import Route
from entrepot.wire import arm
from entrepot.wire.json_text import decode_jsonc

_ALL = GROUP + "/providers/Microsoft.Resources/deployments"
_ONE = _ALL + "/{deployment}"
_ACTION = "Microsoft.Resources/deployments"


def _target(call: Call) -> Target:
    return Target(call.params["subscription"], call.params["group"], call.params["deployment"])


def _template(call: Call) -> dict[str, object]:
    body = decode_jsonc(call.origins.inward(call.body))
    return body if isinstance(body, dict) else {}


def _put(call: Call) -> Answer:
    made = deployments.create(call.hub, call.principal, _target(call), _template(call), request_id=call.request_id)
    return reply_document(made, status=201)


def _validate(call: Call) -> Answer:
    return reply(deployments.validate(call.hub, call.principal, _target(call), _template(call)))


def _what_if(call: Call) -> Answer:
    return reply(deployments.what_if(call.hub, call.principal, _target(call), _template(call)))


def _get(call: Call) -> Answer:
    return reply_document(deployments.get(call.hub, call.principal, _target(call)))


def _list(call: Call) -> Answer:
    asked = arm.list_query(call.query)
    page = deployments.list_(
        call.hub, call.principal, call.params["subscription"], call.params["group"],
        after=asked.after, limit=asked.limit,
    )  # fmt: skip
    return reply_raw(arm.page_body(page, arm.next_url(call.origins.api, call.path, call.query, page.next)))


def _delete(call: Call) -> Answer:
    deployments.delete(call.hub, call.principal, _target(call), request_id=call.request_id)
    return reply_empty(204)


def _operations(call: Call) -> Answer:
    return reply({"value": deployments.operations(call.hub, call.principal, _target(call))})


ROUTES = (
    Route("PUT", _ONE, f"{_ACTION}/write", _put),
    Route("GET", _ONE, f"{_ACTION}/read", _get, inline=True),
    Route("DELETE", _ONE, f"{_ACTION}/delete", _delete),
    Route("POST", _ONE + "/validate", f"{_ACTION}/validate/action", _validate),
    Route("POST", _ONE + "/whatIf", f"{_ACTION}/whatIf/action", _what_if),
    Route("GET", _ALL, f"{_ACTION}/read", _list, inline=True),
    # Clients leave the provider out here (azure-cli 2.91, azure-ai-ml 1.35).
    Route("GET", GROUP + "/deployments/{deployment}/operations", f"{_ACTION}/operations/read", _operations),
    Route("GET", _ONE + "/operations", f"{_ACTION}/operations/read", _operations),
)
"""All routes of deployments."""
