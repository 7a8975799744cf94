"""ARM templates: what they make, what they tell, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.errors import EntrepotError, InvalidRequest, NotFound
from entrepot.core.ids import RegistryScope, WorkspaceScope
from entrepot.domain import groups, registries, workspaces
from entrepot.domain.deployments import deployments
from entrepot.domain.deployments.deployments import DeploymentFailed, Target
from entrepot.domain.deployments.expressions import Evaluator
from entrepot.domain.deployments.functions import PURE
from entrepot.domain.hub import Hub, Principal
from entrepot.testing.hub import OWNER, make_hub

TARGET = Target("s1", "rg1", "registry")
ROUND = {
    "parameters": {"p": {"defaultValue": "[variables('a')]"}},
    "variables": {"a": "[variables('a')]"},
    "resources": [],
}
TEMPLATE = json.loads((Path(__file__).parents[2] / "examples/arm/registry.json").read_text())


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    made = make_hub(tmp_path)
    groups.create(made, OWNER, "s1", "rg1", {"location": "eastus"})
    return made


def body(template: Any = TEMPLATE, **parameters: Any) -> Any:
    given = {name: {"value": value} for name, value in parameters.items()}
    return {"properties": {"mode": "Incremental", "template": template, "parameters": given}}


def deploy(hub: Hub, given: Any, principal: Principal = OWNER) -> Any:
    return deployments.create(hub, principal, TARGET, given).body["properties"]


def test_the_example_makes_a_registry_in_two_regions(hub: Hub) -> None:
    properties = deploy(hub, body(registryName="contoso"))
    assert properties["provisioningState"] == "Succeeded"
    expected = "/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.MachineLearningServices/registries/contoso"
    assert properties["outputs"]["registryId"]["value"] == expected
    registry = registries.get(hub, OWNER, "contoso").body
    assert registry["location"] == "eastus"
    assert [region["location"] for region in registry["properties"]["regionDetails"]] == ["eastus", "westus"]
    assert deployments.get(hub, OWNER, TARGET).body["properties"] == properties
    assert deployments.operations(hub, OWNER, TARGET)[0]["properties"]["targetResource"]["resourceName"] == "contoso"


def test_validate_and_what_if_change_nothing(hub: Hub) -> None:
    assert deployments.validate(hub, OWNER, TARGET, body(registryName="contoso"))["properties"]["validatedResources"]
    changes = deployments.what_if(hub, OWNER, TARGET, body(registryName="contoso"))["properties"]["changes"]
    assert [change["changeType"] for change in changes] == ["Create"]
    with pytest.raises(NotFound):
        registries.get(hub, OWNER, "contoso")
    with pytest.raises(NotFound):
        deployments.get(hub, OWNER, TARGET)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (body(), "Parameter 'registryName' has no value: give -p registryName="),
        (body(registryName="contoso", colour="red"), "no parameter 'colour'; it has registryName"),
        (body(registryName="c"), "breaks minLength 2"),
        (body(registryName="contoso", storageAccountType="tape"), "must be one of Standard_LRS, Standard_ZRS"),
        (body({"resources": [{"type": "Microsoft.Compute/virtualMachines", "name": "vm"}]}), "does not make"),
        (body({"resources": [{"type": "[nope()]", "name": "x"}]}), r"there is no function nope\(\)"),
        (body({"resources": [{"type": "a/b", "name": "[concat('x']"}]}), "is expected, not"),
        (body(ROUND), "stands for itself"),
        (body({}), "no template with resources"),
        ({"properties": {"mode": "Complete", "template": {"resources": []}}}, "Incremental"),
    ],
)  # fmt: skip
def test_a_wrong_template_is_told_and_makes_nothing(hub: Hub, given: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        deploy(hub, given)


def test_a_resource_that_cannot_be_made_is_named_and_the_deployment_is_kept_as_failed(hub: Hub) -> None:
    with pytest.raises(DeploymentFailed, match=r"failed at .*/registries con toso"):
        deploy(hub, body(registryName="con toso"))
    assert deployments.get(hub, OWNER, TARGET).body["properties"]["provisioningState"] == "Failed"


def test_a_workspace_template_leaves_out_what_azure_needs_beside_it(hub: Hub) -> None:
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
    deploy(hub, body(template, workspaceName="dev"))
    made = workspaces.get(hub, OWNER, WorkspaceScope("s1", "rg1", "dev")).body
    assert (made["location"], made["tags"], made["properties"]["friendlyName"]) == ("westus", {"a": "b"}, "w-1")
    assert hub.documents.get(RegistryScope("dev").key) is None


def test_a_default_may_name_a_parameter_that_follows(hub: Hub) -> None:
    template = {
        "parameters": {"a": {"type": "string", "defaultValue": "[parameters('b')]"}, "b": {"type": "string"}},
        "resources": [],
        "outputs": {"a": {"type": "string", "value": "[parameters('a')]"}},
    }
    assert deploy(hub, body(template, b="later"))["outputs"]["a"]["value"] == "later"


def test_secure_parameters_are_not_kept(hub: Hub) -> None:
    template = {"parameters": {"password": {"type": "secureString"}}, "resources": []}
    deploy(hub, body(template, password="hunter2"))
    document = hub.documents.get(TARGET.key)
    assert document is not None
    assert b"hunter2" not in document.raw


def test_only_who_may_deploy_deploys(hub: Hub) -> None:
    stranger = Principal("7e1", "Stranger")
    with pytest.raises(EntrepotError) as told:
        deploy(hub, body(registryName="contoso"), stranger)
    assert "Stranger" in told.value.message
    with pytest.raises(NotFound):
        deployments.get(hub, stranger, TARGET)


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
        Evaluator(PURE).text("[" + "not(" * 5000 + "true()" + ")" * 5000 + "]", where="here")
