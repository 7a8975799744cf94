"""Components: references pinned and ruled, specs compared by meaning, ports checked."""

from typing import Any

import pytest

from entrepot.core.errors import AlreadyExists, InvalidReference, InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, RegistryScope, Scope, WorkspaceScope
from entrepot.core.nouns import CODE, COMPONENT, ENVIRONMENT
from entrepot.domain import gallery
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub
from entrepot.store.documents import Document
from entrepot.testing.hub import OWNER, upload

ENV = "azureml://registries/contoso/environments/base/versions/1"


def component(hub: Hub, scope: Scope, spec: dict[str, Any], *, name: str = "train", version: str = "1") -> Document:
    given = {"componentSpec": {"type": "command", "command": "echo hi", **spec}}
    return catalog.create(hub, OWNER, AssetRef(scope, COMPONENT, name, version), given)[0]


def environment(hub: Hub, scope: Scope, version: str = "1") -> None:
    catalog.create(hub, OWNER, AssetRef(scope, ENVIRONMENT, "base", version), {"image": f"docker.io/python:{version}"})


def code(hub: Hub, scope: Scope, name: str, text: str) -> str:
    ref = AssetRef(scope, CODE, name, "1")
    return str(catalog.create(hub, OWNER, ref, {"codeUri": upload(hub, ref, {"m.py": text}, at="src")})[0].body["id"])


@pytest.mark.parametrize("text", ["azureml:base:1", "base:1", ENV, "azureml://environments/base/versions/1",
                                  "azureml:base@latest", "azureml://registries/contoso/environments/base/labels/latest",
                                  "azureml://registries/contoso/environments/base"])  # fmt: skip
def test_every_spelling_in_a_registry_component_is_pinned_to_this_registry(
    hub: Hub, registry: RegistryScope, text: str
) -> None:
    environment(hub, registry)
    made = component(hub, registry, {"environment": text})
    environment(hub, registry, "2")
    spec = catalog.get(hub, OWNER, catalog.ref_of(made.body)).body["properties"]["componentSpec"]
    assert spec["environment"] == ENV
    assert [link.target for link in hub.documents.links(made.body["id"], relation="used")] == [ENV]


def test_a_workspace_component_keeps_the_prefix_that_the_sdk_writes(hub: Hub, dev: WorkspaceScope) -> None:
    environment(hub, dev)
    spec = component(hub, dev, {"environment": f"azureml:{dev.arm_id}/environments/base/versions/1"}).body
    pinned = spec["properties"]["componentSpec"]["environment"]
    assert pinned == f"azureml:{dev.arm_id}/environments/base/versions/1"
    assert component(hub, dev, {"environment": "azureml:base@latest"}).revision == 1


def test_a_workspace_component_may_use_registry_assets(hub: Hub, registry: RegistryScope, dev: WorkspaceScope) -> None:
    gallery.publish(hub)
    spec = component(
        hub, dev, {"environment": "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"}
    ).body["properties"]["componentSpec"]
    assert spec["environment"].startswith("azureml://registries/azureml/environments/sklearn-1.5/versions/")


def test_a_registry_component_may_not_use_what_a_workspace_has(
    hub: Hub, registry: RegistryScope, dev: WorkspaceScope
) -> None:
    environment(hub, dev)
    with pytest.raises(InvalidReference) as refusal:
        component(hub, registry, {"environment": f"azureml:{dev.arm_id}/environments/base/versions/1"})
    assert "a component in a registry may only reference registry assets" in refusal.value.message
    assert "az ml environment share --name base --version 1 --registry-name contoso" in str(refusal.value.hint)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"environment": {"image": "docker.io/python"}}, "environment holds an environment inline"),
        ({"environment": ENV, "code": "./src"}, "code is './src', which is not on this server"),
        (
            {"environment": "azureml://registries/contoso/models/base/versions/1"},
            "a model, where an environment belongs",
        ),
    ],
)
def test_what_the_client_should_have_published_is_refused_with_advice(
    hub: Hub, registry: RegistryScope, spec: dict[str, Any], said: str
) -> None:
    environment(hub, registry)
    with pytest.raises(InvalidReference) as refusal:
        component(hub, registry, spec)
    assert said in refusal.value.message


def test_a_missing_environment_is_told_as_azure_does(hub: Hub, registry: RegistryScope) -> None:
    with pytest.raises(NotFound, match="No definition exists for environment base version 1"):
        component(hub, registry, {"environment": ENV})


def test_the_same_code_under_another_random_name_is_the_same_component(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry)
    first = component(hub, registry, {"environment": ENV, "code": code(hub, registry, "uuid-1", "print(1)")})
    again = component(hub, registry, {"environment": ENV, "code": code(hub, registry, "uuid-2", "print(1)")})
    assert again.body == first.body
    with pytest.raises(AlreadyExists, match="code is sha256:"):
        component(hub, registry, {"environment": ENV, "code": code(hub, registry, "uuid-3", "print(2)")})


@pytest.mark.parametrize(
    "again",
    [
        {"inputs": {"n": {"type": "integer", "default": "1", "optional": "True"}}},
        {"_source": "REMOTE.REGISTRY", "$schema": "x", "tags": {"a": "b"}},
        {"is_deterministic": True, "outputs": {}, "resources": None},
    ],
)
def test_specs_that_mean_the_same_are_the_same(hub: Hub, registry: RegistryScope, again: dict[str, Any]) -> None:
    environment(hub, registry)
    base = {"environment": ENV, "inputs": {"n": {"type": "integer", "default": 1, "optional": True}}}
    first = component(hub, registry, base)
    assert component(hub, registry, {**base, **again}).revision == first.revision


def test_what_is_said_of_a_component_may_change_in_its_spec_too(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry)
    first = component(hub, registry, {"environment": ENV})
    named = component(hub, registry, {"environment": ENV, "display_name": "Shown"})
    spec = first.body["properties"]["componentSpec"]
    assert named.body["properties"]["componentSpec"] == {**spec, "display_name": "Shown"}
    ref = catalog.ref_of(first.body)
    told = catalog.update(hub, OWNER, ref, {"description": "trains", "tags": {"a": "b"}}).body["properties"]
    assert (told["description"], told["tags"]) == ("trains", {"a": "b"})
    shown = told["componentSpec"]
    assert (shown["display_name"], shown["description"], shown["tags"]) == ("Shown", "trains", {"a": "b"})


def test_a_conflict_of_components_names_the_very_field(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry)
    component(hub, registry, {"environment": ENV, "inputs": {"n": {"type": "integer", "default": 1}}})
    with pytest.raises(AlreadyExists) as conflict:
        component(
            hub, registry,
            {"environment": ENV, "command": "echo ho", "inputs": {"n": {"type": "integer", "default": 2}}},
        )  # fmt: skip
    message = conflict.value.message
    assert "command is 'echo hi' there and 'echo ho' here" in message
    assert "inputs.n.default is '1' there and '2' here" in message


def test_a_pipeline_component_pins_its_children(hub: Hub, registry: RegistryScope) -> None:
    environment(hub, registry)
    child = component(hub, registry, {"environment": ENV}, name="child").body["id"]
    jobs = {"a": {"type": "command", "component": "azureml:child@latest"}, "b": {"componentId": child}}
    made = component(hub, registry, {"type": "pipeline", "command": None, "jobs": jobs}, name="pipe")
    nodes = made.body["properties"]["componentSpec"]["jobs"]
    assert (nodes["a"]["component"], nodes["b"]["componentId"]) == (child, child)
    assert jobs["a"]["component"] == "azureml:child@latest"  # what the client sent is not touched


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"command": ""}, "has no command"),
        ({"type": "pipeline"}, "has no jobs"),
        ({"inputs": {"Path": {"type": "string"}}}, "the name is reserved"),
        ({"inputs": {"x": {"type": "string"}}, "outputs": {"x": {"type": "uri_file"}}}, "both an input and an output"),
        ({"inputs": {"x": {"type": "number5"}}}, "has the type 'number5'; it must be one of boolean, custom_model"),
    ],
)
def test_a_component_that_cannot_run_is_refused(
    hub: Hub, registry: RegistryScope, spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        component(hub, registry, spec)


def test_a_component_without_a_spec_is_refused(hub: Hub, registry: RegistryScope) -> None:
    with pytest.raises(InvalidRequest, match="componentSpec is missing"):
        catalog.create(hub, OWNER, AssetRef(registry, COMPONENT, "c", "1"), {"tags": {}})
