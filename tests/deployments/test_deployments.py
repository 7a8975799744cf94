"""ARM templates: what they make, what they tell, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.errors import AccessDenied, EntrepotError, InvalidRequest, NotFound
from entrepot.core.ids import RegistryScope, WorkspaceScope
from entrepot.domain import registries, workspaces
from entrepot.domain.deployments import deployments
from entrepot.domain.deployments.language.expressions import Evaluator
from entrepot.domain.deployments.language.functions import PURE
from entrepot.domain.deployments.records import Target
from entrepot.domain.hub import Hub, Principal
from entrepot.testing.hub import OWNER
from tests.deployments.conftest import Place, body

TARGET = Target("s1", "rg1", "made")
ROUND = {
    "parameters": {"p": {"defaultValue": "[variables('a')]"}},
    "variables": {"a": "[variables('a')]"},
    "resources": [],
}
TEMPLATE = json.loads((Path(__file__).parents[2] / "examples/arm/registry.json").read_text())


def workspace(name: str, *, location: str = "eastus", **properties: Any) -> Any:
    kind = "Microsoft.MachineLearningServices/workspaces"
    return {"type": kind, "apiVersion": "2023-04-01", "name": name, "location": location, "properties": properties}


def made(hub: Hub, name: str) -> Any:
    return workspaces.get(hub, OWNER, WorkspaceScope("s1", "rg1", name)).body


def test_the_example_makes_a_registry_in_two_regions(hub: Hub, place: Place) -> None:
    properties = place.deploy(TEMPLATE, registryName="contoso")
    assert properties["provisioningState"] == "Succeeded"
    expected = "/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.MachineLearningServices/registries/contoso"
    assert properties["outputs"]["registryId"]["value"] == expected
    registry = registries.get(hub, OWNER, "contoso").body
    assert registry["location"] == "eastus"
    assert [region["location"] for region in registry["properties"]["regionDetails"]] == ["eastus", "westus"]
    assert deployments.get(hub, OWNER, TARGET).body["properties"] == properties
    assert deployments.operations(hub, OWNER, TARGET)[0]["properties"]["targetResource"]["resourceName"] == "contoso"


def test_validate_and_what_if_change_nothing(hub: Hub, place: Place) -> None:
    given = body(TEMPLATE, registryName="contoso")
    assert deployments.validate(hub, OWNER, TARGET, given, place.maker)["properties"]["validatedResources"]
    changes = deployments.what_if(hub, OWNER, TARGET, given, place.maker)["properties"]["changes"]
    assert [change["changeType"] for change in changes] == ["Create"]
    with pytest.raises(NotFound):
        registries.get(hub, OWNER, "contoso")
    with pytest.raises(NotFound):
        deployments.get(hub, OWNER, TARGET)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (body(TEMPLATE), "Parameter 'registryName' has no value: give -p registryName="),
        (body(TEMPLATE, registryName="contoso", colour="red"), "no parameter 'colour'; it has registryName"),
        (body(TEMPLATE, registryName="c"), "breaks minLength 2"),
        (body(TEMPLATE, registryName="contoso", storageAccountType="tape"), "must be one of Standard_LRS"),
        (body({"resources": [{"type": "Microsoft.Compute/virtualMachines", "name": "vm"}]}), "does not make"),
        (body({"resources": [{"type": "[nope()]", "name": "x"}]}), r"there is no function nope\(\)"),
        (body({"resources": [{"type": "a/b", "name": "[concat('x']"}]}), "is expected, not"),
        (body(ROUND), "stands for itself"),
        (body({}), "no template with resources"),
        ({"properties": {"mode": "Complete", "template": {"resources": []}}}, "Incremental"),
    ],
)  # fmt: skip
def test_a_wrong_template_is_told_and_makes_nothing(hub: Hub, place: Place, given: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        deployments.create(hub, OWNER, TARGET, given, place.maker)
    assert hub.documents.get(TARGET.key) is None


def test_a_resource_that_cannot_be_made_is_named_and_the_deployment_is_kept_as_failed(hub: Hub, place: Place) -> None:
    failed = place.deploy(TEMPLATE, registryName="con toso")
    assert failed["provisioningState"] == "Failed"
    assert "failed at Microsoft.MachineLearningServices/registries con toso" in failed["error"]["message"]
    assert failed["error"]["details"][0]["target"].endswith("/registries/con toso")
    operation = deployments.operations(hub, OWNER, TARGET)[0]["properties"]
    assert operation["statusMessage"]["error"] == failed["error"]["details"][0]


def test_a_workspace_template_leaves_out_what_azure_needs_beside_it(hub: Hub, place: Place) -> None:
    template = {
        "parameters": {
            "workspaceName": {"type": "string"},
            "tagValues": {"type": "object", "defaultValue": {"a": "b"}},
        },
        "variables": {"vault": "[concat('kv', uniqueString(resourceGroup().id))]"},
        "resources": {
            "vault": {"type": "Microsoft.KeyVault/vaults", "name": "[variables('vault')]"},
            "workspace": {
                "type": "Microsoft.MachineLearningServices/workspaces",
                "name": "[parameters('workspaceName')]",
                "condition": "[not(equals(parameters('workspaceName'), 'none'))]",
                "location": "[toLower('WESTUS')]",
                "tags": "[parameters('tagValues')]",
                "properties": {
                    "friendlyName": "[format('{0}-{1}', 'w', 1)]",
                    "keyVault": "[if(true(), null(), json('{'))]",
                },
            },
        },
    }
    assert place.deploy(template, workspaceName="dev")["provisioningState"] == "Succeeded"
    made = workspaces.get(hub, OWNER, WorkspaceScope("s1", "rg1", "dev")).body
    assert (made["location"], made["tags"], made["properties"]["friendlyName"]) == ("westus", {"a": "b"}, "w-1")
    assert hub.documents.get(RegistryScope("dev").key) is None


def test_a_default_may_name_a_parameter_that_follows(place: Place) -> None:
    template = {
        "parameters": {"a": {"type": "string", "defaultValue": "[parameters('b')]"}, "b": {"type": "string"}},
        "resources": [],
        "outputs": {"a": {"type": "string", "value": "[parameters('a')]"}},
    }
    assert place.deploy(template, b="later")["outputs"]["a"]["value"] == "later"


def test_secure_values_are_neither_kept_nor_shown_nor_stored_in_clear(hub: Hub, place: Place) -> None:
    template = {
        "parameters": {"password": {"type": "secureString"}, "more": {"type": "secureObject"}},
        "resources": [workspace("dev", description="[if(empty(parameters('password')), 'none', 'some')]")],
        "outputs": {"told": {"type": "securestring", "value": "[parameters('password')]"}},
    }
    given = body(template, password="hunter2", more={"key": "hunter3"})
    deployments.create(hub, OWNER, TARGET, given, place.maker)
    waiting = [document.raw for document in hub.documents.scan("").documents]
    place.run()
    kept = [document.raw for document in hub.documents.scan("").documents]
    assert any(b"sealed:v1:" in raw for raw in waiting) and not any(b"sealed:v1:" in raw for raw in kept)
    assert not [raw for raw in (*waiting, *kept) if b"hunter" in raw]
    properties = deployments.get(hub, OWNER, TARGET).body["properties"]
    assert properties["outputs"] == {"told": {"type": "securestring"}}
    assert properties["parameters"]["password"] == {"type": "secureString"}
    assert made(hub, "dev")["properties"]["description"] == "some"


def test_only_who_may_deploy_deploys(hub: Hub, place: Place) -> None:
    stranger = Principal("7e1", "Stranger")
    with pytest.raises(EntrepotError) as told:
        place.deploy(TEMPLATE, by=stranger, registryName="contoso")
    assert "Stranger" in told.value.message
    with pytest.raises(NotFound):
        deployments.get(hub, stranger, TARGET)


def test_a_deployment_makes_the_group_it_is_in_for_who_may(hub: Hub, place: Place) -> None:
    with pytest.raises(AccessDenied):
        place.deploy({"resources": [workspace("dev")]}, by=Principal("7e1", "Stranger"), group="new")
    place.deploy({"resources": [workspace("dev", location="[resourceGroup().location]")]}, group="new")
    assert workspaces.region_of(hub, WorkspaceScope("s1", "new", "dev")) == "eastus"
    with pytest.raises(NotFound):
        workspaces.get_group(hub, OWNER, "s1", "other")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[[literal]", "[literal]"),
        ("plain", "plain"),
        ("[concat('it''s', ' ', 'on')]", "it's on"),
        ("[split('a,b', ',')[1]]", "b"),
        ("[createObject('k', createArray(1, 2)).k[0]]", 1),
        ("[if(and(false(), bool('x')), 1, 2)]", 2),
        ("[substring('abcdef', 2, 3)]", "cde"),
        ("[union(createArray(1), createArray(1, 2))]", [1, 2]),
    ],
)
def test_expressions(expression: str, value: Any) -> None:
    assert Evaluator(PURE).text(expression, where="here") == value


def test_deep_nesting_is_refused_and_not_followed() -> None:
    with pytest.raises(InvalidRequest, match="nests deeper"):
        Evaluator(PURE).text("[" + "not(" * 4000 + "true()" + ")" * 4000 + "]", where="here")
