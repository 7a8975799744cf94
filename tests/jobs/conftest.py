"""A workspace whose jobs really run: real stores, real processes, one environment for all tests of a session."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from entrepot.compute.local import LocalBackend
from entrepot.core.ids import AssetRef, RegistryScope, Scope, WorkspaceScope
from entrepot.core.nouns import COMPONENT, ENVIRONMENT
from entrepot.domain import registries, replication, work, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import execution, logs, queries, records, scheduler, submission
from entrepot.domain.jobs.staging import JobIdentity
from entrepot.store import paths, snapshots
from entrepot.testing.hub import OWNER, close_hub, make_hub

Json = Any
REGISTRY = RegistryScope("contoso")
GROUP = "rg"
LIMIT_S = 60


@dataclass
class House:
    """A hub with a workspace `dev` in eastus, a registry `contoso` there, and workers that can be started."""

    hub: Hub
    scope: WorkspaceScope
    executor: execution.Executor = field(init=False)
    workers: work.Workers | None = None

    def start(self, *, slots: int = 2, replicates: bool = True) -> None:
        """Begin to work on what is queued."""
        self.executor = execution.Executor(
            JobIdentity(
                token=lambda principal, body: f"token of {principal.name}",
                tracking_url=lambda scope: "http://127.0.0.1:9/",
            )
        )
        handlers: dict[str, work.Handler] = {
            records.PIPELINE_QUEUE: scheduler.tick, records.NODE_QUEUE: self.executor,
        }  # fmt: skip
        if replicates:
            handlers[replication.QUEUE] = replication.replicate
        self.workers = work.Workers(self.hub, handlers, {records.NODE_QUEUE: slots})
        self.workers.start()

    def stop(self) -> None:
        """End the workers; steps that run go on by themselves."""
        if self.workers is not None:
            self.executor.stopping.set()
            self.workers.stop()
            self.workers = None

    def environment(self, scope: Scope | None = None) -> str:
        """Make an environment of plain Python and return its id."""
        ref = AssetRef(scope or self.scope, ENVIRONMENT, "python", "1")
        catalog.create(self.hub, OWNER, ref, {"image": "docker.io/python"})
        return ref.id

    def component(
        self, name: str, command: str, *, scope: Scope | None = None, version: str = "1", **spec: Json
    ) -> str:
        """Make a command component (`type: pipeline` in `spec` for another) and return its id."""
        where = scope or self.scope
        body = {"name": name, "version": version, "type": "command", **spec}
        if body["type"] == "command":
            body |= {"command": command, "environment": spec.get("environment") or self.environment(where)}
        ref = AssetRef(where, COMPONENT, name, version)
        catalog.create(self.hub, OWNER, ref, {"componentSpec": body})
        return ref.id

    def submit(self, name: str, properties: Mapping[str, Json], *, principal: Principal = OWNER) -> Json:
        """Submit a job and return its body."""
        return submission.submit(self.hub, principal, self.scope, name, properties).body

    def command(self, name: str, command: str, **properties: Json) -> Json:
        """Submit a command job."""
        body = {"jobType": "Command", "command": command, "environmentId": self.environment(), **properties}
        return self.submit(name, body)

    def pipeline(self, name: str, jobs: Mapping[str, Json], **properties: Json) -> Json:
        """Submit a pipeline job."""
        return self.submit(name, {"jobType": "Pipeline", "jobs": jobs, **properties})

    def job(self, name: str) -> Json:
        """Return a job's body as it is now."""
        return queries.get(self.hub, OWNER, self.scope, name).body

    def status(self, name: str) -> str:
        """Return a job's status as it is now."""
        word: str = self.job(name)["properties"]["status"]
        return word

    def finish(self, name: str) -> Json:
        """Return a job's body once it has ended."""
        self.until(lambda: self.status(name) in records.TERMINAL, what=f"the end of {name}")
        return self.job(name)

    def nodes(self, name: str) -> dict[str, Json]:
        """Return the bodies of a pipeline's nodes by name."""
        found = [document.body for document in queries.children(self.hub, self.scope, name).documents]
        return {body["entrepot"]["node"]: body for body in found}

    def log(self, name: str) -> str:
        """Return a job's log."""
        return logs.read(self.hub, self.scope, name, logs.STD_LOG, 0)[0]

    def files(self, container: str, path: str) -> dict[str, bytes]:
        """Return the files at a place, by relative path."""
        store = self.hub.containers.store(container)
        found = {}
        for entry in self.hub.containers.tree(container, path).files:
            with store.open(paths.content(entry.digest)) as file:
                found[entry.path] = file.read()
        return found

    def output(self, name: str, output: str) -> dict[str, bytes]:
        """Return the files of a job's output."""
        ours = self.job(name)["entrepot"]
        entry = ours["artifacts"] if output == "artifacts" else ours["outputs"][output]
        return self.files(entry["container"], entry["path"])

    def upload(self, path: str, files: Mapping[str, bytes]) -> str:
        """Put files into the workspace's default datastore and return their address."""
        container = next(
            document.body["properties"]["containerName"]
            for document in self.hub.documents.list(f"{self.scope.key}/datastores").documents
            if document.body["properties"]["isDefault"]
        )
        store = self.hub.containers.store(container)
        for name, data in files.items():
            self.hub.containers.put(container, f"{path}/{name}", snapshots.keep(store, data), len(data))
        return f"azureml://datastores/workspaceblobstore/paths/{path}"

    def until(self, condition: Callable[[], object], *, what: str = "the condition") -> None:
        """Return when the condition holds."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} did not come in {LIMIT_S} s")
            time.sleep(0.01)


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> LocalBackend:
    """A backend whose environments all tests share."""
    return LocalBackend(tmp_path_factory.mktemp("compute"))


@pytest.fixture
def idle(tmp_path: Path, backend: LocalBackend) -> Iterator[House]:
    """A house whose workers have not been started."""
    hub = make_hub(tmp_path, backends={"local": backend}, reserve_bytes=0)
    scope = WorkspaceScope(hub.settings.subscription, GROUP, "dev")
    workspaces.create(hub, OWNER, scope, {"location": "eastus"})
    regions = [{"location": "eastus"}, {"location": "westeurope"}]
    registries.create(
        hub,
        OWNER,
        hub.settings.subscription,
        GROUP,
        REGISTRY.name,
        {"location": "eastus", "properties": {"regionDetails": regions}},
    )
    house = House(hub, scope)
    yield house
    house.stop()
    close_hub(hub)


@pytest.fixture
def house(idle: House) -> House:
    """A house that works."""
    idle.start()
    return idle
