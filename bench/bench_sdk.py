"""1 GiB and 2,000 small files through the genuine SDK, Azurite beside us; and small models by azure-ai-ml.

    python bench/bench_sdk.py [--mebibytes 1024] [--files 2000] [--rounds 3]

All servers are given the same files by the same client in turns, over HTTPS with the same certificate (azure-ai-ml
speaks nothing else), and each figure is the best of the rounds. What we acknowledge is on the disk; Azurite, on files
and with the options of its documentation, flushes bytes as we do, but saves their names every five seconds. It is
build/azurite (Makefile, requirements/azurite; wants node and npm); without it figures stand alone.

Small files go by azure-storage-blob in eight threads, and by azure-ai-ml's own upload and download of a folder. The
client needs about 2 ms of one processor for a file, and azure-ai-ml's download as much again: it asks for the cloud's
addresses for each file (our server, whoever has the blobs). So each small figure has its limit beside it: the same
client against `instant.py`, a server in memory that does next to nothing. Where the limit's own ratio is below the
target, no server reaches the target on this machine.
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
INSTANT = Path(__file__).with_name("instant.py")
AZURITE = TOP / "build" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
PLACE = (LOCAL_SUBSCRIPTION, "bench", "bench")
ACCOUNT, CONTAINER = "devstoreaccount1", "bench"
BARS = {
    "big up": 1.3, "big down": 1.3, "small up": 2.0, "small down": 2.0, "folder up": 2.0, "folder down": 2.0,
}  # fmt: skip
BY = {"big": "azure-storage-blob", "small": "azure-storage-blob", "folder": "azure-ai-ml"}
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


@contextmanager
def instant(tls: Path) -> Iterator[str]:
    """Run the server that shows the client's own limit; give the address of a container."""
    words = [sys.executable, str(INSTANT), str(tls / "server.pem"), str(tls / "server.key")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"https://127.0.0.1:{int(process.stdout.readline())}/{CONTAINER}?sig=none"
        process.terminate()


def measure(folder: Path, chosen: argparse.Namespace) -> dict[str, Seconds]:
    """Return the seconds of each step: ours, Azurite's, and those of the client alone."""
    work = folder / "work"
    fill(work, chosen.mebibytes, chosen.files)
    found: dict[str, Seconds] = {"ours": {}, "azurite": {}, "limit": {}}
    with live(folder / "home") as server:
        tls = server.home / "tls"
        command = [sys.executable, "-m", "entrepot.cli.main", "env", "--format", "json", "--home", str(server.home)]
        exports = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        with azurite(folder / "azurite", tls) as peer, instant(tls) as limit:
            places = {"ours": client("place", *PLACE, env=exports)[0]["url"], "azurite": peer, "limit": limit}
            for _ in range(chosen.rounds):
                for who, url in places.items():
                    for step in ("big", "small") if who != "limit" else ("small",):
                        note(found[who], client(step, url, str(work), env=exports) if url else [])
        note(found["ours"], client("create", *PLACE, str(work / "model"), "10", env=exports))
    return found


def note(seconds: Seconds, told: list[dict[str, Any]]) -> None:
    """Keep what a client told."""
    for line in told:
        seconds.setdefault(line["step"], []).append(line["seconds"])


def figures(found: dict[str, Seconds], chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a line for each step: rates, where more is better, and the time of one model."""
    for step, bar in BARS.items():
        kind, _, way = step.partition(" ")
        amount, unit = (chosen.mebibytes * 1.048576, "MB/s") if kind == "big" else (float(chosen.files), "files/s")
        what = f"{chosen.mebibytes} MiB" if kind == "big" else f"{chosen.files} files of {SMALL_BYTES >> 10} KiB"
        rates = {who: amount / min(seconds[step]) for who, seconds in found.items() if step in seconds}
        line = {"bench": "sdk", "figure": f"{what} {way} by {BY[kind]}", "value": round(rates["ours"], 1), "unit": unit}
        yield line | _beside(rates["ours"], rates, bar)
        if "limit" in rates:
            line |= {"figure": f"the same: {BY[kind]} itself", "value": round(rates["limit"], 1)}
            yield line | _beside(rates["limit"], rates, None)
    best = min(found["ours"]["create"])
    yield {
        "bench": "sdk", "figure": "models.create_or_update of 6 small files", "value": round(best, 3), "unit": "s",
        "target": f"< {CREATE_S} s", "ok": best < CREATE_S,
    }  # fmt: skip


def _beside(value: float, rates: Mapping[str, float], bar: float | None) -> dict[str, Any]:
    """Return what the peer did, and what is wanted of us; of the client's limit nothing is."""
    if "azurite" not in rates:
        return {}
    peer = rates["azurite"]
    told: dict[str, Any] = {"peer": "Azurite", "peer_value": round(peer, 1), "ratio": round(value / peer, 2)}
    return told | ({"target": f">= {bar}x", "ok": value >= bar * peer} if bar else {"target": "the most there is"})


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
        found = measure(folder, chosen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = {
        who: {step: [round(s, 2) for s in each] for step, each in seconds.items()} for who, seconds in found.items()
    }
    print(told, file=sys.stderr)
    for line in figures(found, chosen):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
