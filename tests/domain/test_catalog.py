"""Names, versions, labels, archive, immutability: what holds for all assets."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, AlreadyExists, InvalidName, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import AssetPointer, AssetRef, RegistryScope, Scope, WorkspaceScope
from entrepot.core.nouns import CODE, COMPONENT, DATA, ENVIRONMENT, KINDS, MODEL, Kind
from entrepot.domain import audit
from entrepot.domain.assets import catalog
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document, Order, View
from entrepot.testing.hub import OWNER, content_of, upload


def put(hub: Hub, ref: AssetRef, text: str = "weights", **properties: Any) -> tuple[Document, bool]:
    """Create a version of any kind whose content is told by `text`."""
    given: dict[str, Any] = {}
    if ref.kind is MODEL:
        given = {"modelUri": upload(hub, ref, {"w.bin": text}, at="model")}
    elif ref.kind is DATA:
        given = {"dataType": "uri_folder", "dataUri": upload(hub, ref, {"d.csv": text}, at="data")}
    elif ref.kind is CODE:
        given = {"codeUri": upload(hub, ref, {"main.py": text}, at="src")}
    elif ref.kind is ENVIRONMENT:
        given = {"image": f"docker.io/{text}"}
    else:
        given = {"componentSpec": {"type": "command", "command": f"echo {text}", "environment": "azureml:base:1"}}
    return catalog.create(hub, OWNER, ref, {**given, **properties})


def environment(hub: Hub, scope: Scope, name: str, version: str, image: str = "python", **properties: Any) -> Document:
    return put(hub, AssetRef(scope, ENVIRONMENT, name, version), image, **properties)[0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
@pytest.mark.parametrize("place", ["registry", "workspace"])
def test_every_kind_can_be_created_shown_and_listed_in_both_scopes(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope, kind: Kind, place: str
) -> None:
    scope: Scope = registry if place == "registry" else dev
    environment(hub, scope, "base", "1")
    ref = AssetRef(scope, kind, "thing", "7")
    document, is_created = put(hub, ref, tags={"a": "b"}, description="said")

    assert is_created
    body = catalog.get(hub, OWNER, ref).body
    assert body == document.body
    assert (body["id"], body["name"]) == (ref.id, "7")
    assert body["type"].endswith(f"/{kind.plural}/versions")
    assert body["properties"]["tags"] == {"a": "b"}
    assert body["systemData"]["createdBy"] == "Olga Owner"
    assert ref.id in [d.body["id"] for d in catalog.versions(hub, OWNER, scope, kind, "thing").documents]
    names = [d.body["name"] for d in catalog.containers(hub, OWNER, scope, kind).documents]
    assert "thing" in names


def test_names_that_clients_made_up_are_not_listed(hub: Hub, dev: WorkspaceScope) -> None:
    made_up, named = AssetRef(dev, MODEL, "0a1b2c", "1"), AssetRef(dev, MODEL, "taxi", "1")
    put(hub, made_up, isAnonymous=True)  # as azure-ai-ml does with the model of a deployment
    put(hub, named, tags={"isAnonymous": "true"}, description='{"isAnonymous":true}')

    def names() -> list[str]:
        return [document.body["name"] for document in catalog.containers(hub, OWNER, dev, MODEL).documents]

    assert names() == ["taxi"]
    assert catalog.get(hub, OWNER, made_up).body["properties"]["isAnonymous"] is True
    put(hub, AssetRef(dev, MODEL, "0a1b2c", "2"))
    assert sorted(names()) == ["0a1b2c", "taxi"]


def test_any_string_is_a_version_of_a_model_too(hub: Hub, registry: RegistryScope) -> None:
    for version in ("1.2.3-beta+7", "2026-11-23", "Größe", "007"):
        document, _ = put(hub, AssetRef(registry, MODEL, "m", version))
        assert catalog.get(hub, OWNER, AssetRef(registry, MODEL, "m", version)).body["name"] == version
        assert document.body["id"].endswith(f"/models/m/versions/{version}")


@pytest.mark.parametrize("version", ["", "a/b", "a b ", "x:y", "latest", "azureml_default", "..", "a" * 256])
def test_a_version_that_could_be_misread_is_refused(hub: Hub, registry: RegistryScope, version: str) -> None:
    with pytest.raises((InvalidName, InvalidRequest)) as refusal:
        put(hub, AssetRef(registry, ENVIRONMENT, "e", version))
    assert repr(version) in refusal.value.message


def test_a_component_name_with_capitals_is_refused(hub: Hub, registry: RegistryScope) -> None:
    with pytest.raises(InvalidName, match="lower-case"):
        put(hub, AssetRef(registry, COMPONENT, "Train", "1"))


def test_the_next_version_is_one_more_than_the_highest_number(hub: Hub, registry: RegistryScope) -> None:
    seen = []
    for version in ("1", "12", "blue", "3"):
        environment(hub, registry, "e", version)
        properties = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "e").body["properties"]
        seen.append((properties["latestVersion"], properties["nextVersion"]))
    assert seen == [("1", "2"), ("12", "13"), ("blue", "13"), ("3", "13")]


def test_latest_is_the_newest_created_and_not_the_newest_updated(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "2")
    environment(hub, registry, "e", "1")
    environment(hub, registry, "e", "2", tags={"touched": "yes"})
    for pointer in (
        AssetPointer(ENVIRONMENT, "e", label="latest", scope=registry),
        AssetPointer(ENVIRONMENT, "e", scope=registry),
        AssetPointer(ENVIRONMENT, "e", version="azureml_default", scope=registry),
    ):
        assert catalog.resolve(hub, OWNER, pointer).body["name"] == "1"


def test_an_unknown_label_is_told_with_the_name(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "1")
    with pytest.raises(NotFound, match="Asset e with version label blue does not exist"):
        catalog.resolve(hub, OWNER, AssetPointer(ENVIRONMENT, "e", label="blue", scope=registry))


def test_the_same_content_again_is_the_same_version_and_changes_nothing(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, MODEL, "m", "1")
    first, is_created = put(hub, ref, description="one")
    again, is_created_again = put(hub, ref)  # another upload, without the description
    assert (is_created, is_created_again) == (True, False)
    assert again.revision == first.revision
    assert again.body == first.body


def test_other_content_is_a_conflict_that_names_fields_values_and_the_next_version(
    hub: Hub, registry: RegistryScope
) -> None:
    environment(hub, registry, "e", "1", "python:3.10")
    environment(hub, registry, "e", "5", "python:3.10")
    with pytest.raises(AlreadyExists) as conflict:
        environment(hub, registry, "e", "1", "python:3.11")
    message = conflict.value.message
    assert "Environment e:1 already exists in registry contoso" in message
    assert "image is 'docker.io/python:3.10' there and 'docker.io/python:3.11' here" in message
    assert "the next free version is 6" in message
    assert [detail["field"] for detail in conflict.value.details] == ["image"]


def test_other_bytes_are_a_conflict_and_the_old_ones_stay(hub: Hub, registry: RegistryScope) -> None:
    ref = AssetRef(registry, MODEL, "m", "1")
    first, _ = put(hub, ref, "old")
    with pytest.raises(AlreadyExists, match="content is sha256:"):
        put(hub, ref, "new")
    assert content_of(hub, catalog.get(hub, OWNER, ref)) == {"w.bin": b"old"}
    assert catalog.get(hub, OWNER, ref).revision == first.revision


def test_description_and_tags_change_by_a_second_put_and_the_first_author_stays(
    hub: Hub, registry: RegistryScope
) -> None:
    environment(hub, registry, "e", "1", tags={"stage": "Dev", "x": "1"})
    other = Principal(id=OWNER.id, name="Second Self")
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    given = {"image": "docker.io/python", "tags": {"stage": "Prod"}, "description": "now said"}
    document, is_created = catalog.create(hub, other, ref, given)
    body = document.body
    assert not is_created
    assert (body["properties"]["tags"], body["properties"]["description"]) == ({"stage": "Prod"}, "now said")
    assert (body["systemData"]["createdBy"], body["systemData"]["lastModifiedBy"]) == ("Olga Owner", "Second Self")


def test_a_document_that_was_read_can_be_put_back_unchanged(hub: Hub, registry: RegistryScope) -> None:
    for kind in KINDS:
        environment(hub, registry, "base", "1")
        document, _ = put(hub, AssetRef(registry, kind, "thing", "1"))
        again, is_created = catalog.create(
            hub, OWNER, AssetRef(registry, kind, "thing", "1"), document.body["properties"]
        )
        assert (is_created, again.revision) == (False, document.revision)


def test_properties_that_nobody_knows_pass_through_and_count_as_content(hub: Hub, registry: RegistryScope) -> None:
    future: dict[str, Any] = {"quantumSettings": {"qubits": [1, 2], "entangled": True}}
    document = environment(hub, registry, "e", "1", **future)
    assert document.body["properties"]["quantumSettings"] == future["quantumSettings"]
    assert environment(hub, registry, "e", "1", **future).revision == document.revision
    with pytest.raises(AlreadyExists, match="quantumSettings"):
        environment(hub, registry, "e", "1", quantumSettings={"qubits": [], "entangled": False})


def test_nulls_and_empty_values_say_nothing(hub: Hub, registry: RegistryScope) -> None:
    document = environment(hub, registry, "e", "1")
    again = environment(hub, registry, "e", "1", condaFile=None, inferenceConfig={}, stage=None)
    assert again.revision == document.revision


def test_fifty_publishers_of_the_same_thing_end_with_one_version_and_no_error(
    hub: Hub, registry: RegistryScope
) -> None:
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    with ThreadPoolExecutor(50) as pool:
        made = list(pool.map(lambda _: put(hub, ref), range(50)))
    assert sum(is_created for _, is_created in made) == 1
    assert {document.revision for document, _ in made} == {1}
    assert len(catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e").documents) == 1


def test_fifty_versions_at_once_all_arrive_and_the_container_knows_them(hub: Hub, registry: RegistryScope) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda n: environment(hub, registry, "e", str(n)), range(1, 51)))
    properties = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "e").body["properties"]
    newest = catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e", limit=1).documents[0].body["name"]
    assert properties["nextVersion"] == "51"
    assert properties["latestVersion"] == newest
    assert len(catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e").documents) == 50


def test_one_publishers_conflict_does_not_touch_the_others(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "1", "taken")

    def publish(number: int) -> str:
        try:
            return str(environment(hub, registry, "e", str(number % 10 + 1), "free").body["name"])
        except AlreadyExists as conflict:
            return conflict.code

    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(publish, range(60)))
    assert told == ["Conflict" if n % 10 == 0 else str(n % 10 + 1) for n in range(60)]


def test_a_version_that_is_born_archived_does_not_become_the_latest(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "1")
    environment(hub, registry, "e", "2", isArchived=True)
    properties = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "e").body["properties"]
    assert (properties["latestVersion"], properties["nextVersion"]) == ("1", "3")


def test_an_archived_version_is_hidden_from_lists_and_latest_but_can_be_used(hub: Hub, registry: RegistryScope) -> None:
    for version in ("1", "2"):
        environment(hub, registry, "e", version)
    environment(hub, registry, "e", "2", isArchived=True)

    def listed(view: View) -> list[str]:
        page = catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e", view=view)
        return [document.body["name"] for document in page.documents]

    assert (listed(View.ACTIVE), listed(View.ARCHIVED), listed(View.ALL)) == (["1"], ["2"], ["2", "1"])
    assert catalog.resolve(hub, OWNER, AssetPointer(ENVIRONMENT, "e", scope=registry)).body["name"] == "1"
    assert catalog.get(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "2")).body["properties"]["isArchived"] is True
    properties = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "e").body["properties"]
    assert properties["latestVersion"] == "1"

    environment(hub, registry, "e", "2", isArchived=False)
    properties = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "e").body["properties"]
    assert (listed(View.ACTIVE), properties["latestVersion"]) == (["2", "1"], "2")


def test_an_archived_version_still_collides(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "1")
    environment(hub, registry, "e", "1", isArchived=True)
    with pytest.raises(AlreadyExists):
        environment(hub, registry, "e", "1", "other")


def test_when_all_versions_are_archived_latest_is_the_newest(hub: Hub, registry: RegistryScope) -> None:
    for version in ("1", "2"):
        environment(hub, registry, "e", version)
        environment(hub, registry, "e", version, isArchived=True)
    assert catalog.resolve(hub, OWNER, AssetPointer(ENVIRONMENT, "e", scope=registry)).body["name"] == "2"


def test_archiving_a_name_archives_its_versions_and_new_ones_too(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "1", tags={"k": "v"})
    catalog.update_container(hub, OWNER, registry, ENVIRONMENT, "e", {"isArchived": True})
    late = environment(hub, registry, "e", "2", isArchived=False)
    assert late.body["properties"]["isArchived"] is True
    assert catalog.containers(hub, OWNER, registry, ENVIRONMENT).documents == ()
    assert catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e").documents == ()
    assert catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e", tags={"k": "v"}).documents == ()

    catalog.update_container(hub, OWNER, registry, ENVIRONMENT, "e", {"isArchived": False})
    shown = catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e").documents
    assert [document.body["properties"]["isArchived"] for document in shown] == [False, False]
    assert len(catalog.containers(hub, OWNER, registry, ENVIRONMENT).documents) == 1
    tagged = catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e", tags={"k": "v"}).documents
    assert [document.body["name"] for document in tagged] == ["1"]


def test_restoring_a_name_puts_latest_on_the_newest_version(hub: Hub, registry: RegistryScope) -> None:
    for version in ("1", "2"):
        environment(hub, registry, "e", version)
    environment(hub, registry, "e", "2", isArchived=True)
    for archived in (True, False):
        document = catalog.update_container(hub, OWNER, registry, ENVIRONMENT, "e", {"isArchived": archived})
    assert document.body["properties"]["latestVersion"] == "2"


def test_versions_are_listed_in_pages_in_either_order(hub: Hub, registry: RegistryScope) -> None:
    for number in range(7):
        environment(hub, registry, "e", str(number))
    for order, expected in ((Order.NEWEST, "6543210"), (Order.OLDEST, "0123456")):
        names, after = "", None
        while True:
            page = catalog.versions(hub, OWNER, registry, ENVIRONMENT, "e", order=order, after=after, limit=3)
            names += "".join(document.body["name"] for document in page.documents)
            after = page.next
            if after is None:
                break
        assert names == expected


def test_tags_find_versions_and_names_by_the_latest_version(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "old", "1", tags={"team": "a", "stage": "dev"})
    environment(hub, registry, "both", "1", tags={"team": "a"})
    environment(hub, registry, "both", "2", tags={"team": "b"})

    def names(tags: dict[str, str | None]) -> list[str]:
        found = catalog.containers(hub, OWNER, registry, ENVIRONMENT, tags=tags).documents
        return sorted(document.body["name"] for document in found)

    assert names({"team": "a"}) == ["old"]
    assert names({"team": None}) == ["both", "old"]
    assert names({"team": "a", "stage": "dev"}) == ["old"]
    assert names({"team": "a", "stage": "prod"}) == []
    versions = catalog.versions(hub, OWNER, registry, ENVIRONMENT, "both", tags={"team": "a"}).documents
    assert [document.body["name"] for document in versions] == ["1"]


def test_a_container_can_be_described_without_touching_versions(hub: Hub, registry: RegistryScope) -> None:
    version = environment(hub, registry, "e", "1")
    document = catalog.update_container(hub, OWNER, registry, ENVIRONMENT, "e", {"description": "all of them"})
    assert document.body["properties"]["description"] == "all of them"
    assert catalog.get(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "1")).revision == version.revision


def test_patching_a_fixed_field_is_refused(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "1")
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    with pytest.raises(InvalidRequest, match="image of a version never changes"):
        catalog.update(hub, OWNER, ref, {"image": "other"})
    patched = catalog.update(hub, OWNER, ref, {"tags": {"stage": "Prod"}})
    assert patched.body["properties"]["tags"] == {"stage": "Prod"}


def test_deleting_a_version_moves_latest_and_the_last_one_takes_the_name_along(
    hub: Hub, registry: RegistryScope
) -> None:
    for version in ("1", "2"):
        environment(hub, registry, "e", version)
    catalog.delete(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "2"))
    properties = catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "e").body["properties"]
    assert (properties["latestVersion"], properties["nextVersion"]) == ("1", "3")
    catalog.delete(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "1"))
    with pytest.raises(NotFound):
        catalog.get_container(hub, OWNER, registry, ENVIRONMENT, "e")


def test_what_a_component_uses_cannot_be_deleted(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "base", "1")
    put(hub, AssetRef(registry, COMPONENT, "c", "1"))
    with pytest.raises(StateConflict, match="components/c/versions/1"):
        catalog.delete(hub, OWNER, AssetRef(registry, ENVIRONMENT, "base", "1"))


def test_code_is_found_by_the_hash_under_whatever_name(hub: Hub, dev: WorkspaceScope) -> None:
    ref = AssetRef(dev, CODE, "8f14e45f-random", "1")
    put(hub, ref, properties={"hash_sha256": "abc", "hash_version": "202208"})
    found = catalog.codes_with_hash(hub, OWNER, dev, "abc").documents
    assert [document.body["id"] for document in found] == [ref.id]
    assert catalog.codes_with_hash(hub, OWNER, dev, "other").documents == ()


def test_what_may_not_be_read_is_told_as_not_there(hub: Hub, registry: RegistryScope, stranger: Principal) -> None:
    environment(hub, registry, "e", "1")
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    with pytest.raises(NotFound) as hidden:
        catalog.get(hub, stranger, ref)
    with pytest.raises(NotFound) as nowhere:
        catalog.get(hub, stranger, AssetRef(RegistryScope("absent"), ENVIRONMENT, "e", "1"))
    assert hidden.value.message == nowhere.value.message.replace("absent", "contoso")
    environment(hub, registry, "f", "1")
    assignments.assign(hub, OWNER, role="Reader", assignee=stranger.id, scope="registries/contoso/environments/f")
    with pytest.raises(NotFound) as hidden:
        catalog.get(hub, stranger, ref)
    with pytest.raises(NotFound) as missing:
        catalog.get(hub, OWNER, AssetRef(registry, ENVIRONMENT, "e", "2"))
    assert hidden.value.message == missing.value.message.replace("e:2", "e:1")
    assert catalog.versions(hub, stranger, registry, ENVIRONMENT, "e").documents == ()
    assert [found.key for found in catalog.containers(hub, stranger, registry, ENVIRONMENT).documents] == [
        "registries/contoso/environments/f"
    ]


def test_an_unknown_registry_is_told_by_name(hub: Hub) -> None:
    with pytest.raises(NotFound, match="There is no registry 'contosso'"):
        environment(hub, RegistryScope("contosso"), "e", "1")


def test_every_write_is_audited_and_every_refusal_too(hub: Hub, registry: RegistryScope, stranger: Principal) -> None:
    ref = AssetRef(registry, ENVIRONMENT, "e", "1")
    catalog.create(hub, OWNER, ref, {"image": "x"}, request_id="r-1")
    with pytest.raises(AccessDenied):
        catalog.create(hub, stranger, ref, {"image": "y"}, request_id="r-2")
    denied, allowed = (entry.body for entry in audit.entries(hub, limit=2, newest=True))
    assert (allowed["outcome"], allowed["requestId"], allowed["target"]) == ("allowed", "r-1", ref.id)
    assert (denied["outcome"], denied["requestId"], denied["principal"]["id"]) == ("denied", "r-2", stranger.id)
    assert allowed["action"] == "Microsoft.MachineLearningServices/registries/assets/write"


def test_a_put_that_changes_nothing_leaves_no_audit_entry(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry, "e", "1")
    before = audit.entries(hub, limit=1, newest=True)
    environment(hub, registry, "e", "1")
    assert audit.entries(hub, limit=1, newest=True) == before
