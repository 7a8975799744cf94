"""The genuine MLflow client: runs and models of a workspace, registered models of workspaces and registries."""

from pathlib import Path

import pytest

from tests.sdk.conftest import Clients

pytestmark = pytest.mark.slow

WALK = Path(__file__).with_name("mlflow_walk.py")
GROUP = "/subscriptions/s1/resourceGroups/rg"
PROVIDER = f"{GROUP}/providers/Microsoft.MachineLearningServices"


@pytest.mark.parametrize("form", ["short", "shown"])
def test_models_are_registered_found_loaded_and_deleted_in_both_scopes(clients: Clients, form: str) -> None:
    server, name = clients.server, f"mlflow-{form}"
    assert server.call("PUT", f"{PROVIDER}/workspaces/{name}", {"location": "eastus"}).status == 201
    assert server.call("PUT", f"{PROVIDER}/registries/{name}", {"location": "eastus"}, secure=True).status == 201
    tracking = server.call("GET", f"{PROVIDER}/workspaces/{name}", secure=True).json["properties"]["mlFlowTrackingUri"]
    shown = server.call("GET", f"{PROVIDER}/registries/{name}", secure=True).json["properties"]["mlFlowRegistryUri"]
    short = f"{server.file.https_url}/mlflow/v2.0/registries/{name}"
    done = clients.run(WALK, tracking, short if form == "short" else shown)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "walked"
