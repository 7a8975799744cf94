"""`/`: to a browser the first page, to everything else what this server is."""

from entrepot.server.calls import Answer, Call, reply
from entrepot.server.identity import browsers, pages
from entrepot.server.routing import Route

_VARY = (b"vary", b"accept, cookie")


def _home(call: Call) -> Answer:
    if b"text/html" not in call.headers.get(b"accept", b""):
        told = {"name": "Entrepot", "version": call.site.version, "metadata": call.url("/metadata/endpoints")}
        return reply(told, headers=(_VARY,))
    browser = browsers.browser_of(call.hub, call.headers)
    if browser is None:
        return Answer(303, b"", ((b"location", b"/login"), _VARY), security=pages.security())
    return pages.home(account=browser.granted.holder.name, version=call.site.version)


_REASON = "strangers are told the name and where to sign in, nothing of what is here"
ROUTES = (Route("GET", "/", None, _home, reason=_REASON, is_anonymous=True),)
