"""Which application asks for a token, and how it proves that it is the one: a secret, or nothing for public clients."""

from collections.abc import Mapping, Sequence

from entrepot.domain.hub import Hub
from entrepot.domain.identity import credentials, directory, guesses
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused, bad_secret, missing, unknown_client
from entrepot.domain.identity.standing import Holder

PUBLIC_CLIENTS: Mapping[str, str] = {
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Microsoft Azure CLI",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Microsoft Azure PowerShell",
    "aebc6443-996d-45c2-90f0-388ff96faa56": "Visual Studio Code",
}
"""Ids that Azure's own tools send. They prove nothing, so they may ask for a person's sign-in only."""

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def by_credential(hub: Hub, form: Mapping[str, str], *, address: str, endpoints: Sequence[str]) -> Granted:
    """Return the application that proved itself. `endpoints`: the addresses that an assertion may be meant for.

    Raises SignInRefused.
    """
    client_id = form.get("client_id", "")
    if "client_secret" in form:
        if not client_id:
            raise missing("client_id")
        return by_secret(hub, client_id, form["client_secret"], address=address)
    raise SignInRefused(
        "invalid_client",
        7000218,
        "The request body must contain the parameter 'client_assertion' or 'client_secret'",
    )


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
            hint=f"entrepot ad sp create --id {client_id}",
        )
    if not holder.is_enabled:
        raise SignInRefused("unauthorized_client", 7000112, f"Application '{client_id}' is disabled")
    return holder
