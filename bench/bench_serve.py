"""Requests per second: read a version, list a page of 100, create versions; MLflow beside it in the same run.

    python bench/bench_serve.py [--seconds 3] [--rounds 3] [--versions 10000,1000000]

Of the rounds the best counts, ours and MLflow's alike. Needs wrk. ENTREPOT_PEERS names the Python of an
environment that has mlflow (see README.md).
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from entrepot.core.ids import AssetRef, WorkspaceScope
from entrepot.core.nouns import MODEL
from entrepot.store.documents import Facet, Put
from entrepot.store.sql import open_documents
from entrepot.testing.live import LiveServer, live

Json = Any
Figures = dict[str, float]  # per_s, p50_ms, p99_ms

CONNECTIONS = 8
MODEL_PATH = "LocalUpload/bench/model.bin"
GROUP = "/subscriptions/bench/resourceGroups/rg"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/bench"
_BATCH = 5000
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_LUA = """
local n = 0
wrk.headers["Authorization"] = "%(authorization)s"
wrk.headers["Content-Type"] = "application/json"
function request()
  n = n + 1
  %(request)s
end
"""


def wrk(url: str, seconds: float, *, connections: int, authorization: str, request: str = "") -> Figures:
    """Run wrk; return requests per second, p50 and p99 in ms. `request`: a Lua body; empty: plain GETs of the URL."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_LUA % {"authorization": authorization, "request": request or "return wrk.format('GET')"})
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", script.name, url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        raise SystemExit(f"{wrong[1]} wrong answers from {url}:\n{text}")
    found = {"per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])}  # type: ignore[index]
    for name, percent in (("p50_ms", "50%"), ("p99_ms", "99%")):
        match = re.search(rf"{percent}\s+([\d.]+)(us|ms|s)", text)
        assert match is not None
        found[name] = float(match[1]) * _UNITS_MS[match[2]]
    return found


def prepare(home: Path) -> bytes:
    """Make the workspace and one model version through the API; return the version's stored body."""
    with live(home) as server:
        assert server.call("PUT", GROUP, {"location": "eastus"}).status == 201
        assert server.call("PUT", WORKSPACE, {"location": "eastus"}).status == 201
        upload(server)
        reply = server.call("PUT", f"{WORKSPACE}/models/many/versions/v0", body_of_model(0))
        assert reply.status == 201, reply.body
    documents = open_documents(home / "entrepot.db")
    try:
        found = documents.get(ref("v0").key)
        assert found is not None
        return found.raw
    finally:
        documents.close()


def upload(server: LiveServer) -> None:
    """Put the bytes of all models into the workspace's datastore."""
    store = server.call("GET", f"{WORKSPACE}/datastores/workspaceblobstore").json["properties"]["containerName"]
    connection = http.client.HTTPConnection(server.file.blob_url.partition("://")[2], timeout=30)
    headers = {"Authorization": f"Bearer {server.token}", "x-ms-blob-type": "BlockBlob"}
    connection.request("PUT", f"/{store}/{MODEL_PATH}", b"weights" * 1000, headers)
    assert connection.getresponse().status == 201
    connection.close()


def ref(version: str) -> AssetRef:
    """Return a version of the model that is seeded."""
    return AssetRef(WorkspaceScope("bench", "rg", "bench"), MODEL, "many", version)


def body_of_model(number: int) -> dict[str, Json]:
    """Return a model version of ordinary size, whose bytes are in the datastore."""
    tags = {"stage": "dev", "run": f"r{number}"}
    metadata = {
        "modelType": "custom_model",
        "modelUri": f"azureml://datastores/workspaceblobstore/paths/{MODEL_PATH}",
        "description": "a model",
    }
    return {"properties": {**metadata, "tags": tags, "properties": {"accuracy": "0.93"}, "isAnonymous": False}}


def seed(home: Path, template: bytes, start: int, end: int) -> float:
    """Write versions start..end-1 into the stopped server's store; return the seconds it took.

    A million creates through the API would take ten minutes; what is measured here is reading.
    """
    began = time.monotonic()
    documents = open_documents(home / "entrepot.db")
    try:
        for first in range(start, end, _BATCH):
            changes = []
            for number in range(first, min(first + _BATCH, end)):
                target = ref(f"v{number}")
                raw = template.replace(b'versions/v0"', b'versions/v%d"' % number).replace(
                    b'"name":"v0"', b'"name":"v%d"' % number
                )
                tags = (("stage", "dev"), ("run", f"r{number}"))
                facets = tuple(
                    Facet(target.collection, *facet)
                    for name, value in tags
                    for facet in (("tag", name), (f"tag:{name}", value))
                )
                changes.append(Put(target.key, raw, facets=facets))
            documents.commit(changes)
    finally:
        documents.close()
    return time.monotonic() - began


def best(rounds: int, measure: Callable[[int], dict[str, Figures]]) -> dict[str, Figures]:
    """Measure so many times, given the round's number, and return each figure of its quickest round."""
    found = [measure(number) for number in range(rounds)]
    return {name: max((each[name] for each in found), key=lambda figures: figures["per_s"]) for name in found[0]}


def reads(server: LiveServer, versions: int, seconds: float) -> dict[str, Figures]:
    """Measure reading one version (over all there are) and a page of 100."""
    bearer = f"Bearer {server.token}"
    pick = f"return wrk.format('GET', '{WORKSPACE}/models/many/versions/v' .. (n * 7919) % {versions})"
    got = wrk(server.url, seconds, connections=CONNECTIONS, authorization=bearer, request=pick)
    page = f"{server.url}{WORKSPACE}/models/many/versions?$top=100"
    assert len(server.call("GET", f"{WORKSPACE}/models/many/versions?$top=100").json["value"]) == 100
    return {"get": got, "list": wrk(page, seconds, connections=CONNECTIONS, authorization=bearer)}


def creates(server: LiveServer, seconds: float, number: int) -> dict[str, Figures]:
    """Measure creating versions, one after the other and by 8 clients with a model each; answered means durable."""
    bearer, found = f"Bearer {server.token}", {}
    for name, connections in (("create_serial", 1), ("create", CONNECTIONS)):
        body = json.dumps(body_of_model(1)).replace("'", "\\'")
        path = f"'{WORKSPACE}/models/{name}-' .. n % {connections} .. '/versions/{number}-' .. n"
        put = f"return wrk.format('PUT', {path}, nil, '{body}')"
        found[name] = wrk(server.url, seconds, connections=connections, authorization=bearer, request=put)
    return found


@contextlib.contextmanager
def mlflow(python: Path, folder: Path) -> Iterator[str]:
    """Run an MLflow server on SQLite; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = f"sqlite:///{folder / 'mlflow.db'}"
    command = [str(python), "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port)]
    with (folder / "mlflow.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        wait_for(lambda: ask(port, "GET", "/health")[0] == 200, timeout_s=180)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def ask(port: int, method: str, path: str, body: Json = None) -> tuple[int, bytes]:
    """Send one request to the peer; status 0 when it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def wait_for(condition: Callable[[], bool], *, timeout_s: float) -> None:
    """Return when the condition holds. Raises TimeoutError."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not ready in {timeout_s:g} s")
        time.sleep(0.2)


def peer(python: Path, seconds: float, rounds: int) -> dict[str, Figures]:
    """Measure the same of MLflow: create (serial and 8 clients), get, and a page of 100."""
    with tempfile.TemporaryDirectory() as folder, mlflow(python, Path(folder)) as url:
        return best(rounds, lambda number: peer_round(url, seconds, number))


def peer_round(url: str, seconds: float, number: int) -> dict[str, Figures]:
    """Measure MLflow once."""
    api, port, found = "/api/2.0/mlflow", int(url.rpartition(":")[2]), {}
    for name, connections in (("create_serial", 1), ("create", CONNECTIONS)):
        for client in range(connections):
            made = ask(port, "POST", f"{api}/registered-models/create", {"name": f"{name}{number}-{client}"})
            assert made[0] == 200, made
        body = json.dumps({"name": "@", "source": "s3://bucket/m", "tags": [{"key": "stage", "value": "dev"}]})
        lua = "'" + body.replace("@", f"{name}{number}-' .. n % {connections} .. '") + "'"
        post = f"return wrk.format('POST', '{api}/model-versions/create', nil, {lua})"
        found[name] = wrk(url, seconds, connections=connections, authorization="x", request=post)
    get = f"{url}{api}/model-versions/get?name=create{number}-0&version=1"
    found["get"] = wrk(get, seconds, connections=CONNECTIONS, authorization="x")
    page = f"{url}{api}/model-versions/search?filter=name%3D%27create{number}-0%27&max_results=100"
    found["list"] = wrk(page, seconds, connections=CONNECTIONS, authorization="x")
    return found


def measure(sizes: list[int], seconds: float, rounds: int) -> dict[str, Json]:
    """Return our figures: reads at each size, creates at the first."""
    figures: dict[str, Json] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        template, at = prepare(home), 1
        for size in sizes:
            took = seed(home, template, at, size)
            print(f"seeded {size - at:,} versions in {took:.0f} s", file=sys.stderr)
            at = size
            with live(home) as server:
                figures[str(size)] = best(rounds, lambda _, size=size: reads(server, size, seconds))
                if size == sizes[0]:
                    figures |= best(rounds, lambda number: creates(server, seconds, number))
    return figures


def told(figure: str, value: float, unit: str, target: str, ok: bool, **more: Json) -> None:
    """Print one figure as bench/run.py reads it."""
    line = {
        "bench": "serve",
        "figure": figure,
        "value": round(value, 2),
        "unit": unit,
        **more,
        "target": target,
        "ok": ok,
    }
    print(json.dumps(line), flush=True)


def tell(ours: dict[str, Json], sizes: list[int], theirs: dict[str, Figures] | None) -> None:
    """Print all figures with their targets, and MLflow's beside them."""

    def beside(name: str, value: float) -> dict[str, Json]:
        if theirs is None:
            return {}
        other = theirs[name]["per_s"]
        return {"peer": "MLflow", "peer_value": round(other, 1), "ratio": round(value / other, 2)}

    first, last = ours[str(sizes[0])], ours[str(sizes[-1])]
    get, p99 = first["get"]["per_s"], first["get"]["p99_ms"]
    told("get version, 8 connections", get, "/s", ">= 6000/s", get >= 6000, **beside("get", get))
    told("get version, p99", p99, "ms", "< 10 ms", p99 < 10)
    for size in sizes:
        rate = ours[str(size)]["list"]["per_s"]
        more = beside("list", rate) if size == sizes[0] else {}
        told(f"list page of 100 of {size:,}", rate, "/s", ">= 4000/s", rate >= 4000, **more)
    growth = first["list"]["per_s"] / last["list"]["per_s"]
    told(f"list, {sizes[-1]:,} beside {sizes[0]:,}", growth, "x slower", "<= 1.5x", growth <= 1.5)
    create, serial = ours["create"]["per_s"], ours["create_serial"]["per_s"]
    told("create version, 8 clients", create, "/s", ">= 1500/s", create >= 1500, **beside("create", create))
    compared = beside("create_serial", serial)
    told("create version, serial", serial, "/s", ">= 3x MLflow", compared.get("ratio", 3) >= 3, **compared)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--versions", default="10000,1000000")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("bench_serve.py needs wrk on PATH")
    sizes = [int(number) for number in asked.versions.split(",")]
    python = os.environ.get("ENTREPOT_PEERS")
    if python is None:
        print("ENTREPOT_PEERS is not set: MLflow is left out", file=sys.stderr)
    ours = measure(sizes, asked.seconds, asked.rounds)
    tell(ours, sizes, peer(Path(python), asked.seconds, asked.rounds) if python else None)


if __name__ == "__main__":
    main()
