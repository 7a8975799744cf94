"""The whole process of `entrepot ml model show`, beside `python -c pass` and `python -c "import azure.ai.ml"`.

    python bench/bench_cli_startup.py [PYTHON WITH azure-ai-ml]

Without an argument, the Python that ENTREPOT_PEERS names is the peer; without either, that figure is left out.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from entrepot.testing.live import LiveServer, live

ROUNDS = 15
MOST_TIMES_PASS = 12.0
LEAST_TIMES_QUICKER = 8.0
COMMAND = Path(sys.executable).with_name("entrepot")
SHOW = ("ml", "model", "show", "--name", "taxi", "--version", "1", "--registry-name", "contoso")


def prepare(server: LiveServer, folder: Path) -> None:
    """Make a registry with one model."""
    (folder / "weights.bin").write_bytes(b"weights")
    registry = ("ml", "registry", "create", "-g", "rg", "-n", "contoso", "--set", "location=eastus")
    model = ("ml", "model", "create", "-n", "taxi", "-v", "1", "--path", str(folder / "weights.bin"))
    for words in (("group", "create", "-n", "rg", "-l", "eastus"), registry, (*model, "--registry-name", "contoso")):
        entrepot(server, *words)


def entrepot(server: LiveServer, *words: str) -> None:
    """Run one command to its end."""
    environment = {**os.environ, "ENTREPOT_HOME": str(server.home)}
    subprocess.run([str(COMMAND), *words], env=environment, stdout=subprocess.DEVNULL, check=True)


def taken_ms(command: list[str], environment: dict[str, str]) -> float:
    """Return how long a process takes from its start to its end."""
    started = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - started) * 1e3


def main(peer: str | None) -> None:
    """Print one JSON line per figure."""
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-") as name, live(Path(name) / "home") as server:
        prepare(server, Path(name))
        environment = {**os.environ, "ENTREPOT_HOME": str(server.home)}
        commands = {"show": [str(COMMAND), *SHOW], "pass": [sys.executable, "-c", "pass"]}
        if peer:
            commands["azure"] = [peer, "-c", "import azure.ai.ml"]
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(taken_ms(command, environment))
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    ratio = medians["show"] / medians["pass"]
    line = {"peer": "python -c pass", "peer_value": medians["pass"], "ratio": ratio}
    tell(medians["show"], line | {"target": f"<= {MOST_TIMES_PASS:.0f}x", "ok": ratio <= MOST_TIMES_PASS})
    if peer:
        ratio = medians["azure"] / medians["show"]
        line = {"peer": "import azure.ai.ml", "peer_value": medians["azure"], "ratio": ratio}
        tell(medians["show"], line | {"target": f">= {LEAST_TIMES_QUICKER:.0f}x", "ok": ratio >= LEAST_TIMES_QUICKER})
    else:
        print("no Python with azure-ai-ml was given: its figure is left out", file=sys.stderr)


def tell(value: float, more: dict[str, object]) -> None:
    """Print one figure."""
    figure = {"bench": "cli_startup", "figure": "ml model show, whole process", "value": value, "unit": "ms"}
    print(json.dumps(figure | more))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ENTREPOT_PEERS"))
