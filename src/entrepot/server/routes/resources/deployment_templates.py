"""Deployment templates as azure-ai-ml asks for them: the asset service, which is another one than ARM's in Azure.

The client makes the service's address of a registry's primary region, which it takes from discovery:
`https://<primaryRegion>.api.azureml.ms`. Discovery answers with a place of this server there (`routes/registries.py`),
so the path begins with a segment that says nothing.
"""

from collections.abc import Iterator

from entrepot.core.ids import AssetPointer, AssetRef
from entrepot.core.nouns import DEPLOYMENT_TEMPLATE, registry_action
from entrepot.domain.assets import catalog
from entrepot.domain.assets.templates import listing
from entrepot.server.calls import Answer, Call, reply, reply_empty
from entrepot.server.places import ASSET_SERVICES, REGISTRY, registry_of
from entrepot.server.routing import Route
from entrepot.store.documents import View
from entrepot.wire.arm import list_query, next_url
from entrepot.wire.deployment_templates import ARCHIVED, properties_of, shown


def _ref(call: Call) -> AssetRef:
    return AssetRef(registry_of(call), DEPLOYMENT_TEMPLATE, call.params["name"], call.params["version"])


def _create(call: Call) -> Answer:
    sent = properties_of(call.fields)
    document, is_new = catalog.create(call.hub, call.principal, _ref(call), sent, request_id=call.request_id)
    # azure-ai-ml 1.35 takes 200 and 202 for success, and no 201
    return reply(shown(document.body) | {"isNew": is_new})


def _get(call: Call) -> Answer:
    return reply(shown(catalog.get(call.hub, call.principal, _ref(call)).body))


def _get_label(call: Call) -> Answer:
    pointer = AssetPointer(
        DEPLOYMENT_TEMPLATE, call.params["name"], label=call.params["label"], scope=registry_of(call)
    )
    return reply(shown(catalog.resolve(call.hub, call.principal, pointer).body))


def _delete(call: Call) -> Answer:
    catalog.delete(call.hub, call.principal, _ref(call), request_id=call.request_id)
    return reply_empty(204)


def _list(call: Call) -> Answer:
    asked, stage = list_query(call.query), call.query.get("stage", "")
    view = View.ARCHIVED if stage.lower() == ARCHIVED.lower() else asked.view
    most = asked.limit if call.query.get("count") else None
    found, following = listing.page(
        call.hub, call.principal, registry_of(call),
        listing.Asked(call.query.get("name", ""), view, dict(asked.tags)),
        after=asked.after, most=most,
    )  # fmt: skip
    items = [shown(document.body) for document in found]
    answer = {"value": [item for item in items if not stage or item["stage"].lower() == stage.lower()]}
    link = next_url(call.origins.api, call.path, call.query, following)
    return reply(answer | ({"nextLink": link} if link else {}))


def _routes() -> Iterator[Route]:
    for service in ASSET_SERVICES:
        collection = f"{service}{REGISTRY}/{DEPLOYMENT_TEMPLATE.plural}"
        container, version = collection + "/{name}", collection + "/{name}/versions/{version}"
        yield Route("GET", collection, registry_action("read"), _list)
        yield Route("GET", version, registry_action("read"), _get, inline=True)
        yield Route("GET", container + "/labels/{label}", registry_action("read"), _get_label, inline=True)
        yield Route("POST", version, registry_action("write"), _create)
        yield Route("DELETE", version, registry_action("delete"), _delete)


ROUTES = tuple(_routes())
