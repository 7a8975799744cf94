"""What applications and users prove themselves with: secrets (kept as hashes), certificates, federated subjects.

An application's document tells of each credential what may be told; hashes are in documents of their own below it.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.core.clock import from_iso, to_iso
from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.domain import access
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory
from entrepot.store.documents import Change, Delete, Document, Put

Json = Any

WRITE = "Microsoft.Authorization/principals/credentials/write"
PASSWORD = "password"  # noqa: S105 - the name of a user's secret, not one
_YEAR_S = 365 * 86400.0
_LONGEST_S = 10 * _YEAR_S
_MOST = 50
_SHORTEST_PASSWORD = 10
_HINT = 3


@dataclass(frozen=True, slots=True)
class Fresh:
    """A secret just made: the only time that its text is there to be told."""

    entry: Mapping[str, Json]
    secret: str

    def told(self) -> dict[str, Json]:
        """Return Graph's passwordCredential."""
        return {**self.entry, "secretText": self.secret}


def add_secret(
    hub: Hub,
    principal: Principal,
    application: str,
    *,
    display_name: str = "",
    end: str | None = None,
    is_only: bool = False,
    request_id: str = "",
) -> Fresh:
    """Give an application a new secret, for a year unless `end` (ISO 8601) says otherwise; `is_only`: take the others.

    Raises InvalidRequest, NotFound, AccessDenied.
    """
    access.require(hub, principal, WRITE, "", request_id=request_id)
    secret = _fresh_secret()
    now = hub.clock.now()
    entry: dict[str, Json] = {
        "keyId": hub.new_id(), "displayName": display_name or None, "hint": secret[:_HINT],
        "startDateTime": to_iso(now), "endDateTime": to_iso(_end(end, now)),
    }  # fmt: skip
    hashed = hub.passwords.hash(secret)

    def write() -> None:
        document, body = _application(hub, application)
        gone = [held["keyId"] for held in body["passwordCredentials"]] if is_only else []
        body["passwordCredentials"] = [*([] if is_only else body["passwordCredentials"]), entry]
        if is_only:
            body["keyCredentials"] = []
        changes: list[Change] = [Delete(_secret_key(document, id)) for id in gone]
        changes.append(Put(_secret_key(document, entry["keyId"]), {"hash": hashed}))
        _save(hub, principal, document, body, changes, request_id)

    settled(write)
    return Fresh(entry, secret)


def remove(hub: Hub, principal: Principal, application: str, id: str, *, request_id: str = "") -> None:
    """Take a secret, a certificate or a federated subject from an application, and with it the tokens it was worth."""
    access.require(hub, principal, WRITE, "", request_id=request_id)

    def write() -> None:
        document, body = _application(hub, application)
        kept = {field: [held for held in body[field] if held["keyId"] != id] for field in _LISTS}
        federated = [held for held in body["entrepot"].get("federated", []) if id not in (held["id"], held["name"])]
        before = {field: body[field] for field in _LISTS}
        if kept == before and federated == body["entrepot"].get("federated", []):
            raise NotFound(f"Application {body['displayName']} has no credential {id}")
        body.update(kept)
        body["entrepot"]["federated"] = federated
        _save(hub, principal, document, body, [Delete(_secret_key(document, id))], request_id)

    settled(write)


_LISTS = ("passwordCredentials", "keyCredentials")


def add_certificate(
    hub: Hub,
    principal: Principal,
    application: str,
    pem_or_der: str,
    *,
    display_name: str = "",
    is_only: bool = False,
    request_id: str = "",
) -> dict[str, Json]:
    """Let an application sign assertions with the key of a certificate (PEM, or base64 of DER); return its entry."""
    access.require(hub, principal, WRITE, "", request_id=request_id)
    entry = _certificate_entry(hub, pem_or_der, display_name)

    def write() -> None:
        document, body = _application(hub, application)
        gone = [held["keyId"] for held in body["passwordCredentials"]] if is_only else []
        if is_only:
            body["passwordCredentials"] = []
        body["keyCredentials"] = [*([] if is_only else body["keyCredentials"]), entry]
        _save(hub, principal, document, body, [Delete(_secret_key(document, id)) for id in gone], request_id)

    settled(write)
    return entry


def read_certificates(hub: Hub, wanted: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Return entries for the certificates among `wanted`, and those that only name one as they are.

    Raises InvalidRequest for what is no certificate.
    """
    return [
        _certificate_entry(hub, str(entry["key"]), str(entry.get("displayName") or "")) if entry.get("key") else entry
        for entry in wanted
    ]


def set_certificates(
    hub: Hub, principal: Principal, application: str, wanted: Sequence[Mapping[str, Json]], *, request_id: str = ""
) -> None:
    """Let an application have these certificates and no others; one that it has already is named by its keyId."""
    access.require(hub, principal, WRITE, "", request_id=request_id)
    given = read_certificates(hub, wanted)

    def write() -> None:
        document, body = _application(hub, application)
        held = {entry["keyId"]: entry for entry in body["keyCredentials"]}
        known = {entry["key"]: entry for entry in body["keyCredentials"]}
        kept = [known.get(entry.get("key"), entry) if entry.get("key") else held.get(entry["keyId"]) for entry in given]
        if None in kept:
            raise InvalidRequest("keyCredentials names a keyId that the application does not have", target="keyId")
        body["keyCredentials"] = kept
        _save(hub, principal, document, body, [], request_id)

    settled(write)


def add_federated(
    hub: Hub, principal: Principal, application: str, body: Mapping[str, Json], *, request_id: str = ""
) -> dict[str, Json]:
    """Trust the tokens of another issuer for one subject (`name`, `issuer`, `subject`, `audiences`)."""
    access.require(hub, principal, WRITE, "", request_id=request_id)
    entry = {
        "id": hub.new_id(), "name": body.get("name"), "issuer": body.get("issuer"), "subject": body.get("subject"),
        "audiences": body.get("audiences") or ["api://AzureADTokenExchange"], "description": body.get("description"),
    }  # fmt: skip
    _check_federated(entry)

    def write() -> None:
        document, fresh = _application(hub, application)
        held = fresh["entrepot"].get("federated", [])
        if any(other["name"] == entry["name"] for other in held):
            raise InvalidRequest(f"Application {fresh['displayName']} has a federated credential {entry['name']!r}")
        fresh["entrepot"]["federated"] = [*held, entry]
        _save(hub, principal, document, fresh, [], request_id)

    settled(write)
    return entry


def federated(hub: Hub, application: str) -> list[dict[str, Json]]:
    """Return the federated credentials of an application."""
    found: list[dict[str, Json]] = _application(hub, application)[1]["entrepot"].get("federated", [])
    return found


def update_federated(
    hub: Hub, principal: Principal, application: str, id: str, body: Mapping[str, Json], *, request_id: str = ""
) -> None:
    """Change a federated credential, which its id or its name names. Raises NotFound, InvalidRequest."""
    access.require(hub, principal, WRITE, "", request_id=request_id)
    known = ("issuer", "subject", "audiences", "description")

    def write() -> None:
        document, fresh = _application(hub, application)
        entry = _named(fresh, id)
        if body.get("name", entry["name"]) != entry["name"]:
            raise InvalidRequest("The name of a federated credential cannot be changed", target="name")
        entry.update({field: body[field] for field in known if field in body})
        _check_federated(entry)
        _save(hub, principal, document, fresh, [], request_id)

    settled(write)


def federated_named(hub: Hub, application: str, id: str) -> dict[str, Json]:
    """Return a federated credential of an application by its id or its name. Raises NotFound."""
    return _named(_application(hub, application)[1], id)


def _named(application: Json, id: str) -> dict[str, Json]:
    for entry in application["entrepot"].get("federated", []):
        if id in (entry["id"], entry["name"]):
            found: dict[str, Json] = entry
            return found
    raise NotFound(f"Application {application['displayName']} has no federated credential {id}")


def _check_federated(entry: Mapping[str, Json]) -> None:
    for field in ("name", "issuer", "subject"):
        if not isinstance(entry.get(field), str) or not entry[field]:
            raise InvalidRequest(f"A federated credential needs a {field}", target=field)
    if not entry["issuer"].startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise InvalidRequest(f"issuer is {entry['issuer']!r}; it must be an https address", target="issuer")
    audiences = entry["audiences"]
    if not isinstance(audiences, list) or not audiences or not all(isinstance(name, str) for name in audiences):
        raise InvalidRequest("audiences is no list of texts", target="audiences")


def set_password(hub: Hub, principal: Principal, user: str, password: str, *, request_id: str = "") -> None:
    """Give a user a password; whoever is signed in with the old one is signed out."""
    access.require(hub, principal, WRITE, "", request_id=request_id)
    hashed = hub.passwords.hash(checked_password(password))

    def write() -> None:
        document = directory.get(hub, directory.USER, user)
        body = document.body
        body["entrepot"]["generation"] += 1
        put = Put(_secret_key(document, PASSWORD), {"hash": hashed})
        directory.changed(hub, principal, document, body, more=[put], action=WRITE, request_id=request_id)

    settled(write)


def password_of_new(hub: Hub, id: str, password: str) -> Put:
    """Return the change that gives a user who is being created a password."""
    key = f"{directory.key_of(id)}/secrets/{PASSWORD}"
    return Put(key, {"hash": hub.passwords.hash(checked_password(password))})


def checked_password(password: object) -> str:
    """Return the password. Raises InvalidRequest for one that is too easy to guess."""
    if not isinstance(password, str) or len(password) < _SHORTEST_PASSWORD or len(set(password)) < 5:
        raise InvalidRequest(
            f"The password is too easy to guess: use {_SHORTEST_PASSWORD} characters or more, not all alike",
            target="password",
        )
    if len(password) > 1024:
        raise InvalidRequest("The password has more than 1024 characters", target="password")
    return password


def secret_matches(hub: Hub, application: Document, secret: str) -> str | None:
    """Return the id of the credential whose secret this is, '' when it has expired, None when it is none.

    Takes as long for an application without secrets as for one with.
    """
    body = application.body
    candidates = [held for held in body["passwordCredentials"] if held["hint"] == secret[:_HINT]]
    for held in candidates or [None]:
        hashed = ""
        if held is not None:
            kept = hub.documents.get(_secret_key(application, held["keyId"]))
            hashed = kept.body["hash"] if kept else ""
        if hub.passwords.verify(hashed, secret) and held is not None:
            return held["keyId"] if from_iso(held["endDateTime"]) > hub.clock.now() else ""
    return None


def password_matches(hub: Hub, user: Document | None, password: str) -> bool:
    """Say whether this is the user's password; takes as long when there is no such user."""
    kept = hub.documents.get(_secret_key(user, PASSWORD)) if user is not None else None
    return hub.passwords.verify(kept.body["hash"] if kept else "", password)


def _application(hub: Hub, name: str) -> tuple[Document, dict[str, Json]]:
    """Return the application, which its service principal names too: they prove themselves with the same."""
    twin = directory.find(hub, directory.SERVICE_PRINCIPAL, name)
    document = directory.get(hub, directory.APPLICATION, twin.body["appId"] if twin else name)
    return document, document.body


def told(hub: Hub, principal: Mapping[str, Json]) -> dict[str, Json]:
    """Return what may be told of the credentials of a service principal: those of its application, if it has one."""
    application = directory.find(hub, directory.APPLICATION, principal["appId"])
    return {field: application.body[field] if application else [] for field in _LISTS}


def _save(hub: Hub, principal: Principal, document: Document, body: Json, more: list[Change], request_id: str) -> None:
    count = sum(len(body[field]) for field in _LISTS) + len(body["entrepot"].get("federated", ()))
    if count > _MOST:
        raise InvalidRequest(f"Application {body['displayName']} has {_MOST} credentials already: remove some first")
    directory.changed(hub, principal, document, body, more=more, action=WRITE, request_id=request_id)


def _secret_key(owner: Document, id: str) -> str:
    return f"{owner.key}/secrets/{id}"


def _fresh_secret() -> str:
    """Return a secret that no command line takes for an option."""
    while (secret := secrets.token_urlsafe(32))[0] in "-_":
        continue
    return secret


def _end(text: str | None, now: float) -> float:
    if not text:
        return now + _YEAR_S
    try:
        end = from_iso(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    except ValueError:
        raise InvalidRequest(f"endDateTime is {text!r}; write it as 2027-01-31T00:00:00Z") from None
    if not now < end <= now + _LONGEST_S:
        raise InvalidRequest(f"endDateTime is {text}: a secret ends after now and within ten years")
    return end


def _certificate_entry(hub: Hub, text: str, display_name: str) -> dict[str, Json]:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        if "-----BEGIN" in text:
            start = text.index("-----BEGIN CERTIFICATE")
            certificate = x509.load_pem_x509_certificate(text[start:].encode())
        else:
            certificate = x509.load_der_x509_certificate(base64.b64decode(text))
    except ValueError:
        raise InvalidRequest("This is no X.509 certificate: give PEM, or base64 of DER", target="key") from None
    der = certificate.public_bytes(serialization.Encoding.DER)
    return {
        "keyId": hub.new_id(), "displayName": display_name or certificate.subject.rfc4514_string(),
        "type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.b64encode(der).decode(),
        "customKeyIdentifier": hashlib.sha1(der).hexdigest().upper(),  # noqa: S324 - x5t, a name and no proof
        "startDateTime": to_iso(certificate.not_valid_before_utc.timestamp()),
        "endDateTime": to_iso(certificate.not_valid_after_utc.timestamp()),
    }  # fmt: skip
