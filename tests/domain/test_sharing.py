"""Sharing: closures, pins, all or nothing, no byte twice, provenance kept."""

from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, AlreadyExists, EntrepotError, InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, RegistryScope, Scope, WorkspaceScope
from entrepot.core.nouns import CODE, COMPONENT, DATA, ENVIRONMENT, MODEL, Kind
from entrepot.domain import audit, gallery, registries, workspaces
from entrepot.domain.assets import catalog, sharing
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.store import paths
from entrepot.store.documents import Document
from entrepot.testing.hub import OWNER, content_of, upload
from entrepot.testing.jobs import ended_job


def make(hub: Hub, scope: Scope, kind: Kind, name: str, version: str = "1", text: str = "x", **spec: Any) -> Document:
    ref = AssetRef(scope, kind, name, version)
    given: dict[str, Any]
    if kind is MODEL:
        given = {"modelUri": upload(hub, ref, {"w.bin": text}, at="model"), "tags": {"t": "1"}}
    elif kind is DATA:
        given = {"dataType": "uri_file", "dataUri": upload(hub, ref, {"d.csv": text})}
    elif kind is CODE:
        given = {"codeUri": upload(hub, ref, {"main.py": text}, at="src")}
    elif kind is ENVIRONMENT:
        given = {"image": f"docker.io/{text}"}
    else:
        given = {"componentSpec": {"type": "command", "command": "echo", **spec}}
    return catalog.create(hub, OWNER, ref, given)[0]


def share(
    hub: Hub, source: Document, registry: RegistryScope, name: str = "", version: str = "", who: Principal = OWNER
) -> Document:
    ref = catalog.ref_of(source.body)
    target = AssetRef(registry, ref.kind, name or ref.name, version or ref.version)
    return sharing.share(hub, who, ref, target)


def pipeline(hub: Hub, scope: WorkspaceScope) -> Document:
    """A pipeline component of two steps, each with code, on one environment."""
    env = make(hub, scope, ENVIRONMENT, "base").body["id"]
    jobs = {}
    for step in ("prep", "train"):
        code = make(hub, scope, CODE, f"code-{step}", text=step).body["id"]
        child = make(hub, scope, COMPONENT, step, environment=f"azureml:{env}", code=f"azureml:{code}").body["id"]
        jobs[step] = {"type": "command", "component": f"azureml:{child}"}
    return make(hub, scope, COMPONENT, "pipe", type="pipeline", command=None, jobs=jobs)


@pytest.mark.parametrize("kind", [MODEL, DATA, ENVIRONMENT, CODE], ids=lambda kind: kind.noun)
def test_every_kind_can_be_shared_under_another_name(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, kind: Kind
) -> None:
    source = make(hub, dev, kind, "thing", "3")
    shared = share(hub, source, registry, "renamed", "v1")
    body = shared.body
    assert body["id"] == f"azureml://registries/contoso/{kind.plural}/renamed/versions/v1"
    assert body["entrepot"]["provenance"]["sourceAsset"] == source.body["id"]
    assert body["entrepot"]["provenance"]["workspace"] == dev.arm_id
    if kind is not ENVIRONMENT:
        assert content_of(hub, shared) == content_of(hub, source)
        assert body["entrepot"]["provenance"]["sourceDigest"] == source.body["entrepot"]["snapshot"]
    links = hub.documents.links(source.body["id"], relation="shared")
    assert [link.target for link in links] == [body["id"]]


def test_a_pipeline_component_takes_its_whole_closure_along(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope
) -> None:
    shared = share(hub, pipeline(hub, dev), registry)
    nodes = shared.body["properties"]["componentSpec"]["jobs"]
    for step in ("prep", "train"):
        child_id = f"azureml://registries/contoso/components/{step}/versions/1"
        assert nodes[step]["component"] == child_id
        child = catalog.get(hub, OWNER, AssetRef(registry, COMPONENT, step, "1")).body["properties"]["componentSpec"]
        assert child["environment"] == "azureml://registries/contoso/environments/base/versions/1"
        assert child["code"] == f"azureml://registries/contoso/codes/code-{step}/versions/1"
        code = catalog.get(hub, OWNER, AssetRef(registry, CODE, f"code-{step}", "1"))
        assert content_of(hub, code) == {"main.py": step.encode()}
        used = {link.target for link in hub.documents.links(child_id, relation="used")}
        assert used == {child["environment"], child["code"]}


def test_sharing_again_gives_the_same_version_and_changes_nothing(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope
) -> None:
    source = pipeline(hub, dev)
    first = share(hub, source, registry)
    before = audit.entries(hub, limit=1, newest=True)
    again = share(hub, source, registry)
    assert again.body == first.body
    assert audit.entries(hub, limit=1, newest=True) == before


def test_a_registrys_own_tags_survive_sharing_again(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    source = make(hub, dev, MODEL, "m")
    ref = catalog.ref_of(share(hub, source, registry).body)
    catalog.update(hub, OWNER, ref, {"tags": {"stage": "Prod"}})
    assert share(hub, source, registry).body["properties"]["tags"] == {"stage": "Prod"}


def test_other_content_under_the_same_name_is_a_conflict_and_nothing_is_published(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope
) -> None:
    env = make(hub, registry, ENVIRONMENT, "base", text="old").body["id"]
    make(hub, registry, COMPONENT, "pipe", environment=env)
    with pytest.raises(AlreadyExists, match="Component pipe:1 already exists in registry contoso"):
        share(hub, pipeline(hub, dev), registry)
    names = [d.body["name"] for d in catalog.containers(hub, OWNER, registry, COMPONENT).documents]
    assert names == ["pipe"]
    assert catalog.containers(hub, OWNER, registry, CODE).documents == ()


def test_a_child_whose_name_is_taken_by_other_content_gets_a_version_of_its_content(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope
) -> None:
    make(hub, registry, ENVIRONMENT, "base", text="quite another")
    first = share(hub, pipeline(hub, dev), registry)
    child = first.body["properties"]["componentSpec"]["jobs"]["prep"]["component"]
    spec = catalog.get(hub, OWNER, AssetRef(registry, COMPONENT, "prep", "1")).body["properties"]["componentSpec"]
    assert child.endswith("/components/prep/versions/1")
    head, _, version = spec["environment"].rpartition("/")
    assert head == "azureml://registries/contoso/environments/base/versions"
    assert version.startswith("1-") and len(version) == 14
    assert share(hub, catalog.get(hub, OWNER, AssetRef(dev, COMPONENT, "pipe", "1")), registry).body == first.body


def test_two_workspaces_with_children_of_the_same_names_share_side_by_side(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, prod: WorkspaceScope
) -> None:
    for scope, text in ((dev, "a"), (prod, "b")):
        env = make(hub, scope, ENVIRONMENT, "base", text=text).body["id"]
        child = make(hub, scope, COMPONENT, "step", environment=f"azureml:{env}").body["id"]
        jobs = {"s": {"component": f"azureml:{child}"}}
        make(hub, scope, COMPONENT, f"pipe_{scope.name}", type="pipeline", command=None, jobs=jobs)
    shared = [
        share(hub, catalog.get(hub, OWNER, AssetRef(scope, COMPONENT, f"pipe_{scope.name}", "1")), registry)
        for scope in (dev, prod)
    ]
    images = []
    for document in shared:
        child = document.body["properties"]["componentSpec"]["jobs"]["s"]["component"]
        name, _, version = child.partition("/components/")[2].partition("/versions/")
        spec = catalog.get(hub, OWNER, AssetRef(registry, COMPONENT, name, version)).body["properties"]["componentSpec"]
        assert (spec["name"], spec["version"]) == (name, version)
        name, _, version = spec["environment"].partition("/environments/")[2].partition("/versions/")
        env = catalog.get(hub, OWNER, AssetRef(registry, ENVIRONMENT, name, version)).body["properties"]
        images.append(env["image"])
    assert images == ["docker.io/a", "docker.io/b"]


def test_what_lies_in_another_registry_is_referenced_there(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope
) -> None:
    gallery.publish(hub)
    curated = "azureml://registries/azureml/environments/sklearn-1.5/versions/1"
    shared = share(hub, make(hub, dev, COMPONENT, "c", environment=curated), registry)
    assert shared.body["properties"]["componentSpec"]["environment"] == curated
    assert catalog.containers(hub, OWNER, registry, ENVIRONMENT).documents == ()


def test_no_bytes_move_when_the_registrys_region_has_them(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, prod: WorkspaceScope
) -> None:
    here, there = make(hub, dev, MODEL, "near", text="near"), make(hub, prod, MODEL, "far", text="far")
    store = hub.depots.of(workspaces.region_of(hub, registry))

    def blobs() -> list[str]:
        return [blob.name for blob in store.list("sha256/")]

    before = blobs()
    share(hub, here, registry)
    assert blobs() == before
    share(hub, there, registry)
    (arrived,) = set(blobs()) - set(before)
    with store.open(arrived) as file:
        assert file.read() == b"far"
    assert paths.digest_in(arrived) is not None


def test_a_promoted_model_proves_the_job_it_came_from(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    ended_job(
        hub, dev, "train", codeId="code-1", environmentId="env-1", componentId="comp-1", inputs={"d": {"id": "d1"}}
    )
    ref = AssetRef(dev, MODEL, "taxi", "1")
    uri = "azureml://jobs/train/outputs/trained/paths/model"
    source, _ = catalog.create(hub, OWNER, ref, {"modelUri": uri, "modelType": "mlflow_model"})
    body = share(hub, source, registry).body
    told = body["entrepot"]["provenance"]
    expected = {
        "jobName": "train", "workspace": dev.arm_id, "code": "code-1", "environment": "env-1", "component": "comp-1",
        "inputs": ["d1"], "sourceAsset": ref.id, "sourceDigest": source.body["entrepot"]["snapshot"],
        "sharedBy": "Olga Owner", "registeredBy": "Olga Owner",
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    assert body["properties"]["flavors"] == source.body["properties"]["flavors"] != {}
    assert body["properties"]["modelUri"].startswith("https://blob.entrepot.invalid/s-")


def test_an_import_by_the_portable_id_is_a_share(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    make(hub, dev, MODEL, "m", "7")
    guid = workspaces.get(hub, OWNER, dev).body["properties"]["workspaceId"]
    source = f"azureml://locations/eastus/workspaces/{guid}/models/m/versions/7"
    body = {"properties": {"referenceType": "Id", "sourceAssetId": source, "destinationName": "n"}}
    imported = sharing.import_(hub, OWNER, registry, body)
    assert imported.body["id"] == "azureml://registries/contoso/models/n/versions/7"
    for wrong, error in (({}, InvalidRequest), ({"sourceAssetId": "azureml:m:1"}, EntrepotError)):
        with pytest.raises(error):
            sharing.import_(hub, OWNER, registry, {"properties": wrong})


def test_a_registry_can_be_the_source_for_another(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    registries.create(hub, OWNER, "s1", "rg", "second", {"location": "westeurope"})
    first = share(hub, pipeline(hub, dev), registry)
    second = share(hub, first, RegistryScope("second"))
    node = second.body["properties"]["componentSpec"]["jobs"]["prep"]
    assert node["component"] == "azureml://registries/second/components/prep/versions/1"
    code = catalog.get(hub, OWNER, AssetRef(RegistryScope("second"), CODE, "code-prep", "1"))
    assert content_of(hub, code) == {"main.py": b"prep"}


def test_sharing_needs_read_here_and_write_there(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, stranger: Principal
) -> None:
    source = make(hub, dev, MODEL, "m")
    with pytest.raises(NotFound):
        share(hub, source, registry, who=stranger)
    assignments.assign(hub, OWNER, role="Reader", assignee=stranger.id, scope=dev.arm_id)
    with pytest.raises(NotFound, match=r"no registry 'contoso' that .* may see") as unseen:
        share(hub, source, registry, who=stranger)
    assert 'role "AzureML Registry User"' in (unseen.value.hint or "")
    assignments.assign(hub, OWNER, role="Reader", assignee=stranger.id, scope="registries/contoso")
    with pytest.raises(AccessDenied, match="AzureML Registry User"):
        share(hub, source, registry, who=stranger)
    assignments.assign(hub, OWNER, role="AzureML Registry User", assignee=stranger.id, scope="registries/contoso")
    assert share(hub, source, registry, who=stranger).revision == 1


def test_data_that_points_outside_cannot_be_shared(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    given = {"dataType": "uri_file", "dataUri": "https://example.org/x"}
    source, _ = catalog.create(hub, OWNER, AssetRef(dev, DATA, "d", "1"), given)
    with pytest.raises(InvalidRequest, match=r"it points to https://example\.org/x"):
        share(hub, source, registry)


def test_a_build_context_travels_with_its_environment(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, ENVIRONMENT, "e", "1")
    build = {"contextUri": upload(hub, ref, {"Dockerfile": "FROM x"}, at="ctx") + "/"}
    source, _ = catalog.create(hub, OWNER, ref, {"build": build})
    shared = share(hub, source, registry)
    assert content_of(hub, shared) == {"Dockerfile": b"FROM x"}
    assert shared.body["entrepot"]["build"]["digest"] == source.body["entrepot"]["build"]["digest"]
