"""Where bytes may come from, what becomes of their address, and what is refused."""

from typing import Any

import pytest

from entrepot.core.errors import AlreadyExists, InvalidReference, InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, RegistryScope, WorkspaceScope
from entrepot.core.nouns import CODE, DATA, ENVIRONMENT, MODEL
from entrepot.domain import datastores, workspaces
from entrepot.domain.assets import catalog, sources, uploads
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import BLOB_ORIGIN, home
from entrepot.store import snapshots
from entrepot.store.containers import snapshot_container
from entrepot.store.documents import Document
from entrepot.testing.hub import OWNER, content_of, upload
from entrepot.testing.jobs import MLMODEL, ended_job


def model(hub: Hub, ref: AssetRef, uri: str, **more: Any) -> Document:
    return catalog.create(hub, OWNER, ref, {"modelUri": uri, **more})[0]


def store_files(hub: Hub, scope: WorkspaceScope, path: str, files: dict[str, str], *, store: str = "") -> str:
    """Write blobs into a datastore as the SDK does; return the short address of the folder."""
    name = store or datastores.BLOB_STORE
    container = datastores.container_of(hub, scope, name)
    blobs = hub.depots.of(home(hub, scope).region)
    for file, text in files.items():
        hub.containers.put(container, f"{path}/{file}", snapshots.keep(blobs, text.encode()), len(text.encode()))
    return f"azureml://datastores/{name}/paths/{path}"


def test_a_registry_keeps_bytes_in_its_own_storage(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, MODEL, "m", "1")
    body = model(hub, ref, upload(hub, ref, {"a/w.bin": "w", "b.txt": "b"}, at="model")).body
    digest = body["entrepot"]["snapshot"]
    assert body["properties"]["modelUri"] == f"{BLOB_ORIGIN}/{snapshot_container(digest)}/model"
    assert body["entrepot"]["path"] == "model"
    listed = hub.containers.list(snapshot_container(digest), prefix="model/").items
    assert [item.name for item in listed] == ["model/a/w.bin", "model/b.txt"]


def test_a_single_file_is_an_asset_under_its_own_name(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    for scope in (registry, dev):
        ref = AssetRef(scope, MODEL, "m", "1")
        document = model(hub, ref, upload(hub, ref, {"model.pkl": "pickled"}))
        assert document.body["entrepot"]["path"] == "model.pkl"
        assert content_of(hub, document) == {"model.pkl": b"pickled"}
        assert document.body["properties"]["modelUri"].endswith("/model.pkl")


def test_a_folder_with_one_file_of_its_own_name_is_still_a_folder(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, DATA, "d", "1")
    uri = upload(hub, ref, {"x": "1"}, at="x")
    document, _ = catalog.create(hub, OWNER, ref, {"dataType": "uri_folder", "dataUri": uri})
    assert hub.containers.stat(snapshot_container(document.body["entrepot"]["snapshot"]), "x/x") is not None


def test_a_workspace_model_from_an_upload_lies_in_the_default_datastore(hub: Hub, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, MODEL, "m", "1")
    body = model(hub, ref, upload(hub, ref, {"w.bin": "w"}, at="model")).body
    uri = body["properties"]["modelUri"]
    assert uri.startswith(f"azureml://subscriptions/s1/resourcegroups/{dev.resource_group}/workspaces/dev/datastores/")
    container = datastores.container_of(hub, dev, datastores.BLOB_STORE)
    assert [f.path for f in hub.containers.tree(container, uri.partition("/paths/")[2]).files] == ["w.bin"]
    again = model(hub, AssetRef(dev, MODEL, "m", "2"), uri)
    assert again.body["entrepot"]["snapshot"] == body["entrepot"]["snapshot"]


def test_a_datastore_address_stays_as_it_was_sent(hub: Hub, dev: WorkspaceScope) -> None:
    uri = store_files(hub, dev, "LocalUpload/abc/data", {"d.csv": "1,2"})
    ref = AssetRef(dev, DATA, "d", "1")
    document, _ = catalog.create(hub, OWNER, ref, {"dataType": "uri_folder", "dataUri": uri})
    assert document.body["properties"]["dataUri"] == uri
    assert content_of(hub, document) == {"d.csv": b"1,2"}


def test_a_version_keeps_its_bytes_when_the_datastore_changes(hub: Hub, dev: WorkspaceScope) -> None:
    uri = store_files(hub, dev, "shared/data", {"d.csv": "old"})
    ref = AssetRef(dev, DATA, "d", "1")
    given = {"dataType": "uri_folder", "dataUri": uri}
    catalog.create(hub, OWNER, ref, given)
    store_files(hub, dev, "shared/data", {"d.csv": "new"})
    document, is_created = catalog.create(hub, OWNER, ref, given)
    assert not is_created
    assert content_of(hub, document) == {"d.csv": b"old"}
    fresh, _ = catalog.create(hub, OWNER, AssetRef(dev, DATA, "d", "2"), given)
    assert content_of(hub, fresh) == {"d.csv": b"new"}


JOB_FORMS = [
    "azureml://jobs/train/outputs/trained/paths/model",
    "azureml://jobs/train/outputs/artifacts/paths/model",
    "azureml://jobs/train/outputs/artifacts/paths/outputs/model",
    "runs:/train/model",
]


@pytest.mark.parametrize("form", JOB_FORMS)
def test_a_model_made_from_a_job_lies_where_the_job_left_it_and_tells_the_job(
    hub: Hub, dev: WorkspaceScope, form: str
) -> None:
    ended_job(
        hub, dev, "train",
        codeId="code-1", environmentId="env-1", componentId="comp-1", inputs={"d": {"id": "data-1", "uri": "u"}},
    )  # fmt: skip
    document = model(hub, AssetRef(dev, MODEL, "taxi", "1"), form, modelType="mlflow_model")
    body = document.body
    assert content_of(hub, document)["w.bin"] == b"trained"
    uri = body["properties"]["modelUri"]
    container = datastores.container_of(hub, dev, uri.partition("/datastores/")[2].partition("/")[0])
    assert hub.containers.tree(container, uri.partition("/paths/")[2]).find("w.bin") is not None
    told = body["entrepot"]["provenance"]
    assert (told["job"], told["jobName"], told["workspace"]) == (f"{dev.arm_id}/jobs/train", "train", dev.arm_id)
    assert told["workspaceId"] == workspaces.get(hub, OWNER, dev).body["properties"]["workspaceId"]
    assert (told["code"], told["environment"], told["component"]) == ("code-1", "env-1", "comp-1")
    assert (told["inputs"], told["registeredBy"]) == (["data-1"], "Olga Owner")
    assert body["properties"]["jobName"] == "train"
    relations = {link.relation for link in hub.documents.links(told["job"])}
    assert relations == {"produced", "registered"}


def test_the_outputs_folder_of_a_job_need_not_be_named(hub: Hub, dev: WorkspaceScope) -> None:
    ended_job(hub, dev, "train")
    container = datastores.container_of(hub, dev, datastores.ARTIFACT_STORE)
    blobs = hub.depots.of(home(hub, dev).region)
    hub.containers.put(container, "ExperimentRun/dcid.train/outputs/only/x", snapshots.keep(blobs, b"1"), 1)
    document = model(hub, AssetRef(dev, MODEL, "m", "1"), "azureml://jobs/train/outputs/artifacts/paths/only")
    assert content_of(hub, document) == {"x": b"1"}


def test_the_output_of_a_pipeline_tells_the_step_that_made_it(hub: Hub, dev: WorkspaceScope) -> None:
    ended_job(hub, dev, "step", parent="pipe", codeId="code-1", environmentId="env-1", root="pipe")
    ended_job(hub, dev, "pipe")
    told = model(hub, AssetRef(dev, MODEL, "m", "1"), "azureml://jobs/pipe/outputs/trained/paths/model").body
    told = told["entrepot"]["provenance"]
    assert (told["jobName"], told["code"], told["rootJob"]) == ("step", "code-1", f"{dev.arm_id}/jobs/pipe")


def test_a_model_tells_the_data_at_the_start_of_its_pipeline(hub: Hub, dev: WorkspaceScope) -> None:
    raw = {"uri": "azureml://datastores/workspaceblobstore/paths/raw", "digest": "d1"}
    ended_job(hub, dev, "prep", parent="pipe", inputs={"raw": raw, "rate": "0.3"})
    halfway = {"uri": "azureml://jobs/prep/outputs/trained", "digest": "d2"}
    ended_job(hub, dev, "train", inputs={"x": halfway, "y": halfway, "z": {"id": "azureml:grid:1", "uri": "u"}})
    document = model(hub, AssetRef(dev, MODEL, "m", "1"), "azureml://jobs/train/outputs/trained/paths/model")
    assert document.body["entrepot"]["provenance"]["data"] == [{"id": "azureml:grid:1", "uri": "u"}, raw]


def test_a_registry_model_from_a_job_is_copied_and_finds_the_workspace_itself(
    hub: Hub, registry: RegistryScope, prod: WorkspaceScope
) -> None:
    ended_job(hub, prod, "train")  # in the registry's other region
    document = model(hub, AssetRef(registry, MODEL, "m", "1"), "azureml://jobs/train/outputs/trained/paths/model")
    ours = document.body["entrepot"]
    assert ours["provenance"]["workspace"] == prod.arm_id
    assert snapshots.exists(hub.depots.of(home(hub, registry).region), ours["snapshot"])


def test_a_job_name_in_two_workspaces_needs_the_long_form(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, prod: WorkspaceScope
) -> None:
    ended_job(hub, dev, "train")
    ended_job(hub, prod, "train")
    ref = AssetRef(registry, MODEL, "m", "1")
    with pytest.raises(InvalidReference, match="dev, prod all have a job 'train'"):
        model(hub, ref, "azureml://jobs/train/outputs/trained/paths/model")
    long = f"azureml://{dev.key}/jobs/train/outputs/trained/paths/model"
    assert model(hub, ref, long).body["entrepot"]["provenance"]["workspace"].lower().endswith("/workspaces/dev")


def test_another_asset_is_a_source_and_is_told(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    ref = AssetRef(registry, MODEL, "m", "1")
    first = model(hub, ref, upload(hub, ref, {"w.bin": "w"}, at="model"))
    copy = model(hub, AssetRef(dev, MODEL, "mine", "1"), f"{ref.id}")
    assert copy.body["entrepot"]["snapshot"] == first.body["entrepot"]["snapshot"]
    assert copy.body["entrepot"]["provenance"]["sourceAsset"] == ref.id


def test_data_may_point_outside_in_a_workspace_and_not_in_a_registry(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope
) -> None:
    given = {"dataType": "uri_file", "dataUri": "https://example.org/taxi.csv"}
    document, _ = catalog.create(hub, OWNER, AssetRef(dev, DATA, "d", "1"), given)
    assert document.body["properties"]["dataUri"] == given["dataUri"]
    assert "snapshot" not in document.body["entrepot"]
    assert not catalog.create(hub, OWNER, AssetRef(dev, DATA, "d", "1"), given)[1]
    with pytest.raises(AlreadyExists, match="path is"):
        catalog.create(hub, OWNER, AssetRef(dev, DATA, "d", "1"), {**given, "dataUri": "https://example.org/other"})
    with pytest.raises(InvalidRequest, match="a registry keeps its own copy"):
        catalog.create(hub, OWNER, AssetRef(registry, DATA, "d", "1"), given)
    with pytest.raises(InvalidRequest, match="only data assets may point there"):
        model(hub, AssetRef(dev, MODEL, "m", "1"), "https://example.org/model.pkl")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("azureml://datastores/elsewhere/paths/x", "There is no datastore 'elsewhere'"),
        ("azureml://jobs/nobody/outputs/x", "There is no job 'nobody'"),
        ("azureml://jobs/train/outputs/other", "no output 'other' (its outputs are trained, artifacts"),
        ("azureml://jobs/train/outputs/trained/paths/nope", "no file or folder nope in its output 'trained'"),
        ("azureml:nothing:1", "There is no model nothing:1"),
        (f"{BLOB_ORIGIN}/unknown-container/x", "There is no container 'unknown-container'"),
    ],
)
def test_what_is_not_there_is_told_clearly(hub: Hub, dev: WorkspaceScope, uri: str, said: str) -> None:
    ended_job(hub, dev, "train")
    with pytest.raises(NotFound) as missing:
        model(hub, AssetRef(dev, MODEL, "m", "1"), uri)
    assert said in missing.value.message


def test_a_local_path_that_was_not_uploaded_is_told(hub: Hub, dev: WorkspaceScope) -> None:
    with pytest.raises(InvalidReference, match=r"'\./model' is a local path"):
        model(hub, AssetRef(dev, MODEL, "m", "1"), "./model")
    with pytest.raises(InvalidRequest, match="modelUri is missing"):
        catalog.create(hub, OWNER, AssetRef(dev, MODEL, "m", "1"), {})


def test_knowing_a_digest_or_a_container_gives_no_right_to_its_bytes(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, prod: WorkspaceScope, stranger: Principal
) -> None:
    ref = AssetRef(dev, MODEL, "secret", "1")
    uri = upload(hub, ref, {"w.bin": "secret"}, at="model")
    digest = model(hub, ref, uri).body["entrepot"]["snapshot"]
    assignments.assign(hub, OWNER, role="AzureML Data Scientist", assignee=stranger.id, scope=prod.arm_id)
    for stolen in (uri, f"{BLOB_ORIGIN}/{snapshot_container(digest)}/model"):
        with pytest.raises(NotFound):
            catalog.create(hub, stranger, AssetRef(prod, MODEL, "mine", "1"), {"modelUri": stolen})
    with pytest.raises(NotFound):
        catalog.create(hub, stranger, AssetRef(prod, MODEL, "mine", "1"), {"modelUri": ref.id})


def test_an_mlflow_model_tells_its_flavors_and_needs_its_file(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, MODEL, "m", "1")
    good = upload(hub, ref, {"MLmodel": MLMODEL, "model.pkl": "x"}, at="model")
    body = model(hub, ref, good, modelType="mlflow_model").body
    assert body["properties"]["flavors"]["python_function"]["data"]["loader_module"] == "mlflow.sklearn"
    bad = upload(hub, ref, {"model.pkl": "x"}, at="model")
    with pytest.raises(InvalidRequest, match=r"has no file MLmodel \(it holds model.pkl\)"):
        model(hub, AssetRef(registry, MODEL, "m", "2"), bad, modelType="mlflow_model")
    with pytest.raises(InvalidRequest, match="must be one of custom_model, mlflow_model, triton_model"):
        model(hub, AssetRef(registry, MODEL, "m", "2"), bad, modelType="keras")


@pytest.mark.parametrize(
    ("kind", "files", "at", "said"),
    [
        ("uri_file", {"a": "1"}, "folder", "folder is a folder"),
        ("uri_folder", {"a.csv": "1"}, "", "a.csv is a file"),
        ("mltable", {"a.csv": "1"}, "folder", "has no file MLTable"),
    ],
)
def test_data_must_be_what_its_type_says(
    hub: Hub, registry: RegistryScope, kind: str, files: dict[str, str], at: str, said: str
) -> None:
    ref = AssetRef(registry, DATA, "d", "1")
    with pytest.raises(InvalidRequest, match=said):
        catalog.create(hub, OWNER, ref, {"dataType": kind, "dataUri": upload(hub, ref, files, at=at)})


def test_a_build_context_needs_its_dockerfile_and_the_default_is_filled_in(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    uri = upload(hub, ref, {"Dockerfile": "FROM python", "req.txt": "x"}, at="context") + "/"
    body = catalog.create(hub, OWNER, ref, {"build": {"contextUri": uri}})[0].body
    assert body["properties"]["build"]["dockerfilePath"] == "Dockerfile"
    assert body["properties"]["build"]["contextUri"].endswith("/context/")
    assert not catalog.create(hub, OWNER, ref, body["properties"])[1]
    with pytest.raises(InvalidRequest, match="has no docker/Dockerfile"):
        build = {"contextUri": uri, "dockerfilePath": "docker/Dockerfile"}
        catalog.create(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "2"), {"build": build})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "neither an image nor a build context"),
        ({"image": "x", "build": {"contextUri": "y"}}, "both an image"),
        ({"image": "x", "condaFile": "name: [unclosed"}, "not YAML"),
        ({"image": "x", "condaFile": "- a\n- b"}, "must be a YAML mapping"),
    ],
)
def test_an_environment_that_says_nothing_or_too_much_is_refused(
    hub: Hub, registry: RegistryScope, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        catalog.create(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "1"), given)


def test_conda_files_are_compared_by_what_they_say(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    one = {"image": "x", "condaFile": "dependencies: [python=3.11]  # comment\nname: e\n"}
    other = {"image": "x", "condaFile": "name: e\ndependencies:\n- python=3.11\n"}
    catalog.create(hub, OWNER, ref, one)
    assert not catalog.create(hub, OWNER, ref, other)[1]
    with pytest.raises(AlreadyExists, match="conda_file"):
        catalog.create(hub, OWNER, ref, {**one, "condaFile": "dependencies: [python=3.10]"})


def test_reading_gives_the_read_only_view_of_a_version(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, DATA, "d", "1")
    catalog.create(hub, OWNER, ref, {"dataType": "uri_file", "dataUri": upload(hub, ref, {"d.csv": "1"})})
    place = uploads.reading(hub, OWNER, ref)
    assert hub.containers.stat(place.container, place.prefix) is not None
    assert place.container.startswith("s-")
    outside = AssetRef(dev, DATA, "o", "1")
    catalog.create(hub, OWNER, outside, {"dataType": "uri_file", "dataUri": "https://example.org/x"})
    with pytest.raises(InvalidRequest, match=r"it points to https://example\.org/x"):
        uploads.reading(hub, OWNER, outside)


def test_each_upload_has_a_container_of_its_own(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, CODE, "c", "1")
    one, other = uploads.start(hub, OWNER, ref), uploads.start(hub, OWNER, ref)
    assert one.container != other.container
    assert one.region == "eastus"


def test_a_job_that_one_may_not_read_is_not_there(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, stranger: Principal
) -> None:
    ended_job(hub, dev, "train")
    with pytest.raises(NotFound, match="in any workspace that you may see"):
        sources.find_job(hub, stranger, "train", None)
