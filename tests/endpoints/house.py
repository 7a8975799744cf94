"""What the tests of endpoints share: a workspace and a registry with models, and replicas of the tests' own making."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import CODE, ENVIRONMENT, MODEL
from entrepot.domain.assets import catalog
from entrepot.domain.endpoints import deployments, endpoints, provisioning
from entrepot.domain.endpoints.announcements import QUEUE, replicas_changed
from entrepot.domain.endpoints.places import DeploymentRef, EndpointRef
from entrepot.domain.endpoints.replicas import records
from entrepot.domain.endpoints.replicas.records import Replica
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Delete, Finish
from entrepot.testing.hub import OWNER, upload

Json = Any
SECRET = "s3cret"
GATE_S = 60
SCRIPT = "def init():\n    pass\ndef run(data):\n    return data\n"


@dataclass
class House:
    """A hub with workspace `dev` and registry `contoso`, and what a deployment needs in both."""

    hub: Hub
    dev: WorkspaceScope
    registry: RegistryScope
    principal: Principal = OWNER
    parts: dict[str, str] = field(default_factory=dict)

    def endpoint(self, name: str = "taxi", **properties: Json) -> EndpointRef:
        """Make an endpoint."""
        ref = EndpointRef(self.dev, name)
        endpoints.put(self.hub, self.principal, ref, {"properties": properties})
        return ref

    def properties(self, *, model: str = "", **more: Json) -> dict[str, Json]:
        """Return a deployment's properties, of parts that are made at first use."""
        return {
            "model": model or self._part("model"),
            "environmentId": self._part("environment"),
            "codeConfiguration": {"codeId": self._part("code"), "scoringScript": "score.py"},
            **more,
        }

    def deploy(self, endpoint: EndpointRef, name: str, *, instances: int = 1, **properties: Json) -> DeploymentRef:
        """Write a deployment; nothing serves it yet."""
        body = {"sku": {"name": "Default", "capacity": instances}, "properties": self.properties(**properties)}
        ref = DeploymentRef(endpoint, name)
        deployments.put(self.hub, self.principal, ref, body)
        return ref

    def replica(
        self, ref: DeploymentRef, id: str, state: str, *, address: str | None = None, error: str | None = None
    ) -> None:
        """Say that a replica is in a state, as the part that makes them does."""
        generation = deployments.get(self.hub, self.principal, ref).body["entrepot"]["generation"]
        replica = Replica(id, generation, state, SECRET, time.time(), address=address, error=error)
        self.hub.documents.commit([records.put(ref.key, replica), *replicas_changed(ref.key)])
        self.settle()

    def ended(self, ref: DeploymentRef, id: str) -> None:
        """Say that a replica is gone."""
        self.hub.documents.commit([Delete(records.key_of(ref.key, id)), *replicas_changed(ref.key)])
        self.settle()

    def serve(self, ref: DeploymentRef, address: str = "127.0.0.1:9", *, id: str = "r1") -> None:
        """Say that a replica is ready."""
        self.replica(ref, id, "Ready", address=address)

    def traffic(self, ref: EndpointRef, **shares: int) -> None:
        """Divide an endpoint's traffic."""
        endpoints.patch(self.hub, self.principal, ref, {"properties": {"traffic": shares}})

    def settle(self) -> None:
        """Work off what is queued of deployments' states."""
        for work in self.hub.documents.lease([QUEUE], owner="t", now=time.time(), seconds=60, limit=1000):
            provisioning.settle(self.hub, work)
            self.hub.documents.commit([Finish(work)])

    def state(self, ref: DeploymentRef) -> str:
        """Return a deployment's provisioning state."""
        found: str = deployments.get(self.hub, self.principal, ref).body["properties"]["provisioningState"]
        return found

    def model(self, scope: WorkspaceScope | RegistryScope, name: str, version: str = "1", **properties: Json) -> str:
        """Make a model version and return its id."""
        ref = AssetRef(scope, MODEL, name, version)
        uri = upload(self.hub, ref, {"model.bin": name + version}, at="model")
        body = catalog.create(self.hub, OWNER, ref, {"modelUri": uri, **properties})[0].body
        return str(body["id"])

    def _part(self, what: str) -> str:
        if what not in self.parts:
            self.parts[what] = self._make(what)
        return self.parts[what]

    def _make(self, what: str) -> str:
        if what == "model":
            return self.model(self.registry, "fares")
        kind = {"environment": ENVIRONMENT, "code": CODE}[what]
        scope = self.registry if what == "environment" else self.dev
        ref = AssetRef(scope, kind, what, "1")
        given: dict[str, Json] = {"image": "docker.io/python"}
        if what == "code":
            given = {"codeUri": upload(self.hub, ref, {"score.py": SCRIPT, "more/util.py": ""}, at="src")}
        return str(catalog.create(self.hub, OWNER, ref, given)[0].body["id"])


class _Upstream(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, as JSON; {"waits": true} is kept at the gate, {"status": n} is answered so."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: two would wait for each other's acknowledgement

    def do_POST(self) -> None:
        """Answer a request of any method."""
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = json.loads(data) if data[:1] == b"{" else {}
        server: UpstreamServer = self.server  # type: ignore[assignment]
        with server.guard:
            server.requests += 1
        if asked.get("waits"):
            server.gate.wait(GATE_S)
        answer = {"name": server.name, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                  "size": len(data), "method": self.command}  # fmt: skip
        body = json.dumps(answer).encode()
        self.send_response(asked.get("status", 200))
        if "status" in asked:
            self.send_header("ms-azureml-model-error-statuscode", str(asked["status"]))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815
    do_PUT = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class UpstreamServer(http.server.ThreadingHTTPServer):
    """A replica's stand-in that tells what reached it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Upstream)
        self.name = name
        self.requests = 0
        self.guard = threading.Lock()
        self.gate = threading.Event()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def upstream(name: str) -> Iterator[UpstreamServer]:
    """Run a stand-in for the length of a `with` block."""
    server = UpstreamServer(name)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
