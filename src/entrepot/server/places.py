"""Where a request stands: path templates of the scopes, and the scope that a call's parameters name."""

from collections.abc import Mapping

from entrepot.core.ids import RegistryScope, Scope, WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.domain import audit
from entrepot.domain.authorization import sight
from entrepot.domain.hub import Hub, Principal
from entrepot.server.calls import Call
from entrepot.server.routing import Route

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = SUBSCRIPTION + "/resourceGroups/{group}"
RESOURCES = f"{GROUP}/providers/{PROVIDER}"
WORKSPACE = RESOURCES + "/workspaces/{workspace}"
REGISTRY = RESOURCES + "/registries/{registry}"
ALIAS = "/mferp/managementfrontend"
PREFIXES = ("", ALIAS)
"""Azure's own front end answers under the longer one; registry clients are told to use it."""

_ASSET_SERVICE = "/genericasset/v2.0"
ASSET_SERVICES = (_ASSET_SERVICE, "/regions/{host}" + _ASSET_SERVICE)
"""Azure's asset service; the second is where clients find it who go by a registry's region (`region_address`)."""


def region_address(api: str, region: str) -> str:
    """Return what discovery tells as a registry's primary region, given the origin that was asked.

    azure-ai-ml 1.35 calls `https://<primary region>.api.azureml.ms`, a host that nobody here owns, and no setting
    changes it. A place of this server in front of that suffix brings it here. Over plain HTTP it is the region's name.
    """
    scheme, _, host = api.partition("://")
    return f"{host}/regions/{region}" if scheme == "https" else region


def workspace_of(call: Call) -> WorkspaceScope:
    """Return the workspace that the path names."""
    return _workspace(call.params)


def registry_of(call: Call) -> RegistryScope:
    """Return the registry that the path names."""
    return RegistryScope(call.params["registry"])


def scope_of(call: Call) -> Scope:
    """Return the registry or workspace that the path names."""
    return _scope(call.params)


def require_sight(hub: Hub, principal: Principal, route: Route, params: Mapping[str, str], request_id: str) -> None:
    """Return if a principal sees anything of the registry or workspace that a path names. Raises NotFound."""
    scope, action = _scope(params), route.action or ""
    if sight.sees(hub, principal, scope, action):  # nearly always, so all else waits
        return
    with audit.answering(request_id):
        sight.require_noted(hub, principal, scope, *((action, route.other_action) if route.other_action else (action,)))


def _workspace(params: Mapping[str, str]) -> WorkspaceScope:
    return WorkspaceScope(params["subscription"], params["group"], params["workspace"])


def _scope(params: Mapping[str, str]) -> Scope:
    return RegistryScope(params["registry"]) if "registry" in params else _workspace(params)
