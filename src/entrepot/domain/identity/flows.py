"""The grants of the token endpoint: a form comes in, somebody recognised goes out, or a SignInRefused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from entrepot.domain.hub import Hub
from entrepot.domain.identity import clients, codes, people, sessions
from entrepot.domain.identity.assertions import Foreign
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused, missing

ALIASES = ("organizations", "common", "adfs")
"""Words that stand for the one tenant in addresses of the authority."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client posted to the token endpoint, from which address; `endpoints` are that endpoint's addresses.

    `foreign` checks tokens of other issuers."""

    form: Mapping[str, str]
    address: str
    endpoints: tuple[str, ...]
    foreign: Foreign
    is_federation: bool = False  # asked below /adfs, where a password is enough, as with AD FS

    def wanted(self, name: str) -> str:
        """Return a field of the form. Raises SignInRefused when it is missing."""
        value = self.form.get(name, "")
        if not value:
            raise missing(name)
        return value


def grant(hub: Hub, request: Request) -> Granted:
    """Return who is recognised. Raises SignInRefused."""
    asked = request.wanted("grant_type")
    flow = _FLOWS.get(asked)
    if flow is None:
        raise SignInRefused(
            "unsupported_grant_type",
            70003,
            f"The app requested an unsupported grant type '{asked}'; supported are {', '.join(_FLOWS)}",
        )
    return flow(hub, request)


def require_tenant(hub: Hub, tenant: str) -> None:
    """Return if an address names the tenant of this server. Raises SignInRefused."""
    if tenant.lower() not in (hub.settings.tenant.lower(), *ALIASES):
        raise SignInRefused(
            "invalid_request", 90002, f"Tenant '{tenant}' not found; the tenant of this server is {hub.settings.tenant}"
        )


def _client_credentials(hub: Hub, request: Request) -> Granted:
    return clients.by_credential(
        hub, request.form, address=request.address, endpoints=request.endpoints, foreign=request.foreign
    )


def _authorization_code(hub: Hub, request: Request) -> Granted:
    client_id, redirect_uri = _client(hub, request), request.form.get("redirect_uri", "")
    if clients.is_confidential(hub, client_id, redirect_uri):
        _client_credentials(hub, request)
    verifier = request.form.get("code_verifier", "")
    return codes.redeem(hub, request.wanted("code"), client_id=client_id, redirect_uri=redirect_uri, verifier=verifier)


def _refresh_token(hub: Hub, request: Request) -> Granted:
    client_id = _client(hub, request)
    if clients.is_confidential(hub, client_id):
        _client_credentials(hub, request)
    return sessions.resumed(hub, request.wanted("refresh_token"), client_id=client_id)


def _device_code(hub: Hub, request: Request) -> Granted:
    code = request.form.get("device_code") or request.wanted("code")
    return codes.redeem_device(hub, code, client_id=_client(hub, request))


def _password(hub: Hub, request: Request) -> Granted:
    if not request.is_federation:
        raise SignInRefused(
            "unauthorized_client",
            7000219,
            "The password grant is served below /adfs only; sign in with a device code or in the browser instead",
        )
    client_id = _client(hub, request)
    holder = people.by_password(hub, request.wanted("username"), request.wanted("password"), address=request.address)
    now = hub.clock.now()
    session = sessions.open_(hub, holder, client_id=client_id, auth_time=now)
    return Granted(holder, client_id, session=session.id, refresh_token=session.token, auth_time=now)


def _client(hub: Hub, request: Request) -> str:
    client_id = request.wanted("client_id")
    clients.require_known(hub, client_id)
    return client_id


_FLOWS: Mapping[str, Callable[[Hub, Request], Granted]] = {
    "client_credentials": _client_credentials,
    "authorization_code": _authorization_code,
    "refresh_token": _refresh_token,
    "urn:ietf:params:oauth:grant-type:device_code": _device_code,
    "device_code": _device_code,  # the first version of the protocol, and AD FS
    "password": _password,
}
