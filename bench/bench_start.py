"""`entrepot up`: from the command to its first answer, with a new home and with a used one; and its memory when idle.

    python bench/bench_start.py [--rounds 5]

Memory is that of the server and of every process that it started, a while after its first answer.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

MOST_S = 1.5
MOST_MB = 150.0
IDLE_S = 5.0
COMMAND = Path(sys.executable).with_name("entrepot")


def begin(home: Path) -> tuple["subprocess.Popen[str]", float]:
    """Type the command; return the server and the seconds until it answered a request."""
    words = [str(COMMAND), "up", "--home", str(home), "--port", "0", "--https-port", "0"]
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "ENTREPOT_LOG_LEVEL": "warning"}
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    url = server.stdout.readline().removeprefix("ready ").strip()
    token = (home / "run" / "token").read_text().strip()
    place = f"{url}/subscriptions?api-version=2022-12-01"
    request = urllib.request.Request(place, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        json.load(answer)
    return server, time.perf_counter() - began


def end(server: "subprocess.Popen[str]") -> None:
    """Stop the server as Ctrl-C does."""
    server.send_signal(signal.SIGINT)
    server.wait(60)
    assert server.stdout is not None
    server.stdout.close()


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    threads = Path(f"/proc/{pid}/task").glob("*/children") if children.exists() else ()
    found = [int(child) for file in threads for child in file.read_text().split()]
    return [pid, *(descendant for child in found for descendant in family(child))]


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants; what they share counts once for each."""
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total * 1024 / 1e6


def tell(figure: str, value: float, unit: str, limit: float) -> None:
    """Print one figure."""
    line: dict[str, Any] = {"bench": "start", "figure": figure, "value": round(value, 3), "unit": unit}
    print(json.dumps(line | {"target": f"<= {limit:g} {unit}", "ok": value <= limit}), flush=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    new, used = [], []
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-") as folder:
        for number in range(rounds):
            home = Path(folder) / f"home{number}"
            for times in (new, used):
                server, seconds = begin(home)
                times.append(seconds)
                end(server)
        server, _ = begin(Path(folder) / "home0")
        try:
            time.sleep(IDLE_S)
            idle_mb = memory_mb(server.pid)
        finally:
            end(server)
    tell("up to its first answer, new home", statistics.median(new), "s", MOST_S)
    tell("up to its first answer, used home", statistics.median(used), "s", MOST_S)
    tell("memory when idle", idle_mb, "MB", MOST_MB)


if __name__ == "__main__":
    main()
