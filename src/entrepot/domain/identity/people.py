"""People who sign in: with a password, or as the home's owner with a link that works once."""

import secrets
from typing import Any

from entrepot.core.digests import digest_of
from entrepot.core.errors import RevisionMismatch
from entrepot.domain import audit
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import credentials, directory, guesses, sessions
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.domain.identity.standing import Holder
from entrepot.domain.secrets.expiry import swept
from entrepot.store.documents import ABSENT, Delete, Put

Json = Any

TICKET_S = 300.0


def by_password(hub: Hub, name: str, password: str, *, address: str) -> Holder:
    """Return the user whose password this is. Raises SignInRefused, and says nothing of which part was wrong."""
    user = directory.find(hub, directory.USER, name)

    def check() -> None:
        if not credentials.password_matches(hub, user, password):
            raise SignInRefused("invalid_grant", 50126, "Invalid username or password")

    guesses.guarded(hub, subject=user.body["id"] if user else "", address=address, check=check)
    assert user is not None  # or there was no password to match
    return holder_of(hub, user.body["id"])


def new_ticket(hub: Hub, principal: Principal) -> str:
    """Return a word by which a browser signs in as the principal, once and within minutes."""
    ticket = secrets.token_urlsafe(32)
    body = {"principal": principal.id, "expires": hub.clock.now() + TICKET_S}
    hub.documents.commit([Put(_ticket_key(ticket), body, match=ABSENT), *swept(hub, "tickets/")])
    return ticket


def by_ticket(hub: Hub, ticket: str, *, address: str, is_typed: bool) -> Holder:
    """Return whom a ticket is of, once. Raises SignInRefused.

    `is_typed`: no other site's page led here. Such a page could sign its reader in as somebody else, whose link it
    has; the owner of the home is nobody else.
    """

    def check() -> str:
        document = hub.documents.get(_ticket_key(ticket))
        if document is None or document.body["expires"] <= hub.clock.now():
            raise SignInRefused("invalid_grant", 70008, "This link was used already, or is too old")
        if not is_typed and not directory.is_owner(hub, document.body["principal"]):
            raise SignInRefused("invalid_grant", 70008, "Another page led here: paste the link, if it is yours")
        try:
            hub.documents.commit([Delete(document.key, match=document.revision)])
        except RevisionMismatch:
            raise SignInRefused("invalid_grant", 70008, "This link was used already") from None
        id: str = document.body["principal"]
        return id

    return holder_of(hub, guesses.guarded(hub, subject="", address=address, check=check))


def open_browser(hub: Hub, holder: Holder, *, request_id: str = "") -> sessions.Opened:
    """Begin a session that a browser's cookie is worth; its beginning is in the audit trail."""
    now = hub.clock.now()
    who = Principal(holder.id, holder.name, holder.kind)
    hub.documents.commit(
        [audit.record(who, guesses.SIGN_IN, target=f"/users/{holder.id}", now=now, request_id=request_id)]
    )
    return sessions.open_(hub, holder, client_id=sessions.BROWSER, auth_time=now, lifetime_s=sessions.BROWSER_S)


def holder_of(hub: Hub, id: str) -> Holder:
    """Return an account as it stands now. Raises SignInRefused when it is switched off."""
    holder = hub.standing.of(hub.documents, id, hub.clock.now())
    if holder is None or not holder.is_enabled:
        raise SignInRefused("invalid_grant", 50057, "The user account is disabled")
    return holder


def _ticket_key(ticket: str) -> str:
    return f"tickets/{digest_of(ticket.encode())}"
