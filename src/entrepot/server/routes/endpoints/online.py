"""Online endpoints and their deployments: the ARM routes. Scoring never comes here: it meets the gateway."""

from collections.abc import Iterator

from entrepot.domain.endpoints import deployments, endpoints, places, replicas, rollouts
from entrepot.domain.endpoints.deployments import Written
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.server.calls import Answer, Call, Header, reply, reply_document, reply_empty, reply_raw
from entrepot.server.gateway import tokens
from entrepot.server.places import PREFIXES, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.store.documents import Page
from entrepot.wire.arm import list_query, next_url, page_body
from entrepot.wire.endpoints import online as wire

_LINES = 5000
_MOST_LINES = 100_000
_LARGEST = 50


def _endpoint_of(call: Call) -> EndpointRef:
    return EndpointRef(workspace_of(call), call.params["endpoint"])


def _deployment_of(call: Call) -> DeploymentRef:
    return DeploymentRef(_endpoint_of(call), call.params["deployment"])


def _page(call: Call, page: Page) -> Answer:
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _operation(call: Call, name: str, region: str) -> tuple[Header, ...]:
    """Return the headers by which a client follows an operation."""
    version = call.query.get("api-version", "")
    status, result = (
        f"{call.url(path)}?api-version={version}"
        for path in wire.operation_paths(call.params["subscription"], region, name)
    )
    return (
        (b"azure-asyncoperation", status.encode()),
        (b"location", result.encode()),
        (b"retry-after", str(wire.RETRY_AFTER_S).encode()),
    )


def _region(call: Call) -> str:
    return call.hub.settings.regions[0]


def _put(call: Call) -> Answer:
    document, is_created = endpoints.put(
        call.hub, call.principal, _endpoint_of(call), call.object, request_id=call.request_id
    )
    call.site.gateway.follow()  # what was answered is what callers of the endpoint meet
    return reply_document(document, status=201 if is_created else 200)


def _patch(call: Call) -> Answer:
    document = endpoints.patch(call.hub, call.principal, _endpoint_of(call), call.object, request_id=call.request_id)
    call.site.gateway.follow()
    return reply_document(document)


def _get(call: Call) -> Answer:
    return reply_document(endpoints.get(call.hub, call.principal, _endpoint_of(call)))


def _list(call: Call) -> Answer:
    asked = list_query(call.query)
    return _page(
        call, endpoints.list_(call.hub, call.principal, workspace_of(call), after=asked.after, limit=asked.limit)
    )


def _delete(call: Call) -> Answer:
    name = endpoints.delete(call.hub, call.principal, _endpoint_of(call), request_id=call.request_id)
    return reply_empty(200) if name is None else reply_empty(202, headers=_operation(call, name, _region(call)))


def _list_keys(call: Call) -> Answer:
    found = endpoints.list_keys(call.hub, call.principal, _endpoint_of(call), request_id=call.request_id)
    return reply(wire.keys(found.primary, found.secondary))


def _regenerate(call: Call) -> Answer:
    kind, value = wire.read_regeneration(call.object)
    endpoints.regenerate_keys(call.hub, call.principal, _endpoint_of(call), kind, value, request_id=call.request_id)
    call.site.gateway.follow()
    return reply_empty(200)


def _token(call: Call) -> Answer:
    document, keys = endpoints.token_secret(call.hub, call.principal, _endpoint_of(call), request_id=call.request_id)
    issued = tokens.issue(document.body["id"], keys.signing, now=call.hub.clock.now())
    return reply(wire.token(issued.text, expires=issued.expires, refresh=issued.refresh))


def _written(call: Call, written: Written) -> Answer:
    headers = _operation(call, written.operation, written.document.body["location"])
    return reply_raw(
        written.document.raw, status=201 if written.is_new else 200,
        headers=((b"content-type", b"application/json; charset=utf-8"), *headers),
    )  # fmt: skip


def _put_deployment(call: Call) -> Answer:
    return _written(
        call,
        deployments.put(call.hub, call.principal, _deployment_of(call), call.object, request_id=call.request_id),
    )


def _patch_deployment(call: Call) -> Answer:
    return _written(
        call,
        deployments.patch(call.hub, call.principal, _deployment_of(call), call.object, request_id=call.request_id),
    )


def _get_deployment(call: Call) -> Answer:
    return reply_document(deployments.get(call.hub, call.principal, _deployment_of(call)))


def _list_deployments(call: Call) -> Answer:
    asked = list_query(call.query)
    return _page(
        call, deployments.list_(call.hub, call.principal, _endpoint_of(call), after=asked.after, limit=asked.limit)
    )


def _delete_deployment(call: Call) -> Answer:
    name = deployments.delete(call.hub, call.principal, _deployment_of(call), request_id=call.request_id)
    return reply_empty(202, headers=_operation(call, name, _region(call)))


def _logs(call: Call) -> Answer:
    ref = deployments.readable_logs(call.hub, call.principal, _deployment_of(call), request_id=call.request_id)
    asked = call.object
    tail = wire.read_tail(asked, default=_LINES, most=_MOST_LINES)
    container = wire.read_container(asked)
    told = rollouts.told(deployments.get(call.hub, call.principal, ref).body)
    return reply({"content": told + replicas.logs(call.hub, ref.key, tail=tail, container=container)})


def _skus(call: Call) -> Answer:
    deployments.get(call.hub, call.principal, _deployment_of(call))
    return reply(wire.skus(_LARGEST))


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        all_ = prefix + WORKSPACE + "/onlineEndpoints"
        endpoint = all_ + "/{endpoint}"
        deployment = endpoint + "/deployments/{deployment}"
        yield Route("GET", all_, places.READ, _list, inline=True)
        yield Route("PUT", endpoint, places.WRITE, _put, is_long=True)
        yield Route("PATCH", endpoint, places.WRITE, _patch, is_long=True)
        yield Route("GET", endpoint, places.READ, _get, inline=True)
        yield Route("DELETE", endpoint, places.DELETE, _delete)
        yield Route("POST", endpoint + "/listKeys", places.LIST_KEYS, _list_keys)
        yield Route("POST", endpoint + "/regenerateKeys", places.REGENERATE_KEYS, _regenerate, is_long=True)
        yield Route("POST", endpoint + "/token", places.TOKEN, _token)
        yield Route("GET", endpoint + "/deployments", places.DEPLOYMENT_READ, _list_deployments, inline=True)
        yield Route("PUT", deployment, places.DEPLOYMENT_WRITE, _put_deployment)
        yield Route("PATCH", deployment, places.DEPLOYMENT_WRITE, _patch_deployment)
        yield Route("GET", deployment, places.DEPLOYMENT_READ, _get_deployment, inline=True)
        yield Route("DELETE", deployment, places.DEPLOYMENT_DELETE, _delete_deployment)
        yield Route("POST", deployment + "/getLogs", places.LOGS, _logs, is_long=True)
        yield Route("GET", deployment + "/skus", places.DEPLOYMENT_READ, _skus, inline=True)


ROUTES = tuple(_routes())
