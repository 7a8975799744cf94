"""Tokens for Azure clients, asked for as on App Service: IDENTITY_ENDPOINT is here, IDENTITY_HEADER is a secret.

https://learn.microsoft.com/azure/app-service/overview-managed-identity tells the protocol.
"""

from entrepot.core.errors import EntrepotError, InvalidRequest
from entrepot.server.authentication import IDENTITY_TOKEN_S
from entrepot.server.calls import Answer, Call, reply
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
    token = call.site.tokens.issue_for(principal, resource)
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
