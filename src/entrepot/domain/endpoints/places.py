"""Where online endpoints stand: document keys, ARM ids, actions. Nothing is looked up here."""

from dataclasses import dataclass

from entrepot.core.ids import WorkspaceScope
from entrepot.core.nouns import PROVIDER

TYPE = f"{PROVIDER}/workspaces/onlineEndpoints"
READ, WRITE, DELETE = f"{TYPE}/read", f"{TYPE}/write", f"{TYPE}/delete"
LIST_KEYS = f"{TYPE}/listKeys/action"
REGENERATE_KEYS = f"{TYPE}/regenerateKeys/action"
TOKEN = f"{TYPE}/token/action"
SCORE = f"{TYPE}/score/action"

DEPLOYMENT_TYPE = f"{TYPE}/deployments"
DEPLOYMENT_READ = f"{DEPLOYMENT_TYPE}/read"
DEPLOYMENT_WRITE = f"{DEPLOYMENT_TYPE}/write"
DEPLOYMENT_DELETE = f"{DEPLOYMENT_TYPE}/delete"
LOGS = f"{DEPLOYMENT_TYPE}/getLogs/action"

SPACE = "endpoints"
"""Facet space in which gateways find the online endpoints of all workspaces."""

SCORE_ORIGIN = "https://score.entrepot.invalid"
"""What scoring addresses in documents begin with; `wire/origins.py` puts the gateway's own in its place."""


@dataclass(frozen=True, slots=True)
class EndpointRef:
    """One online endpoint: its workspace and its name."""

    scope: WorkspaceScope
    name: str

    @property
    def key(self) -> str:
        """The document's key; names do not differ by case."""
        return f"{self.scope.key}/onlineendpoints/{self.name.lower()}"

    @property
    def id(self) -> str:
        """The ARM id."""
        return f"{self.scope.arm_id}/onlineEndpoints/{self.name}"

    @property
    def secrets_key(self) -> str:
        """The key of the document that holds the endpoint's keys; no list shows it."""
        return f"{self.key}/secrets"

    @property
    def collection(self) -> str:
        """The key prefix of its deployments."""
        return f"{self.key}/deployments"

    def __str__(self) -> str:
        return f"online endpoint {self.name} in {self.scope}"


@dataclass(frozen=True, slots=True)
class DeploymentRef:
    """One deployment of an online endpoint."""

    endpoint: EndpointRef
    name: str

    @property
    def key(self) -> str:
        """The document's key."""
        return f"{self.endpoint.collection}/{self.name.lower()}"

    @property
    def id(self) -> str:
        """The ARM id, its name in lineage."""
        return f"{self.endpoint.id}/deployments/{self.name}"

    @property
    def replicas(self) -> str:
        """The collection of its replicas' documents."""
        return f"{self.key}/replicas"

    def __str__(self) -> str:
        return f"deployment {self.name} of {self.endpoint}"


def endpoint_of(arm_id: str) -> EndpointRef:
    """Read the ARM id of an endpoint, or of a deployment, whose endpoint is meant."""
    parts = arm_id.strip("/").split("/")
    return EndpointRef(WorkspaceScope(parts[1], parts[3], parts[7]), parts[9])


def deployment_of(arm_id: str) -> DeploymentRef:
    """Read the ARM id of a deployment."""
    return DeploymentRef(endpoint_of(arm_id), arm_id.strip("/").split("/")[11])
