"""A browser that is signed in: its cookie, and the proof that a form which it sends is one of our own.

The cookie is SameSite=Strict, so other sites never send it; forms carry a token besides, and their Origin is looked at.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from entrepot.domain.hub import Hub
from entrepot.domain.identity import sessions
from entrepot.domain.identity.granting import Granted
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.server.calls import Header

COOKIE = "entrepot-session"
INTENT = b"x-entrepot-intent"
"""A header that a page of ours adds to every request that changes something: no other site's page can."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser's session: who is signed in, and the cookie's value."""

    granted: Granted
    cookie: str

    @property
    def form_token(self) -> str:
        """What forms for this session carry; nobody without the cookie can make it."""
        mac = hmac.new(self.cookie.encode(), b"entrepot form", hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def sent(self, form: Mapping[str, str]) -> bool:
        """Say whether this session's own page sent the form."""
        return hmac.compare_digest(form.get("token", "").encode(), self.form_token.encode())


def cookie_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the session cookie's value out of a request's headers, '' when there is none."""
    return named(headers, COOKIE)


def named(headers: Mapping[bytes, bytes], name: str) -> str:
    """Return the value of a cookie out of a request's headers, '' when there is none."""
    raw = headers.get(b"cookie", b"")
    if name.encode() not in raw:
        return ""
    try:
        morsel = SimpleCookie(raw.decode("latin-1")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def browser_of(hub: Hub, headers: Mapping[bytes, bytes]) -> Browser | None:
    """Return the signed-in browser that sent a request, None for any other."""
    cookie = cookie_of(headers)
    if not cookie:
        return None
    try:
        return Browser(sessions.resumed(hub, cookie, client_id=sessions.BROWSER), cookie)
    except SignInRefused:
        return None


def onward(wanted: str) -> str:
    """Return a path on this server to which a browser may be sent on: the one that is wanted, or the first page."""
    plain = wanted.encode("ascii", "ignore").decode()
    is_ours = plain.startswith("/") and not plain.startswith(("//", "/\\")) and plain.isprintable()
    return plain if is_ours else "/"


def set_cookie(value: str, *, is_secure: bool) -> Header:
    """Return the header that signs a browser in; with '' it is signed out."""
    age = int(sessions.BROWSER_S) if value else 0
    secure = "; Secure" if is_secure else ""
    return b"set-cookie", f"{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}".encode()


def is_own(headers: Mapping[bytes, bytes], hosts: tuple[str, ...]) -> bool:
    """Say whether a form was sent by a page of ours, as far as the browser tells: by Origin and Sec-Fetch-Site."""
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1").partition("://")[2] not in hosts:
        return False
    return headers.get(b"sec-fetch-site", b"same-origin") in (b"same-origin", b"none")


def is_intended(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Say whether a request with a cookie is what the person at the page wanted, and not another page's doing."""
    if headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
        return False
    return method in ("GET", "HEAD") or INTENT in headers
