"""A house for the tests of endpoints."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.core.ids import RegistryScope, WorkspaceScope
from entrepot.domain import registries, workspaces
from entrepot.testing.hub import OWNER, close_hub, make_hub
from tests.endpoints.house import House

SUBSCRIPTION, GROUP = "s1", "Contoso-RG"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house with nothing deployed."""
    hub = make_hub(tmp_path, reserve_bytes=0)
    body = {"location": "eastus", "properties": {"regionDetails": [{"location": "eastus"}]}}
    registries.create(hub, OWNER, SUBSCRIPTION, GROUP, "contoso", body)
    dev = WorkspaceScope(SUBSCRIPTION, GROUP, "dev")
    workspaces.create(hub, OWNER, dev, {"location": "eastus"})
    yield House(hub, dev, RegistryScope("contoso"))
    close_hub(hub)
