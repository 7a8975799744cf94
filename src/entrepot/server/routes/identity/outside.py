"""Signing in with a browser by an outside provider: there (`/login/outside/...`) and back (`/login/callback`)."""

import logging

from entrepot.core.errors import EntrepotError, NotFound
from entrepot.domain.identity import people, visitors
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.domain.identity.standing import Holder
from entrepot.domain.identity.visitors import Provider
from entrepot.server.calls import Answer, Call
from entrepot.server.identity import browsers, pages, relying
from entrepot.server.routing import Route

_log = logging.getLogger("entrepot.identity")
_FAILED = "This sign-in did not work"


def _there(call: Call) -> Answer:
    number, known = call.params["number"], call.site.authenticator.doors
    provider = known[int(number)] if number.isascii() and number.isdigit() and int(number) < len(known) else None
    if provider is None:
        raise NotFound(f"There is no outside provider {number}")
    try:
        onward = browsers.onward(call.query.get("next", "/"))
        departure = visitors.depart(call.hub, provider, onward=onward, address=call.address)
        issuers = call.site.authenticator.issuers
        place = relying.address(issuers, provider, departure, redirect_uri=call.url(relying.CALLBACK))
    except EntrepotError as error:
        return _told(error)
    kept = relying.cookie(departure.binding, is_secure=_is_secure(call))
    return Answer(303, b"", ((b"location", place.encode("ascii", "ignore")), kept), security=pages.security())


def _back(call: Call) -> Answer:
    try:
        binding = browsers.named(call.headers, relying.COOKIE)
        departed = visitors.returned(call.hub, call.query.get("state", ""), binding=binding)
        provider = _provider(call, departed["issuer"])
        holder = _holder(call, provider, departed)
        opened = people.open_browser(call.hub, holder, request_id=call.request_id)
    except EntrepotError as error:
        return _told(error)
    is_secure = _is_secure(call)
    cookies = (browsers.set_cookie(opened.token, is_secure=is_secure), relying.cookie("", is_secure=is_secure))
    return pages.onward(departed["onward"], headers=cookies)


def _provider(call: Call, issuer: str) -> Provider:
    for provider in call.site.authenticator.doors:
        if provider.issuer == issuer:
            return provider
    raise SignInRefused("invalid_request", 50011, f"{issuer} is no provider of this server any more")


def _holder(call: Call, provider: Provider, departed: dict[str, str]) -> Holder:
    query, issuers = call.query, call.site.authenticator.issuers
    if query.get("iss", provider.issuer) != provider.issuer:  # RFC 9207: another provider answers in its place
        raise SignInRefused("access_denied", 50020, f"The answer is of {query['iss']}, and not of {provider.issuer}")
    if "code" not in query:
        why = query.get("error_description") or query.get("error") or "it sent no code"
        raise SignInRefused("access_denied", 50020, f"{provider.title} did not sign you in: {why[:500]}")
    said = relying.claims(issuers, provider, query["code"], departed, redirect_uri=call.url(relying.CALLBACK))
    principal = visitors.admit(call.hub, provider, said)
    return people.holder_of(call.hub, principal.id)


def _told(error: EntrepotError) -> Answer:
    _log.warning("a sign-in by an outside provider failed: %r", error.message)
    return pages.message(_FAILED, f"{error.message}.", status=400)


def _is_secure(call: Call) -> bool:
    return call.origins.api.startswith("https")


_PAGE = (
    "people who have not signed in yet come here on the way to their provider and back; state, nonce and cookie bind it"
)
ROUTES = (
    Route("GET", "/login/outside/{number}", None, _there, reason=_PAGE, is_anonymous=True, is_long=True),
    Route("GET", relying.CALLBACK, None, _back, reason=_PAGE, is_anonymous=True, is_long=True),
)
