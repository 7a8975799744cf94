"""A hub with a registry in two regions and a workspace in each, for the tests of the domain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.core.ids import RegistryScope, WorkspaceScope
from entrepot.domain import registries, workspaces
from entrepot.domain.hub import Hub, Principal
from entrepot.testing.hub import OWNER, close_hub, make_hub

SUBSCRIPTION, GROUP = "s1", "Contoso-RG"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with registry `contoso` (eastus, westus) and workspaces `dev` (eastus) and `prod` (westus)."""
    made = make_hub(tmp_path)
    regions = [{"location": "eastus"}, {"location": "westus"}]
    body = {"location": "eastus", "properties": {"regionDetails": regions}}
    registries.create(made, OWNER, SUBSCRIPTION, GROUP, "contoso", body)
    for name, region in (("dev", "eastus"), ("prod", "westus")):
        workspaces.create(made, OWNER, WorkspaceScope(SUBSCRIPTION, GROUP, name), {"location": region})
    yield made
    close_hub(made)


@pytest.fixture
def registry() -> RegistryScope:
    """The registry of the hub."""
    return RegistryScope("contoso")


@pytest.fixture
def dev() -> WorkspaceScope:
    """The workspace in the registry's primary region."""
    return WorkspaceScope(SUBSCRIPTION, GROUP, "dev")


@pytest.fixture
def prod() -> WorkspaceScope:
    """The workspace in the registry's other region."""
    return WorkspaceScope(SUBSCRIPTION, GROUP, "prod")


@pytest.fixture
def stranger() -> Principal:
    """Somebody without any role."""
    return Principal(id="22222222-2222-2222-2222-222222222222", name="Stan Stranger")
