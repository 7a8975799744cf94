"""`role ...`, `access ...` and `ml registry who-can` against a live server."""

import json
import uuid
from pathlib import Path

import pytest

from entrepot.testing.live import LiveServer
from tests.cli.conftest import Run

REGISTRY = "azureml://registries/contoso"
WRITE = "Microsoft.MachineLearningServices/registries/assets/write"


@pytest.fixture(scope="module")
def ada(served: LiveServer) -> str:
    """A user of the directory."""
    body = {"displayName": "Ada", "userPrincipalName": "ada@contoso.com", "accountEnabled": True}
    assert served.call("POST", "/v1.0/users", body).status == 201
    return "ada@contoso.com"


def test_a_role_is_given_by_names_listed_and_taken_back(az: Run, ada: str) -> None:
    words = ("--assignee", ada, "--role", "azureml registry user", "--scope", REGISTRY)
    made = az("role", "assignment", "create", *words)
    assert made.code == 0, made.err
    assert (made.json["principalName"], made.json["roleDefinitionName"]) == (ada, "AzureML Registry User")
    assert made.json["scope"].endswith("/registries/contoso")
    assert az("role", "assignment", "create", *words).json["name"] == made.json["name"]
    listed = az("role", "assignment", "list", "--scope", REGISTRY, "--assignee", ada).json
    assert [one["id"] for one in listed] == [made.json["id"]]
    below = az("role", "assignment", "list", "--scope", f"{REGISTRY}/models/m", "--assignee", ada)
    assert below.json == []
    inherited = az("role", "assignment", "list", "--scope", f"{REGISTRY}/models/m", "--include-inherited")
    assert {ada} < {one["principalName"] for one in inherited.json}
    assert az("role", "assignment", "delete", *words).code == 0
    assert az("role", "assignment", "delete", *words).code == 1
    assert az("role", "assignment", "list", "--all", "--assignee", ada).json == []


def test_who_can_and_what_can_are_answered_with_reasons(az: Run, ada: str) -> None:
    az(
        "role",
        "assignment",
        "create",
        "--assignee",
        ada,
        "--role",
        "Contributor",
        "-n",
        str(uuid.uuid4()),
        "--scope",
        "/",
    )
    able = az("ml", "registry", "who-can", "-n", "contoso", "--action", "registries/assets/write")
    assert able.code == 0, able.err
    reason = next(one for one in able.json if one["principalName"] == ada)
    assert (reason["role"], reason["inheritedFrom"]) == ("Contributor", "/")
    told = az("access", "check", "--assignee", ada, "--registry-name", "contoso").json
    assert WRITE in told["actions"] and "Microsoft.Authorization/roleAssignments/write" not in told["actions"]
    one = az("access", "check", "--assignee", ada, "--scope", "/", "--action", "registries/assets/write")
    assert one.code == 0, one.err
    assert one.json["allowed"] is True
    assert az("access", "check", "--scope", "/").json["actions"]
    owners = az("access", "who-can", "--scope", "/", "--role", "Owner").json
    assert len(owners) == 1
    assert az("access", "who-can", "--scope", "/").code == 2
    assert az("role", "assignment", "delete", "--assignee", ada, "--scope", "/").code == 0


def test_a_custom_role_comes_from_a_file_as_azures_samples_write_it(az: Run) -> None:
    definition = {
        "Name": "Registry Auditor", "IsCustom": True, "Description": "d", "NotActions": [], "AssignableScopes": ["/"],
        "Actions": ["Microsoft.MachineLearningServices/registries/*/read"],
    }  # fmt: skip
    Path("role.json").write_text(json.dumps(definition))
    made = az("role", "definition", "create", "--role-definition", "role.json")
    assert made.code == 0, made.err
    assert (made.json["roleName"], made.json["roleType"]) == ("Registry Auditor", "CustomRole")
    changed = json.dumps({**definition, "Description": "new"})
    assert az("role", "definition", "update", "--role-definition", changed).json["description"] == "new"
    custom = az("role", "definition", "list", "--custom-role-only", "true").json
    assert [one["roleName"] for one in custom] == ["Registry Auditor"]
    assert az("role", "definition", "show", "-n", "Registry Auditor").json["name"] == made.json["name"]
    assert az("role", "definition", "delete", "-n", "Registry Auditor").code == 0
    assert az("role", "definition", "list", "-n", "Registry Auditor").json == []


def test_a_denial_is_made_listed_and_lifted(az: Run, ada: str) -> None:
    words = ("-n", "freeze", "--scope", REGISTRY)
    whom = ("--assignee", "everybody", "--exclude", ada)
    made = az("role", "deny-assignment", "create", *words, *whom, "--actions", WRITE)
    assert made.code == 0, made.err
    listed = az("role", "deny-assignment", "list", "--scope", REGISTRY).json
    assert [one["denyAssignmentName"] for one in listed] == ["freeze"]
    assert az("role", "deny-assignment", "delete", *words).code == 0
    assert az("role", "deny-assignment", "delete", *words).code == 1


def test_a_registry_is_opened_to_the_tenant_and_closed(az: Run) -> None:
    assert az("ml", "registry", "show", "-n", "contoso").json["read_access"] == "rbac"
    assert az("ml", "registry", "update", "-n", "contoso", "--read-access", "tenant").json["read_access"] == "tenant"
    assert az("ml", "registry", "update", "-n", "contoso", "--set", "read_access=rbac").json["read_access"] == "rbac"
    Path("r.yml").write_text("name: opened\nlocation: eastus\nread_access: tenant\n")
    assert az("ml", "registry", "create", "-f", "r.yml").json["read_access"] == "tenant"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--assignee", "nobody", "--role", "Reader", "--scope", "/"), "Cannot find a user"),
        (("--assignee", "x", "--role", "Reader", "--scope", "w1"), "is no scope"),
        (("--assignee-object-id", str(uuid.uuid4()), "--role", "Emperor", "--scope", "/"), "'Emperor' doesn't exist"),
    ],
)
def test_what_cannot_be_assigned_is_told(az: Run, words: tuple[str, ...], part: str) -> None:
    ended = az("role", "assignment", "create", *words)
    assert ended.code in (1, 2) and part in ended.err
