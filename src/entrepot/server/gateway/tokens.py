"""Tokens of endpoints with the auth mode AMLToken: signed with a secret of the endpoint, good for it alone."""

from dataclasses import dataclass

from entrepot.core.clock import new_id
from entrepot.core.errors import Unauthenticated
from entrepot.domain.endpoints.secrets import TOKEN_LIFETIME_S

_ISSUER = "entrepot-endpoint"


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, when it ends, and when to ask for the next one (epoch seconds)."""

    text: str
    expires: float
    refresh: float


def issue(endpoint: str, secret: str, *, now: float) -> Issued:
    """Return a token for the endpoint with this ARM id."""
    from joserfc import jwk, jwt

    expires = int(now) + TOKEN_LIFETIME_S
    claims = {"iss": _ISSUER, "aud": endpoint.lower(), "iat": int(now), "exp": expires, "jti": new_id()}
    text = jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, jwk.OctKey.import_key(secret))
    return Issued(text, expires, int(now) + TOKEN_LIFETIME_S / 2)


def check(text: str, endpoint: str, secret: str, *, now: float) -> None:
    """Return if this is a token for the endpoint. Raises Unauthenticated."""
    from joserfc import errors, jwk, jwt

    try:
        claims = jwt.decode(text, jwk.OctKey.import_key(secret), algorithms=["HS256"]).claims
    except (errors.JoseError, ValueError) as error:
        raise Unauthenticated("The token is not one of this endpoint: ask for one with get-credentials") from error
    if claims.get("iss") != _ISSUER or claims.get("aud") != endpoint.lower():
        raise Unauthenticated("The token is not one of this endpoint: ask for one with get-credentials")
    if not isinstance(claims.get("exp"), int) or claims["exp"] <= now:
        raise Unauthenticated("The token has expired: ask for a new one with get-credentials")
