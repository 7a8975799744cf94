"""Where a command works: a workspace or a registry, and the addresses of the things in it."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.failures import ServiceFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from entrepot.client.session import Session

PROVIDER = "providers/Microsoft.MachineLearningServices"
REGISTRY_PLANE = "/mferp/managementfrontend"


class Target:
    """A workspace or a registry: `base` is its address on the server, `id` what references start with."""

    __slots__ = ("base", "group", "id", "is_registry", "name", "subscription")

    def __init__(self, *, base: str, name: str, group: str, subscription: str, is_registry: bool) -> None:
        self.base = base
        self.name = name
        self.group = group
        self.subscription = subscription
        self.is_registry = is_registry
        self.id = f"azureml://registries/{name}" if is_registry else base

    def container(self, plural: str, name: str) -> str:
        """Return the address of an asset's container."""
        return f"{self.base}/{plural}/{quote(name)}"

    def version(self, plural: str, name: str, version: str) -> str:
        """Return the address of an asset version."""
        return f"{self.base}/{plural}/{quote(name)}/versions/{quote(version)}"

    def asset_id(self, plural: str, name: str, version: str | None = None) -> str:
        """Return the id by which others refer to an asset of this scope."""
        return f"{self.id}/{plural}/{name}" + (f"/versions/{version}" if version is not None else "")

    def __str__(self) -> str:
        return f"registry {self.name}" if self.is_registry else f"workspace {self.name}"


def group_address(subscription: str, group: str) -> str:
    """Return the address of a resource group."""
    return f"/subscriptions/{quote(subscription)}/resourceGroups/{quote(group)}"


def workspace(session: Session, *, group: str, name: str) -> Target:
    """Return a workspace as the place to work in; nothing is asked of it yet."""
    base = f"{group_address(session.subscription, group)}/{PROVIDER}/workspaces/{quote(name)}"
    return Target(base=base, name=name, group=group, subscription=session.subscription, is_registry=False)


def registry(session: Session, name: str) -> Target:
    """Return a registry as the place to work in, found by its name alone. Raises ServiceFailure."""
    found = session.find(f"/registrymanagement/v1.0/registries/{quote(name)}/discovery")
    if found is None:
        raise ServiceFailure(
            f"There is no registry {name!r}, or you may not see it.",
            code="RegistryNotFound",
            status=404,
            hint="entrepot ml registry list",
        )
    group, subscription = found["resourceGroup"], found["subscriptionId"]
    name = found.get("registryName") or name
    base = f"{REGISTRY_PLANE}{group_address(subscription, group)}/{PROVIDER}/registries/{quote(name)}"
    return Target(base=base, name=name, group=group, subscription=subscription, is_registry=True)
