"""The authority: what clients of Entra ask it for. Discovery, keys, and the token endpoint.

https://learn.microsoft.com/entra/identity-platform/v2-protocols tells the protocol. Pages for people: `browser.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from entrepot.core.errors import EntrepotError, InvalidRequest
from entrepot.domain.identity import clients, codes, directory, flows, granting
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.server.calls import Answer, Call, Header, reply
from entrepot.server.identity.tokens import ACCESS_TOKEN_S
from entrepot.server.routing import Route
from entrepot.wire import oauth
from entrepot.wire.errors import status_of

Json = Any

_PUBLIC = "clients read it before they sign in; it tells addresses and public keys only"
_SIGN_IN = "clients sign in here: what they show in the body is their proof"
_PRAGMA: tuple[Header, ...] = ((b"pragma", b"no-cache"),)


def _discovery(call: Call) -> Answer:
    try:
        flows.require_tenant(call.hub, call.params["tenant"])
    except SignInRefused as refused:
        return refusal(call, refused)
    is_second = "/v2.0/" in call.path.lower()
    base = call.url(f"/{call.params['tenant']}")
    issuer = call.site.tokens.issuer(call.origins.api)
    return reply(oauth.discovery(base, issuer, path="oauth2/v2.0" if is_second else "oauth2"))


def _keys(call: Call) -> Answer:
    return reply({"keys": call.site.tokens.keys.published()})


def _token(call: Call) -> Answer:
    try:
        flows.require_tenant(call.hub, call.params["tenant"])
        form = read_form(call)
        audience = audience_of(call, form)
        granted = flows.grant(call.hub, _request(call, form))
        return reply(_granted(call, granted, form, audience), headers=_PRAGMA)
    except SignInRefused as refused:
        return refusal(call, refused)


def _request(call: Call, form: Mapping[str, str]) -> flows.Request:
    def foreign(token: str, issuer: str, audiences: Sequence[str]) -> Mapping[str, Json]:
        return call.site.authenticator.issuers.verify(token, issuer, audiences)

    is_federation = call.params["tenant"].lower() == "adfs"
    return flows.Request(form, call.address, _endpoints(call), foreign, is_federation=is_federation)


def _device_code(call: Call) -> Answer:
    try:
        flows.require_tenant(call.hub, call.params["tenant"])
        client_id = read_form(call).get("client_id", "")
        clients.require_known(call.hub, client_id)
        made = codes.begin_device(call.hub, client_id, address=call.address)
    except SignInRefused as refused:
        return refusal(call, refused)
    place = call.url("/device")
    message = f"To sign in, open the page {place} in a browser and enter the code {made.user_code} to authenticate."
    return reply({**asdict(made), "verification_uri": place, "verification_url": place, "message": message})


def read_form(call: Call) -> dict[str, str]:
    """Return the form that a client posted, with what it says in the Authorization header. Raises SignInRefused."""
    try:
        form = oauth.form(call.body)
    except (ValueError, UnicodeDecodeError) as error:
        raise SignInRefused("invalid_request", 9002313, f"The body is not a form: {error}") from error
    basic = oauth.basic_credentials(call.headers.get(b"authorization", b""))
    if basic is not None:
        form |= {"client_id": basic[0], "client_secret": basic[1]}
    return form


def audience_of(call: Call, form: Mapping[str, str]) -> str:
    """Return for whom the token shall be: this server, or an application of the directory. Raises SignInRefused."""
    scopes = form.get("scope", "").split()
    resource = form.get("resource") or oauth.resource_of(scopes, call.origins.api)
    try:
        return call.site.tokens.audience_of(resource)
    except InvalidRequest as error:
        name = resource.removesuffix("/.default")
        known = directory.find(call.hub, directory.APPLICATION, name) or directory.by_uri(call.hub, name)
        if known is None:
            raise SignInRefused("invalid_resource", 500011, error.message) from error
        return str(known.body["appId"])


def refusal(call: Call, error: EntrepotError) -> Answer:
    """Answer why there is no token, as OAuth wants it."""
    word, number, status = "server_error", 0, status_of(error)
    if isinstance(error, SignInRefused):
        word, number, status = error.error, error.number, 401 if error.is_of_client else 400
    message = f"{error.message}. {error.hint}" if error.hint else error.message
    now = call.hub.clock.now()
    return reply(oauth.error(word, number, message, now=now, request_id=call.request_id), status=status)


def _endpoints(call: Call) -> tuple[str, ...]:
    """Return the spellings of the token endpoint and the issuer that an assertion may name as its audience."""
    site = call.site
    origins = {
        f"{scheme}://{host}" for scheme in ("http", "https") for host in site.addresses.origins("https").api_hosts
    }
    tenants = {call.params["tenant"], call.hub.settings.tenant, *flows.ALIASES}
    paths = {f"/{tenant}/{path}" for tenant in tenants for path in ("oauth2/v2.0/token", "oauth2/token", "v2.0")}
    return tuple(origin + path for origin in origins for path in paths)


def _granted(call: Call, granted: Granted, form: Mapping[str, str], audience: str) -> dict[str, Json]:
    tokens, origin = call.site.tokens, call.origins.api
    claims = granting.claims_of(call.hub, granted)
    answer: dict[str, Json] = {
        "token_type": "Bearer", "expires_in": int(ACCESS_TOKEN_S) - 1, "ext_expires_in": int(ACCESS_TOKEN_S) - 1,
        "access_token": tokens.issue(claims, audience=audience, origin=origin),
    }  # fmt: skip
    if form.get("resource"):  # the first version of the protocol tells these
        answer |= {"resource": form["resource"], "expires_on": str(int(call.hub.clock.now() + ACCESS_TOKEN_S))}
    if not granted.is_user:
        return answer
    answer["scope"] = form.get("scope") or f"{audience}/.default"  # MSAL finds its own cache by it
    answer["client_info"] = oauth.client_info(granted.holder.id, call.hub.settings.tenant)
    said = oauth.id_claims(claims, client_id=granted.client_id, nonce=granted.nonce, auth_time=granted.auth_time)
    answer["id_token"] = tokens.issue(said, audience=granted.client_id, origin=origin)
    if granted.refresh_token:
        answer["refresh_token"] = granted.refresh_token
    return answer


_DISCOVERIES = ("/{tenant}/v2.0/.well-known/openid-configuration", "/{tenant}/.well-known/openid-configuration")
_KEYS = ("/{tenant}/discovery/v2.0/keys", "/{tenant}/discovery/keys")
_TOKENS = ("/{tenant}/oauth2/v2.0/token", "/{tenant}/oauth2/token")
_DEVICES = ("/{tenant}/oauth2/v2.0/devicecode", "/{tenant}/oauth2/devicecode")
ROUTES = (
    *(Route("GET", path, None, _discovery, inline=True, reason=_PUBLIC, is_anonymous=True) for path in _DISCOVERIES),
    *(Route("GET", path, None, _keys, reason=_PUBLIC, is_anonymous=True) for path in _KEYS),
    *(Route("POST", path, None, _token, reason=_SIGN_IN, is_anonymous=True, is_long=True) for path in _TOKENS),
    *(Route("POST", path, None, _device_code, reason=_SIGN_IN, is_anonymous=True) for path in _DEVICES),
)
