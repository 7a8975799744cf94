"""The grants of the token endpoint: a form comes in, somebody recognised goes out, or a SignInRefused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from entrepot.domain.hub import Hub
from entrepot.domain.identity import clients
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused, missing

ALIASES = ("organizations", "common", "adfs")
"""Words that stand for the one tenant in addresses of the authority."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client posted to the token endpoint, from which address; `endpoints` are that endpoint's addresses."""

    form: Mapping[str, str]
    address: str
    endpoints: tuple[str, ...]

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
    return clients.by_credential(hub, request.form, address=request.address, endpoints=request.endpoints)


_FLOWS: Mapping[str, Callable[[Hub, Request], Granted]] = {"client_credentials": _client_credentials}
