"""Groups, templates, resources, tags and providers, as the genuine `az` handles them."""

from pathlib import Path

import pytest

from tests.az.conftest import Az

pytestmark = pytest.mark.slow

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/arm"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/dev"
TEMPLATE = """{
  // what az sends verbatim: comments, and texts over several lines
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {"name": {"type": "string"}, "word": {"type": "securestring"}, "reader": {"type": "string"}},
  "resources": [
    {"type": "Microsoft.MachineLearningServices/workspaces", "apiVersion": "2024-04-01",
     "name": "[parameters('name')]", "location": "[resourceGroup().location]",
     "properties": {"description": "one
line and another"}},
    {"type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints", "apiVersion": "2024-04-01",
     "name": "[concat(parameters('name'), '/ep-', uniqueString(resourceGroup().id))]",
     "location": "[resourceGroup().location]", "properties": {"authMode": "Key"},
     "dependsOn": ["[parameters('name')]"] /* by name */},
    {"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01",
     "name": "[guid(resourceGroup().id, parameters('reader'))]",
     "scope": "[resourceId('Microsoft.MachineLearningServices/workspaces', parameters('name'))]",
     "dependsOn": ["[parameters('name')]"],
     "properties": {"principalId": "[parameters('reader')]", "principalType": "ServicePrincipal", "roleDefinitionId":
       "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'acdd72a7-3385-48ef-bd42-f606fba81ae7')]"}}
  ],
  "outputs": {"id": {"type": "string", "value": "[reference(parameters('name')).workspaceId]"}}
}"""


@pytest.fixture(scope="module", autouse=True)
def deployed(az: Az, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group with what the template makes, deployed by az."""
    path = tmp_path_factory.mktemp("arm") / "all.json"
    path.write_text(TEMPLATE)
    az("group", "create", "-n", "arm", "-l", "eastus")
    reader = az("ad", "sp", "create-for-rbac", "-n", "arm-reader").json["appId"]
    id = az("ad", "sp", "show", "--id", reader, "--query", "id", "-o", "tsv").out.strip()
    made = az(
        "deployment", "group", "create", "-g", "arm", "-f", path, "-p", "name=dev", "word=hunter2", f"reader={id}"
    )
    assert made.json["properties"]["provisioningState"] == "Succeeded" and "hunter2" not in made.out
    assert made.json["properties"]["outputs"]["id"]["value"]
    given = az("role", "assignment", "list", "--scope", WORKSPACE, "--query", "[].principalId", "-o", "tsv").out
    assert id in given.splitlines()
    return path


def test_a_deployment_is_shown_with_its_operations_and_foretold(az: Az, deployed: Path) -> None:
    done = az("deployment", "operation", "group", "list", "-g", "arm", "-n", "all").json
    assert {one["properties"]["provisioningState"] for one in done} == {"Succeeded"} and len(done) == 3
    foretold = az(
        "deployment", "group", "what-if", "-g", "arm", "-f", deployed, "-p", "name=other", "word=x", "reader=r",
        "--no-pretty-print", "--query", "changes[].changeType", "-o", "tsv",
    )  # fmt: skip
    assert foretold.out.split() == ["Create", "Create", "Create"]
    wrong = az("deployment", "group", "create", "-g", "arm", "-n", "wrong", "-f", deployed, "-p", "name=not good",
               "word=x", "reader=r", code=1)  # fmt: skip
    assert "failed at Microsoft.MachineLearningServices/workspaces not good" in wrong.err
    az("deployment", "group", "show", "-g", "arm", "-n", "none", code=3)


def test_resources_are_shown_changed_tagged_and_deleted(az: Az) -> None:
    listed = az("resource", "list", "-g", "arm", "--query", "[].name", "-o", "tsv").out.split()
    assert listed == ["dev"]
    kind = "Microsoft.MachineLearningServices/workspaces"
    shown = az("resource", "show", "-g", "arm", "-n", "dev", "--resource-type", kind).json
    assert shown["id"] == WORKSPACE and "and another" in shown["properties"]["description"]
    endpoints = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    types = az("provider", "show", "-n", "Microsoft.MachineLearningServices", "--query", "resourceTypes[].resourceType")
    assert endpoints.partition("/")[2] in types.json
    changed = az("resource", "update", "--ids", WORKSPACE, "--set", "properties.description=new").json
    assert changed["properties"]["description"] == "new"
    az("tag", "update", "--resource-id", WORKSPACE, "--operation", "merge", "--tags", "a=1", "b=2")
    assert az("tag", "list", "--resource-id", WORKSPACE).json["properties"]["tags"] == {"a": "1", "b": "2"}
    az("resource", "delete", "--ids", WORKSPACE)
    az("resource", "show", "--ids", WORKSPACE, code=3)
    assert az("group", "exists", "-n", "arm").json is True
    az("group", "delete", "-n", "arm", "-y")
    assert az("group", "exists", "-n", "arm").json is False


def test_a_custom_role_is_changed_and_given_but_not_under_a_condition(az: Az, tmp_path: Path) -> None:
    subscription = "/subscriptions/00000000-0000-0000-0000-000000000001"
    role = tmp_path / "role.json"
    for description in ("first", "second"):
        verb = "create" if description == "first" else "update"
        role.write_text(
            f'{{"Name": "Publisher", "Description": "{description}", "AssignableScopes": ["{subscription}"], '
            '"Actions": ["Microsoft.MachineLearningServices/registries/assets/*"]}'
        )
        told = az("role", "definition", verb, "--role-definition", f"@{role}").json
        assert told["description"] == description
    somebody = ("--assignee-object-id", "22222222-2222-2222-2222-222222222222", "--assignee-principal-type", "User")
    asked = ("role", "assignment", "create", *somebody, "--role", "Publisher", "--scope", subscription)
    refused = az(*asked, "--condition", "true", "--condition-version", "2.0", code=1)
    assert "with a condition are not supported" in refused.err
    given = tmp_path / "given.json"
    given.write_text(az(*asked, "--description", "for a while").out.replace("for a while", "for good"))
    assert az("role", "assignment", "update", "--role-assignment", f"@{given}").json["description"] == "for good"
    az("role", "assignment", "delete", "--ids", az(*asked).json["id"])
    az("role", "definition", "delete", "-n", "Publisher")
