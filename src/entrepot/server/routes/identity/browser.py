"""Pages on which people sign in: for applications (`/authorize`), for devices (`/device`), for Studio (`/login`)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from entrepot.core.errors import AccessDenied
from entrepot.domain.hub import Principal
from entrepot.domain.identity import clients, codes, flows, people, sessions
from entrepot.domain.identity.codes import Consent
from entrepot.domain.identity.refusals import SignInRefused
from entrepot.server.calls import Answer, Call, Header, reply
from entrepot.server.identity import browsers, pages, relying
from entrepot.server.identity.browsers import Browser
from entrepot.server.routing import Route
from entrepot.wire import oauth

Json = Any

DEVICE = "/device"
LOGIN = "/login"


def _authorize(call: Call) -> Answer:
    """Ask the person at the browser, and send the client its code."""
    asked = call.query
    try:
        flows.require_tenant(call.hub, call.params["tenant"])
        client = clients.require_known(call.hub, asked.get("client_id", ""))
        clients.require_redirect(call.hub, asked.get("client_id", ""), asked.get("redirect_uri", ""))
    except SignInRefused as refused:  # never sent on: the address is not known to be the client's
        return pages.message("This sign-in cannot go on", f"AADSTS{refused.number}: {refused.message}.", status=400)
    try:
        _require_complete(call, asked)
    except SignInRefused as refused:
        return _sent_on(asked, {"error": refused.error, "error_description": refused.message})
    form = _form(call)
    browser, cookie, error = _present(call, form)
    targets = (_origin(asked["redirect_uri"]),)
    if browser is None or (form.get("do") == "switch") or (call.method == "GET" and asked.get("prompt") == "login"):
        name = form.get("username", asked.get("login_hint", ""))
        why, doors = f"{client} asks you to sign in.", relying.doors(call, _here(call))
        status = 401 if error else 200
        return pages.sign_in(why=why, error=error, name=name, targets=targets, doors=doors, status=status)
    if form.get("do") == "decline":
        return _sent_on(asked, {"error": "access_denied", "error_description": "The user declined"})
    if cookie or (form.get("do") == "accept" and browser.sent(form)):
        return _agreed(call, asked, browser, cookie)
    hidden = {"token": browser.form_token}
    return pages.consent(client=client, account=browser.granted.holder.name, hidden=hidden, targets=targets)


def _require_complete(call: Call, asked: Mapping[str, str]) -> None:
    if asked.get("response_type", "code") != "code":
        raise SignInRefused("unsupported_response_type", 70005, "Only response_type=code is supported")
    if asked.get("response_mode", "query") not in ("query", "form_post"):
        raise SignInRefused("invalid_request", 70007, "response_mode must be query or form_post")
    if asked.get("code_challenge") and asked.get("code_challenge_method") != "S256":
        raise SignInRefused("invalid_request", 501491, "code_challenge_method must be S256")
    is_confidential = clients.is_confidential(call.hub, asked["client_id"], asked["redirect_uri"])
    if not asked.get("code_challenge") and not is_confidential:
        raise SignInRefused("invalid_request", 9002325, "Proof Key for Code Exchange is required: send code_challenge")


def _agreed(call: Call, asked: Mapping[str, str], browser: Browser, cookie: str) -> Answer:
    challenge, nonce = asked.get("code_challenge", ""), asked.get("nonce", "")
    consent = Consent(asked["client_id"], asked["redirect_uri"], challenge, nonce)
    code = codes.issue(call.hub, browser.granted.holder, consent, auth_time=browser.granted.auth_time)
    fields = {"code": code, "session_state": browser.granted.session}
    if asked.get("client_info") == "1":
        fields["client_info"] = oauth.client_info(browser.granted.holder.id, call.hub.settings.tenant)
    return _sent_on(asked, fields, headers=_cookie_headers(call, cookie))


def _sent_on(asked: Mapping[str, str], fields: dict[str, str], *, headers: tuple[Header, ...] = ()) -> Answer:
    """Answer what sends the browser on to the client, with the state that the client knows its request by."""
    if "state" in asked:
        fields["state"] = asked["state"]
    target = asked["redirect_uri"]
    if asked.get("response_mode") == "form_post":
        return pages.form_post(target, fields, origin=_origin(target), headers=headers)
    joined = f"{target}{'&' if '?' in target else '?'}{urlencode(fields)}"
    return Answer(303, b"", ((b"location", joined.encode("ascii", "ignore")), *headers), security=pages.security())


def _device(call: Call) -> Answer:
    """Ask for the code that a device shows, then whether its application may act for the account."""
    form = _form(call)
    browser, cookie, error = _present(call, form)
    if browser is None or form.get("do") == "switch":
        status, name = 401 if error else 200, form.get("username", "")
        doors = relying.doors(call, _here(call))
        return pages.sign_in(why="Sign in, then type the code.", error=error, name=name, doors=doors, status=status)
    headers, hidden = _cookie_headers(call, cookie), {"token": browser.form_token}
    account, code = browser.granted.holder.name, form.get("user_code", "")
    if call.method == "GET" or cookie or not browser.sent(form):
        return pages.device(account=account, hidden=hidden, code=call.query.get("code", ""), headers=headers)
    holder = browser.granted.holder
    try:
        document = codes.find_device(call.hub, code, subject=holder.id, address=call.address)
    except SignInRefused as refused:
        return pages.device(account=account, hidden=hidden, error=refused.message, status=400)
    if form.get("do") not in ("accept", "decline"):
        client = clients.require_known(call.hub, document.body["client_id"])
        return pages.consent(client=client, account=account, hidden={**hidden, "user_code": code})
    is_approved = form["do"] == "accept"
    auth_time = browser.granted.auth_time
    codes.decide_device(call.hub, document, holder, is_approved=is_approved, auth_time=auth_time)
    return pages.message("Done", "You have signed in; you may close this page." if is_approved else "You declined.")


def _login(call: Call) -> Answer:
    """Sign a browser in with a ticket that the command line made, or with a password."""
    try:
        if ticket := call.query.get("ticket"):
            is_typed = browsers.is_own(call.headers, call.origins.api_hosts)
            holder = people.by_ticket(call.hub, ticket, address=call.address, is_typed=is_typed)
            cookie = people.open_browser(call.hub, holder, request_id=call.request_id).token
            return pages.onward(browsers.onward(call.query.get("next", "/")), headers=_cookie_headers(call, cookie))
        form = _form(call)
        browser, cookie, error = _present(call, form)
    except SignInRefused as refused:
        return pages.message("This link does not work", f"{refused.message}.", status=400)
    if browser is not None:
        return _entered(call, cookie)
    name = form.get("username", "")
    status, doors = 401 if error else 200, relying.doors(call, browsers.onward(call.query.get("next", "/")))
    return pages.sign_in(why="Sign in to this server.", error=error, name=name, doors=doors, status=status)


def _here(call: Call) -> str:
    """Return the path that was asked, to come back to it signed in: so without the wish to sign in."""
    rest = {name: value for name, value in call.query.items() if name != "prompt"}
    return call.path + (f"?{urlencode(rest)}" if rest else "")


def _entered(call: Call, cookie: str) -> Answer:
    headers = ((b"location", browsers.onward(call.query.get("next", "/")).encode()), *_cookie_headers(call, cookie))
    return Answer(303, b"", headers, security=pages.security())


def _logout(call: Call) -> Answer:
    browser = browsers.browser_of(call.hub, call.headers)
    if browser is not None:
        sessions.end(call.hub, browser.granted.session)
    gone = browsers.set_cookie("", is_secure=call.origins.api.startswith("https"))
    return pages.message("Signed out", "You have signed out of this browser.", headers=(gone,))


def _ticket(call: Call) -> Answer:
    principal: Principal = call.principal
    if principal.within:
        raise AccessDenied(f"{principal.name} may not open a browser's session with the token of a job")
    ticket = people.new_ticket(call.hub, principal)
    return reply({"url": call.url(f"{LOGIN}?ticket={ticket}"), "expiresIn": int(people.TICKET_S)}, status=201)


def _form(call: Call) -> dict[str, str]:
    """Return a form that one of our own pages sent; of any other nothing."""
    if call.method != "POST" or not browsers.is_own(call.headers, call.origins.api_hosts):
        return {}
    try:
        return oauth.form(call.body)
    except (ValueError, UnicodeDecodeError):
        return {}


def _present(call: Call, form: Mapping[str, str]) -> tuple[Browser | None, str, str]:
    """Return who is at the browser, the cookie to set when that is new, and why a password was refused."""
    if form.get("do") != "signin":
        return browsers.browser_of(call.hub, call.headers), "", ""
    try:
        name, password = form.get("username", ""), form.get("password", "")
        holder = people.by_password(call.hub, name, password, address=call.address)
    except SignInRefused as refused:
        return None, "", refused.message
    opened = people.open_browser(call.hub, holder, request_id=call.request_id)
    granted = sessions.resumed(call.hub, opened.token, client_id=sessions.BROWSER)
    return Browser(granted, opened.token), opened.token, ""


def _cookie_headers(call: Call, cookie: str) -> tuple[Header, ...]:
    return (browsers.set_cookie(cookie, is_secure=call.origins.api.startswith("https")),) if cookie else ()


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


_PAGE = "people who have not signed in yet read it; it acts for them only with a password or their cookie"
_OWN = "signed-in callers open sessions of their own"
_AUTHORIZE = ("/{tenant}/oauth2/v2.0/authorize", "/{tenant}/oauth2/authorize")
_LOGOUT = ("/logout", "/{tenant}/oauth2/v2.0/logout")
ROUTES = (
    *(
        Route(method, path, None, handler, reason=_PAGE, is_anonymous=True, is_long=True)
        for path, handler in (
            *((path, _authorize) for path in _AUTHORIZE), (DEVICE, _device), (LOGIN, _login),
        )
        for method in ("GET", "POST")
    ),
    *(Route("GET", path, None, _logout, reason=_PAGE, is_anonymous=True) for path in _LOGOUT),
    Route("POST", LOGIN + "/tickets", None, _ticket, reason=_OWN),
)  # fmt: skip
