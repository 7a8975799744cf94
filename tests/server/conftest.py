"""One live server for the tests of this folder, with a group, a workspace and a registry."""

from collections.abc import Iterator

import pytest

from entrepot.testing.live import LiveServer, live

GROUP = "/subscriptions/s1/resourceGroups/rg"
PROVIDER = f"{GROUP}/providers/Microsoft.MachineLearningServices"


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with group rg, workspace dev in eastus and registry contoso in eastus and westus."""
    with live(tmp_path_factory.mktemp("server") / "home") as running:
        places = [{"location": "eastus"}, {"location": "westus"}]
        assert running.call("PUT", GROUP, {"location": "eastus"}).status == 201
        assert running.call("PUT", f"{PROVIDER}/workspaces/dev", {"location": "eastus"}).status == 201
        registry = {"location": "eastus", "properties": {"regionDetails": places}}
        assert running.call("PUT", f"{PROVIDER}/registries/contoso", registry).status == 201
        yield running


@pytest.fixture
def group() -> str:
    """The path of the resource group."""
    return GROUP


@pytest.fixture
def provider() -> str:
    """The path below which the group's workspaces and registries are."""
    return PROVIDER
