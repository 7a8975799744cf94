"""What gateways ask the server: whether a token may score. Keys they check themselves."""

from entrepot.core.errors import NotFound, Unauthenticated
from entrepot.domain import access
from entrepot.domain.endpoints import endpoints, places, secrets
from entrepot.server.calls import Answer, Call, reply_empty
from entrepot.server.gateway import tokens
from entrepot.server.routing import Route


def _authorize(call: Call) -> Answer:
    """Answer 204, 401 or 403 for the token of a scoring request, which the gateway remembers for seconds.

    The gateway proves itself by a secret of its own, so nobody is signed in here.
    """
    presented = call.headers.get(b"x-entrepot-gateway", b"").decode("ascii", "replace")
    if not secrets.is_same(presented, call.site.gateway.secret):
        raise Unauthenticated("Only this server's gateways may ask this")
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


ROUTES = (Route("GET", "/gateway/authorize", places.SCORE, _authorize, is_anonymous=True),)
