"""Managed identities: their ARM resources, and tokens asked for as on App Service (IDENTITY_ENDPOINT, IDENTITY_HEADER).

https://learn.microsoft.com/azure/app-service/overview-managed-identity tells the protocol. The header is the home's
secret, which stands for its owner and all managed identities, or a job's token, which stands for that job.
"""

from typing import Any

from entrepot.core.errors import EntrepotError, InvalidRequest, Unauthenticated
from entrepot.domain.hub import Principal
from entrepot.domain.identity import granting, managed
from entrepot.domain.identity.granting import Granted
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.identity.tokens import ACCESS_TOKEN_S, IDENTITY_TOKEN_S
from entrepot.server.places import GROUP
from entrepot.server.routing import Route
from entrepot.wire import arm
from entrepot.wire.errors import status_of

Json = Any

PATH = "/msi/token"
_MEANT = ("client_id", "object_id", "principal_id", "mi_res_id", "msi_res_id")


def _token(call: Call) -> Answer:
    try:
        return _issued(call)
    except EntrepotError as error:  # the error's form is this protocol's, not ARM's
        return reply({"statusCode": status_of(error), "message": error.message}, status=status_of(error))


def _issued(call: Call) -> Answer:
    principal = call.site.authenticator.identify(call.headers.get(b"x-identity-header"), address=call.address)
    resource = call.query.get("resource", "")
    if not resource:
        raise InvalidRequest("Say for what the token shall be: ?resource=https://management.azure.com/")
    tokens = call.site.tokens
    audience = tokens.audience_of(resource)
    claims, lifetime_s = _claims(call, principal)
    expires = int(call.hub.clock.now() + lifetime_s)
    answer = {
        "access_token": tokens.issue(claims, audience=audience, origin=call.origins.api, lifetime_s=lifetime_s),
        "client_id": call.query.get("client_id") or claims.get("appid") or principal.id,
        "expires_on": str(expires),
        "resource": resource,
        "token_type": "Bearer",
    }
    return reply(answer)


def _claims(call: Call, principal: Principal) -> tuple[dict[str, Json], float]:
    """Return what the token says and how long it holds."""
    hub, query = call.hub, call.query
    if principal.via:
        return granting.claims_of_job(hub, principal, principal.via, principal.within), ACCESS_TOKEN_S
    id = principal.id
    if any(query.get(name) not in (None, "", principal.id) for name in _MEANT):
        id = managed.chosen(
            hub, client_id=query.get("client_id", ""),
            object_id=query.get("object_id") or query.get("principal_id", ""),
            resource_id=query.get("mi_res_id") or query.get("msi_res_id", ""),
        )  # fmt: skip
    holder = hub.standing.of(hub.documents, id, hub.clock.now())
    if holder is None or not holder.is_enabled:
        raise Unauthenticated(f"The account {id} is switched off, or not in the directory")
    return granting.claims_of(hub, Granted(holder, holder.body.get("appId") or id)), IDENTITY_TOKEN_S


def _place(call: Call) -> tuple[str, str, str]:
    return call.params["subscription"], call.params["group"], call.params["name"]


def _put(call: Call) -> Answer:
    document, is_new = managed.put(call.hub, call.principal, *_place(call), call.object, request_id=call.request_id)
    return reply_document(document, status=201 if is_new else 200)


def _get(call: Call) -> Answer:
    return reply_document(managed.get(call.hub, call.principal, *_place(call)))


def _list(call: Call) -> Answer:
    asked = arm.list_query(call.query)
    subscription, group = call.params["subscription"], call.params["group"]
    page = managed.list_(call.hub, call.principal, subscription, group, after=asked.after, limit=asked.limit)
    return reply_raw(arm.page_body(page, arm.next_url(call.origins.api, call.path, call.query, page.next)))


def _delete(call: Call) -> Answer:
    managed.delete(call.hub, call.principal, *_place(call), request_id=call.request_id)
    return reply_empty(200)


_REASON = "clients ask here for the token that they do not have yet; a secret header says who they are"
_IDENTITIES = f"{GROUP}/providers/{managed.TYPE}"
ROUTES = (
    Route("GET", PATH, None, _token, reason=_REASON, is_anonymous=True),
    Route("GET", _IDENTITIES, managed.READ, _list, inline=True),
    Route("GET", f"{_IDENTITIES}/{{name}}", managed.READ, _get, inline=True),
    Route("PUT", f"{_IDENTITIES}/{{name}}", managed.WRITE, _put),
    Route("PATCH", f"{_IDENTITIES}/{{name}}", managed.WRITE, _put),
    Route("DELETE", f"{_IDENTITIES}/{{name}}", managed.DELETE, _delete),
)
