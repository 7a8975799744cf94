"""Which application asks for a token, and how it proves that it is the one: by a secret or an assertion."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from entrepot.domain.hub import Hub
from entrepot.domain.identity import assertions, credentials, directory, guesses
from entrepot.domain.identity.assertions import Foreign
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused, bad_secret, missing, unknown_client
from entrepot.domain.identity.standing import Holder

Json = Any

PUBLIC_CLIENTS: Mapping[str, str] = {
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Microsoft Azure CLI",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Microsoft Azure PowerShell",
    "aebc6443-996d-45c2-90f0-388ff96faa56": "Visual Studio Code",
}
"""Ids that Azure's own tools send. They prove nothing, so they may ask for a person's sign-in only."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def by_credential(
    hub: Hub, form: Mapping[str, str], *, address: str, endpoints: Sequence[str], foreign: Foreign
) -> Granted:
    """Return the application that proved itself. `endpoints`: the addresses that an assertion may be meant for.

    Raises SignInRefused.
    """
    client_id = form.get("client_id", "")
    if "client_secret" in form:
        if not client_id:
            raise missing("client_id")
        return by_secret(hub, client_id, form["client_secret"], address=address)
    if "client_assertion" in form:
        return by_assertion(hub, form, address=address, endpoints=endpoints, foreign=foreign)
    raise SignInRefused(
        "invalid_client",
        7000218,
        "The request body must contain the parameter 'client_assertion' or 'client_secret'",
    )


def by_assertion(
    hub: Hub, form: Mapping[str, str], *, address: str, endpoints: Sequence[str], foreign: Foreign
) -> Granted:
    """Return the application that signed an assertion, or that another issuer speaks for. Raises SignInRefused."""
    client_id = assertions.client_of(form)
    application = directory.find(hub, directory.APPLICATION, client_id)

    def check() -> str:
        if application is None:
            raise unknown_client(client_id)
        assertion = form["client_assertion"]
        return assertions.check(hub, application, assertion, endpoints=endpoints, foreign=foreign)

    subject = application.body["id"] if application else ""
    credential = guesses.guarded(hub, subject=subject, address=address, check=check)
    return Granted(holder_of(hub, client_id), client_id, credential)


def by_secret(hub: Hub, client_id: str, secret: str, *, address: str) -> Granted:
    """Return the application whose secret this is. Raises SignInRefused, after too many wrong ones for all."""
    application = directory.find(hub, directory.APPLICATION, client_id)

    def check() -> str:
        if application is None:
            hub.passwords.verify("", secret)
            raise unknown_client(client_id)
        found = credentials.secret_matches(hub, application, secret)
        if found is None:
            raise bad_secret(client_id)
        return found

    subject = application.body["id"] if application else ""
    credential = guesses.guarded(hub, subject=subject, address=address, check=check)
    if not credential:
        raise SignInRefused("invalid_client", 7000222, f"The client secret of app '{client_id}' has expired")
    return Granted(holder_of(hub, client_id), client_id, credential)


def holder_of(hub: Hub, client_id: str) -> Holder:
    """Return the principal of an application. Raises SignInRefused when it has none or it is switched off."""
    twin = directory.find(hub, directory.SERVICE_PRINCIPAL, client_id)
    holder = hub.standing.of(hub.documents, twin.body["id"], hub.clock.now()) if twin else None
    if holder is None:
        raise SignInRefused(
            "unauthorized_client",
            7000229,
            f"The application '{client_id}' has no service principal in this tenant",
            hint=f"az ad sp create --id {client_id}",
        )
    if not holder.is_enabled:
        raise SignInRefused("unauthorized_client", 7000112, f"Application '{client_id}' is disabled")
    return holder


def require_known(hub: Hub, client_id: str) -> str:
    """Return what a client that people sign in to is called. Raises SignInRefused for an unknown one."""
    if client_id in PUBLIC_CLIENTS:
        return PUBLIC_CLIENTS[client_id]
    application = directory.find(hub, directory.APPLICATION, client_id)
    if application is None:
        raise unknown_client(client_id)
    name: str = application.body["displayName"]
    return name


def is_confidential(hub: Hub, client_id: str, redirect_uri: str = "") -> bool:
    """Say whether a client has to prove itself when it fetches tokens: a web application, with addresses of its own."""
    application = directory.find(hub, directory.APPLICATION, client_id)
    if application is None:
        return False
    body = application.body
    if redirect_uri:
        return redirect_uri in _addresses(body, "web")
    return not body.get("isFallbackPublicClient") and bool(_addresses(body, "web"))


def require_redirect(hub: Hub, client_id: str, redirect_uri: str) -> None:
    """Return if codes for a client may be sent there. Raises SignInRefused.

    Public clients prove nothing, so theirs go to this machine only; a port is the client's to choose (RFC 8252).
    """
    application = directory.find(hub, directory.APPLICATION, client_id)
    body = application.body if application else {}
    if redirect_uri in _addresses(body, "web"):
        return
    parts = urlsplit(redirect_uri)
    is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK and not parts.username and not parts.fragment
    public = [*_addresses(body, "publicClient"), *_addresses(body, "spa")]
    is_registered = client_id in PUBLIC_CLIENTS or any(_is_same(redirect_uri, known) for known in public)
    if not (is_local and is_registered):
        raise SignInRefused(
            "invalid_request",
            50011,
            f"The redirect URI '{redirect_uri}' does not match the redirect URIs configured for the application "
            f"'{client_id}': public clients may use http://localhost only",
        )


def _addresses(body: Mapping[str, Json], platform: str) -> list[str]:
    found: list[str] = (body.get(platform) or {}).get("redirectUris") or []
    return found


def _is_same(uri: str, known: str) -> bool:
    """Say whether two addresses are the same but for the port."""
    one, other = urlsplit(uri), urlsplit(known)
    return (one.scheme, one.hostname, one.path.rstrip("/")) == (other.scheme, other.hostname, other.path.rstrip("/"))
