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


def run(*command: str) -> None:
    """Run a command to its end."""
    subprocess.run(command, check=True)


def launcher(folder: Path, sandbox: str) -> Callable[[int], None]:
    """Return what launches `true` and waits for it, in a folder of its own each time."""
    backend = LocalBackend(folder / "home", sandbox=sandbox)

    def one(number: int) -> None:
        place = folder / sandbox / str(number)
        launch = Launch(f"{sandbox}{number}", ("true",), place / "state", place / "log", place, {})
        place.mkdir(parents=True)
        backend.launch(launch)
        assert backend.wait(launch.id, launch.folder, timeout_s=60).state is State.SUCCEEDED

    return one


def measure(works: dict[str, Callable[[int], None]]) -> dict[str, list[float]]:
    """Return each work's sorted times in ms; they take turns, so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(RUNS + 5):
        for name, work in works.items():
            begun = time.perf_counter()
            work(number)
            times[name].append((time.perf_counter() - begun) * 1000)
    return {name: sorted(taken[5:]) for name, taken in times.items()}


def main() -> None:
    """Print one figure for each kind of launch."""
    bwrap, why = find_bwrap()
    if bwrap is None:
        print(f"no bwrap: {why}", file=sys.stderr)
    sandboxes = ("bwrap", "none") if bwrap else ("none",)
    with tempfile.TemporaryDirectory() as folder:
        works = {sandbox: launcher(Path(folder), sandbox) for sandbox in sandboxes}
        works["true"] = lambda _: run("true")
        works["python"] = lambda _: run(sys.executable, "-S", "-I", "-c", "pass")
        times = measure(works)
    middle = {name: taken[RUNS // 2] for name, taken in times.items()}
    for sandbox in sandboxes:
        print(json.dumps({
            "bench": "step_launch", "figure": f"launch and wait of true, sandbox {sandbox}, p50",
            "value": round(middle[sandbox], 1), "unit": "ms", "peer": "subprocess.run of true",
            "peer_value": round(middle["true"], 2), "ratio": round(middle[sandbox] / middle["true"], 1),
            "p99_ms": round(times[sandbox][RUNS * 99 // 100], 1), "starting_python_ms": round(middle["python"], 1),
            "target": f"< {TARGET_MS:g} ms", "ok": middle[sandbox] < TARGET_MS,
        }))  # fmt: skip


if __name__ == "__main__":
    main()
