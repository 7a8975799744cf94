"""Codes that stand for a person's consent until a client fetches its tokens: authorization codes and device codes.

Stored by their digests, good for minutes and for one use.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from entrepot.core.digests import digest_of
from entrepot.core.errors import RevisionMismatch
from entrepot.domain.hub import Hub
from entrepot.domain.identity import guesses, sessions
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.domain.identity.standing import Holder
from entrepot.domain.secrets.expiry import swept
from entrepot.store.documents import ABSENT, Delete, Document, Put

Json = Any

CODE_S = 300.0
DEVICE_CODE_S = 900.0
POLL_S = 5
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ23456789"  # none that looks like another, none that makes words
_USER_CODE_LENGTH = 9
_MOST_DEVICE_CODES = 60  # a minute, from one address
PENDING, APPROVED, DENIED = "pending", "approved", "denied"


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to in the browser: which client, where the code goes, and what binds it to its asker."""

    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A code pair: the client polls with one, a person types the other."""

    device_code: str
    user_code: str
    expires_in: int = int(DEVICE_CODE_S)
    interval: int = POLL_S


def issue(hub: Hub, holder: Holder, consent: Consent, *, auth_time: float) -> str:
    """Return a code for a client that a person agreed to."""
    code = secrets.token_urlsafe(32)
    body = {
        **asdict(consent), "principal": holder.id, "generation": holder.generation, "authTime": auth_time,
        "expires": hub.clock.now() + CODE_S, "session": None,
    }  # fmt: skip
    hub.documents.commit([Put(_code_key(code), body, match=ABSENT), *swept(hub, "codes/")])
    return code


def redeem(hub: Hub, code: str, *, client_id: str, redirect_uri: str, verifier: str) -> Granted:
    """Return who agreed, once. A second use of a code ends the session of the first. Raises SignInRefused."""
    document = hub.documents.get(_code_key(code))
    if document is None or document.body["expires"] <= hub.clock.now():
        raise SignInRefused("invalid_grant", 70008, "The authorization code is unknown or has expired")
    body = document.body
    if body["session"]:
        sessions.end(hub, body["session"])
        raise SignInRefused("invalid_grant", 54005, "The authorization code was used already")
    if body["client_id"] != client_id:
        raise SignInRefused("invalid_grant", 700005, "The authorization code was given to another application")
    if body["redirect_uri"] != redirect_uri:
        raise SignInRefused("invalid_grant", 50011, "redirect_uri is not the one that the code was sent to")
    if body["challenge"] and not hmac.compare_digest(body["challenge"], challenge_of(verifier)):
        raise SignInRefused("invalid_grant", 501481, "code_verifier does not match the code_challenge of the request")
    holder = _still(hub, body)
    session = sessions.open_(hub, holder, client_id=client_id, auth_time=body["authTime"])
    try:
        hub.documents.commit([Put(document.key, {**body, "session": session.id}, match=document.revision)])
    except RevisionMismatch:
        sessions.end(hub, session.id)
        raise SignInRefused("invalid_grant", 54005, "The authorization code was used already") from None
    return Granted(
        holder, client_id, session=session.id, refresh_token=session.token, nonce=body["nonce"],
        auth_time=body["authTime"],
    )  # fmt: skip


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def begin_device(hub: Hub, client_id: str, *, address: str) -> DeviceCode:
    """Return a new code pair for a client. Raises SignInRefused for an address that asks too often."""
    guesses.count_request(hub, kind="devicecode", address=address, limit=_MOST_DEVICE_CODES)
    made = DeviceCode(secrets.token_urlsafe(32), "".join(secrets.choice(_LETTERS) for _ in range(_USER_CODE_LENGTH)))
    expires = hub.clock.now() + DEVICE_CODE_S
    key = _device_key(made.device_code)
    body = {"client_id": client_id, "state": PENDING, "expires": expires, "user": _user_key(made.user_code)}
    hub.documents.commit(
        [
            Put(key, body, match=ABSENT),
            Put(_user_key(made.user_code), {"key": key, "expires": expires}, match=ABSENT),
            *swept(hub, "devicecodes/"),
            *swept(hub, "usercodes/"),
        ]
    )
    return made


def find_device(hub: Hub, user_code: str, *, subject: str, address: str) -> Document:
    """Return the document of the code that a signed-in person typed. Raises SignInRefused, soon for all who guess."""

    def check() -> Document:
        named = hub.documents.get(_user_key(user_code))
        document = hub.documents.get(named.body["key"]) if named else None
        if document is None or document.body["expires"] <= hub.clock.now() or document.body["state"] != PENDING:
            raise SignInRefused("bad_verification_code", 70018, "This code is unknown, used, or has expired")
        return document

    return guesses.guarded(hub, subject=f"{subject}|device", address=address, check=check)


def decide_device(hub: Hub, document: Document, holder: Holder, *, is_approved: bool, auth_time: float) -> None:
    """Keep what the person said to a device code."""
    body = {
        **document.body, "state": APPROVED if is_approved else DENIED, "principal": holder.id,
        "generation": holder.generation, "authTime": auth_time,
    }  # fmt: skip
    hub.documents.commit([Put(document.key, body, match=document.revision), Delete(body["user"])])


def redeem_device(hub: Hub, device_code: str, *, client_id: str) -> Granted:
    """Return who agreed, once. Raises SignInRefused with `authorization_pending` until somebody said something."""
    document = hub.documents.get(_device_key(device_code))
    if document is None or document.body["expires"] <= hub.clock.now():
        raise SignInRefused("expired_token", 70020, "The device code is unknown, was used, or has expired")
    body = document.body
    if body["client_id"] != client_id:
        raise SignInRefused("invalid_grant", 700005, "The device code was given to another application")
    if body["state"] == PENDING:
        raise SignInRefused("authorization_pending", 70016, "The user has not yet typed the code")
    try:
        hub.documents.commit([Delete(document.key, match=document.revision)])
    except RevisionMismatch:
        raise SignInRefused("expired_token", 70020, "The device code was used already") from None
    if body["state"] == DENIED:
        raise SignInRefused("authorization_declined", 70019, "The user declined")
    holder = _still(hub, body)
    session = sessions.open_(hub, holder, client_id=client_id, auth_time=body["authTime"])
    return Granted(holder, client_id, session=session.id, refresh_token=session.token, auth_time=body["authTime"])


def _still(hub: Hub, body: Mapping[str, Json]) -> Holder:
    holder = hub.standing.of(hub.documents, body["principal"], hub.clock.now())
    if holder is None or not holder.is_enabled or holder.generation != body["generation"]:
        raise SignInRefused("invalid_grant", 50173, "The sign-in was revoked: sign in again")
    return holder


def _code_key(code: str) -> str:
    return f"codes/{digest_of(code.encode())}"


def _device_key(code: str) -> str:
    return f"devicecodes/{digest_of(code.encode())}"


def _user_key(code: str) -> str:
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return f"usercodes/{digest_of(plain.encode())}"
