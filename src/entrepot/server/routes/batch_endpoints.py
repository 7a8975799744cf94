"""Batch endpoints of a workspace: endpoints, their deployments, invocations and the jobs that these made."""

from collections.abc import Iterator

from entrepot.domain.endpoints.batch import deployments, endpoints, invocation, places
from entrepot.server.calls import Answer, Call, reply_document, reply_empty, reply_raw
from entrepot.server.places import PREFIXES, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.wire import batch
from entrepot.wire.arm import list_query, next_url, page_body

_DEPLOYMENT = b"azureml-model-deployment"
_REQUEST = b"repeatability-request-id"


def _put(call: Call) -> Answer:
    document, is_created = endpoints.put(
        call.hub, call.principal, workspace_of(call), call.params["endpoint"], call.object, request_id=call.request_id
    )
    return reply_document(document, status=201 if is_created else 200)


def _patch(call: Call) -> Answer:
    return reply_document(
        endpoints.patch(
            call.hub, call.principal, workspace_of(call), call.params["endpoint"], call.object,
            request_id=call.request_id,
        )
    )  # fmt: skip


def _get(call: Call) -> Answer:
    return reply_document(endpoints.get(call.hub, call.principal, workspace_of(call), call.params["endpoint"]))


def _list(call: Call) -> Answer:
    asked = list_query(call.query)
    page = endpoints.list_(call.hub, call.principal, workspace_of(call), after=asked.after, limit=asked.limit)
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _delete(call: Call) -> Answer:
    endpoints.delete(call.hub, call.principal, workspace_of(call), call.params["endpoint"], request_id=call.request_id)
    return reply_empty(200)


def _put_deployment(call: Call) -> Answer:
    document, is_created = deployments.put(
        call.hub, call.principal, workspace_of(call), call.params["endpoint"], call.params["deployment"], call.object,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document, status=201 if is_created else 200)


def _patch_deployment(call: Call) -> Answer:
    document = deployments.patch(
        call.hub, call.principal, workspace_of(call), call.params["endpoint"], call.params["deployment"], call.object,
        request_id=call.request_id,
    )  # fmt: skip
    return reply_document(document)


def _get_deployment(call: Call) -> Answer:
    scope, endpoint = workspace_of(call), call.params["endpoint"]
    return reply_document(deployments.get(call.hub, call.principal, scope, endpoint, call.params["deployment"]))


def _list_deployments(call: Call) -> Answer:
    asked = list_query(call.query)
    page = deployments.list_(
        call.hub, call.principal, workspace_of(call), call.params["endpoint"], after=asked.after, limit=asked.limit
    )
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _delete_deployment(call: Call) -> Answer:
    scope, endpoint = workspace_of(call), call.params["endpoint"]
    deployments.delete(call.hub, call.principal, scope, endpoint, call.params["deployment"], request_id=call.request_id)
    return reply_empty(200)


def _invoke(call: Call) -> Answer:
    chosen = call.params.get("deployment") or call.headers.get(_DEPLOYMENT, b"").decode("latin-1")
    asked = batch.invocation(call.object, deployment=chosen, request=call.headers.get(_REQUEST, b"").decode("latin-1"))
    document = invocation.invoke(
        call.hub, call.principal, workspace_of(call), call.params["endpoint"], asked, request_id=call.request_id
    )
    return reply_document(document, status=201)


def _jobs(call: Call) -> Answer:
    asked = list_query(call.query)
    page = invocation.jobs(
        call.hub, call.principal, workspace_of(call), call.params["endpoint"], call.params.get("deployment"),
        after=asked.after, limit=asked.limit,
    )  # fmt: skip
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        endpoint = prefix + WORKSPACE + "/batchEndpoints/{endpoint}"
        deployment = endpoint + "/deployments/{deployment}"
        yield Route("PUT", endpoint, places.WRITE, _put)
        yield Route("PATCH", endpoint, places.WRITE, _patch)
        yield Route("GET", endpoint, places.READ, _get, inline=True)
        yield Route("GET", prefix + WORKSPACE + "/batchEndpoints", places.READ, _list, inline=True)
        yield Route("DELETE", endpoint, places.DELETE, _delete)
        yield Route("PUT", deployment, places.DEPLOYMENT_WRITE, _put_deployment)
        yield Route("PATCH", deployment, places.DEPLOYMENT_WRITE, _patch_deployment)
        yield Route("GET", deployment, places.DEPLOYMENT_READ, _get_deployment, inline=True)
        yield Route("GET", endpoint + "/deployments", places.DEPLOYMENT_READ, _list_deployments, inline=True)
        yield Route("DELETE", deployment, places.DEPLOYMENT_DELETE, _delete_deployment)
        for place in (endpoint, deployment):
            yield Route("POST", place + "/jobs", places.INVOKE, _invoke)
            yield Route("GET", place + "/jobs", places.LIST_JOBS, _jobs)


ROUTES = tuple(_routes())
