"""Online endpoints while they change: how soon traffic follows, how exact its shares are, what trouble loses.

    python bench/bench_endpoints.py [--seconds 60] [--rate 100]

Needs no peer. The minute is a constant load on two replicas, across an update of the deployment, two changes of the
traffic and the `kill -9` of a replica; nothing is asked a second time, neither by Envoy once it was sent nor by us.
"""

import argparse
import http.client
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.bench_serving import ENDPOINT, GROUP, WORKSPACE, put, scoring, upload, wait
from bench.serving_peers import Target
from entrepot.testing.live import LiveServer, live

Json = Any

SCORE = "import json\ndef init(): pass\ndef run(raw): return sum(json.loads(raw)['data'])"
BODY = json.dumps({"data": [1, 2, 3]})
CALLERS = 8
CHANGES = 20
REQUESTS = 10_000
PATIENCE_S = 30.0
NAMED = "azureml-model-deployment"


def told(figure: str, value: float, unit: str, **more: Json) -> None:
    """Print one figure as bench/run.py reads it."""
    print(json.dumps({"bench": "endpoints", "figure": figure, "value": round(value, 3), "unit": unit, **more}))
    sys.stdout.flush()


class Caller:
    """One connection to the gateway."""

    def __init__(self, target: Target) -> None:
        place = urlsplit(target.url)
        assert place.hostname
        self._path = place.path
        self._headers = {name: value for name, value in target.headers.items() if name != NAMED}
        self._connection = http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE_S)

    def ask(self) -> tuple[int, str]:
        """Return the status and the deployment that answered; 0 and why when nobody did."""
        try:
            self._connection.request("POST", self._path, BODY, self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return 0, repr(error)
        return answer.status, answer.getheader(NAMED, "") if answer.status == 200 else body.decode()


def assets(server: LiveServer, folder: Path) -> Json:
    """Make what a deployment is made of; return the ids."""
    put(server, GROUP, {"location": "eastus"})
    put(server, WORKSPACE, {"location": "eastus"})
    (folder / "code").mkdir()
    (folder / "code" / "score.py").write_text(SCORE)
    uri = upload(server, "codes", "score", folder / "code", [folder / "code" / "score.py"])
    code = put(server, f"{WORKSPACE}/codes/score/versions/1", {"properties": {"codeUri": uri}})["id"]
    environment = f"{WORKSPACE}/environments/plain/versions/1"
    plain = put(server, environment, {"properties": {"image": "docker.io/python"}})["id"]
    put(server, ENDPOINT, {"location": "eastus", "properties": {"authMode": "Key"}})
    return {"code": code, "environment": plain}


def deploy(server: LiveServer, name: str, parts: Json, *, generation: int = 1) -> None:
    """Make or change a deployment of two instances and wait until it has."""
    properties = {
        "endpointComputeType": "Managed", "environmentId": parts["environment"],
        "codeConfiguration": {"codeId": parts["code"], "scoringScript": "score.py"},
        "environmentVariables": {"GENERATION": str(generation)},
        "requestSettings": {"maxConcurrentRequestsPerInstance": 16, "requestTimeout": "PT30S"},
    }  # fmt: skip
    body = {"location": "eastus", "sku": {"name": "Default", "capacity": 2}, "properties": properties}
    path = f"{ENDPOINT}/deployments/{name}"
    put(server, path, body)

    def is_done() -> bool:
        state = server.call("GET", path).json["properties"]["provisioningState"]
        if state == "Failed":
            raise SystemExit(f"{name} failed")
        return bool(state == "Succeeded")

    wait(is_done, what=name)


def divide(server: LiveServer, **shares: int) -> None:
    """Divide the traffic."""
    put(server, ENDPOINT, {"location": "eastus", "properties": {"authMode": "Key", "traffic": shares}})


def follow(server: LiveServer, caller: Caller) -> None:
    """Measure from the API's answer to a change until the gateway does it."""
    passed = []
    for name, other in itertools.islice(itertools.cycle([("green", "blue"), ("blue", "green")]), CHANGES):
        divide(server, **{name: 100, other: 0})
        began = time.perf_counter()
        while caller.ask()[1] != name:
            pass
        passed.append((time.perf_counter() - began) * 1000)
    told("a change of traffic in force after the API's answer, p50", statistics.median(passed), "ms")
    told("the same, the slowest of 20", max(passed), "ms", target="< 100 ms", ok=max(passed) < 100)


def split(server: LiveServer, target: Target) -> None:
    """Measure how far from 90/10 the answers to 10,000 requests are."""
    divide(server, blue=90, green=10)
    seen: Counter[str] = Counter()
    callers = [Caller(target) for _ in range(CALLERS)]
    for caller in itertools.islice(itertools.cycle(callers), REQUESTS):
        seen[caller.ask()[1]] += 1
    off = abs(100 * seen["green"] / REQUESTS - 10)
    told("10 % of 10,000 requests, off by", off, "points", target="<= 1", ok=off <= 1 and seen.total() == REQUESTS)


def pids(home: Path) -> list[int]:
    """Return the processes of replicas: those whose folder is in the home."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(home / "replicas"):
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)


def trouble(server: LiveServer, target: Target, parts: Json, *, seconds: float, rate: float) -> None:
    """Ask at a constant rate while much happens; tell what was lost."""
    divide(server, blue=100, green=0)
    answers: list[tuple[float, int, str, float]] = []
    end = time.perf_counter() + seconds

    def call(number: int) -> None:
        caller, pause = Caller(target), CALLERS / rate
        due = time.perf_counter() + pause * number / CALLERS
        while due < end:
            time.sleep(max(0.0, due - time.perf_counter()))
            status, told_of = caller.ask()
            answers.append((due, status, told_of, (time.perf_counter() - due) * 1000))
            due += pause

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    deploy(server, "blue", parts, generation=2)
    divide(server, blue=50, green=50)
    wait(lambda: time.perf_counter() > began + seconds / 2, what="half of the time")
    before = [answer for answer in answers if answer[1] != 200]
    os.kill(pids(server.home)[-1], signal.SIGKILL)
    killed = time.perf_counter()
    wait(lambda: time.perf_counter() > killed + seconds / 6, what="the restart")
    divide(server, blue=100, green=0)
    for thread in threads:
        thread.join()
    lost = [answer for answer in answers if answer[1] != 200]
    for due, status, told_of, _ in lost:
        print(f"lost {due - killed:+.3f} s from the kill: {status} {told_of.strip()}", file=sys.stderr)
    told(f"lost of {len(answers)} across an update and a change of traffic", len(before), "requests", target="0",
         ok=not before)  # fmt: skip
    told("lost by the kill -9 of one of two replicas, and after", len(lost) - len(before), "requests", target="0",
         ok=len(lost) == len(before))  # fmt: skip
    told("the slowest answer of that time", max(answer[3] for answer in answers), "ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, live(Path(place) / "home") as server:
        parts = assets(server, Path(place))
        for name in ("blue", "green"):
            deploy(server, name, parts)
        target = scoring(server, "blue", BODY)
        divide(server, blue=100, green=0)
        follow(server, Caller(target))
        split(server, target)
        trouble(server, target, parts, seconds=asked.seconds, rate=asked.rate)


if __name__ == "__main__":
    main()
