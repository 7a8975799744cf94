"""The asset kinds as one table: routes, RBAC actions, CLI verbs and replication follow from a row here."""

from dataclasses import dataclass

PROVIDER = "Microsoft.MachineLearningServices"


@dataclass(frozen=True, slots=True)
class Kind:
    """One asset kind. `plural` is its word in paths and references, `noun` its word in `az ml`."""

    noun: str
    plural: str
    title: str
    is_listed: bool = True  # has CLI verbs and a Studio tab of its own; code only travels with others


MODEL = Kind("model", "models", "Model")
ENVIRONMENT = Kind("environment", "environments", "Environment")
COMPONENT = Kind("component", "components", "Component")
DATA = Kind("data", "data", "Data asset")
CODE = Kind("code", "codes", "Code", is_listed=False)

DEPLOYMENT_TEMPLATE = Kind("deployment-template", "deploymenttemplates", "Deployment template")

KINDS: tuple[Kind, ...] = (MODEL, ENVIRONMENT, COMPONENT, DATA, CODE)
REGISTRY_KINDS: tuple[Kind, ...] = (*KINDS, DEPLOYMENT_TEMPLATE)
"""What a registry holds: the five kinds that workspaces hold too, and templates, which are at home nowhere else."""
BY_PLURAL: dict[str, Kind] = {kind.plural: kind for kind in KINDS}
BY_NOUN: dict[str, Kind] = {kind.noun: kind for kind in KINDS}

UNSERVED: dict[str, str] = {
    "capabilityhosts": "Capability hosts",
    "deploymentstacks": "Deployment stacks",
    "exporttemplate": "Templates of what a group holds",
    "features": "Preview features",
    "featuresets": "Feature sets",
    "featurestoreentities": "Feature store entities",
    "indexes": "Indexes",
    "inferencepools": "Inference pools",
    "locks": "Locks",
    "managementgroups": "Management groups",
    "marketplacesubscriptions": "Marketplace subscriptions",
    "moveresources": "Moves between groups",
    "oauth2permissiongrants": "Permissions of applications on other applications",
    "outboundrules": "Managed networks",
    "package": "Packages of models",
    "policyassignments": "Policies",
    "policydefinitions": "Policies",
    "privateendpointconnections": "Private endpoints",
    "privatelinkresources": "Private endpoints",
    "prompts": "Prompts",
    "provideroperations": "Lists of a provider's operations",
    "provisionmanagednetwork": "Managed networks",
    "serverlessendpoints": "Serverless endpoints",
    "tagnames": "Tag names without a resource",
    "templatespecs": "Template specs",
}
"""Segments of paths by which clients ask for what this server has nothing of, with the words that people use."""

# The documents say /component/ and /environment/ in places (MicrosoftDocs/azure-docs#118796): read, never written.
_SPELLINGS: dict[str, Kind] = {**{k.plural: k for k in REGISTRY_KINDS}, "model": MODEL, "environment": ENVIRONMENT,
                               "component": COMPONENT, "code": CODE}  # fmt: skip


def kind_of(word: str) -> Kind | None:
    """Return the kind that a path segment names, plural or (as some documents print) singular; None if none."""
    return _SPELLINGS.get(word.lower())


def registry_action(verb: str) -> str:
    """Return the RBAC action on registry assets: `read`, `write` or `delete`."""
    return f"{PROVIDER}/registries/assets/{verb}"


def workspace_action(kind: Kind, verb: str) -> str:
    """Return the RBAC action on a workspace's assets of one kind: `read`, `write` or `delete`."""
    return f"{PROVIDER}/workspaces/{kind.plural}/versions/{verb}"
