"""Secrets at rest: sealing all of them with a new key."""

from entrepot.domain.secrets import rotation
from entrepot.server.calls import Answer, Call, reply
from entrepot.server.routing import Route


def _rotate(call: Call) -> Answer:
    return reply(rotation.rotate(call.hub, call.principal, request_id=call.request_id))


ROUTES = (Route("POST", "/secrets/v1.0/rotate", rotation.ROTATE, _rotate, is_long=True),)
