"""Where batch endpoints and their deployments are: keys, ARM ids, RBAC actions."""

from entrepot.core.ids import WorkspaceScope
from entrepot.core.nouns import PROVIDER

TYPE = f"{PROVIDER}/workspaces/batchEndpoints"
READ, WRITE, DELETE = f"{TYPE}/read", f"{TYPE}/write", f"{TYPE}/delete"
INVOKE = f"{TYPE}/jobs/write"
LIST_JOBS = f"{TYPE}/jobs/read"

DEPLOYMENT_TYPE = f"{TYPE}/deployments"
DEPLOYMENT_READ = f"{DEPLOYMENT_TYPE}/read"
DEPLOYMENT_WRITE = f"{DEPLOYMENT_TYPE}/write"
DEPLOYMENT_DELETE = f"{DEPLOYMENT_TYPE}/delete"


def collection(scope: WorkspaceScope) -> str:
    """Return the collection of a workspace's batch endpoints."""
    return f"{scope.key}/batchendpoints"


def key_of(scope: WorkspaceScope, endpoint: str) -> str:
    """Return the key of an endpoint's document."""
    return f"{collection(scope)}/{endpoint}"


def deployments_of(scope: WorkspaceScope, endpoint: str) -> str:
    """Return the collection of an endpoint's deployments."""
    return f"{key_of(scope, endpoint)}/deployments"


def deployment_key(scope: WorkspaceScope, endpoint: str, name: str) -> str:
    """Return the key of a deployment's document."""
    return f"{deployments_of(scope, endpoint)}/{name}"


def arm_id(scope: WorkspaceScope, endpoint: str) -> str:
    """Return an endpoint's ARM id."""
    return f"{scope.arm_id}/batchEndpoints/{endpoint}"


def deployment_id(scope: WorkspaceScope, endpoint: str, name: str) -> str:
    """Return a deployment's ARM id, its name in lineage."""
    return f"{arm_id(scope, endpoint)}/deployments/{name}"
