"""Where a request stands: path templates of the scopes, and the scope that a call's parameters name."""

from entrepot.core.ids import RegistryScope, Scope, WorkspaceScope
from entrepot.core.nouns import PROVIDER
from entrepot.server.calls import Call

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = SUBSCRIPTION + "/resourceGroups/{group}"
RESOURCES = f"{GROUP}/providers/{PROVIDER}"
WORKSPACE = RESOURCES + "/workspaces/{workspace}"
REGISTRY = RESOURCES + "/registries/{registry}"
ALIAS = "/mferp/managementfrontend"
PREFIXES = ("", ALIAS)
"""Azure's own front end answers under the longer one; registry clients are told to use it."""


def workspace_of(call: Call) -> WorkspaceScope:
    """Return the workspace that the path names."""
    params = call.params
    return WorkspaceScope(params["subscription"], params["group"], params["workspace"])


def registry_of(call: Call) -> RegistryScope:
    """Return the registry that the path names."""
    return RegistryScope(call.params["registry"])


def scope_of(call: Call) -> Scope:
    """Return the registry or workspace that the path names."""
    return registry_of(call) if "registry" in call.params else workspace_of(call)
