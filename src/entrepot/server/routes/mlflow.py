"""MLflow's REST API below each workspace, and its artifact proxy. What it means is in `domain/jobs/tracking.py`."""

from collections.abc import Callable, Iterator

from entrepot.domain.jobs import tracking
from entrepot.domain.jobs.records import READ, WRITE
from entrepot.domain.jobs.tracking import METRICS
from entrepot.server.artifacts import receive, send
from entrepot.server.calls import Answer, Call, reply
from entrepot.server.mlflow_answers import fields_of, listed, told
from entrepot.server.places import WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.store.containers import Containers


@told
def _handle(call: Call) -> Answer:
    scope, endpoint = workspace_of(call), call.params["endpoint"]
    return reply(tracking.handle(call.hub, call.principal, scope, endpoint, fields_of(call), method=call.method))


@told
def _put_artifact(call: Call) -> Answer:
    container, name = _place(call, call.params["path"], is_writing=True)
    receive(call, _recorded(call), container, name)
    return reply({})


@told
def _get_artifact(call: Call) -> Answer:
    container, name = _place(call, call.params["path"], is_writing=False)
    return send(call, container, name)


@told
def _list_artifacts(call: Call) -> Answer:
    container, folder = _place(call, call.query.get("path", ""), is_writing=False)
    return listed(call, container, folder)


@told
def _delete_artifact(call: Call) -> Answer:
    container, name = _place(call, call.params["path"], is_writing=True)
    _recorded(call).delete(container, name)
    return reply({})


def _recorded(call: Call) -> Containers:
    return tracking.recorded(call.hub, call.principal, workspace_of(call), request_id=call.request_id)


def _place(call: Call, path: str, *, is_writing: bool) -> tuple[str, str]:
    return tracking.artifact_place(call.hub, call.principal, workspace_of(call), path, is_writing=is_writing)


def _routes() -> Iterator[Route]:
    base = "/mlflow/{version}" + WORKSPACE
    for api in ("/api/2.0", "/api/3.0", "/ajax-api/2.0"):
        endpoint = base + api + "/mlflow/{endpoint:rest}"
        yield Route("GET", endpoint, READ, _handle)
        for method in ("POST", "PATCH", "DELETE"):
            yield Route(method, endpoint, WRITE, _handle, other_action=METRICS)
    artifacts = base + "/api/2.0/mlflow-artifacts/artifacts"
    table: tuple[tuple[str, str, str, Callable[[Call], Answer]], ...] = (
        ("PUT", artifacts + "/{path:rest}", WRITE, _put_artifact),
        ("GET", artifacts + "/{path:rest}", READ, _get_artifact),
        ("DELETE", artifacts + "/{path:rest}", WRITE, _delete_artifact),
        ("GET", artifacts, READ, _list_artifacts),
    )
    for method, template, action, handler in table:
        yield Route(method, template, action, handler, is_long=True, takes_stream=method == "PUT")


ROUTES = tuple(_routes())
