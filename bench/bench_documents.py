"""The document store on SQLite: reads at a million versions beside ten thousand, commits beside the disk's own sync."""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.documents import THREADS, actions, commits_per_second, filled, timings

SMALL, LARGE = 10_000, 1_000_000
ROUNDS = 20
FLAT = 1.5


def synced_append(file: Path) -> Callable[[int], object]:
    """Return a function that appends what a commit writes, 32 KiB, and syncs it: the limit of a durable commit."""
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def append(_: int) -> None:
        os.write(descriptor, b"x" * 32768)
        os.fdatasync(descriptor)

    return append


def in_turn(first: Callable[[int], object], second: Callable[[int], object], each: int) -> tuple[float, float]:
    """Return both medians in ms, measured in turn so that a busy machine slows both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for work, times in zip((first, second), taken, strict=True):
            times += timings(work, each)
    return statistics.median(taken[0]), statistics.median(taken[1])


def main(versions: int) -> None:
    """Print one JSON line per figure."""
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-") as name:
        folder = Path(name)
        started = time.perf_counter()
        small, large = filled(folder / "small.db", SMALL), filled(folder / "large.db", versions)
        print(f"filled in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        at_small, at_large = actions(small, SMALL), actions(large, versions)
        for figure in ("get", "list page of 100", "find page of 100"):
            value, peer = in_turn(at_large[figure], at_small[figure], 100)
            line: dict[str, object] = {
                "figure": f"{figure}, {versions:,} versions",
                "value": value,
                "peer": f"{SMALL:,} versions",
            }
            line |= {"unit": "ms", "peer": f"{SMALL:,} versions", "peer_value": peer, "ratio": value / peer}
            print_line(line | {"target": f"<= {FLAT}x", "ok": value / peer <= FLAT})
        value, peer = in_turn(at_large["commit"], synced_append(folder / "limit"), 20)
        line = {"figure": "commit of a version, one writer", "value": value, "unit": "ms"}
        print_line(line | {"peer": "32 KiB append and fdatasync", "peer_value": peer, "ratio": value / peer})
        print_line({"figure": f"commits, {THREADS} threads", "value": commits_per_second(large, 200), "unit": "/s"})
        small.close()
        large.close()


def print_line(figure: dict[str, object]) -> None:
    """Print a figure."""
    print(json.dumps({"bench": "documents", **figure}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else LARGE)
