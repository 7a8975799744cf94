"""What a pipeline step costs beyond its command, and whether independent steps use all processors.

The commands' own run times are measured in the same run, in the same environment, without us.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entrepot.compute.local import LocalBackend
from entrepot.core.clock import from_iso
from entrepot.core.ids import AssetRef, WorkspaceScope
from entrepot.core.nouns import COMPONENT, ENVIRONMENT
from entrepot.domain import work, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import execution, queries, records, scheduler, submission
from entrepot.domain.jobs.staging import JobIdentity
from entrepot.testing.hub import OWNER, close_hub, make_hub

STEPS = 20
BUSY = "python -c 'import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass'"
TARGET_MS = 150
WIDE_TARGET = 1.5


@contextmanager
def served(folder: Path) -> Iterator[tuple[Hub, WorkspaceScope]]:
    """Run a hub with workers, every commit flushed to the disk as in production."""
    hub = make_hub(folder, backends={"local": LocalBackend(folder)}, reserve_bytes=0, fsync=True)
    scope = WorkspaceScope(hub.settings.subscription, "bench", "bench")
    workspaces.create(hub, OWNER, scope, {"location": hub.settings.regions[0]})
    catalog.create(hub, OWNER, AssetRef(scope, ENVIRONMENT, "python", "1"), {"image": "docker.io/python"})
    for name, command in (("pass", "python -c pass"), ("busy", BUSY)):
        spec = {
            "name": name, "version": "1", "type": "command", "command": command, "environment": "azureml:python:1",
            "inputs": {"after": {"type": "uri_folder", "optional": True}}, "outputs": {"done": {"type": "uri_folder"}},
        }  # fmt: skip
        catalog.create(hub, OWNER, AssetRef(scope, COMPONENT, f"step_{name}", "1"), {"componentSpec": spec})
    identity = JobIdentity(token=lambda principal, body: "none", tracking_url=lambda scope: "http://127.0.0.1:9/")
    executor = execution.Executor(identity)
    handlers = {records.PIPELINE_QUEUE: scheduler.tick, records.NODE_QUEUE: executor}
    workers = work.Workers(hub, handlers, {records.NODE_QUEUE: os.cpu_count() or 1})
    workers.start()
    try:
        yield hub, scope
    finally:
        executor.stopping.set()
        workers.stop()
        close_hub(hub)


def run(hub: Hub, scope: WorkspaceScope, name: str, nodes: dict[str, Any]) -> tuple[float, list[dict[str, Any]]]:
    """Run a pipeline; return its seconds and its steps' bodies, in order."""
    began = time.perf_counter()
    submission.submit(
        hub, OWNER, scope, name, {"jobType": "Pipeline", "jobs": nodes, "settings": {"force_rerun": True}}
    )
    while queries.get(hub, OWNER, scope, name).body["properties"]["status"] not in records.TERMINAL:
        time.sleep(0.01)
        if time.perf_counter() - began > 300:
            sys.exit(f"{name} does not end")
    took = time.perf_counter() - began
    body = queries.get(hub, OWNER, scope, name).body
    if body["properties"]["status"] != records.COMPLETED:
        sys.exit(f"{name} failed: {body['properties'].get('error')}")
    return took, [document.body for document in queries.children(hub, scope, name).documents]


def chain(count: int) -> dict[str, Any]:
    """Return the nodes of a chain."""
    nodes: dict[str, Any] = {}
    for n in range(count):
        given = {"after": f"${{{{parent.jobs.s{n - 1}.outputs.done}}}}"} if n else {}
        nodes[f"s{n}"] = {"component": "azureml:step_pass:1", "inputs": given}
    return nodes


def bare_ms(python: Path, command: str, *, count: int = 15) -> float:
    """Return the median milliseconds of a command run by bash alone."""
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    took = []
    for _ in range(count):
        began = time.perf_counter()
        subprocess.run(["bash", "-c", command], env=environment, check=True)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def bare_wide_s(python: Path, command: str, *, count: int, at_once: int) -> float:
    """Return the seconds that as many bare commands take, as many at a time as there are processors: the limit."""
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}

    def one(_: int) -> None:
        subprocess.run(["bash", "-c", command], env=environment, check=True)

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(count)))
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (hub, scope):
        run(hub, scope, "warm", {"a": {"component": "azureml:step_pass:1"}})
        python = next((Path(folder) / "environments" / "envs").glob("*/bin/python"))
        own_ms = bare_ms(python, "python -c pass")
        total_s, steps = run(hub, scope, "chain", chain(STEPS))
        ends = [from_iso(body["entrepot"]["endTime"]) for body in steps]
        gaps = [(b - a) * 1000 - own_ms for a, b in itertools.pairwise(ends)]
        limit_s = bare_wide_s(python, BUSY, count=STEPS, at_once=cores)
        wide_s, _ = run(hub, scope, "wide", {f"w{n}": {"component": "azureml:step_busy:1"} for n in range(STEPS)})
        overhead_ms = statistics.median(gaps)
        step = {
            "bench": "pipeline", "figure": f"step overhead, p50 of a chain of {STEPS}", "value": round(overhead_ms, 1),
            "unit": "ms", "peer": "bash -c 'python -c pass' alone", "peer_value": round(own_ms, 1),
            "target": f"<= {TARGET_MS} ms", "ok": overhead_ms <= TARGET_MS,
        }  # fmt: skip
        wide = {
            "bench": "pipeline", "figure": f"{STEPS} independent steps, {cores} processors", "value": round(wide_s, 2),
            "unit": "s", "peer": f"the same commands bare, {cores} at a time", "peer_value": round(limit_s, 2),
            "ratio": round(wide_s / limit_s, 2), "target": f"<= {WIDE_TARGET}x", "ok": wide_s <= limit_s * WIDE_TARGET,
        }  # fmt: skip
        print(json.dumps(step))
        print(json.dumps(wide))
        print(f"chain {total_s:.2f} s, worst step {max(gaps):.0f} ms", file=sys.stderr)


if __name__ == "__main__":
    main()
