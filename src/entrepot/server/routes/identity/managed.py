"""Tokens for Azure clients, asked for as on App Service: IDENTITY_ENDPOINT is here, IDENTITY_HEADER is a secret.

https://learn.microsoft.com/azure/app-service/overview-managed-identity tells the protocol.
"""

from entrepot.core.errors import EntrepotError, InvalidRequest, Unauthenticated
from entrepot.domain.identity import granting
from entrepot.domain.identity.granting import Granted
from entrepot.server.calls import Answer, Call, reply
from entrepot.server.identity.tokens import IDENTITY_TOKEN_S
from entrepot.server.routing import Route
from entrepot.wire.errors import status_of

PATH = "/msi/token"


def _token(call: Call) -> Answer:
    try:
        return _issued(call)
    except EntrepotError as error:  # the error's form is this protocol's, not ARM's
        return reply({"statusCode": status_of(error), "message": error.message}, status=status_of(error))


def _issued(call: Call) -> Answer:
    principal = call.site.authenticator.identify(call.headers.get(b"x-identity-header"))
    resource = call.query.get("resource", "")
    if not resource:
        raise InvalidRequest("Say for what the token shall be: ?resource=https://management.azure.com/")
    tokens = call.site.tokens
    holder = call.hub.standing.of(call.hub.documents, principal.id, call.hub.clock.now())
    if holder is None or not holder.is_enabled:
        raise Unauthenticated(f"The account {principal.name} is switched off, or not in the directory")
    granted = Granted(holder, call.query.get("client_id") or principal.id)
    audience = tokens.audience_of(resource)
    claims = granting.claims_of(call.hub, granted)
    token = tokens.issue(claims, audience=audience, origin=call.origins.api, lifetime_s=IDENTITY_TOKEN_S)
    expires = int(call.hub.clock.now() + IDENTITY_TOKEN_S)
    answer = {
        "access_token": token,
        "client_id": call.query.get("client_id") or principal.id,
        "expires_on": str(expires),
        "resource": resource,
        "token_type": "Bearer",
    }
    return reply(answer)


_REASON = "clients ask here for the token that they do not have yet; a secret header says who they are"
ROUTES = (Route("GET", PATH, None, _token, reason=_REASON, is_anonymous=True),)
