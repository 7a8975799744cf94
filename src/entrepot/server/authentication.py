"""Who is calling: the home's owner token, a signed token that a client or a job carries, or a browser's cookie.

What they may do is not asked here.
"""

import hashlib
import hmac
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from entrepot.core.errors import Unauthenticated
from entrepot.core.settings import is_loopback
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import assertions, granting, sessions, visitors
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.server.identity import browsers
from entrepot.server.identity.issuers import Issuers
from entrepot.server.identity.tokens import TokenSigner

_REMEMBERED_TOKENS = 4096
_NOT_FROM_AFAR = (
    "The secrets of this home are good on its own machine only: sign in as a user or a service of the directory"
)
_COOKIE_LOOK_S = 60.0  # after which a session's end is asked for again


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was found good. `stamp` is the directory's when it was: it is asked again after a change."""

    principal: Principal
    expires: float
    stamp: int


class Authenticator:
    """Turns an Authorization header into a principal; remembers verified tokens by their hash until they expire."""

    def __init__(
        self,
        hub: Hub,
        *,
        owner_token: str,
        owner: Principal,
        signer: TokenSigner,
        issuers: Issuers,
        identity_secret: str = "",
    ) -> None:
        self.issuers = issuers
        self._providers = visitors.read_providers(hub.settings.oidc_providers)
        self._owner_hash = _hash(owner_token.encode())
        self._identity_hash = _hash(identity_secret.encode()) if identity_secret else None
        self._owner = owner
        self._hub = hub
        self._signer = signer
        self._known: dict[bytes, _Known] = {}
        self._lock = threading.Lock()

    @property
    def doors(self) -> tuple[visitors.Provider, ...]:
        """The outside providers by which people sign in with a browser."""
        return tuple(provider for provider in self._providers.values() if provider.client_id)

    def may_wait(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Say whether `caller` may have to ask an outside provider for its keys: not in the event loop."""
        if not self._providers:
            return False
        token = dict(headers).get(b"authorization", b"").partition(b" ")[2].strip()
        hub, known = self._hub, self._known.get(_hash(token))
        if token.count(b".") != 2:
            return False
        now = hub.clock.now()
        return known is None or known.expires <= now or known.stamp != hub.standing.stamp(hub.documents, now)

    def caller(self, method: str, headers: Mapping[bytes, bytes], *, address: str = "") -> Principal:
        """Return who sent a request: by its Authorization header, or by the cookie of a browser that signed in.

        `address`: where it came from. Raises Unauthenticated.
        """
        authorization = headers.get(b"authorization")
        if authorization is None and (cookie := browsers.cookie_of(headers)):
            return self._by_cookie(cookie, method, headers)
        return self.authenticate(authorization, is_local=not address or is_loopback(address))

    def authenticate(self, authorization: bytes | None, *, is_local: bool = True) -> Principal:
        """Return whose bearer token this is; the home's own is good on its machine only. Raises Unauthenticated."""
        if not authorization:
            raise Unauthenticated("Sign in first: the request has no Authorization header")
        scheme, _, token = authorization.partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token:
            raise Unauthenticated("Write the Authorization header as 'Bearer <token>'")
        hashed = _hash(token)
        if hmac.compare_digest(hashed, self._owner_hash):
            if not is_local:
                raise Unauthenticated(_NOT_FROM_AFAR)
            return self._owner
        hub = self._hub
        known, now = self._known.get(hashed), hub.clock.now()
        if known is not None and known.expires > now and known.stamp == hub.standing.stamp(hub.documents, now):
            if known.principal.via:
                granting.require_running(hub, known.principal)
            return known.principal
        return self._verify(token, hashed)

    def _by_cookie(self, cookie: str, method: str, headers: Mapping[bytes, bytes]) -> Principal:
        if not browsers.is_intended(method, headers):
            raise Unauthenticated(
                f"A browser's request that changes something must have the header {browsers.INTENT.decode()}, "
                "and come from a page of this server"
            )
        hub, hashed = self._hub, _hash(b"cookie " + cookie.encode())
        known, now = self._known.get(hashed), hub.clock.now()
        stamp = hub.standing.stamp(hub.documents, now)
        if known is not None and known.expires > now and known.stamp == stamp:
            return known.principal
        try:
            granted = sessions.resumed(hub, cookie, client_id=sessions.BROWSER)
        except SignInRefused as refused:
            raise Unauthenticated(f"{refused.message}: sign in again") from refused
        principal = granting.principal_of(hub, granted.holder)
        self._remember(hashed, _Known(principal, now + _COOKIE_LOOK_S, stamp))
        return principal

    def identify(self, secret: bytes | None, *, address: str = "") -> Principal:
        """Return for whom somebody may ask tokens: with the home's secret its owner, with a job's token that job.

        Raises Unauthenticated.
        """
        if secret and secret.count(b".") == 2:  # a job has no other secret than its token
            principal = self.authenticate(b"Bearer " + secret)
            if principal.via:
                return principal
        known = self._identity_hash
        if known is None or not secret or not hmac.compare_digest(_hash(secret), known):
            raise Unauthenticated(
                "The header X-IDENTITY-HEADER is not the secret of this home", hint='eval "$(entrepot env)" sets it'
            )
        if address and not is_loopback(address):
            raise Unauthenticated(_NOT_FROM_AFAR)
        return self._owner

    def _verify(self, token: bytes, hashed: bytes) -> Principal:
        hub = self._hub
        stamp = hub.standing.stamp(hub.documents, hub.clock.now())
        text = token.decode("ascii", "replace")
        provider = self._providers.get(_issuer_of(text)) if self._providers else None
        if provider is not None:
            claims = self.issuers.verify(text, provider.issuer, provider.audiences, discovery=provider.discovery)
            principal = visitors.admit(hub, provider, claims)
            stamp = hub.standing.stamp(hub.documents, hub.clock.now())
        else:
            claims = self._signer.verify(text)
            principal = granting.admit(hub, claims)
        if principal.via:
            granting.require_running(hub, principal)
        self._remember(hashed, _Known(principal, float(claims["exp"]), stamp))
        return principal

    def _remember(self, hashed: bytes, known: _Known) -> None:
        with self._lock:
            if len(self._known) >= _REMEMBERED_TOKENS:
                self._known.clear()
            self._known[hashed] = known


def _issuer_of(token: str) -> str:
    """Return who a token says that it is of; nothing is believed of it yet."""
    try:
        return str(assertions.peek(token)[1].get("iss", ""))
    except SignInRefused:
        return ""


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
