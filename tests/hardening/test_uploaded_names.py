"""Hostile names wherever bytes come in: MLflow's artifacts, blobs, blocks, manifests and containers."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from entrepot.testing.live import LiveServer, live
from entrepot.testing.planes import Plane
from tests.dataplane.conftest import launch, plane

__all__ = ["launch", "plane"]

GROUP = "/subscriptions/s1/resourceGroups/rg"
PROVIDER = f"{GROUP}/providers/Microsoft.MachineLearningServices"
HOSTILE = [
    "../x", "a/../../x", "a/..", "./a", "a/./b", "a//b", "..", "a\\..\\b", "a\0b", "a\nb", "a\x7fb", "x" * 300,
    "/".join("ab" for _ in range(500)), "é" * 200, "a/" + "..%2f" * 3 + "\\x",
]  # fmt: skip
HARMLESS = ["..a", "a..", "...", "é/ü", "e\u0301", "a%2fb", "\u202egnp.exe", "~", "$(x)", "-rf", ".ok", "con"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live(tmp_path_factory.mktemp("server") / "home") as running:
        assert running.call("PUT", GROUP, {"location": "eastus"}).status == 201
        assert running.call("PUT", f"{PROVIDER}/workspaces/dev", {"location": "eastus"}).status == 201
        yield running


def test_an_artifact_stays_with_its_run_whatever_its_name(server: LiveServer) -> None:
    base = f"/mlflow/v1.0{PROVIDER}/workspaces/dev/api/2.0"
    experiment = server.call("POST", f"{base}/mlflow/experiments/create", {"name": "e"}).json["experiment_id"]
    run = server.call("POST", f"{base}/mlflow/runs/create", {"experiment_id": experiment}).json["run"]["info"]["run_id"]
    place = f"{base}/mlflow-artifacts/artifacts/{run}/artifacts/"
    before = {path for path in server.home.rglob("*") if path.is_file() and "regions" not in path.parts}
    for name in (name for name in HOSTILE if name != "a//b"):  # which is a/b to the API, as any doubled slash
        reply = server.call("PUT", place + quote(name, safe=""), b"evil")
        assert reply.status in (400, 404), (name[:40], reply.status)
    for name in HARMLESS:
        address = place + quote(name, safe="")
        assert server.call("PUT", address, b"mine").status == 200, name
        assert server.call("GET", address).body == b"mine", name
    for head in ("..", ".", "%2e%2e", f"{run}%2f..", f"{run}/..", "models/..", "experiments/../x"):
        reply = server.call("PUT", f"{base}/mlflow-artifacts/artifacts/{head}/artifacts/a", b"evil")
        assert reply.status in (400, 404), head
    after = {path for path in server.home.rglob("*") if path.is_file() and "regions" not in path.parts}
    own = {"newest.json", "audit.key", "entrepot.db-wal", "entrepot.db-shm"}  # of the server, whenever it gets to it
    assert {path.name for path in after - before} <= own


def test_a_blob_a_block_and_a_manifest_stay_in_their_container_whatever_their_name(plane: Plane) -> None:
    manifest = json.dumps({"files": []}).encode()
    for name in HOSTILE:
        path = "/container/" + quote(name, safe="")
        assert plane.ask("PUT", path, "", b"evil").status == 400, name[:40]
        assert plane.ask("PUT", path, "comp=snapshot", manifest).status == 400, name[:40]
        plane.ask("PUT", path, "comp=block&blockid=YQ%3D%3D", b"evil")
        assert plane.ask("PUT", path, "comp=blocklist", b"<BlockList><Latest>YQ==</Latest></BlockList>").status == 400
    for name in HARMLESS:
        path = "/container/" + quote(name, safe="")
        assert plane.ask("PUT", path, "", b"mine").status == 201, name
        assert plane.ask("GET", path).body == b"mine", name


@pytest.mark.parametrize(
    "container", ["..", "../container", "a/..", "C", "a\0b", "-a", "a--b", "ab", "x" * 64, "s-", "é"]
)
def test_a_signature_for_a_name_that_is_no_container_opens_nothing(plane: Plane, container: str) -> None:
    sas = plane.sas(container)
    for method, query in (("GET", "restype=container&comp=list"), ("PUT", ""), ("GET", "")):
        reply = plane.ask(
            method, f"/{quote(container, safe='')}/x", query, b"evil" if method == "PUT" else b"", sas=sas
        )
        assert 400 <= reply.status < 500, (container, reply.status)
