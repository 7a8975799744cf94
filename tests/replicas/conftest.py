"""Deployments as documents and replicas as processes: real stores, real hosts, one environment for all tests."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from entrepot.compute.local import LocalBackend
from entrepot.core.ids import AssetRef, WorkspaceScope
from entrepot.core.nouns import CODE, ENVIRONMENT, MODEL
from entrepot.domain import work, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.endpoints.announcements import replicas_wanted
from entrepot.domain.endpoints.replicas import QUEUE, Attendant, Summary, logs, records, status
from entrepot.domain.endpoints.replicas.records import Replica
from entrepot.domain.hub import Hub
from entrepot.store.documents import Put
from entrepot.testing.hub import OWNER, close_hub, make_hub, upload

Json = Any
LIMIT_S = 120.0
SCRIPT = """
import os

def init():
    print("model at", os.environ["AZUREML_MODEL_DIR"])

def run(data):
    if data == "die":
        os._exit(7)
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.txt")) as file:
        return [WORD, file.read(), os.getpid()]
"""


@dataclass
class Fleet:
    """A workspace whose deployments are attended."""

    hub: Hub
    scope: WorkspaceScope
    attendant: Attendant = field(default_factory=Attendant)
    workers: work.Workers | None = None

    def start(self, *, leaves: bool = True) -> None:
        """Begin to attend; `leaves`: as a server that will be killed."""
        self.attendant = Attendant(threading.Event(), leaves=leaves)
        self.workers = work.Workers(self.hub, {QUEUE: self.attendant}, {QUEUE: 16})
        self.workers.start()

    def stop(self) -> None:
        """Stop attending."""
        if self.workers is not None:
            self.attendant.stopping.set()
            self.workers.stop()
            self.workers = None

    def code(self, script: str) -> Json:
        """Keep a score script and return what a deployment's `resolved.code` says of it."""
        ref = AssetRef(self.scope, CODE, self.hub.new_id(), "1")
        body = catalog.create(self.hub, OWNER, ref, {"codeUri": upload(self.hub, ref, {"score.py": script}, at="src")})[
            0
        ].body
        return {"snapshot": body["entrepot"]["snapshot"], "path": body["entrepot"]["path"]}

    def model(self, files: Mapping[str, str | bytes], *, at: str = "", kind: str = "custom_model") -> Json:
        """Keep a model and return what `resolved.model` says of it."""
        ref = AssetRef(self.scope, MODEL, "taxi", str(self.hub.clock.now()).replace(".", ""))
        properties = {"modelType": kind, "modelUri": upload(self.hub, ref, files, at=at)}
        body = catalog.create(self.hub, OWNER, ref, properties)[0].body
        ours = body["entrepot"]
        return {"snapshot": ours["snapshot"], "path": ours["path"], "name": ref.name, "version": "1", "type": kind}

    def environment(self) -> str:
        """Return the id of an environment of plain Python."""
        ref = AssetRef(self.scope, ENVIRONMENT, "python", "1")
        catalog.create(self.hub, OWNER, ref, {"image": "docker.io/python:3.11"})
        return ref.id

    def deploy(
        self, name: str, *, word: str = "one", script: str = SCRIPT, wanted: int = 1, generation: int = 1,
        model: Json = None, environment: Json = "", **properties: Json,
    ) -> str:  # fmt: skip
        """Write a deployment's document, as the routes of endpoints do, and return its key."""
        key = f"{self.scope.key}/onlineendpoints/e/deployments/{name}"
        resolved = {
            "model": model or self.model({"weights.txt": "w"}),
            "code": self.code(f"WORD = {word!r}\n{script}") if script else None,
            "environment": self.environment() if environment == "" else environment,
        }
        code = {"codeConfiguration": {"scoringScript": "score.py"}} if script else {}
        body = {
            "id": f"{self.scope.arm_id}/onlineEndpoints/e/deployments/{name}", "name": name,
            "properties": {"provisioningState": "Creating", **code, **properties},
            "entrepot": {"generation": str(generation), "wanted": wanted, "resolved": resolved},
        }  # fmt: skip
        self.hub.documents.commit([Put(key, body), replicas_wanted(key)])
        return key

    def change(self, key: str, change: Callable[[Json], object]) -> None:
        """Change a deployment's body."""
        document = self.hub.documents.get(key)
        assert document is not None
        body = document.body
        change(body)
        self.hub.documents.commit([Put(key, body), replicas_wanted(key)])

    def replicas(self, key: str) -> list[Replica]:
        """Return the replicas as their documents tell."""
        return records.all_of(self.hub, key)

    def ready(self, key: str, count: int = 1) -> list[Replica]:
        """Return the replicas once so many of the current generation serve and no other is left."""

        def is_so() -> bool:
            found = self.status(key)
            return found.ready == count and found.left == count

        self.until(is_so, what=f"{count} ready replicas", key=key)
        return self.replicas(key)

    def status(self, key: str) -> Summary:
        """Return how a deployment stands."""
        return status(self.hub, key)

    def ask(self, replica: Replica, body: str = "{}", *, timeout_s: float = LIMIT_S) -> Json:
        """Return what a replica answers to a request."""
        assert replica.address is not None
        host, port = replica.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
        try:
            connection.request("POST", "/score", body=body, headers={"x-entrepot-replica": replica.secret})
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status == 200, data
            return json.loads(data)
        finally:
            connection.close()

    def until(self, condition: Callable[[], object], *, what: str, key: str = "") -> None:
        """Return when the condition holds."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end:
                found = f": {self.replicas(key)}\n{logs(self.hub, key, tail=50)}" if key else ""
                raise TimeoutError(f"{what} did not come in {LIMIT_S} s{found}")
            time.sleep(0.01)


@pytest.fixture(scope="package")
def backend(tmp_path_factory: pytest.TempPathFactory) -> LocalBackend:
    """A backend whose environments all tests share."""
    return LocalBackend(tmp_path_factory.mktemp("compute"))


@pytest.fixture
def idle(tmp_path: Path, backend: LocalBackend) -> Iterator[Fleet]:
    """A fleet that nobody attends yet; its replicas end with the test."""
    hub = make_hub(tmp_path, backends={"local": backend}, reserve_bytes=0)
    scope = WorkspaceScope(hub.settings.subscription, "rg", "dev")
    workspaces.create(hub, OWNER, scope, {"location": "eastus"})
    fleet = Fleet(hub, scope)
    yield fleet
    fleet.stop()
    for folder in (tmp_path / "replicas").glob("*/*/launch-*"):
        backend.cancel(f"{folder.parent.name}-{folder.name.rpartition('-')[2]}", folder, grace_s=0.1)
    close_hub(hub)


@pytest.fixture
def fleet(idle: Fleet) -> Fleet:
    """A fleet that is attended."""
    idle.start()
    return idle
