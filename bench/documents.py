"""Measure the document store on SQLite: `python bench/documents.py [versions]` prints one JSON line.

Point read, list page of 100, find page of 100 and a durable commit (a version, its container, two edges, an audit
entry, a work item), p50 and p99 in milliseconds, with so many versions (10,000 unless told) in the store.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from entrepot.store.documents import ABSENT, Append, Document, DocumentStore, Enqueue, Facet, Link, Page, Put
from entrepot.store.sql import open_documents

LARGE = "registries/r0/models/large/versions"
TEAMS = 50
PAGES = 2  # of 100: what one tag has at 10,000 versions
THREADS = 8


def body(name: str, number: int) -> dict[str, Any]:
    """Return a version's body of the usual size, about 700 bytes."""
    return {
        "id": f"azureml://registries/r0/models/{name}/versions/{number}",
        "name": str(number),
        "type": "Microsoft.MachineLearningServices/registries/models/versions",
        "systemData": {"createdAt": "2026-11-23T10:00:00.123456Z", "createdBy": "someone", "createdByType": "User"},
        "properties": {
            "description": "A model that predicts the fare of a taxi ride from its distance and its time of day.",
            "tags": {"team": f"team{number % TEAMS}", "stage": "dev"},
            "modelType": "mlflow_model",
            "modelUri": f"https://blob.entrepot.invalid/s-{number:052d}/model",
            "flavors": {"python_function": {"data": {"loader_module": "mlflow.sklearn", "python_version": "3.11.7"}}},
        },
        "entrepot": {"snapshot": f"{number:064x}", "path": "model", "regions": {"eastus": "Succeeded"}},
    }


def fill(documents: DocumentStore, versions: int) -> None:
    """Put the versions: one in twenty into one large container, ten into each of the others."""

    def puts() -> Iterator[Put]:
        for number in range(versions):
            name = f"model{number // 10}"
            key = f"{LARGE}/{number}" if number % 20 == 0 else f"registries/r0/models/{name}/versions/{number}"
            facets = (Facet("registries/r0", "team", f"team{number % TEAMS}"),)
            yield Put(key, body(name, number), ABSENT, facets=facets)

    waiting = puts()
    while batch := list(islice(waiting, 1000)):
        documents.commit(batch)


def timings(work: Callable[[int], object], count: int) -> list[float]:
    """Run work `count` times, after a tenth of that unmeasured; return the milliseconds of each."""
    for number in range(count // 10):
        work(number)
    taken: list[float] = []
    for number in range(count):
        started = time.perf_counter()
        work(number)
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def summary(taken: Sequence[float]) -> dict[str, float]:
    """Return the p50 and p99."""
    return {"p50": round(statistics.median(taken), 4), "p99": round(statistics.quantiles(taken, n=100)[98], 4)}


def cursors(ask: Callable[[str | None], Page]) -> list[str | None]:
    """Return the cursors of the list's first pages, as many at any size: else a larger store would only mean that
    the processor's cache holds less of what is read.
    """
    found: list[str | None] = [None]
    while len(found) < PAGES and (after := ask(found[-1]).next) is not None:
        found.append(after)
    return found


def create(documents: DocumentStore, writer: str) -> Callable[[int], Sequence[Document]]:
    """Return a function that creates a version as the catalogue does."""
    container = f"registries/r0/models/new-{writer}"
    counter = iter(range(1_000_000))

    def commit(_: int) -> Sequence[Document]:
        number = next(counter)
        key = f"{container}/versions/{number}"
        return documents.commit(
            [
                Put(key, body(container, number), ABSENT, facets=(Facet("registries/r0", "stage", "new"),)),
                Put(container, {"properties": {"latestVersion": str(number)}}, match=number),
                Link(f"job-{writer}-{number}", "produced", key),
                Link(f"job-{writer}-{number}", "used", f"{LARGE}/0"),
                Append("audit", {"principal": "p", "action": "registries/assets/write", "target": key, "time": number}),
                Enqueue("replicate", key, {"region": "westus"}),
            ]
        )

    return commit


def commits_per_second(documents: DocumentStore, each: int) -> float:
    """Return how many versions eight threads create in a second."""

    def write(thread: int) -> None:
        commit = create(documents, f"thread{thread}")
        for number in range(each):
            commit(number)

    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))
    return round(THREADS * each / (time.perf_counter() - started))


def actions(documents: DocumentStore, versions: int) -> dict[str, Callable[[int], object]]:
    """Return what is measured, by name; each takes the number of the call."""
    chance = random.Random(1)
    keys = [f"{LARGE}/{chance.randrange(versions // 20) * 20}" for _ in range(1000)]
    lists = cursors(lambda after: documents.list(LARGE, after=after))
    finds = cursors(lambda after: documents.find("registries/r0", "team", "team1", after=after))
    return {
        "get": lambda n: documents.get(keys[n % 1000]),
        "list page of 100": lambda n: documents.list(LARGE, after=lists[n % len(lists)]),
        "find page of 100": lambda n: documents.find("registries/r0", "team", "team1", after=finds[n % len(finds)]),
        "commit": create(documents, "serial"),
    }


def filled(file: Path, versions: int) -> DocumentStore:
    """Make a store of so many versions; return it as a server opens it."""
    documents = open_documents(file, fsync=False)
    fill(documents, versions)
    documents.close()
    return open_documents(file)


def measure(versions: int, file: Path) -> dict[str, Any]:
    """Fill a store and return all figures."""
    started = time.perf_counter()
    documents = filled(file, versions)
    figures: dict[str, Any] = {"bench": "documents", "versions": versions, "unit": "ms"}
    figures |= {"fill s": round(time.perf_counter() - started, 1), "database MB": round(file.stat().st_size / 1e6)}
    for name, work in actions(documents, versions).items():
        figures[name] = summary(timings(work, 500 if name == "commit" else 2000))
    figures[f"commits/s, {THREADS} threads"] = commits_per_second(documents, 200)
    documents.close()
    return figures


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-") as place:
        asked = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
        print(json.dumps(measure(asked, Path(place) / "entrepot.db")))
