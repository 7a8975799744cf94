"""Who is calling: the home's owner token, or a signed token that a job or an Azure client carries.

What they may do is not asked here.
"""

import hashlib
import hmac
import threading
from collections.abc import Iterable
from typing import Any

from entrepot.core.clock import Clock, new_id
from entrepot.core.errors import InvalidRequest, Unauthenticated
from entrepot.domain.access import scope_key_of
from entrepot.domain.hub import Principal

Json = Any

ISSUER = "entrepot"
AUDIENCE = "https://ml.azure.localhost"
"""azure-ai-ml refuses to submit pipelines with a token for another audience; it follows from the portal's name."""
AUDIENCES = (
    AUDIENCE,
    "https://ml.azure.com",  # azure-ai-ml has it in its code, for online endpoints with Entra tokens
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://storage.azure.com",  # for datastores without credentials of their own
)
"""What Azure clients ask tokens for, besides the server's own address."""
IDENTITY_TOKEN_S = 24 * 3600.0  # as long as Azure's managed identities have theirs
_REMEMBERED_TOKENS = 4096


class TokenSigner:
    """Makes and checks signed tokens (HS256). The JOSE library is imported at first use."""

    def __init__(self, key: bytes, *, tenant: str, clock: Clock, addresses: Iterable[str] = ()) -> None:
        self._key = key
        self._tenant = tenant
        self._clock = clock
        self._audiences = frozenset((*AUDIENCES, *addresses))

    def issue(self, principal: Principal, *, job: str, workspace: str, lifetime_s: float) -> str:
        """Return a token with which a job acts for the principal that submitted it."""
        return self._signed(principal, AUDIENCE, lifetime_s, job=job, workspace=workspace)

    def issue_for(self, principal: Principal, resource: str, *, lifetime_s: float = IDENTITY_TOKEN_S) -> str:
        """Return a token for a resource as Azure clients name it: `https://host`, with a slash or `/.default` behind.

        Its audience is the resource as it was asked for, because clients compare. Raises InvalidRequest for one that
        is not of this server.
        """
        audience = resource.removesuffix("/.default")
        if not self._is_ours(audience):
            known = ", ".join(sorted(self._audiences))
            raise InvalidRequest(f"No tokens for the resource {resource!r} are made here; for these: {known}")
        return self._signed(principal, audience, lifetime_s, job=principal.via or "", workspace=principal.within)

    def _is_ours(self, audience: object) -> bool:
        return isinstance(audience, str) and audience.rstrip("/") in self._audiences

    def _signed(self, principal: Principal, audience: str, lifetime_s: float, *, job: str, workspace: str) -> str:
        from joserfc import jwk, jwt

        now = int(self._clock.now())
        claims = {
            "iss": ISSUER, "aud": audience, "sub": principal.id, "oid": principal.id, "tid": self._tenant,
            "name": principal.name, "kind": principal.kind, "groups": list(principal.groups), "job": job,
            "workspace": workspace, "iat": now, "nbf": now - 60, "exp": now + int(lifetime_s), "jti": new_id(),
        }  # fmt: skip
        return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, jwk.OctKey.import_key(self._key))

    def verify(self, token: str) -> dict[str, Json]:
        """Return the claims of a token of ours. Raises Unauthenticated for any other, unsigned or expired."""
        from joserfc import errors, jwk, jwt

        try:
            decoded = jwt.decode(token, jwk.OctKey.import_key(self._key), algorithms=["HS256"])
            claims: dict[str, Json] = dict(decoded.claims)
        except (errors.JoseError, ValueError) as error:
            raise Unauthenticated("The token is not one of this server, or its signature is wrong") from error
        if (
            claims.get("iss") != ISSUER
            or not self._is_ours(claims.get("aud"))
            or not isinstance(claims.get("exp"), int)
        ):
            known = ", ".join(sorted(self._audiences))
            raise Unauthenticated(f"The token is not for this server: its audience must be one of {known}")
        if claims["exp"] <= self._clock.now():
            raise Unauthenticated("The token has expired")
        return claims


class Authenticator:
    """Turns an Authorization header into a principal; remembers verified tokens by their hash until they expire."""

    def __init__(
        self, *, owner_token: str, owner: Principal, signer: TokenSigner, clock: Clock, identity_secret: str = ""
    ) -> None:
        self._owner_hash = _hash(owner_token.encode())
        self._identity_hash = _hash(identity_secret.encode()) if identity_secret else None
        self._owner = owner
        self._signer = signer
        self._clock = clock
        self._known: dict[bytes, tuple[Principal, float]] = {}
        self._lock = threading.Lock()

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Return the caller. Raises Unauthenticated."""
        if not authorization:
            raise Unauthenticated("Sign in first: the request has no Authorization header")
        scheme, _, token = authorization.partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token:
            raise Unauthenticated("Write the Authorization header as 'Bearer <token>'")
        hashed = _hash(token)
        if hmac.compare_digest(hashed, self._owner_hash):
            return self._owner
        known = self._known.get(hashed)
        if known is not None and known[1] > self._clock.now():
            return known[0]
        return self._verify(token, hashed)

    def identify(self, secret: bytes | None) -> Principal:
        """Return whom the managed identity of this home stands for: its owner. Raises Unauthenticated."""
        known = self._identity_hash
        if known is None or not secret or not hmac.compare_digest(_hash(secret), known):
            raise Unauthenticated(
                "The header X-IDENTITY-HEADER is not the secret of this home", hint='eval "$(entrepot env)" sets it'
            )
        return self._owner

    def _verify(self, token: bytes, hashed: bytes) -> Principal:
        claims = self._signer.verify(token.decode("ascii", "replace"))
        principal = Principal(
            id=claims["sub"],
            name=claims.get("name", ""),
            kind=claims.get("kind", "User"),
            tenant=claims.get("tid", ""),
            via=claims.get("job") or None,
            groups=tuple(claims.get("groups", ())),
            within=scope_key_of(claims["workspace"]) if claims.get("workspace") else "",
        )
        with self._lock:
            if len(self._known) >= _REMEMBERED_TOKENS:
                self._known.clear()
            self._known[hashed] = (principal, float(claims["exp"]))
        return principal


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
