"""1 GiB and 2,000 small files by azure-storage-blob, Azurite beside us; and small models by azure-ai-ml.

    python bench/bench_sdk.py [--mebibytes 1024] [--files 2000] [--rounds 3]

Both servers are given the same files by the same client in turns, over HTTPS with the same certificate (azure-ai-ml
speaks nothing else), and each figure is the best of the rounds. What we acknowledge is on disk; Azurite leaves that to
the system. Azurite is build/azurite (Makefile, requirements/azurite; wants node and npm); without it figures stand
alone.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entrepot.core.settings import LOCAL_SUBSCRIPTION
from entrepot.testing.live import live
from tests.environments import TOP, made

CLIENT = Path(__file__).with_name("sdk_client.py")
AZURITE = TOP / "build" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
PLACE = (LOCAL_SUBSCRIPTION, "bench", "bench")
ACCOUNT, CONTAINER = "devstoreaccount1", "bench"
BARS = {"big up": 1.3, "big down": 1.3, "small up": 2.0, "small down": 2.0}
CREATE_S = 0.5
SMALL_BYTES = 4096
Seconds = dict[str, list[float]]


def client(*words: str, env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Run the client and return what it printed."""
    python = str(made("sdk") / "bin" / "python")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run([python, str(CLIENT), *words], env={**kept, **env}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the client failed: {done.stderr[-4000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@contextmanager
def azurite(folder: Path, tls: Path) -> Iterator[str | None]:
    """Run Azurite and give the signed address of a container; None where it is not installed."""
    if not AZURITE.exists():
        print("build/azurite is not there: figures stand alone", file=sys.stderr)
        yield None
        return
    folder.mkdir()
    words = [str(AZURITE), "--location", str(folder), "--blobPort", "0", "--skipApiVersionCheck", "--disableTelemetry"]
    words += ["--cert", str(tls / "server.pem"), "--key", str(tls / "server.key")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
    try:
        yield opened(folder / "log", tls / "ca.pem")
    finally:
        process.terminate()
        process.wait()


def opened(log: Path, authority: Path) -> str:
    """Wait until Azurite listens, make a container, and return its signed address."""
    for _ in range(300):
        if found := re.search(r"listen(?:s|ing) (?:at|on) (https://[\d.]+:\d+)", log.read_text()):
            break
        time.sleep(0.1)
    else:
        raise RuntimeError(f"Azurite did not start: {log.read_text()[-2000:]}")
    url = f"{found[1]}/{ACCOUNT}"
    python = str(made("sdk") / "bin" / "python")
    env = {**os.environ, "REQUESTS_CA_BUNDLE": str(authority)}
    done = subprocess.run([python, "-c", _MAKE, url, CONTAINER], env=env, capture_output=True, text=True, check=True)
    return f"{url}/{CONTAINER}?{done.stdout.strip()}"


# Azurite's well-known development account, whose key is in its documentation
_MAKE = """
import datetime, sys
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BlobServiceClient(sys.argv[1], credential=key).create_container(sys.argv[2])
print(generate_container_sas(
    "devstoreaccount1", sys.argv[2], account_key=key, permission=ContainerSasPermissions.from_string("racwdl"),
    expiry=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1),
))
"""


def fill(work: Path, mebibytes: int, files: int) -> None:
    """Make the big file and the small ones."""
    for name in ("big", "small", "model"):
        (work / name).mkdir(parents=True)
    with (work / "big" / "big.bin").open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
    for number in range(files):
        (work / "small" / f"{number:05d}.bin").write_bytes(os.urandom(SMALL_BYTES))
    for number in range(5):
        (work / "model" / f"{number}.bin").write_bytes(os.urandom(SMALL_BYTES))


def measure(folder: Path, chosen: argparse.Namespace) -> tuple[Seconds, Seconds]:
    """Return the seconds of each step, ours and Azurite's."""
    work = folder / "work"
    fill(work, chosen.mebibytes, chosen.files)
    ours: Seconds = {}
    theirs: Seconds = {}
    with live(folder / "home") as server, azurite(folder / "azurite", server.home / "tls") as peer:
        command = [sys.executable, "-m", "entrepot.cli.main", "env", "--format", "json", "--home", str(server.home)]
        exports = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        place: str = client("place", *PLACE, env=exports)[0]["url"]
        for _ in range(chosen.rounds):
            for seconds, at in ((ours, place), (theirs, peer)):
                if at is not None:
                    told = client("blobs", at, str(work), env=exports)
                    note(seconds, told)
        note(ours, client("create", *PLACE, str(work / "model"), "10", env=exports))
    return ours, theirs


def note(seconds: Seconds, told: list[dict[str, Any]]) -> None:
    """Keep what a client told."""
    for line in told:
        seconds.setdefault(line["step"], []).append(line["seconds"])


def figures(ours: Seconds, theirs: Seconds, chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a line for each step: rates, where more is better, and the time of one model."""
    for step, bar in BARS.items():
        is_big = step.startswith("big")
        amount, unit = (chosen.mebibytes * 1.048576, "MB/s") if is_big else (float(chosen.files), "files/s")
        what = f"{chosen.mebibytes} MiB" if is_big else f"{chosen.files} files of {SMALL_BYTES >> 10} KiB"
        value = amount / min(ours[step])
        line: dict[str, Any] = {
            "bench": "sdk", "figure": f"{what} {step.rpartition(' ')[2]} by azure-storage-blob",
            "value": round(value, 1), "unit": unit,
        }  # fmt: skip
        if step in theirs:
            peer = amount / min(theirs[step])
            line |= {"peer": "Azurite", "peer_value": round(peer, 1), "ratio": round(value / peer, 2)}
            line |= {"target": f">= {bar}x", "ok": value >= bar * peer}
        yield line
    best = min(ours["create"])
    yield {
        "bench": "sdk", "figure": "models.create_or_update of 6 small files", "value": round(best, 3), "unit": "s",
        "target": f"< {CREATE_S} s", "ok": best < CREATE_S,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mebibytes", type=int, default=1024)
    options.add_argument("--files", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    made("sdk")
    folder = Path(tempfile.mkdtemp(prefix="bench-sdk-"))
    try:
        ours, theirs = measure(folder, chosen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = {"ours": ours, "azurite": theirs}
    print(
        {who: {k: [round(s, 2) for s in v] for k, v in found.items()} for who, found in told.items()}, file=sys.stderr
    )
    for line in figures(ours, theirs, chosen):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
