"""MLflow's model registry below each workspace and each registry, and the files of its versions.

A registry is `https://<server>/mlflow/v2.0/registries/<name>`, or has its ARM id in place of the last part.
"""

from collections.abc import Iterator

from entrepot.core.nouns import MODEL, registry_action, workspace_action
from entrepot.domain import registered
from entrepot.server.artifacts import send
from entrepot.server.calls import Answer, Call, reply
from entrepot.server.mlflow_answers import fields_of, listed, told
from entrepot.server.places import REGISTRY, WORKSPACE, scope_of
from entrepot.server.routing import Route

_SHORT = "/registries/{registry}"


@told
def _names(call: Call) -> Answer:
    return _handled(call, "registered-models")


@told
def _versions(call: Call) -> Answer:
    return _handled(call, "model-versions")


def _handled(call: Call, family: str) -> Answer:
    endpoint = f"{family}/{call.params['endpoint']}"
    answer = registered.handle(call.hub, call.principal, scope_of(call), endpoint, fields_of(call), method=call.method)
    return reply(answer)


@told
def _get_file(call: Call) -> Answer:
    return send(call, *registered.place(call.hub, call.principal, scope_of(call), call.params["path"]))


@told
def _list_files(call: Call) -> Answer:
    return listed(call, *registered.place(call.hub, call.principal, scope_of(call), call.query.get("path", "")))


def _routes() -> Iterator[Route]:
    for place in (WORKSPACE, REGISTRY, _SHORT):
        base = "/mlflow/{version}" + place
        reading, writing = (
            workspace_action(MODEL, verb) if place is WORKSPACE else registry_action(verb) for verb in ("read", "write")
        )
        for api in ("/api/2.0", "/api/3.0", "/ajax-api/2.0"):
            for family, handler in (("registered-models", _names), ("model-versions", _versions)):
                endpoint = f"{base}{api}/mlflow/{family}/{{endpoint:rest}}"
                yield Route("GET", endpoint, reading, handler)
                for method in ("POST", "PATCH", "DELETE"):
                    yield Route(method, endpoint, writing, handler)
        files = f"{base}/registered-models/api/2.0/mlflow-artifacts/artifacts"
        yield Route("GET", files, reading, _list_files, is_long=True)
        yield Route("GET", files + "/{path:rest}", reading, _get_file, is_long=True)


ROUTES = tuple(_routes())
