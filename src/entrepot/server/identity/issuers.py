"""Other authorities: their discovery documents and keys, fetched when first needed and again when they change.

Knows nothing of users: `verify` says that a token is genuine, in time and for one of the audiences.
"""

import json
import ssl
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.core.clock import Clock
from entrepot.core.errors import EntrepotError, Unauthenticated, Unavailable
from entrepot.store.web.addresses import Allowed, split
from entrepot.store.web.fetching import Limits, post, read

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

Json = Any

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LIMITS = Limits(1 << 20, 5.0)
_FRESH_S = 3600.0
_PAUSE_S = 10.0  # an unknown key is asked for no oftener: key ids are the caller's words
_SKEW_S = 60.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ANY = Allowed.of(("0.0.0.0/0", "::/0"))  # an issuer of the settings is where its operator says


@dataclass(frozen=True, slots=True)
class _Keys:
    keys: "KeySet"
    fetched: float


class Issuers:
    """Checks tokens of other authorities; remembers their keys. Waits for the network: not for the event loop."""

    def __init__(
        self, clock: Clock, *, authority: Path | None = None, allowed: Allowed, trusted: Collection[str] = ()
    ) -> None:
        """`trusted`: issuers whose addresses the operator has written; of all others, `allowed` are asked."""
        self._clock = clock
        self._allowed = allowed
        self._trusted = frozenset(trusted)
        self._authority = authority  # believed beside the system's, so that servers of one kind trust each other
        self._lock = threading.Lock()
        self._known: dict[str, _Keys] = {}
        self._told: dict[str, tuple[dict[str, Json], float]] = {}
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

    def discovered(self, issuer: str, discovery: str = "") -> dict[str, Json]:
        """Return what an issuer tells of itself, read again when it is old. Raises Unavailable."""
        told, now = self._told.get(issuer), self._clock.now()
        if told is None or now - told[1] >= _FRESH_S:
            place = discovery or f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            told = self._get(place, self._reach(issuer)), now
            if told[0].get("issuer") != issuer:
                raise Unavailable(f"The discovery document of {issuer} names another issuer: {told[0].get('issuer')!r}")
            self._told[issuer] = told
        return told[0]

    def send(self, issuer: str, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Json]]:
        """Send a form to an address of an issuer; return the status and the JSON object of the answer.

        Raises Unavailable.
        """
        try:
            _require_safe(url)
            status, text = post(url, body, headers, self._reach(issuer), _LIMITS, trust=self._trust)
            value = json.loads(text)
        except (EntrepotError, ValueError, RecursionError) as error:
            raise Unavailable(f"{url} cannot be asked: {error}") from error
        return status, value if isinstance(value, dict) else {}

    def _reach(self, issuer: str) -> Allowed:
        return _ANY if issuer in self._trusted else self._allowed

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

        self._told.pop(issuer, None)  # keys may have moved
        published = self._get(str(self.discovered(issuer, discovery).get("jwks_uri", "")), self._reach(issuer))
        usable = [
            key for key in published.get("keys", ()) if key.get("use", "sig") == "sig" and key.get("kty") != "oct"
        ]
        try:
            return KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, KeyError) as error:
            raise Unavailable(f"The keys of {issuer} cannot be read: {error}") from error

    def _get(self, url: str, allowed: Allowed) -> dict[str, Json]:
        """Return a document of an issuer. Raises Unavailable."""
        try:
            _require_safe(url)
            value = json.loads(read(url, allowed, _LIMITS, trust=self._trust))
        except (EntrepotError, ValueError, RecursionError) as error:
            raise Unavailable(f"{url} cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise Unavailable(f"{url} answers no JSON object")
        return value

    def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.create_default_context()
            if self._authority is not None and self._authority.exists():
                context.load_verify_locations(self._authority)
            self._context = context
        return self._context


def _require_safe(url: str) -> None:
    """Return if nobody on the way reads or changes what is said there. Raises Unavailable."""
    parts = split(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise Unavailable(f"{url!r} is no https address")
