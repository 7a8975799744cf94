"""A 1 GiB model: published, published again, downloaded and shared, as whole commands against a running server.

    python bench/bench_transfer.py [--mebibytes 1024] [--rounds 3]

The limits stand beside it in the same run: one core's SHA-256, a flushed write of the same bytes, and nginx (sendfile)
read into nothing. Each figure is the best of the rounds, ours and the limits' alike. Uploads are durable.

Downloads are measured twice, with the server's file on the disk only and in the page cache, and so is nginx: a file
that nginx has in the page cache says nothing of one that must be read first.
"""

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.uploads import IN_REGISTRY, IN_WORKSPACE, entrepot, served, upload_address
from entrepot.client.transfers.uploads import upload

MIB = 1 << 20
TARGETS = {"up": 0.45, "down": 0.5, "again_s": 1.0, "share_s": 0.2}
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
  uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def hash_size(size: int) -> None:
    """Hash so many bytes that lie in the processor's reach: the most that one core can do."""
    piece = os.urandom(MIB)
    hasher = hashlib.sha256()
    for _ in range(size // MIB):
        hasher.update(piece)


def write_flushed(path: Path, size: int) -> None:
    """Write so many bytes through the page cache and flush them, as `dd conv=fsync` does."""
    piece = os.urandom(MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(piece)
        os.fdatasync(file.fileno())
    path.unlink()


def evict(file: Path) -> None:
    """Leave a file on the disk only."""
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def warm(file: Path) -> None:
    """Bring a file into the page cache."""
    with file.open("rb", buffering=0) as reading:
        while reading.read(MIB):
            pass


def stored(home: Path, size: int) -> Path:
    """Return the server's own file of a model of this size."""
    return next(file for file in (home / "regions").rglob("*") if file.is_file() and file.stat().st_size == size)


def fetch(port: int, name: str, size: int) -> None:
    """GET a file from nginx into nothing."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"GET /{name} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        buffer = memoryview(bytearray(MIB))
        received = 0
        while count := sock.recv_into(buffer, MIB, socket.MSG_WAITALL):
            received += count
    if received <= size:
        raise RuntimeError(f"nginx sent {received} bytes, and the file has {size}")


@contextmanager
def nginx(folder: Path, root: Path) -> Iterator[int | None]:
    """Serve a folder with sendfile; None without nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        print("no nginx here: the download stands alone", file=sys.stderr)
        yield None
        return
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, root=root))
    errors = folder / "error.log"
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", str(errors), "-p", str(folder)])
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        else:
            raise RuntimeError(f"nginx did not start: {errors.read_text()}")
        yield port
    finally:
        process.terminate()
        process.wait()


def measure(home: Path, folder: Path, size: int, rounds: int) -> dict[str, list[float]]:
    """Run the rounds, each with a new file of a new size, and return the seconds of each step."""
    source, out = folder / "model", folder / "out"
    source.mkdir()
    weights = source / "weights.bin"
    seconds: dict[str, list[float]] = {}

    def note(step: str, work: Callable[..., object], *words: Any) -> None:
        began = time.perf_counter()
        work(*words)
        seconds.setdefault(step, []).append(time.perf_counter() - began)
        print(f"{step}: {seconds[step][-1]:.2f} s", file=sys.stderr)

    create = ["ml", "model", "create", "--path", str(source), "-o", "none"]
    with nginx(folder / "nginx", source) as port:
        for number in range(rounds):
            with weights.open("wb") as file:
                for _ in range(size // MIB):
                    file.write(os.urandom(MIB))
                file.write(os.urandom(4096 * (number + 1)))
            name = ["--name", f"model{number}", "--version"]
            note("sha256", hash_size, size)
            note("write", write_flushed, folder / "written", size)
            note("up", entrepot, home, *create, *name, "1", *IN_REGISTRY)
            note("again", entrepot, home, *create, *name, "2", *IN_REGISTRY)
            blob = stored(home, weights.stat().st_size)
            for state, prepare in (("cold", evict), ("warm", warm)):
                prepare(blob)
                to = ["--download-path", str(out)]
                note(f"down_{state}", entrepot, home, "ml", "model", "download", *name, "1", *IN_REGISTRY, *to)
                shutil.rmtree(out)
                if port is not None:
                    prepare(weights)
                    note(f"nginx_{state}", fetch, port, weights.name, size)
            entrepot(home, *create, *name, "1", *IN_WORKSPACE)
            to = ["--share-with-name", f"shared{number}", "--share-with-version", "1"]
            note("share", entrepot, home, "ml", "model", "share", *name, "1", *to, *IN_REGISTRY, *IN_WORKSPACE)
    return seconds


def figures(best: dict[str, float], size: int, sent: int) -> Iterator[dict[str, Any]]:
    """Yield the lines to print."""
    rate = {step: size / seconds / 1e6 for step, seconds in best.items()}
    gib = f"{size / (1 << 30):.3g} GiB"
    yield {
        "bench": "transfer", "figure": f"publish {gib}, durable, whole command", "value": round(rate["up"]),
        "unit": "MB/s", "peer": "SHA-256 on one core", "peer_value": round(rate["sha256"]),
        "ratio": round(rate["up"] / rate["sha256"], 2), "target": f">= {TARGETS['up']}x",
        "ok": rate["up"] >= TARGETS["up"] * rate["sha256"],
    }  # fmt: skip
    yield {
        "bench": "transfer", "figure": f"publish {gib} beside the disk's own pace", "value": round(rate["up"]),
        "unit": "MB/s", "peer": "write and flush", "peer_value": round(rate["write"]),
        "ratio": round(rate["up"] / rate["write"], 2),
    }  # fmt: skip
    for state, place in (("cold", "the disk"), ("warm", "the page cache")):
        ours, theirs = rate[f"down_{state}"], rate.get(f"nginx_{state}")
        down = {"bench": "transfer", "figure": f"download {gib} from {place}, whole command", "value": round(ours)}
        if theirs is not None:
            down |= {
                "peer": f"nginx sendfile from {place}, into nothing", "peer_value": round(theirs),
                "ratio": round(ours / theirs, 2), "target": f">= {TARGETS['down']}x",
                "ok": ours >= TARGETS["down"] * theirs,
            }  # fmt: skip
        yield down | {"unit": "MB/s"}
    yield {
        "bench": "transfer", "figure": f"publish {gib} again ({sent} bytes sent)", "value": round(best["again"], 3),
        "unit": "s", "target": f"< {TARGETS['again_s']:g} s, 0 bytes",
        "ok": best["again"] < TARGETS["again_s"] and sent == 0,
    }  # fmt: skip
    yield {
        "bench": "transfer", "figure": f"share {gib} in its region, whole command", "value": round(best["share"], 3),
        "unit": "s", "target": f"< {TARGETS['share_s']:g} s", "ok": best["share"] < TARGETS["share_s"],
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mebibytes", type=int, default=1024)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    size = chosen.mebibytes * MIB
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with served(folder) as home:
            seconds = measure(home, folder, size, chosen.rounds)
            again = upload(folder / "model", upload_address(home), at="again", cache_folder=home / "cache")
            sent = int(again["sent"])
    for line in figures({step: min(found) for step, found in seconds.items()}, size, sent):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
