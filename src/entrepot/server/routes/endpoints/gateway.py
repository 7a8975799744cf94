"""What gateways ask the server: whether a token may score, and those elsewhere, which endpoints there are.

A gateway proves itself by a secret, so nobody is signed in here. Keys they check themselves.
"""

import time

from entrepot.core.errors import NotFound, Unauthenticated
from entrepot.domain import access
from entrepot.domain.endpoints import endpoints, places, secrets
from entrepot.server.calls import Answer, Call, reply_empty, reply_raw
from entrepot.server.gateway import tokens
from entrepot.server.gateway.sources import Api, OwnHub
from entrepot.server.routing import Route
from entrepot.wire.endpoints import gateways as wire

_WAIT_S = 1.0
_GLANCE_S = 0.01
_NOWHERE = Api("", 0)  # a follower knows itself where this server is


def _authorize(call: Call) -> Answer:
    """Answer 204, 401 or 403 for the token of a scoring request, which the gateway remembers for seconds."""
    _require_gateway(call)
    document = call.hub.documents.get(call.headers.get(b"x-entrepot-endpoint", b"").decode("utf-8", "replace"))
    if document is None:
        raise NotFound("There is no such endpoint")
    ref, token = endpoints.reference(document), call.headers.get(b"x-entrepot-token", b"")
    if document.body["properties"]["authMode"] == "AMLToken":
        signing = secrets.read(call.hub, ref).signing
        tokens.check(token.decode("ascii", "replace"), ref.id, signing, now=call.hub.clock.now())
        return reply_empty()
    principal = call.site.authenticator.authenticate(b"Bearer " + token)
    access.require(call.hub, principal, places.SCORE, ref.scope.key, target=ref.id, request_id=call.request_id)
    return reply_empty()


def _follow(call: Call) -> Answer:
    """Take what a gateway counted; answer all endpoints once they differ from what it knows, 204 if they don't."""
    _require_gateway(call)
    told = wire.read_report(call.object)
    if told.name:
        call.site.tellers.heard(told.name, told.tallies)
    source = OwnHub(call.hub, _NOWHERE)
    end = time.monotonic() + _WAIT_S
    while (epoch := source.epoch()) == told.epoch:
        if time.monotonic() > end or call.site.stopping.wait(_GLANCE_S):
            return reply_empty()
    return reply_raw(wire.state(epoch, source.endpoints()))


def _require_gateway(call: Call) -> None:
    presented = call.headers.get(b"x-entrepot-gateway", b"").decode("ascii", "replace")
    if not secrets.is_same(presented, call.site.gateway.secret):
        raise Unauthenticated("Only this server's gateways may ask this, with the key in keys/gateway.key of its home")


ROUTES = (
    Route("GET", "/gateway/authorize", places.SCORE, _authorize, is_anonymous=True),
    Route("POST", "/gateway/follow", places.READ, _follow, is_anonymous=True, is_long=True),
)
