"""Routes that anybody may read: the cloud's endpoints, health, and discovery addresses."""

from entrepot.server.calls import Answer, Call, reply
from entrepot.server.routing import Route
from entrepot.wire.clouds import cloud, workspace_services

_PUBLIC = "clients read it before they sign in; it tells addresses only"


def _health(call: Call) -> Answer:
    return reply({"status": "ok", "version": call.site.version})


def _endpoints(call: Call) -> Answer:
    found = cloud(call.site.addresses.origins("https"))  # clients send tokens over nothing else
    # The Azure SDKs ask for 2019-05-01, which is a list; `az cloud register` asks for 2022-09-01, one object.
    is_list = call.query.get("api-version", "2019-05-01") < "2022"
    return reply([found] if is_list else found)


def _services(call: Call) -> Answer:
    return reply(workspace_services(call.origins))


ROUTES = (
    Route("GET", "/health", None, _health, inline=True, reason=_PUBLIC, is_anonymous=True),
    Route("GET", "/metadata/endpoints", None, _endpoints, inline=True, reason=_PUBLIC, is_anonymous=True),
    Route("GET", "/discovery/{rest:rest}", None, _services, inline=True, reason=_PUBLIC, is_anonymous=True),
)
