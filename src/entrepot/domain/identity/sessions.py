"""Sign-ins of people: documents `sessions/{id}`, each worth a refresh token or a browser's cookie until it ends.

A refresh token stays the same for the length of its session: MSAL's processes share one, so a new one at each use would
lock them out of each other's cache. It ends when the session is revoked, not used for long, or the account changes.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from entrepot.core.digests import digest_of
from entrepot.domain.hub import Hub
from entrepot.domain.identity import directory
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.domain.identity.standing import Holder
from entrepot.store.documents import ABSENT, Change, Delete, Document, Facet, Put

Json = Any

SPACE = "sessions"
REFRESH_S = 90 * 86400.0
BROWSER_S = 12 * 3600.0
BROWSER = "browser"
"""The client of sessions that are worth a cookie."""
_DAY_S = 86400.0
_MARK = "1."


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just begun, and the secret that continues it: the only time that it is there to be told."""

    id: str
    token: str


def open_(hub: Hub, holder: Holder, *, client_id: str, auth_time: float, lifetime_s: float = REFRESH_S) -> Opened:
    """Begin a session of somebody who just proved who they are."""
    id, secret = hub.new_id(), secrets.token_urlsafe(32)
    body = {
        "principal": holder.id, "client": client_id, "generation": holder.generation, "authTime": auth_time,
        "hash": digest_of(secret.encode()), "expires": hub.clock.now() + lifetime_s, "lifetime": lifetime_s,
    }  # fmt: skip
    put = Put(key_of(id), body, match=ABSENT, facets=_facets(body))
    hub.documents.commit([put, *_swept(hub)])
    return Opened(id, f"{_MARK}{id}.{secret}")


def resumed(hub: Hub, token: str, *, client_id: str) -> Granted:
    """Return who a refresh token (or a browser's cookie) stands for. Raises SignInRefused."""
    id, _, secret = token.removeprefix(_MARK).partition(".")
    document = hub.documents.get(key_of(id)) if token.startswith(_MARK) and len(id) == 36 else None
    hashed = document.body["hash"] if document else "-" * 64
    if not hmac.compare_digest(hashed, digest_of(secret.encode())) or document is None:
        raise SignInRefused("invalid_grant", 9002313, "The refresh token is malformed, or its session was ended")
    body = document.body
    if body["client"] != client_id:
        raise SignInRefused("invalid_grant", 700005, "The refresh token was given to another application")
    if body["expires"] <= hub.clock.now():
        raise SignInRefused("invalid_grant", 700082, "The refresh token has expired due to inactivity: sign in again")
    holder = hub.standing.of(hub.documents, body["principal"], hub.clock.now())
    if holder is None or not holder.is_enabled:
        raise SignInRefused("invalid_grant", 50057, "The user account is disabled or was deleted")
    if holder.generation != body["generation"]:
        raise SignInRefused("invalid_grant", 50173, "The grant was revoked: sign in again")
    _prolong(hub, document)
    return Granted(holder, client_id, session=id, refresh_token=token, auth_time=body["authTime"])


def end(hub: Hub, id: str) -> None:
    """End a session: its refresh token, and every token that it gave, are worth nothing within a second."""
    if hub.documents.get(key_of(id)) is None:
        return
    hub.documents.commit([Delete(key_of(id)), directory.epoch(id)])
    hub.standing.forget()


def key_of(id: str) -> str:
    """Return the document key of a session."""
    return f"sessions/{id}"


def _prolong(hub: Hub, document: Document) -> None:
    """Move the end of a session that is in use, once a day."""
    body, now = document.body, hub.clock.now()
    if body["client"] != BROWSER and body["expires"] - now < body["lifetime"] - _DAY_S:
        body["expires"] = now + body["lifetime"]
        hub.documents.commit([Put(document.key, body, facets=_facets(body))])


def _facets(body: Json) -> tuple[Facet, ...]:
    return (Facet(SPACE, "principal", body["principal"]), Facet(SPACE, "day", _day(body["expires"])))


def _swept(hub: Hub) -> list[Change]:
    """Return what removes some sessions that ended in the days before."""
    now, changes = hub.clock.now(), list[Change]()
    for back in (1, 2, 3):
        page = hub.documents.find(SPACE, "day", _day(now - back * _DAY_S), limit=20)
        changes += [Delete(document.key) for document in page.documents]
    return changes


def _day(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).date().isoformat()
