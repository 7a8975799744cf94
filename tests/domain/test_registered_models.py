"""MLflow's registered models are model assets: what its calls do to assets, and what assets do to its answers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, AlreadyExists, InvalidRequest, NotFound, Unsupported
from entrepot.core.ids import AssetPointer, AssetRef, RegistryScope, Scope, WorkspaceScope
from entrepot.core.nouns import MODEL
from entrepot.domain import datastores, registered, workspaces
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.store import snapshots
from entrepot.testing.hub import OWNER, upload

Json = Any

READER = Principal(id="33333333-3333-3333-3333-333333333333", name="Rita Reader")


def call(hub: Hub, scope: Scope, endpoint: str, method: str = "POST", *, who: Principal = OWNER, **body: Json) -> Json:
    """Call as an MLflow client does."""
    return registered.handle(hub, who, scope, endpoint, body, method=method)


def lay(hub: Hub, scope: WorkspaceScope, path: str = "trained/a.txt") -> str:
    """Put a file into the workspace's default datastore and return its folder's address."""
    container = datastores.container_of(hub, scope, datastores.BLOB_STORE)
    store = hub.depots.of(workspaces.region_of(hub, scope))
    hub.containers.put(container, path, snapshots.keep(store, b"x"), 1)
    return f"azureml://datastores/workspaceblobstore/paths/{path.partition('/')[0]}/"


@pytest.fixture
def taxi(hub: Hub, dev: WorkspaceScope) -> str:
    """A registered model with two versions; its source."""
    source = lay(hub, dev)
    call(hub, dev, "registered-models/create", name="taxi")
    for _ in range(2):
        call(hub, dev, "model-versions/create", name="taxi", source=source)
    return source


def test_the_same_source_twice_is_two_versions_and_both_are_assets(hub: Hub, dev: WorkspaceScope, taxi: str) -> None:
    found = call(hub, dev, "model-versions/search", "GET", filter="name = 'taxi'", order_by=["version_number ASC"])
    assert [each["version"] for each in found["model_versions"]] == ["1", "2"]
    body = catalog.get(hub, OWNER, AssetRef(dev, MODEL, "taxi", "2")).body
    assert (body["properties"]["modelType"], body["properties"]["modelUri"]) == ("custom_model", taxi)


def test_an_asset_that_the_sdk_made_is_a_registered_model(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, MODEL, "made", "2024.1")
    catalog.create(hub, OWNER, ref, {"modelUri": upload(hub, ref, {"weights.bin": "w"}), "tags": {"a": "b"}})
    found = call(hub, registry, "registered-models/get", "GET", name="made")["registered_model"]
    assert [(each["version"], each["tags"]) for each in found["latest_versions"]] == [
        ("2024.1", [{"key": "a", "value": "b"}])
    ]
    container, folder = registered.place(hub, OWNER, registry, "made/2024.1")
    assert [item.name for item in hub.containers.list(container, folder).items] == ["weights.bin"]
    assert registered.place(hub, OWNER, registry, "made/2024.1/weights.bin") == (container, "weights.bin")


def test_an_alias_is_also_a_label_of_the_asset(hub: Hub, dev: WorkspaceScope, taxi: str) -> None:
    call(hub, dev, "registered-models/alias", name="taxi", alias="champion", version="1")
    document = catalog.resolve(hub, OWNER, AssetPointer(MODEL, "taxi", label="champion", scope=dev))
    assert document.body["name"] == "1"
    with pytest.raises(NotFound, match="label challenger"):
        catalog.resolve(hub, OWNER, AssetPointer(MODEL, "taxi", label="challenger", scope=dev))


def test_an_alias_is_kept_when_versions_and_descriptions_come(hub: Hub, dev: WorkspaceScope, taxi: str) -> None:
    call(hub, dev, "registered-models/alias", name="taxi", alias="champion", version="1")
    call(hub, dev, "model-versions/create", name="taxi", source=taxi)
    call(hub, dev, "registered-models/update", "PATCH", name="taxi", description="d")
    found = call(hub, dev, "registered-models/alias", "GET", name="taxi", alias="champion")["model_version"]
    assert (found["version"], found["aliases"]) == ("1", ["champion"])


@pytest.mark.parametrize("alias", ["latest", "v1", "V22", "a b", "a/b", "x" * 256])
def test_what_cannot_be_an_alias_is_refused(hub: Hub, dev: WorkspaceScope, taxi: str, alias: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid alias"):
        call(hub, dev, "registered-models/alias", name="taxi", alias=alias, version="1")


def test_an_alias_needs_a_version_that_is_there(hub: Hub, dev: WorkspaceScope, taxi: str) -> None:
    with pytest.raises(NotFound, match="version=7"):
        call(hub, dev, "registered-models/alias", name="taxi", alias="champion", version="7")
    call(hub, dev, "registered-models/alias", name="taxi", alias="champion", version="1")
    call(hub, dev, "model-versions/delete", "DELETE", name="taxi", version="1")
    with pytest.raises(NotFound):
        call(hub, dev, "registered-models/alias", "GET", name="taxi", alias="champion")


def test_many_who_register_at_once_each_get_a_version(hub: Hub, dev: WorkspaceScope) -> None:
    source = lay(hub, dev)
    call(hub, dev, "registered-models/create", name="busy")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: call(hub, dev, "model-versions/create", name="busy", source=source), range(12)))
    assert sorted(int(each["model_version"]["version"]) for each in made) == list(range(1, 13))


def test_who_may_read_may_not_change(hub: Hub, dev: WorkspaceScope, taxi: str) -> None:
    with pytest.raises(NotFound):
        call(hub, dev, "registered-models/get", "GET", who=READER, name="taxi")
    assignments.assign(hub, OWNER, role="Reader", assignee=READER.id, scope=dev.arm_id)
    assert call(hub, dev, "registered-models/get", "GET", who=READER, name="taxi")
    for endpoint, method, more in (
        ("registered-models/alias", "POST", {"alias": "x", "version": "1"}),
        ("registered-models/set-tag", "POST", {"key": "k", "value": "v"}),
        ("registered-models/delete", "DELETE", {}),
        ("model-versions/create", "POST", {"source": taxi}),
        ("model-versions/delete", "DELETE", {"version": "1"}),
        ("model-versions/transition-stage", "POST", {"version": "1", "stage": "Production"}),
    ):
        with pytest.raises(AccessDenied):
            call(hub, dev, endpoint, method, who=READER, name="taxi", **more)


def test_a_name_without_versions_can_be_deleted(hub: Hub, dev: WorkspaceScope) -> None:
    call(hub, dev, "registered-models/create", name="empty")
    with pytest.raises(AlreadyExists):
        call(hub, dev, "registered-models/create", name="empty")
    call(hub, dev, "registered-models/delete", "DELETE", name="empty")
    with pytest.raises(NotFound):
        call(hub, dev, "registered-models/get", "GET", name="empty")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("runs:/nobody/model", NotFound), ("models:/m-0123", NotFound), ("models:/taxi/9", NotFound),
        ("mlflow-artifacts:/nobody/artifacts/model", NotFound), ("/tmp/model", InvalidRequest),
        ("file:///etc/passwd", InvalidRequest), ("s3://bucket/model", InvalidRequest),
        ("mlflow-artifacts:/../../etc/passwd", InvalidRequest),
        ("https://api.entrepot.invalid/mlflow/v2.0/registries/other/registered-models/api/2.0/mlflow-artifacts/"
         "artifacts/taxi/1", InvalidRequest),
    ],
)  # fmt: skip
def test_a_version_is_made_of_what_is_here(
    hub: Hub, dev: WorkspaceScope, taxi: str, source: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(hub, dev, "model-versions/create", name="taxi", source=source)


def test_other_calls_and_stages_are_refused_by_name(hub: Hub, dev: WorkspaceScope, taxi: str) -> None:
    with pytest.raises(Unsupported, match="model-versions/explode"):
        call(hub, dev, "model-versions/explode")
    with pytest.raises(InvalidRequest, match="None, Staging, Production, Archived"):
        call(hub, dev, "model-versions/transition-stage", name="taxi", version="1", stage="Prod")
