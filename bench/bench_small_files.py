"""2,000 files of 16 KiB: up, again and down, with `cp -r` beside it; MLflow's own client too, where it is installed.

    python bench/bench_small_files.py [--files 2000] [--rounds 5]

Each figure is the best of the rounds. Nothing is deleted in between: ext4 is slow to create files for seconds after
many were deleted. Uploads are durable, to a server in a process of its own. The client is the one that the commands
use, in a process that has started; ENTREPOT_PEERS names the Python of an environment with MLflow (see README.md).
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.uploads import served, upload_address
from entrepot.client.downloads import download
from entrepot.client.uploads import upload

BYTES = 16 << 10
TARGETS_S = {"up": 0.75, "again": 0.15}
TARGETS_X = {"up": 10, "again": 50}
PEER = """
import sys, time
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
for n in range(int(sys.argv[3])):
    run = client.create_run("0").info.run_id
    began = time.perf_counter()
    client.log_artifacts(run, sys.argv[2])
    print(time.perf_counter() - began, flush=True)
"""


def make_files(root: Path, count: int) -> None:
    """Write files of random bytes into 20 folders."""
    for number in range(count):
        file = root / f"d{number % 20}" / f"f{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(BYTES))


def clock(seconds: dict[str, list[float]], step: str, began: float) -> None:
    """Note how long a step took."""
    seconds.setdefault(step, []).append(time.perf_counter() - began)


def measure(folder: Path, count: int, rounds: int) -> dict[str, list[float]]:
    """Run the rounds, each with new files, and return the seconds of each step."""
    seconds: dict[str, list[float]] = {}
    with served(folder) as home:
        address = upload_address(home)
        for number in range(rounds):
            source = folder / f"source{number}"
            make_files(source, count)
            began = time.perf_counter()
            subprocess.run(["cp", "-r", str(source), str(folder / f"copy{number}")], check=True)
            clock(seconds, "cp", began)
            for step in ("up", "again"):
                began = time.perf_counter()
                answer = upload(source, address, at=f"m{number}", cache_folder=folder / "cache")
                clock(seconds, step, began)
                if answer["sent"] != (count * BYTES if step == "up" else 0):
                    raise RuntimeError(f"{step} sent {answer['sent']} bytes")
            began = time.perf_counter()
            download(address, f"m{number}", folder / f"out{number}")
            clock(seconds, "down", began)
    return seconds


@contextmanager
def mlflow(python: str, folder: Path) -> Iterator[str]:
    """Run MLflow's server with its artifact proxy, one worker; give its address."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [
        python,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--workers",
        "1",
    ]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts"), "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        else:
            raise RuntimeError(f"MLflow did not start: {(folder / 'log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def measure_mlflow(folder: Path, count: int) -> float | None:
    """Return the seconds that MLflow's client needs for as many files, None without MLflow."""
    python = os.environ.get("ENTREPOT_PEERS")
    if not python:
        print("no MLflow here (ENTREPOT_PEERS): the figures stand beside cp only", file=sys.stderr)
        return None
    make_files(folder / "source", count)
    with mlflow(python, folder / "mlflow") as url:
        command = [python, "-c", PEER, url, str(folder / "source"), "2"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return min(float(line) for line in done.stdout.split())


def figure(step: str, title: str, best: dict[str, float], peer_s: float | None) -> dict[str, Any]:
    """Return the line of one step: beside MLflow where that was measured, else beside cp."""
    line: dict[str, Any] = {"bench": "small_files", "figure": title, "value": round(best[step], 3), "unit": "s"}
    if peer_s is None or step not in TARGETS_X:
        line |= {"peer": "cp -r", "peer_value": round(best["cp"], 3), "ratio": round(best[step] / best["cp"], 2)}
        if step in TARGETS_S:
            line |= {"target": f"<= {TARGETS_S[step]} s", "ok": best[step] <= TARGETS_S[step]}
        return line
    times = peer_s / best[step]
    line |= {"peer": "MLflow's client", "peer_value": round(peer_s, 2), "ratio": round(times, 1)}
    return line | {"target": f">= {TARGETS_X[step]}x", "ok": times >= TARGETS_X[step]}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "ours").mkdir()
        seconds = measure(Path(place) / "ours", chosen.files, chosen.rounds)
        peer_s = measure_mlflow(Path(place), chosen.files)
    best = {step: min(found) for step, found in seconds.items()}
    print({step: [round(s, 3) for s in found] for step, found in seconds.items()}, file=sys.stderr)
    what = f"{chosen.files} x 16 KiB"
    print(json.dumps(figure("up", f"{what} up, durable", best, peer_s)))
    print(json.dumps(figure("again", f"{what} again, nothing sent", best, peer_s)))
    print(json.dumps(figure("down", f"{what} down, proved", best, peer_s)))


if __name__ == "__main__":
    main()
