"""Tokens as JWTs: what the authority signs, and the proof that a token is one of ours, in time and meant for us.

Whether its holder may still use it is not asked here (`domain/identity/granting.py`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from entrepot.core.clock import Clock, new_id
from entrepot.core.errors import InvalidRequest, Unauthenticated
from entrepot.server.identity.signing import SigningKeys

Json = Any

AUDIENCE = "https://ml.azure.localhost"
"""azure-ai-ml refuses to submit pipelines with a token for another audience; it follows from the portal's name."""
AUDIENCES = (
    AUDIENCE,
    "https://ml.azure.com",  # azure-ai-ml has it in its code, for online endpoints with Entra tokens
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://storage.azure.com",  # for datastores without credentials of their own
    "https://graph.microsoft.com",
)
"""What Azure clients ask tokens for, besides the server's own address."""
ACCESS_TOKEN_S = 3600.0
IDENTITY_TOKEN_S = 24 * 3600.0  # as long as Azure's managed identities have theirs
_SKEW_S = 60


class TokenSigner:
    """Makes and checks signed tokens (RS256) of one tenant."""

    def __init__(self, keys: SigningKeys, *, tenant: str, clock: Clock, addresses: Iterable[str] = ()) -> None:
        self.keys = keys
        self._tenant = tenant
        self._clock = clock
        self._addresses = tuple(addresses)
        self._audiences = frozenset((*AUDIENCES, *self._addresses))

    def issue(
        self, claims: Mapping[str, Json], *, audience: str, origin: str = "", lifetime_s: float = ACCESS_TOKEN_S
    ) -> str:
        """Return a token with these claims, for an audience, from the authority at `origin` (else our first one)."""
        from joserfc import jwt

        key, now = self.keys.current(), int(self._clock.now())
        whole = {
            "iss": self.issuer(origin), "aud": audience, "iat": now, "nbf": now - _SKEW_S,
            "exp": now + int(lifetime_s), "jti": new_id(), **claims,
        }  # fmt: skip
        return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": key.id}, whole, key.pair)

    def issuer(self, origin: str = "") -> str:
        """Return the authority's name, as its discovery document tells it at this origin."""
        return f"{origin or next(iter(self._addresses), '')}/{self._tenant}/v2.0"

    def audience_of(self, resource: str) -> str:
        """Return the audience that a resource (`https://host[/]`) or a scope of it (`.../.default`) stands for.

        It is spelled as it was asked for, because clients compare. Raises InvalidRequest for one that is not of this
        server.
        """
        audience = resource.removesuffix("/.default")
        for candidate in (audience, audience.rpartition("/")[0]):  # a scope may name a permission
            if self._is_ours(candidate):
                return candidate
        known = ", ".join(sorted(self._audiences))
        raise InvalidRequest(f"No tokens for the resource {resource!r} are made here; for these: {known}")

    def _is_ours(self, audience: object) -> bool:
        return isinstance(audience, str) and audience.rstrip("/") in self._audiences

    def verify(self, token: str) -> dict[str, Json]:
        """Return the claims of a token of ours. Raises Unauthenticated for any other, unsigned or expired."""
        from joserfc import errors, jws, jwt

        try:
            header = jws.extract_compact(token.encode()).headers()
            key = self.keys.public(str(header.get("kid", "")))
            if key is None:
                raise Unauthenticated("The token is not one of this server, or its signature is wrong")
            claims: dict[str, Json] = dict(jwt.decode(token, key, algorithms=["RS256"]).claims)
        except (errors.JoseError, ValueError) as error:
            raise Unauthenticated("The token is not one of this server, or its signature is wrong") from error
        if not str(claims.get("iss")).endswith(f"/{self._tenant}/v2.0") or not self._is_ours(claims.get("aud")):
            known = ", ".join(sorted(self._audiences))
            raise Unauthenticated(f"The token is not for this server: its audience must be one of {known}")
        now, expires, begins = self._clock.now(), claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int) or expires <= now:
            raise Unauthenticated("The token has expired")
        if not isinstance(begins, int) or begins > now + _SKEW_S:
            raise Unauthenticated("The token is not valid yet")
        return claims
