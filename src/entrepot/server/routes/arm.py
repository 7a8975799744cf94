"""ARM's own nouns: tenants, subscriptions, locations, resource groups, providers, resources."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from entrepot.core.errors import NotFound, StateConflict
from entrepot.domain import groups, registries, workspaces
from entrepot.domain.scopes import known_regions
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import GROUP, SUBSCRIPTION
from entrepot.server.routing import Route, Router
from entrepot.store.documents import Page
from entrepot.wire import arm
from entrepot.wire.resource_lists import as_resource, resource_filter, tag_names

Json = Any

_SIGNED_IN = "every signed-in caller may know the one tenant and subscription of this server"
_PAGE = 1000
_GROUPS = {"Microsoft.Resources": ("resourceGroups",)}  # no provider stands in the path of these


def _tenants(call: Call) -> Answer:
    return reply({"value": [arm.tenant(call.hub.settings.tenant)]})


def _subscriptions(call: Call) -> Answer:
    settings = call.hub.settings
    return reply({"value": [arm.subscription(settings.subscription, settings.tenant)]})


def _subscription(call: Call) -> Answer:
    return reply(arm.subscription(_known_subscription(call), call.hub.settings.tenant))


def _locations(call: Call) -> Answer:
    regions = known_regions(call.hub)
    return reply({"value": [arm.location(_known_subscription(call), region) for region in regions]})


def _providers(call: Call) -> Answer:
    return reply({"value": [_described(call, namespace) for namespace in _types(call.site.router)]})


def _provider(call: Call) -> Answer:
    return reply(_described(call, call.params["namespace"]))


def _described(call: Call, namespace: str) -> dict[str, Json]:
    known = {name.lower(): name for name in _types(call.site.router)}
    name = known.get(namespace.lower(), namespace)
    types = (*_GROUPS.get(name, ()), *_types(call.site.router).get(name, ()))
    return arm.provider(_known_subscription(call), name, types, known_regions(call.hub))


@cache
def _types(router: Router) -> dict[str, tuple[str, ...]]:
    """Return what a PUT of which the server makes, by namespace."""
    return arm.resource_types(route.template for route in router.routes if route.method == "PUT")


def _known_subscription(call: Call) -> str:
    """Any subscription id is served: scopes are names here, not accounts."""
    return call.params["subscription"]


def _unregister(call: Call) -> Answer:
    raise StateConflict(f"{call.params['namespace']} is part of this server and stays registered")


def _put_group(call: Call) -> Answer:
    document, is_created = groups.create(
        call.hub, call.principal, call.params["subscription"], call.params["group"], call.object,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document, status=201 if is_created else 200)


def _patch_group(call: Call) -> Answer:
    place = (call.params["subscription"], call.params["group"])
    groups.get(call.hub, call.principal, *place)
    given = {name: value for name, value in call.object.items() if name == "tags"}
    document, _ = groups.create(call.hub, call.principal, *place, given, request_id=call.request_id)
    return reply_document(document)


def _get_group(call: Call) -> Answer:
    return reply_document(groups.get(call.hub, call.principal, call.params["subscription"], call.params["group"]))


def _head_group(call: Call) -> Answer:
    try:
        _get_group(call)
    except NotFound:
        return reply_empty(404)
    return reply_empty(204)


def _list_groups(call: Call) -> Answer:
    asked, admitted = arm.list_query(call.query), resource_filter(call.query.get("$filter", ""))
    page = groups.list_(call.hub, call.principal, call.params["subscription"], after=asked.after, limit=asked.limit)
    if call.query.get("$filter"):  # a page may then have fewer than were asked for
        page = Page(tuple(found for found in page.documents if admitted.admits(found.body)), page.next)
    return reply_raw(arm.page_body(page, arm.next_url(call.origins.api, call.path, call.query, page.next)))


def _delete_group(call: Call) -> Answer:
    groups.delete(
        call.hub, call.principal, call.params["subscription"], call.params["group"], request_id=call.request_id
    )
    return reply_empty(200)


def _resources(call: Call) -> Answer:
    asked = resource_filter(call.query.get("$filter", ""))
    subscription, group = call.params["subscription"], call.params.get("group")
    return reply({"value": [as_resource(body) for body in _homes(call, subscription, group) if asked.admits(body)]})


def _tag_names(call: Call) -> Answer:
    """Tell which tags groups, registries and workspaces have, and how often: `az tag list`."""
    subscription = call.params["subscription"]
    page = groups.list_(call.hub, call.principal, subscription, limit=_PAGE)
    bodies = (*(document.body for document in page.documents), *_homes(call, subscription, None))
    return reply({"value": tag_names(subscription, (body.get("tags") or {} for body in bodies))})


def _homes(call: Call, subscription: str, group: str | None) -> Iterator[dict[str, Json]]:
    """Yield all registries and workspaces that the caller may see; az filters further and wants no pages."""
    for list_page in (registries.list_, workspaces.list_):
        after: str | None = None
        while True:
            page = list_page(
                call.hub, call.principal, subscription=subscription, resource_group=group, after=after, limit=_PAGE
            )
            yield from (document.body for document in page.documents)
            after = page.next
            if after is None:
                break


ROUTES = (
    Route("GET", "/tenants", None, _tenants, inline=True, reason=_SIGNED_IN),
    Route("GET", "/subscriptions", None, _subscriptions, inline=True, reason=_SIGNED_IN),
    Route("GET", SUBSCRIPTION, None, _subscription, inline=True, reason=_SIGNED_IN),
    Route("GET", SUBSCRIPTION + "/locations", None, _locations, inline=True, reason=_SIGNED_IN),
    Route("GET", SUBSCRIPTION + "/providers", None, _providers, inline=True, reason=_SIGNED_IN),
    Route("GET", SUBSCRIPTION + "/providers/{namespace}", None, _provider, inline=True, reason=_SIGNED_IN),
    Route("POST", SUBSCRIPTION + "/providers/{namespace}/register", None, _provider, reason=_SIGNED_IN),
    Route("POST", SUBSCRIPTION + "/providers/{namespace}/unregister", None, _unregister, reason=_SIGNED_IN),
    Route("GET", SUBSCRIPTION + "/tagNames", groups.READ, _tag_names),
    Route("GET", SUBSCRIPTION + "/resourceGroups", groups.READ, _list_groups, inline=True),
    Route("PUT", GROUP, groups.WRITE, _put_group),
    Route("PATCH", GROUP, groups.WRITE, _patch_group),
    Route("GET", GROUP, groups.READ, _get_group, inline=True),
    Route("HEAD", GROUP, groups.READ, _head_group, inline=True),
    Route("DELETE", GROUP, groups.DELETE, _delete_group),
    Route("GET", SUBSCRIPTION + "/resources", groups.READ, _resources),
    Route("GET", GROUP + "/resources", groups.READ, _resources),
)
