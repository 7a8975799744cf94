"""The server's own description, for those who write clients."""

from entrepot.server.calls import Answer, Call, reply
from entrepot.server.routing import Route
from entrepot.wire.openapi import document


def _openapi(call: Call) -> Answer:
    return reply(document(call.site.operations, version=call.site.version))


ROUTES = (Route("GET", "/openapi.json", None, _openapi, reason="every signed-in caller may know what can be asked"),)
