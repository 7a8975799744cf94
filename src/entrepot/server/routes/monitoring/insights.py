"""Azure Monitor's metrics of online endpoints and deployments, below their ARM ids."""

from collections.abc import Iterator

from entrepot.domain.endpoints import deployments, endpoints, places
from entrepot.domain.endpoints.monitoring import metrics
from entrepot.domain.endpoints.monitoring.metrics import Series
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.server.calls import Answer, Call, reply
from entrepot.server.places import PREFIXES, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.store.documents import Document
from entrepot.wire.endpoints import metrics as wire


def _asked(call: Call) -> tuple[Document, tuple[Document, ...], bool]:
    """Return the resource that is asked, the deployments that count, and whether it is one itself. Raises NotFound."""
    endpoint = EndpointRef(workspace_of(call), call.params["endpoint"])
    if name := call.params.get("deployment"):
        found = deployments.get(call.hub, call.principal, DeploymentRef(endpoint, name))
        return found, (found,), True
    document = endpoints.get(call.hub, call.principal, endpoint)
    return document, endpoints.deployments_of(call.hub, endpoints.reference(document)), False


def _metrics(call: Call) -> Answer:
    resource, counted, is_deployment = _asked(call)
    now = call.hub.clock.now()
    offered = metrics.offered(of_deployment=is_deployment)
    asked = wire.read_query(call.query, offered, of_deployment=is_deployment, now=now)
    samples = {
        document.body["name"]: call.site.recorder.past(document.key, start=asked.start, end=asked.end)
        for document in counted
    }
    found: dict[str, list[Series]] = {}
    for metric in asked.metrics:
        split = [name for name in asked.filters if name in metric.dimensions.get(is_deployment, ())]
        series = metrics.series(metric, samples, start=asked.start, end=asked.end, step_s=asked.step_s, split=split)
        found[metric.name] = [one for one in series if asked.wants(one.dimensions)]
    body = resource.body
    return reply(wire.answer(asked, str(body["id"]), str(body["location"]), found))


def _definitions(call: Call) -> Answer:
    resource, _, is_deployment = _asked(call)
    offered = list(metrics.offered(of_deployment=is_deployment).values())
    return reply(wire.definitions(offered, str(resource.body["id"]), of_deployment=is_deployment))


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        endpoint = prefix + WORKSPACE + "/onlineEndpoints/{endpoint}"
        for resource, action in (
            (endpoint, places.READ),
            (endpoint + "/deployments/{deployment}", places.DEPLOYMENT_READ),
        ):
            insights = resource + "/providers/Microsoft.Insights"
            yield Route("GET", insights + "/metrics", action, _metrics, is_long=True)
            yield Route("GET", insights + "/metricDefinitions", action, _definitions)


ROUTES = tuple(_routes())
"""Azure Monitor on the wire."""
