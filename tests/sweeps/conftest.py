"""A live server whose jobs log metrics to it, as MLflow would, with nothing but the standard library."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.live import LiveServer, live, wait_until

Json = Any
GROUP = "/subscriptions/s1/resourceGroups/rg"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/dev"
ENDED = ("Completed", "Failed", "Canceled")
LOG = """python3 - <<'END'
import json, os, time, urllib.request
def log(value, step=0):
    point = {"key": "acc", "value": value, "timestamp": 1, "step": step}
    body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], **point})
    address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
    headers = {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, body.encode(), headers)).read()
BODY
END"""


def logging(body: str) -> str:
    """Return a command that runs Python in which `log(value, step)` logs the metric acc."""
    return LOG.replace("BODY", body)


@dataclass
class Place:
    """A workspace of a server that may be killed and started again."""

    home: Path
    server: LiveServer

    def call(self, method: str, path: str, body: Json = None) -> Json:
        """Call below the workspace; return the answer's JSON."""
        reply = self.server.call(method, f"{WORKSPACE}/{path}", body)
        assert reply.status < 300, reply.body
        return reply.json if reply.body else None

    def sweep(self, name: str, command: str, space: Json, **more: Json) -> Json:
        """Submit a sweep."""
        trial = {"command": command, "environmentId": "azureml:plain:1"}
        properties = {
            "jobType": "Sweep", "trial": trial, "searchSpace": space,
            "objective": {"goal": "maximize", "primaryMetric": "acc"}, **more,
        }  # fmt: skip
        return self.call("PUT", f"jobs/{name}", {"properties": properties})

    def job(self, name: str) -> Json:
        """Return a job's body."""
        return self.call("GET", f"jobs/{name}")

    def trials(self, name: str) -> list[Json]:
        """Return the bodies of a parent's children, oldest first."""
        found: list[Json] = self.call("GET", f"jobs?parentJobName={name}")["value"]
        return found

    def finish(self, name: str) -> Json:
        """Return a job's body once it has ended."""
        wait_until(lambda: self.job(name)["properties"]["status"] in ENDED, timeout_s=90, what=f"the end of {name}")
        return self.job(name)


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A workspace with an environment that needs no build."""
    home = tmp_path_factory.mktemp("sweeps") / "home"
    with live(home, sandbox="none", step_slots=4) as server:
        yield furnished(Place(home, server))


def furnished(place: Place) -> Place:
    """Make the group, the workspace and the environment."""
    assert place.server.call("PUT", GROUP, {"location": "eastus"}).status == 201
    assert place.server.call("PUT", WORKSPACE, {"location": "eastus"}).status == 201
    place.call("PUT", "environments/plain/versions/1", {"properties": {"image": "docker.io/python"}})
    return place
