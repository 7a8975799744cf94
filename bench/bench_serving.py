"""Serving: from a deployment to its first answer, and requests per second of one scikit-learn model, one worker.

    python bench/bench_serving.py [--seconds 3] [--rounds 3]

Needs wrk. ENTREPOT_PEERS names the Python of an environment with MLflow, ENTREPOT_SERVING_PEERS one with azmlinfsrv
and MLServer (see README.md). Ours and the peers take turns on the same processors; the best of the rounds counts.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import serving_peers as peers
from bench.serving_peers import Target
from entrepot.testing.live import LiveServer, live

Json = Any

CONNECTIONS = 16
GROUP = "/subscriptions/bench/resourceGroups/rg"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/bench"
ENDPOINT = f"{WORKSPACE}/onlineEndpoints/iris"
LIMIT_S = 600.0
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """What wrk found."""

    per_s: float
    p50_ms: float
    p99_ms: float


def wrk(target: Target, seconds: float, *, connections: int = CONNECTIONS, pause_ms: float = 0) -> Rate:
    """Score for a while; each connection rests at random before a request, for `pause_ms` in the mean."""
    headers = {"Content-Type": "application/json", **target.headers}
    lines = ["wrk.method = 'POST'", f"wrk.body = [==[{target.body}]==]"]
    lines += [f"wrk.headers['{name}'] = '{value}'" for name, value in headers.items()]
    lines += [f"function delay() return math.random(0, {round(2 * pause_ms)}) end"] if pause_ms else []
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("\n".join(lines))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", script.name, target.url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        raise SystemExit(f"{wrong[1]} wrong answers from {target.name}:\n{text}")
    found = [float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])]  # type: ignore[index]
    for percent in ("50%", "99%"):
        match = re.search(rf"{percent}\s+([\d.]+)(us|ms|s)", text)
        assert match is not None
        found.append(float(match[1]) * _UNITS_MS[match[2]])
    return Rate(*found)


def best(rates: list[Rate]) -> Rate:
    """Return the round with the most requests."""
    return max(rates, key=lambda rate: rate.per_s)


def put(server: LiveServer, path: str, body: Json) -> Json:
    """Make something; return its body."""
    reply = server.call("PUT", path, body)
    if reply.status not in (200, 201, 202):
        raise SystemExit(f"PUT {path}: {reply.status} {reply.body!r}")
    return reply.json


def upload(server: LiveServer, kind: str, name: str, folder: Path, files: list[Path]) -> str:
    """Upload files for an asset's version 1; return the address of the folder."""
    path = f"{WORKSPACE}/{kind}/{name}/versions/1/startPendingUpload"
    reply = server.call("POST", path, {"pendingUploadType": "TemporaryBlobReference"})
    place = reply.json["blobReferenceForConsumption"]
    address = urlsplit(place["credential"]["sasUri"])
    connection = http.client.HTTPConnection(urlsplit(server.file.blob_url).netloc, timeout=60)
    for file in files:
        target = f"{address.path}/{name}/{file.relative_to(folder)}?{address.query}"
        connection.request("PUT", target, file.read_bytes(), {"x-ms-blob-type": "BlockBlob"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
    connection.close()
    return f"{place['blobUri']}/{name}"


def assets(server: LiveServer, folder: Path, versions: dict[str, str]) -> Json:
    """Make workspace, models, code and environment; return what deployments are made of, once the environment is."""
    put(server, GROUP, {"location": "eastus"})
    put(server, WORKSPACE, {"location": "eastus"})
    code = folder / "code"
    code.mkdir()
    (code / "score.py").write_text(peers.SCORE.replace('"model.joblib"', '"plain", "model.joblib"'))
    plain = [folder / "model.joblib"]
    saved = [file for file in (folder / "mlflow").rglob("*") if file.is_file()]
    uris = {
        "codes/score": {"codeUri": upload(server, "codes", "score", code, [code / "score.py"])},
        "models/plain": {"modelType": "custom_model", "modelUri": upload(server, "models", "plain", folder, plain)},
        "models/saved": {
            "modelType": "mlflow_model", "modelUri": upload(server, "models", "saved", folder / "mlflow", saved),
        },
    }  # fmt: skip
    pip = [f"{name}=={version}" for name, version in versions.items()]
    conda = json.dumps({"dependencies": [f"python={sys.version_info[0]}.{sys.version_info[1]}", {"pip": pip}]})
    uris["environments/sklearn"] = {"image": "docker.io/python", "condaFile": conda}
    made = {name: put(server, f"{WORKSPACE}/{name}/versions/1", {"properties": body}) for name, body in uris.items()}
    wait(lambda: built(server), what="the environment")
    put(server, ENDPOINT, {"location": "eastus", "properties": {"authMode": "Key"}})
    return {name.partition("/")[2]: body["id"] for name, body in made.items()}


def built(server: LiveServer) -> bool:
    """Say whether the environment is built. Raises SystemExit when it can't be."""
    build = server.call("GET", f"{WORKSPACE}/environments/sklearn/versions/1").json["entrepot"]["build"]
    if build["state"] == "Failed":
        raise SystemExit(build["log"])
    return bool(build["state"] == "Succeeded")


def deploy(server: LiveServer, name: str, parts: Json, *, model: str) -> None:
    """Begin a deployment with one instance."""
    properties = {
        "endpointComputeType": "Managed", "model": parts[model], "environmentId": parts["sklearn"],
        "requestSettings": {"maxConcurrentRequestsPerInstance": 64, "requestTimeout": "PT60S"},
    }  # fmt: skip
    if model == "plain":
        properties["codeConfiguration"] = {"codeId": parts["score"], "scoringScript": "score.py"}
    body = {"location": "eastus", "sku": {"name": "Default", "capacity": 1}, "properties": properties}
    put(server, f"{ENDPOINT}/deployments/{name}", body)


def scoring(server: LiveServer, name: str, body: str) -> Target:
    """Return where and how the gateway is asked for a deployment."""
    uri = server.call("GET", ENDPOINT).json["properties"]["scoringUri"]
    key = server.call("POST", f"{ENDPOINT}/listKeys").json["primaryKey"]
    headers = {"Authorization": f"Bearer {key}", "azureml-model-deployment": name}
    return Target(f"gateway to {name}", uri, body, headers)


def first_answer(server: LiveServer, name: str, parts: Json) -> float:
    """Return the seconds from asking for a deployment to its first answer through the gateway."""
    target = scoring(server, name, json.dumps({"data": peers.ROWS}))
    began = time.monotonic()
    deploy(server, name, parts, model="plain")
    wait(lambda: peers.ask(target)[0] == 200, what=f"the first answer of {name}")
    return time.monotonic() - began


def replica(server: LiveServer, through: Target, name: str) -> Target:
    """Return the replica behind the gateway, asked directly."""
    from entrepot.domain.endpoints.replicas import records
    from entrepot.testing.hub import close_hub, make_hub

    hub = make_hub(server.home)
    try:
        key = next(
            document.key.rpartition("/replicas/")[0]
            for document in hub.documents.scan("subscriptions/", limit=100_000).documents
            if f"/deployments/{name}/replicas/" in document.key
        )
        (one,) = records.all_of(hub, key)
    finally:
        close_hub(hub)
    return replace(through, name=f"replica of {name}", url=f"http://{one.address}/score",
                   headers={"x-entrepot-replica": one.secret})  # fmt: skip


def wait(condition: Any, *, what: str) -> None:
    """Return when the condition holds. Raises TimeoutError."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come in {LIMIT_S:g} s")
        time.sleep(0.01)


def told(figure: str, value: float, unit: str, **more: Json) -> None:
    """Print one figure as bench/run.py reads it."""
    print(
        json.dumps({"bench": "serving", "figure": figure, "value": round(value, 2), "unit": unit, **more}), flush=True
    )


def compare(ours: dict[str, Target], others: list[tuple[Target, str, float]], *, seconds: float, rounds: int) -> None:
    """Let all take turns and print the figures; each of the others is beside the one of ours that it names."""
    targets = {**ours, **{target.name: target for target, _, _ in others}}
    found: dict[str, list[Rate]] = {name: [] for name in targets}
    for _ in range(rounds):
        for name, target in targets.items():
            found[name].append(wrk(target, seconds))
    for target, beside, factor in others:
        rate, peer = best(found[beside]), best(found[target.name])
        ratio = rate.per_s / peer.per_s
        told(
            f"{beside}, {CONNECTIONS} connections", rate.per_s, "/s", peer=target.name.strip(),
            peer_value=round(peer.per_s, 1), ratio=round(ratio, 2), target=f">= {factor:g}x", ok=ratio >= factor,
        )  # fmt: skip
    through, direct = best(found["score.py"]), best(found["score.py, without gateway"])
    share = through.per_s / direct.per_s
    told("score.py through the gateway", through.per_s, "/s", peer="the replica alone",
         peer_value=round(direct.per_s, 1), ratio=round(share, 2), target=">= 0.8x", ok=share >= 0.8)  # fmt: skip
    half = wrk(ours["score.py"], seconds, pause_ms=2000 * CONNECTIONS / through.per_s - through.p50_ms / 4)
    told(f"score.py at {100 * half.per_s / through.per_s:.0f} % of its load, p99", half.p99_ms, "ms", peer="its p50",
         peer_value=half.p50_ms, ratio=round(half.p99_ms / half.p50_ms, 2), target="< 4x",
         ok=half.p99_ms < 4 * half.p50_ms)  # fmt: skip
    alone = [wrk(ours[name], seconds, connections=1) for name in ("score.py", "score.py, without gateway")]
    added = alone[0].p50_ms - alone[1].p50_ms
    told("gateway adds at p50, 1 connection", added, "ms", target="<= 0.3 ms", ok=added <= 0.3)


@contextlib.contextmanager
def all_peers(folder: Path) -> Iterator[list[tuple[Target, str, float]]]:
    """Run the peers that are here, each with the figure of ours that it is beside and how often that is to beat it."""
    python, other = os.environ.get("ENTREPOT_PEERS"), os.environ.get("ENTREPOT_SERVING_PEERS")
    with contextlib.ExitStack() as stack:
        found = []
        if other:
            found.append((stack.enter_context(peers.azmlinfsrv(Path(other), folder)), "score.py", 4.0))
            found.append((stack.enter_context(peers.mlserver(Path(other), folder)), "score.py", 3.5))
        else:
            print("ENTREPOT_SERVING_PEERS is not set: azmlinfsrv and MLServer are left out", file=sys.stderr)
        if python:
            served = stack.enter_context(peers.mlflow(Path(python), folder))
            found += [(served, "score.py", 4.0), (replace(served, name=f"{served.name} "), "mlflow_model", 1.0)]
        yield found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    python = os.environ.get("ENTREPOT_PEERS")
    if shutil.which("wrk") is None or python is None:
        sys.exit("bench_serving.py needs wrk on PATH, and ENTREPOT_PEERS to make the model with")
    ask = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    names = ("scikit-learn", "numpy", "joblib", "mlflow", "pandas")
    versions = json.loads(subprocess.run([python, "-c", ask, *names], check=True, capture_output=True).stdout)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        peers.train(Path(python), folder)
        with live(folder / "home") as server:
            parts = assets(server, folder, versions)
            first = first_answer(server, "blue", parts)
            second = first_answer(server, "green", parts)
            told("create a deployment until its first answer", first, "s", target="< 3 s", ok=first < 3)
            told("the second of the same environment", second, "s", target="< 2 s", ok=second < 2)
            deploy(server, "saved", parts, model="saved")
            script = scoring(server, "blue", json.dumps({"data": peers.ROWS}))
            model = scoring(server, "saved", json.dumps({"inputs": peers.ROWS}))
            wait(lambda: peers.ask(model)[0] == 200, what="the MLflow model")
            ours = {"score.py": script, "mlflow_model": model}
            ours["score.py, without gateway"] = replica(server, script, "blue")
            with all_peers(folder) as others:
                compare(ours, others, seconds=asked.seconds, rounds=asked.rounds)


if __name__ == "__main__":
    main()
