"""Registries: ARM's create, read, update and delete, and the discovery that precedes their data plane."""

from entrepot.core.nouns import PROVIDER
from entrepot.domain import registries
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import PREFIXES, REGISTRY, RESOURCES, SUBSCRIPTION, region_address
from entrepot.server.routing import Route
from entrepot.wire.arm import list_query, next_url, page_body

_DISCOVERY = "tells where a registry is, and that there is one, to whoever may see anything of it"


def _put(call: Call) -> Answer:
    params = call.params
    document = registries.create(
        call.hub, call.principal, params["subscription"], params["group"], params["registry"], call.object,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document, status=201 if document.revision == 1 else 200)


def _get(call: Call) -> Answer:
    return reply_document(registries.get(call.hub, call.principal, call.params["registry"]))


def _list(call: Call) -> Answer:
    asked = list_query(call.query)
    page = registries.list_(
        call.hub, call.principal, subscription=call.params["subscription"], resource_group=call.params.get("group"),
        after=asked.after, limit=asked.limit,
    )  # fmt: skip
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _patch(call: Call) -> Answer:
    return reply_document(
        registries.update(call.hub, call.principal, call.params["registry"], call.object, request_id=call.request_id)
    )


def _delete(call: Call) -> Answer:
    registries.delete(call.hub, call.principal, call.params["registry"], request_id=call.request_id)
    return reply_empty(200)


def _discovery(call: Call) -> Answer:
    found = registries.discovery(call.hub, call.principal, call.params["registry"])
    return reply(found | {"primaryRegion": region_address(call.origins.api, found["location"])})


ROUTES = (
    *(
        route
        for prefix in PREFIXES
        for route in (
            Route("PUT", prefix + REGISTRY, registries.WRITE, _put),
            Route("GET", prefix + REGISTRY, registries.READ, _get, inline=True),
            Route("PATCH", prefix + REGISTRY, registries.WRITE, _patch),
            Route("DELETE", prefix + REGISTRY, registries.DELETE, _delete),
            Route("GET", prefix + RESOURCES + "/registries", registries.READ, _list, inline=True),
        )
    ),
    Route("GET", f"{SUBSCRIPTION}/providers/{PROVIDER}/registries", registries.READ, _list, inline=True),
    Route(
        "GET", "/registrymanagement/v1.0/registries/{registry}/discovery", None, _discovery, inline=True,
        reason=_DISCOVERY,
    ),
)  # fmt: skip
