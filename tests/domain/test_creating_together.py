"""Creating for many callers at once: one commit, few statements, and everyone's own result."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from entrepot.core.errors import AlreadyExists
from entrepot.core.ids import AssetRef, RegistryScope
from entrepot.core.nouns import ENVIRONMENT, MODEL
from entrepot.domain import audit
from entrepot.domain.assets import catalog
from entrepot.domain.assets.publishing.publication import Order
from entrepot.domain.hub import Hub
from entrepot.testing.hub import OWNER, upload


def prepared(hub: Hub, scope: RegistryScope, name: str, version: str, image: str = "docker.io/python") -> Order:
    return catalog.prepare(hub, OWNER, AssetRef(scope, ENVIRONMENT, name, version), {"image": image})


@contextmanager
def statements(hub: Hub) -> Iterator[list[str]]:
    """Note the statements that the writer of SQLite runs."""
    writer: Any = hub.documents._database._writer  # type: ignore[attr-defined]
    seen: list[str] = []
    writer.set_trace_callback(seen.append)
    try:
        yield seen
    finally:
        writer.set_trace_callback(None)


def test_all_share_one_commit_and_each_has_its_own_audit_entry(hub: Hub, registry: RegistryScope) -> None:
    orders = [prepared(hub, registry, f"e{number % 3}", str(number)) for number in range(8)]
    before = len(audit.entries(hub))
    with statements(hub) as seen:
        results = catalog.create_all(hub, orders)

    assert [result[1] for result in results if not isinstance(result, Exception)] == [True] * 8
    assert [text for text in seen if text.startswith(("COMMIT", "SAVEPOINT"))] == ["COMMIT"]
    assert len(audit.entries(hub)) == before + 8
    for number in range(8):
        body = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, f"e{number % 3}").body
        assert catalog.get(hub, OWNER, AssetRef(registry, ENVIRONMENT, f"e{number % 3}", str(number)))
        assert body["properties"]["latestVersion"] == {0: "6", 1: "7", 2: "5"}[number % 3]


def test_the_same_twice_is_made_once_and_a_conflict_is_its_own_callers(hub: Hub, registry: RegistryScope) -> None:
    catalog.create(hub, OWNER, AssetRef(registry, ENVIRONMENT, "old", "1"), {"image": "docker.io/python"})
    orders = [
        prepared(hub, registry, "new", "1"),
        prepared(hub, registry, "new", "1"),
        prepared(hub, registry, "old", "1", "docker.io/other"),
        prepared(hub, registry, "old", "2"),
    ]
    with statements(hub) as seen:
        first, second, conflict, last = catalog.create_all(hub, orders)

    assert not isinstance(first, Exception) and first[1]
    assert not isinstance(second, Exception) and not second[1]
    assert isinstance(conflict, AlreadyExists)
    assert not isinstance(last, Exception) and last[1]
    assert seen.count("COMMIT") == 1


def test_who_was_overtaken_since_it_was_prepared_is_answered_as_if_prepared_now(
    hub: Hub, registry: RegistryScope
) -> None:
    orders = [prepared(hub, registry, "new", "1"), prepared(hub, registry, "new", "2")]
    catalog.create(hub, OWNER, AssetRef(registry, ENVIRONMENT, "new", "1"), {"image": "docker.io/python"})
    first, second = catalog.create_all(hub, orders)
    assert not isinstance(first, Exception) and not first[1]
    assert not isinstance(second, Exception) and second[1]
    body = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "new").body
    assert body["properties"]["latestVersion"] == "2"


def test_one_more_version_costs_few_statements(hub: Hub, registry: RegistryScope) -> None:
    """What a create costs is counted, not timed: the benchmarks stand on it."""
    ref = AssetRef(registry, MODEL, "m", "1")
    address = upload(hub, ref, {"w.bin": "weights"}, at="model")
    properties = {"modelUri": address, "tags": {"stage": "dev"}}
    catalog.create(hub, OWNER, ref, properties)
    stored = catalog.get(hub, OWNER, ref).body["properties"]["modelUri"]

    with statements(hub) as seen:
        catalog.create(hub, OWNER, AssetRef(registry, MODEL, "m", "2"), {"modelUri": stored, "tags": {"stage": "dev"}})
    words = [text.split()[0] for text in seen]
    # the version, its facets (two of the tag, one of the snapshot), the name, the audit entry, a copy to the region
    assert words.count("COMMIT") == 1
    assert len(words) <= 9, seen
