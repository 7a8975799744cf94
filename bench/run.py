"""Run the benches one after the other and print their figures as one table. How to write one: bench/README.md."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

HERE = Path(__file__).resolve().parent
PEERS = {"ENTREPOT_PEERS": "peers", "ENTREPOT_SERVING_PEERS": "serving-peers"}
LONGEST_S = 1800
HEADERS = ("bench", "figure", "value", "peer", "its value", "ratio", "target", "ok")


def peers_pythons() -> dict[str, str]:
    """Return the Pythons that have the peers, by the variable that names them; those that could not be made are out."""
    found = {}
    for variable, name in PEERS.items():
        folder = HERE.parent / "build" / name
        if (folder / ".ready").exists():
            found[variable] = str(folder / "bin" / "python")
        else:
            print(f"build/{name} is not there: figures that need a peer stand alone", file=sys.stderr)
    return found


def run_bench(script: Path, *, peers: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """Run one bench; return its figures and whether it ended well."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), **peers}
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        print(f"{script.name}: not done after {LONGEST_S} s", file=sys.stderr)
        return [], False
    print(f"{script.name}: {time.monotonic() - started:.0f} s, exit {done.returncode}", file=sys.stderr)
    figures = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return figures, done.returncode == 0


def row(figure: dict[str, Any]) -> tuple[str, ...]:
    """Return one line of the table."""
    ratio, ok = figure.get("ratio"), figure.get("ok")
    return (
        str(figure.get("bench", "")),
        str(figure.get("figure", "")),
        f"{number(figure.get('value'))} {figure.get('unit', '')}".strip(),
        str(figure.get("peer", "")),
        number(figure.get("peer_value")),
        "" if ratio is None else f"{ratio:.2f}x",
        str(figure.get("target", "")),
        "" if ok is None else ("yes" if ok else "NO"),
    )


def number(value: Any) -> str:
    """Return a figure to three or four significant digits."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def main(words: list[str]) -> int:
    """Run the benches whose names contain one of the words (all, without words); 1 when one missed its target."""
    scripts = [s for s in sorted(HERE.glob("bench_*.py")) if not words or any(word in s.stem for word in words)]
    if not scripts:
        print(f"there is no bench of that name in {HERE.name}", file=sys.stderr)
        return 2
    peers = peers_pythons()
    figures: list[dict[str, Any]] = []
    failed: list[str] = []
    for script in scripts:
        told, ended_well = run_bench(script, peers=peers)
        figures += told
        if not ended_well:
            failed.append(script.name)
    print(tabulate([row(figure) for figure in figures], headers=HEADERS))
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return 1 if failed or any(figure.get("ok") is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
