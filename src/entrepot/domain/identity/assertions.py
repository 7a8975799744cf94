"""Signed assertions by which an application proves itself: with a certificate's key, or with another issuer's token.

MSAL shows one assertion many times until it ends, so none is refused for having been seen before.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from entrepot.core.clock import from_iso
from entrepot.core.errors import EntrepotError
from entrepot.domain.hub import Hub
from entrepot.domain.identity.refusals import SignInRefused, missing
from entrepot.store.documents import Document

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from joserfc.jwk import ECKey, RSAKey

Json = Any
Foreign = Callable[[str, str, Sequence[str]], Mapping[str, Json]]
"""Checks a token of another issuer: (token, issuer, audiences) -> claims. Raises EntrepotError."""

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS = ("RS256", "PS256", "ES256")
_LONGEST_S = 24 * 3600.0
_SKEW_S = 300.0


def client_of(form: Mapping[str, str]) -> str:
    """Return the application that an assertion is shown for: what the form says, else the assertion's subject."""
    if form.get("client_assertion_type") != TYPE:
        raise SignInRefused("invalid_request", 90023, f"client_assertion_type must be {TYPE}")
    if not form.get("client_assertion"):
        raise missing("client_assertion")
    return form.get("client_id") or str(peek(form["client_assertion"])[1].get("sub") or "")


def check(hub: Hub, application: Document, assertion: str, *, endpoints: Sequence[str], foreign: Foreign) -> str:
    """Return the id of the credential that the assertion proves. Raises SignInRefused."""
    header, claims = peek(assertion)
    if "x5t" in header or "x5t#S256" in header:
        return _by_certificate(hub, application, assertion, header, endpoints)
    return _by_other_issuer(application, assertion, claims, foreign)


def peek(token: str) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the header and the claims of a token that nobody has checked yet. Raises SignInRefused."""
    from joserfc import errors, jws

    try:
        parsed = jws.extract_compact(token.encode())
        claims = json.loads(parsed.payload)
    except (errors.JoseError, ValueError) as error:
        raise SignInRefused("invalid_request", 50027, "The assertion is not a signed JSON Web Token") from error
    if not isinstance(claims, dict):
        raise SignInRefused("invalid_request", 50027, "The assertion is not a signed JSON Web Token")
    return dict(parsed.headers()), claims


def _by_certificate(
    hub: Hub, application: Document, assertion: str, header: Mapping[str, Json], endpoints: Sequence[str]
) -> str:
    from cryptography import x509
    from joserfc import errors, jwt

    body, now = application.body, hub.clock.now()
    entry = next((held for held in body["keyCredentials"] if _is_named(held, header)), None)
    if entry is None:
        raise _refused("the certificate by which the assertion was signed is not registered on the application")
    if not from_iso(entry["startDateTime"]) <= now < from_iso(entry["endDateTime"]):
        raise _refused("the certificate by which the assertion was signed has expired or is not valid yet")
    certificate = x509.load_der_x509_certificate(base64.b64decode(entry["key"]))
    try:
        claims = jwt.decode(assertion, _key_of(certificate), algorithms=list(_ALGORITHMS)).claims
    except (errors.JoseError, ValueError) as error:
        raise _refused("its signature is wrong") from error
    if not claims.get("iss") == claims.get("sub") == body["appId"]:
        raise _refused("iss and sub must both be the application's id")
    audiences = claims["aud"] if isinstance(claims.get("aud"), list) else [claims.get("aud")]
    if not any(audience in endpoints for audience in audiences):
        raise _refused(f"its audience is {claims.get('aud')!r}, not the token endpoint {endpoints[0]!r}")
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        raise _refused("it has no exp")
    if not now - _SKEW_S < expires < now + _LONGEST_S or begins > now + _SKEW_S:
        raise _refused("it has expired, is not valid yet, or is valid for too long")
    return str(entry["keyId"])


def _by_other_issuer(application: Document, assertion: str, claims: Mapping[str, Json], foreign: Foreign) -> str:
    issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
    trusted = application.body["entrepot"].get("federated", [])
    entry = next((held for held in trusted if (held["issuer"], held["subject"]) == (issuer, subject)), None)
    if entry is None:
        raise SignInRefused(
            "invalid_client",
            700213,
            "No matching federated identity record found for presented assertion issuer "
            f"'{issuer}', subject '{subject}'",
        )
    try:
        foreign(assertion, issuer, entry["audiences"])
    except SignInRefused:
        raise
    except EntrepotError as error:
        raise _refused(error.message) from error
    return str(entry["id"])


def _key_of(certificate: "Certificate") -> "RSAKey | ECKey":
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from joserfc.jwk import ECKey, RSAKey

    public = certificate.public_key()
    if isinstance(public, RSAPublicKey):
        return RSAKey.import_key(public)
    if isinstance(public, EllipticCurvePublicKey):
        return ECKey.import_key(public)
    raise _refused("the certificate's key is neither RSA nor of an elliptic curve")


def _is_named(entry: Mapping[str, Json], header: Mapping[str, Json]) -> bool:
    der = base64.b64decode(entry["key"])
    if "x5t#S256" in header:
        return hmac.compare_digest(_thumbprint(hashlib.sha256(der).digest()), str(header["x5t#S256"]).rstrip("="))
    sha1 = hashlib.sha1(der).digest()  # noqa: S324 - the name of a certificate, and no proof
    return hmac.compare_digest(_thumbprint(sha1), str(header["x5t"]).rstrip("="))


def _thumbprint(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _refused(why: str) -> SignInRefused:
    return SignInRefused("invalid_client", 700027, f"The client assertion failed: {why}")
