"""Create and get model versions at the domain's door: access check, audit, seals and lineage on, SQLite, all synced.

The limit beside it is a bare commit of as many bytes in the same run. What HTTP adds is measured elsewhere.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from entrepot.core.ids import AssetRef, RegistryScope
from entrepot.core.nouns import MODEL
from entrepot.domain import access, registries
from entrepot.domain.assets import catalog
from entrepot.domain.audit.keeping import Auditor
from entrepot.domain.audit.sealing import Notary
from entrepot.domain.hub import Hub
from entrepot.store.documents import Change, Document, Put
from entrepot.testing.hub import OWNER, close_hub, make_hub, upload

CLIENTS = 8


def main(count: int) -> None:
    """Print one JSON line per figure, each of `count` versions."""
    with tempfile.TemporaryDirectory() as folder:
        hub = make_hub(Path(folder), fsync=True, is_alone=True)
        auditor = Auditor(hub, Notary(lambda: b"k" * 32, Path(folder) / "newest.json"))
        auditor.start()  # seals beside all that follows, as in a server
        registry = RegistryScope("bench")
        registries.create(hub, OWNER, "s", "rg", "bench", {"location": "eastus"})
        source = AssetRef(registry, MODEL, "source", "1")
        body = catalog.create(hub, OWNER, source, {"modelUri": upload(hub, source, {"w": "x"}, at="model")})[0].body
        uri = body["properties"]["modelUri"]
        limit = _bare(hub, count)
        _tell("create, serial", _serial(hub, registry, uri, count), "1/s", limit)
        _tell("create, 8 clients", _parallel(hub, registry, uri, count), "1/s", limit)
        _tell("create, 8 clients on one name", _parallel(hub, registry, uri, count, one_name=True), "1/s", limit)
        _tell("processor time of a create, store included", _processor_us(hub, registry, uri, count), "us")
        _tell("get by name and version", _each_us(lambda: catalog.get(hub, OWNER, source), 5000), "us")
        _tell(
            "access check, known question",
            _each_us(lambda: access.allowed(hub, OWNER, registries.READ, source.container_key), 100_000),
            "us",
        )
        auditor.stop()
        close_hub(hub)


def _tell(figure: str, value: float, unit: str, limit: float | None = None) -> None:
    told: dict[str, object] = {"bench": "create_version", "figure": figure, "value": round(value, 2), "unit": unit}
    if limit is not None:
        told |= {"peer": "bare commits, serial", "peer_value": round(limit, 2), "ratio": round(value / limit, 2)}
    sys.stdout.write(json.dumps(told) + "\n")


def _create(hub: Hub, scope: RegistryScope, uri: str, name: str, version: int) -> None:
    properties = {"modelUri": uri, "modelType": "custom_model", "tags": {"stage": "dev"}, "description": "a model"}
    catalog.create(hub, OWNER, AssetRef(scope, MODEL, name, str(version)), properties)


def _serial(hub: Hub, scope: RegistryScope, uri: str, count: int) -> float:
    start = time.perf_counter()
    for number in range(count):
        _create(hub, scope, uri, "serial", number)
    return count / (time.perf_counter() - start)


def _parallel(hub: Hub, scope: RegistryScope, uri: str, count: int, *, one_name: bool = False) -> float:
    def client(number: int) -> None:
        name = "shared" if one_name else f"client-{number}"
        for version in range(count // CLIENTS):
            _create(hub, scope, uri, name, version * CLIENTS + number)

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return count / (time.perf_counter() - start)


def _bare(hub: Hub, count: int) -> float:
    """Return the rate of commits of two documents of the same size, without any rule."""
    filler = {"properties": {"text": "x" * 900}}
    start = time.perf_counter()
    for number in range(count):
        changes: Sequence[Change] = [Put(f"bare/{number}", filler, match=0), Put("bare-head", filler)]
        written: Sequence[Document] = hub.documents.commit(changes)
        assert len(written) == 2
    return count / (time.perf_counter() - start)


def _processor_us(hub: Hub, scope: RegistryScope, uri: str, count: int) -> float:
    """Return the processor time of the whole process per create: rules, encoding, and SQLite's writer thread."""
    start = time.process_time()
    for number in range(count):
        _create(hub, scope, uri, "processor", number)
    return (time.process_time() - start) / count * 1e6


def _each_us(act: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        act()
    return (time.perf_counter() - start) / count * 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
