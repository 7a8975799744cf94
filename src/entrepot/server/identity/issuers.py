"""Other authorities: their discovery documents and keys, fetched when first needed and again when they change.

Knows nothing of users: `verify` says that a token is genuine, in time and for one of the audiences.
"""

import http.client
import json
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from entrepot.core.clock import Clock
from entrepot.core.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

Json = Any

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_TIMEOUT_S = 5.0
_LIMIT_BYTES = 1 << 20
_FRESH_S = 3600.0
_PAUSE_S = 10.0  # an unknown key is asked for no oftener: key ids are the caller's words
_SKEW_S = 60.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class _Keys:
    keys: "KeySet"
    fetched: float


class Issuers:
    """Checks tokens of other authorities; remembers their keys. Waits for the network: not for the event loop."""

    def __init__(self, clock: Clock, *, authority: Path | None = None) -> None:
        self._clock = clock
        self._authority = authority  # believed beside the system's, so that servers of one kind trust each other
        self._lock = threading.Lock()
        self._known: dict[str, _Keys] = {}
        self._failed: dict[str, float] = {}
        self._context: ssl.SSLContext | None = None

    def verify(self, token: str, issuer: str, audiences: Sequence[str], *, discovery: str = "") -> dict[str, Json]:
        """Return the claims of a genuine token. Raises Unauthenticated, and Unavailable when the issuer is silent."""
        from joserfc import errors, jwt
        from joserfc.jws import extract_compact

        try:
            id = extract_compact(token.encode()).headers().get("kid")
            keys = self._keys(issuer, str(id) if id else "", discovery)
            claims: dict[str, Json] = dict(jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims)
        except (errors.JoseError, ValueError) as error:
            raise Unauthenticated(f"The token of {issuer} is not genuine: its signature or its key is wrong") from error
        given = claims.get("aud")
        found = set(given if isinstance(given, list) else [given])
        if claims.get("iss") != issuer or not found & set(audiences):
            raise Unauthenticated(
                f"The token of {issuer} is for {', '.join(map(str, found))}; here it must be for one of "
                + ", ".join(audiences)
            )
        now, expires, begins = self._clock.now(), claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or expires <= now:
            raise Unauthenticated(f"The token of {issuer} has expired")
        if not isinstance(begins, int | float) or begins > now + _SKEW_S:
            raise Unauthenticated(f"The token of {issuer} is not valid yet")
        return claims

    def _keys(self, issuer: str, id: str, discovery: str) -> "KeySet":
        """Return an issuer's keys, asking for them again when they are old or lack the one that is wanted."""
        with self._lock:
            known, now = self._known.get(issuer), self._clock.now()
            if known is not None:
                is_fresh = now - known.fetched < _FRESH_S
                has_it = not id or any(key.kid == id for key in known.keys.keys)
                if (is_fresh and has_it) or now - known.fetched < _PAUSE_S:
                    return known.keys
            try:
                if now - self._failed.get(issuer, float("-inf")) < _PAUSE_S:
                    raise Unavailable(f"The keys of {issuer} could not be read a moment ago: try again soon")
                self._failed[issuer] = now  # taken back below
                keys = self._fetched(issuer, discovery)
            except Unavailable:
                if known is None or not has_it:
                    raise
                return known.keys  # a provider that is down for a while locks nobody out
            self._failed.pop(issuer, None)
            self._known[issuer] = _Keys(keys, now)
            return keys

    def _fetched(self, issuer: str, discovery: str) -> "KeySet":
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        told = self._get(discovery or f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if told.get("issuer") != issuer:
            raise Unavailable(f"The discovery document of {issuer} names another issuer: {told.get('issuer')!r}")
        published = self._get(str(told.get("jwks_uri", "")))
        usable = [
            key for key in published.get("keys", ()) if key.get("use", "sig") == "sig" and key.get("kty") != "oct"
        ]
        try:
            return KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, KeyError) as error:
            raise Unavailable(f"The keys of {issuer} cannot be read: {error}") from error

    def _get(self, url: str) -> dict[str, Json]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
            raise Unavailable(f"{url!r} is no https address")
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT_S, context=self._trust())
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
            answer = connection.getresponse()
            body = answer.read(_LIMIT_BYTES + 1)
            value = json.loads(body) if answer.status == 200 and len(body) <= _LIMIT_BYTES else None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unavailable(f"{url} cannot be read: {error}") from error
        finally:
            connection.close()
        if not isinstance(value, dict):
            raise Unavailable(f"{url} answers {answer.status}, and not a JSON object of up to {_LIMIT_BYTES} bytes")
        return value

    def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.create_default_context()
            if self._authority is not None and self._authority.exists():
                context.load_verify_locations(self._authority)
            self._context = context
        return self._context
