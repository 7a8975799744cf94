"""Workspaces, their datastores and their compute targets."""

from collections.abc import Iterator

from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, computes, datastores, workspaces
from entrepot.domain.surroundings import hubs
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import PREFIXES, RESOURCES, SUBSCRIPTION, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.server.transfers import WRITING, sas_token
from entrepot.store.documents import Page
from entrepot.wire.arm import list_query, next_url, page_body
from entrepot.wire.workspaces import diagnosis, keys, lifetime_s, sas_secrets

LIST_KEYS = f"{PROVIDER}/workspaces/listKeys/action"
DIAGNOSE = f"{PROVIDER}/workspaces/diagnose/read"
_SECRET_HOURS = 24


def _page(call: Call, page: Page) -> Answer:
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _put(call: Call) -> Answer:
    document, is_created = workspaces.create(
        call.hub, call.principal, workspace_of(call), call.object, request_id=call.request_id
    )
    return reply_document(document, status=201 if is_created else 200)


def _get(call: Call) -> Answer:
    document = workspaces.get(call.hub, call.principal, workspace_of(call))
    return reply_document(hubs.with_projects(call.hub, document))


def _patch(call: Call) -> Answer:
    return reply_document(
        workspaces.update(call.hub, call.principal, workspace_of(call), call.object, request_id=call.request_id)
    )


def _delete(call: Call) -> Answer:
    workspaces.delete(call.hub, call.principal, workspace_of(call), request_id=call.request_id)
    return reply_empty(200)


def _list(call: Call) -> Answer:
    asked = list_query(call.query)
    page = workspaces.list_(
        call.hub, call.principal, call.params["subscription"], resource_group=call.params.get("group"),
        kinds=[kind.strip().lower() for kind in call.query.get("kind", "").split(",") if kind.strip()],
        after=asked.after, limit=asked.limit,
    )  # fmt: skip
    return _page(call, page)


def _list_keys(call: Call) -> Answer:
    scope = workspace_of(call)
    document = workspaces.get(call.hub, call.principal, scope)
    access.require(call.hub, call.principal, LIST_KEYS, scope.key, request_id=call.request_id)
    access.record(call.hub, call.principal, LIST_KEYS, scope.key, request_id=call.request_id)
    return reply(keys(document.body["properties"].get("storageAccount") or ""))


def _resync_keys(call: Call) -> Answer:
    """Do nothing, well: no key of a storage account is kept here that could be out of date."""
    workspaces.get(call.hub, call.principal, workspace_of(call))
    return reply_empty(200)


def _diagnose(call: Call) -> Answer:
    """Find nothing amiss: a workspace here depends on no network, key vault or storage account of Azure's."""
    scope = workspace_of(call)
    workspaces.get(call.hub, call.principal, scope)
    access.require(call.hub, call.principal, DIAGNOSE, scope.key, request_id=call.request_id)
    return reply({"value": diagnosis()})


def _put_datastore(call: Call) -> Answer:
    document, is_created = datastores.put(
        call.hub, call.principal, workspace_of(call), call.params["datastore"], call.object,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document, status=201 if is_created else 200)


def _get_datastore(call: Call) -> Answer:
    return reply_document(datastores.get(call.hub, call.principal, workspace_of(call), call.params["datastore"]))


def _list_datastores(call: Call) -> Answer:
    asked = list_query(call.query)
    is_default = {"true": True, "false": False}.get(call.query.get("isDefault", "").lower())
    page = datastores.list_(
        call.hub, call.principal, workspace_of(call), is_default=is_default, after=asked.after, limit=asked.limit
    )
    return _page(call, page)


def _delete_datastore(call: Call) -> Answer:
    datastores.delete(
        call.hub, call.principal, workspace_of(call), call.params["datastore"], request_id=call.request_id
    )
    return reply_empty(200)


def _list_secrets(call: Call) -> Answer:
    """Tell a signature for a store on this server; for one elsewhere, or when it need not expire, what was given."""
    scope, name = workspace_of(call), call.params["datastore"]
    kept = datastores.secrets(call.hub, call.principal, scope, name, request_id=call.request_id)
    asked = call.object
    if kept and not (asked.get("expirableSecret") and datastores.is_here(call.hub, scope, name)):
        return reply(kept)
    container = datastores.container_of(call.hub, scope, name)
    lifetime = lifetime_s(asked, _SECRET_HOURS)
    return reply(sas_secrets(sas_token(call, container, WRITING, region=None, lifetime_s=lifetime)))


def _put_compute(call: Call) -> Answer:
    document, is_created = computes.put(
        call.hub, call.principal, workspace_of(call), call.params["compute"], call.object, request_id=call.request_id
    )
    return reply_document(document, status=201 if is_created else 200)


def _get_compute(call: Call) -> Answer:
    return reply_document(computes.get(call.hub, call.principal, workspace_of(call), call.params["compute"]))


def _list_computes(call: Call) -> Answer:
    asked = list_query(call.query)
    page = computes.list_(call.hub, call.principal, workspace_of(call), after=asked.after, limit=asked.limit)
    return _page(call, page)


def _delete_compute(call: Call) -> Answer:
    computes.delete(call.hub, call.principal, workspace_of(call), call.params["compute"], request_id=call.request_id)
    return reply_empty(200)


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        workspace = prefix + WORKSPACE
        datastore = workspace + "/datastores/{datastore}"
        compute = workspace + "/computes/{compute}"
        yield Route("PUT", workspace, workspaces.WRITE, _put)
        yield Route("GET", workspace, workspaces.READ, _get, inline=True)
        yield Route("PATCH", workspace, workspaces.WRITE, _patch)
        yield Route("DELETE", workspace, workspaces.DELETE, _delete)
        yield Route("GET", prefix + RESOURCES + "/workspaces", workspaces.READ, _list, inline=True)
        yield Route("POST", workspace + "/listKeys", LIST_KEYS, _list_keys)
        yield Route("POST", workspace + "/resyncKeys", workspaces.READ, _resync_keys)
        yield Route("POST", workspace + "/diagnose", DIAGNOSE, _diagnose)
        yield Route("PUT", datastore, datastores.WRITE, _put_datastore)
        yield Route("GET", datastore, datastores.READ, _get_datastore, inline=True)
        yield Route("DELETE", datastore, datastores.DELETE, _delete_datastore)
        yield Route("GET", workspace + "/datastores", datastores.READ, _list_datastores, inline=True)
        yield Route("POST", datastore + "/listSecrets", datastores.SECRETS, _list_secrets)
        yield Route("PUT", compute, computes.WRITE, _put_compute)
        yield Route("PATCH", compute, computes.WRITE, _put_compute)
        yield Route("GET", compute, computes.READ, _get_compute, inline=True)
        yield Route("DELETE", compute, computes.DELETE, _delete_compute)
        yield Route("GET", workspace + "/computes", computes.READ, _list_computes, inline=True)
    yield Route("GET", f"{SUBSCRIPTION}/providers/{PROVIDER}/workspaces", workspaces.READ, _list, inline=True)


ROUTES = tuple(_routes())
