"""Launch and wait of `true` on the local backend, beside subprocess.run of the same and of what it must start."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from entrepot.compute.backend import Launch, State
from entrepot.compute.local import LocalBackend
from entrepot.compute.sandbox import find_bwrap

RUNS = 200
TARGET_MS = 40.0


def measure(work: Callable[[int], None]) -> list[float]:
    """Return the sorted times of `RUNS` calls in ms, after five that don't count."""
    times = []
    for number in range(RUNS + 5):
        begun = time.perf_counter()
        work(number)
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times[5:])


def run(*command: str) -> None:
    """Run a command to its end."""
    subprocess.run(command, check=True)


def launches(folder: Path, sandbox: str) -> list[float]:
    """Measure launch and wait of `true`; the folders are made beforehand, as a job's are."""
    backend = LocalBackend(folder / "home", sandbox=sandbox)

    def one(number: int) -> None:
        place = folder / sandbox / str(number)
        launch = Launch(f"{sandbox}{number}", ("true",), place / "state", place / "log", place, {})
        place.mkdir(parents=True)
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=60).state is State.SUCCEEDED

    return measure(one)


def main() -> None:
    """Print one figure for each kind of launch."""
    plain = measure(lambda _: run("true"))
    python = measure(lambda _: run(sys.executable, "-S", "-I", "-c", "pass"))
    bwrap, why = find_bwrap()
    if bwrap is None:
        print(f"no bwrap: {why}", file=sys.stderr)
    for sandbox in ("bwrap", "none") if bwrap else ("none",):
        with tempfile.TemporaryDirectory() as folder:
            times = launches(Path(folder), sandbox)
        p50, p99, peer = times[RUNS // 2], times[RUNS * 99 // 100], plain[RUNS // 2]
        print(json.dumps({
            "bench": "step_launch", "figure": f"launch and wait of true, sandbox {sandbox}, p50",
            "value": round(p50, 1), "unit": "ms", "peer": "subprocess.run of true", "peer_value": round(peer, 2),
            "ratio": round(p50 / peer, 1), "p99_ms": round(p99, 1),
            "starting_python_ms": round(python[RUNS // 2], 1), "target": f"< {TARGET_MS:g} ms", "ok": p50 < TARGET_MS,
        }))  # fmt: skip


if __name__ == "__main__":
    main()
