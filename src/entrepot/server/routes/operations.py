"""Long-running operations as Azure's clients poll them: status (`Azure-AsyncOperation`) and result (`Location`)."""

from entrepot.core.nouns import PROVIDER
from entrepot.domain import operations
from entrepot.server.calls import Answer, Call, Header, reply, reply_empty
from entrepot.server.places import SUBSCRIPTION
from entrepot.server.routing import Route
from entrepot.wire.arm import operation_status

_OWN = "an operation is told only to who started it"
_PLACE = f"{SUBSCRIPTION}/providers/{PROVIDER}/locations/{{location}}"
_LATER: tuple[Header, ...] = ((b"retry-after", b"1"),)


def _status(call: Call) -> Answer:
    body = operations.get(call.hub, call.principal, call.params["operation"]).body
    headers = _LATER if body["status"] == operations.IN_PROGRESS else ()
    if not headers:
        call.site.gateway.follow()  # whoever waited for a deployment may score at once
    progress = body["properties"].get("progress") if headers else None
    return reply(operation_status(body["name"], body["status"], body.get("error"), progress=progress), headers=headers)


def _result(call: Call) -> Answer:
    body = operations.get(call.hub, call.principal, call.params["operation"]).body
    if body["status"] == operations.IN_PROGRESS:
        return reply_empty(202, headers=(*_LATER, (b"location", call.url(call.path).encode())))
    if body["status"] == operations.FAILED:
        return reply({"error": body["error"]}, status=400)
    return reply_empty(204)


ROUTES = (
    Route("GET", _PLACE + "/mfeOperationsStatus/{operation}", None, _status, is_long=True, reason=_OWN),
    Route("GET", _PLACE + "/mfeOperationResults/{operation}", None, _result, inline=True, reason=_OWN),
)
