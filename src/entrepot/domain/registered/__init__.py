"""Registered models: MLflow's model registry over model assets of workspaces and registries, without importing mlflow.

`handle` takes an endpoint below `/api/2.0/mlflow/` and its JSON and returns JSON in MLflow's own shapes. A registered
model is a model's name, a model version a version of it; the assets are the truth, and aliases are kept with the name.
"""

from collections.abc import Callable, Mapping
from typing import Any

from entrepot.core.errors import Unsupported
from entrepot.core.ids import Scope
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.registered import aliases, names, versions
from entrepot.domain.registered.desk import Desk
from entrepot.domain.registered.files import place
from entrepot.domain.scopes import home

__all__ = ["handle", "place"]

Json = Any
_Endpoint = Callable[[Desk, Mapping[str, Json]], Json]

_ENDPOINTS: Mapping[str, _Endpoint] = {
    "registered-models/create": names.create,
    "registered-models/get": names.get,
    "registered-models/search": names.search,
    "registered-models/update": names.update,
    "registered-models/rename": names.rename,
    "registered-models/delete": names.delete,
    "registered-models/set-tag": names.set_tag,
    "registered-models/delete-tag": names.delete_tag,
    "registered-models/get-latest-versions": versions.latest,
    "model-versions/create": versions.create,
    "model-versions/get": versions.get,
    "model-versions/search": versions.search,
    "model-versions/update": versions.update,
    "model-versions/delete": versions.delete,
    "model-versions/set-tag": versions.set_tag,
    "model-versions/delete-tag": versions.delete_tag,
    "model-versions/transition-stage": versions.transition,
    "model-versions/get-download-uri": versions.download_uri,
}
_ALIASES: Mapping[str, _Endpoint] = {"GET": aliases.get, "POST": aliases.put, "DELETE": aliases.delete}


def handle(
    hub: Hub, principal: Principal, scope: Scope, endpoint: str, body: Mapping[str, Json], *, method: str
) -> Json:
    """Answer one call of an MLflow client; who may do what is the assets' affair. Raises Unsupported for others."""
    desk = Desk(hub, principal, home(hub, scope).scope)
    endpoint = endpoint.strip("/")
    found = _ALIASES.get(method) if endpoint == "registered-models/alias" else _ENDPOINTS.get(endpoint)
    if found is None:
        raise Unsupported(f"MLflow's {method} {endpoint}")
    return found(desk, body)
