"""This server as a client of an outside OpenID provider: where browsers are sent, and what a code is exchanged for.

The authorization code flow with PKCE, state and nonce (https://openid.net/specs/openid-connect-core-1_0.html, 3.1).
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from entrepot.core.errors import Unavailable
from entrepot.domain.identity.codes import challenge_of
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.domain.identity.visitors import Departure, Provider
from entrepot.server.calls import Call, Header
from entrepot.server.identity.issuers import Issuers

Json = Any

CALLBACK = "/login/callback"
COOKIE = "entrepot-departure"
_FORM = "application/x-www-form-urlencoded"


def doors(call: Call, onward: str) -> dict[str, str]:
    """Return {path: title} of the providers by which somebody may sign in, to be at `onward` afterwards."""
    wanted = urlencode({"next": onward})
    known = call.site.authenticator.doors
    return {f"/login/outside/{number}?{wanted}": provider.title for number, provider in enumerate(known)}


def address(issuers: Issuers, provider: Provider, departure: Departure, *, redirect_uri: str) -> str:
    """Return where a browser is sent to sign in. Raises Unavailable."""
    place = str(issuers.discovered(provider.issuer, provider.discovery).get("authorization_endpoint") or "")
    if not place.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise Unavailable(f"{provider.issuer} tells no address to sign in at: {place!r}")
    asked = {
        "client_id": provider.client_id, "response_type": "code", "response_mode": "query", "scope": provider.scopes,
        "redirect_uri": redirect_uri, "state": departure.state, "nonce": departure.nonce,
        "code_challenge": challenge_of(departure.verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"


def claims(
    issuers: Issuers, provider: Provider, code: str, departed: Mapping[str, Json], *, redirect_uri: str
) -> dict[str, Json]:
    """Exchange a code and return what the provider says of who signed in. Raises SignInRefused and what issuers do."""
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
        "client_id": provider.client_id, "code_verifier": departed["verifier"],
    }  # fmt: skip
    told = issuers.discovered(provider.issuer, provider.discovery)
    headers = {"Content-Type": _FORM, "Accept": "application/json"}
    methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if provider.client_secret and "client_secret_post" in methods:
        form["client_secret"] = provider.client_secret
    elif provider.client_secret:
        headers["Authorization"] = _basic(provider)
    place = str(told.get("token_endpoint") or "")
    status, answer = issuers.send(provider.issuer, place, urlencode(form).encode(), headers)
    token = answer.get("id_token")
    if status != 200 or not isinstance(token, str):
        why = str(answer.get("error_description") or answer.get("error") or f"HTTP {status}")[:500]
        raise SignInRefused("access_denied", 50020, f"{provider.title} gave no token: {why}")
    found = issuers.verify(token, provider.issuer, (provider.client_id,), discovery=provider.discovery)
    if not hmac.compare_digest(str(found.get("nonce", "")).encode(), str(departed["nonce"]).encode()):
        raise SignInRefused("access_denied", 50020, f"The token of {provider.title} is of another sign-in")
    if found.get("azp", provider.client_id) != provider.client_id:
        raise SignInRefused("access_denied", 50020, f"The token of {provider.title} was given to another application")
    return found


def cookie(value: str, *, is_secure: bool) -> Header:
    """Return the header that keeps, or with '' forgets, what binds a sign-in to this browser.

    Lax: it has to come along when the provider sends the browser back.
    """
    age, secure = 600 if value else 0, "; Secure" if is_secure else ""
    text = f"{COOKIE}={value}; Path=/login; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
    return b"set-cookie", text.encode()


def _basic(provider: Provider) -> str:
    pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
