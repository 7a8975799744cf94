"""kill -9 at random moments of uploads: what was acknowledged is whole, nothing half-made is to be seen."""

import http.client
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from entrepot.client.failures import Failure
from entrepot.client.transfers.hashes import snapshot_digest
from entrepot.client.transfers.uploads import upload
from entrepot.core.digests import Digest, digest_file
from entrepot.core.ids import Region
from entrepot.server.dataplane.sas import SasSigner
from entrepot.store import paths, snapshots
from entrepot.store.containers import Containers
from entrepot.store.depots import LocalDepots
from entrepot.store.local import LocalStore
from entrepot.store.spool import Spool
from entrepot.store.sql import open_documents

KILLS = 10
KEY = b"k" * 32
SERVER = """
import sys, time
from pathlib import Path
from entrepot.server.dataplane.listener import DataPlane
from entrepot.server.dataplane.sas import SasSigner
from entrepot.store.containers import Containers
from entrepot.store.depots import LocalDepots
from entrepot.store.spool import Spool
from entrepot.store.sql import open_documents

home = Path(sys.argv[1])
depots, documents = LocalDepots(home / "regions"), open_documents(home / "entrepot.db")
spool = Spool(documents, depots.of)
spool.restore()
containers = Containers(documents, depots.of, regions=lambda: ("eastus",), spool=spool)
containers.create("container", region="eastus", owner="registries/contoso")
depots.of("eastus")
print(DataPlane(containers, depots, SasSigner(b"k" * 32)).start(), flush=True)
time.sleep(600)
"""


@contextmanager
def server(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a data plane in a process of its own; give it and the address of its container."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(home)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0], "the server did not start"
        port = int(process.stdout.readline())
        sas = SasSigner(KEY).sign("container", "racwdl", None, time.time() + 3600)
        yield process, f"http://127.0.0.1:{port}/container?{sas}"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def make_tree(root: Path, seed: int) -> Path:
    """Small files and one that is sent by itself, different for each seed."""
    chosen = random.Random(seed)
    root.mkdir(parents=True)
    for n in range(chosen.randrange(5, 60)):
        (root / f"f{n}").write_bytes(chosen.randbytes(chosen.randrange(20_000)))
    (root / "big").write_bytes(chosen.randbytes(1 << 20) * 9 + str(seed).encode())
    return root


def audit(home: Path, acknowledged: dict[str, Digest]) -> None:
    """Open the home as the next start would, and hold all that is there against its names."""
    depots = LocalDepots(home / "regions")
    documents = open_documents(home / "entrepot.db")
    try:
        Spool(documents, depots.of).restore()
        blobs = depots.of(Region("eastus"))
        assert isinstance(blobs, LocalStore)
        staging = home / "regions/eastus" / paths.STAGING
        assert [file for file in staging.rglob("*") if file.is_file() and file.suffix != ".lock"] == []
        for stat in blobs.list("sha256/"):
            file = blobs.local_path(stat.name)
            assert file is not None and digest_file(file) == paths.digest_in(stat.name)
        for stat in blobs.list("snapshots/"):
            digest = paths.digest_in(stat.name)
            assert digest is not None
            assert snapshots.missing(blobs, snapshots.read(blobs, digest)) == []
        containers = Containers(documents, depots.of, regions=lambda: (Region("eastus"),))
        for path, digest in acknowledged.items():
            assert containers.tree("container", path).digest == digest
        for item in containers.list("container").items:
            assert blobs.stat(paths.content(item.digest)) is not None
    finally:
        depots.close()
        documents.close()


def test_a_killed_server_loses_nothing_acknowledged_and_shows_nothing_half_made(tmp_path: Path) -> None:
    chosen = random.Random(os.environ.get("ENTREPOT_TEST_SEED", "1"))
    home = tmp_path / "home"
    acknowledged: dict[str, Digest] = {}
    broken = 0
    for kill in range(KILLS):
        with server(home) as (process, url):
            sources = [make_tree(tmp_path / f"m{kill}/{n}", kill * 2 + n) for n in range(2)]
            if not acknowledged:  # so that there is something to lose, on the slowest machine too
                acknowledged["first"] = Digest(
                    upload(sources[0], url, at="first", cache_folder=tmp_path / "cache")["digest"]
                )
            timer = threading.Timer(chosen.uniform(0.0, 0.5), process.send_signal, [signal.SIGKILL])
            timer.start()
            for n in range(1000):
                path, source = f"m{kill}/{n}", sources[n % len(sources)]
                try:
                    with quick_failure():
                        answer = upload(source, url, at=path, cache_folder=tmp_path / "cache")
                except Failure:
                    broken += 1
                    break
                acknowledged[path] = Digest(answer["digest"])
                assert acknowledged[path] == snapshot_digest(source)
            timer.join()
        audit(home, acknowledged)
    assert broken == KILLS


def test_a_killed_server_has_every_small_blob_that_it_acknowledged(tmp_path: Path) -> None:
    chosen = random.Random(os.environ.get("ENTREPOT_TEST_SEED", "1"))
    home = tmp_path / "home"
    acknowledged: dict[str, bytes] = {}
    for kill in range(KILLS):
        with server(home) as (process, url):
            acknowledged |= put_until_killed(process, url, f"k{kill}", chosen)
        audit(home, {})
    assert len(acknowledged) > KILLS
    with server(home) as (_, url):
        assert {name: fetched(url, name) for name in acknowledged} == acknowledged


def put_until_killed(
    process: subprocess.Popen[bytes], url: str, base: str, chosen: random.Random
) -> Iterator[tuple[str, bytes]]:
    """Put small blobs by four clients until the server dies; yield those that it acknowledged."""
    done: list[tuple[str, bytes]] = []
    first = threading.Event()

    def put(client: int) -> None:
        with suppress(OSError, http.client.HTTPException):
            for number in range(100_000):
                name, data = f"{base}/{client}-{number}", f"{base} {client} {number}".encode() * 100
                if ask(url, "PUT", name, data)[0] != 201:
                    return
                done.append((name, data))
                first.set()

    clients = [threading.Thread(target=put, args=(client,)) for client in range(4)]
    for client in clients:
        client.start()
    assert first.wait(60)
    time.sleep(chosen.uniform(0.0, 0.5))
    process.send_signal(signal.SIGKILL)
    for client in clients:
        client.join()
    yield from done


def ask(url: str, method: str, name: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send one request about a blob."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=60)
    try:
        connection.request(method, f"{place.path}/{name}?{place.query}", body, {"x-ms-blob-type": "BlockBlob"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def fetched(url: str, name: str) -> bytes:
    """Return a blob's bytes."""
    status, data = ask(url, "GET", name)
    assert status == 200
    return data


@contextmanager
def quick_failure() -> Iterator[None]:
    """Let an upload give up at once when its server is gone."""
    from entrepot.client.transfers import transfer

    pauses = transfer._PAUSES_S
    transfer._PAUSES_S = ()  # type: ignore[assignment]
    try:
        yield
    finally:
        transfer._PAUSES_S = pauses


def test_an_upload_that_lost_its_server_succeeds_with_the_next_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    source = make_tree(tmp_path / "source", 7)
    with server(home) as (process, url):
        process.kill()
        with suppress(Failure), quick_failure():
            upload(source, url, at="m", cache_folder=tmp_path / "cache")
    with server(home) as (_, url):
        answer = upload(source, url, at="m", cache_folder=tmp_path / "cache")
    audit(home, {"m": Digest(answer["digest"])})
