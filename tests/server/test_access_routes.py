"""Roles over the wire, as `az role` speaks: definitions, assignments and denials at every scope; who can what."""

import uuid
from typing import Any

import pytest

from entrepot.core.nouns import PROVIDER
from entrepot.testing.live import LiveServer

Json = Any

MARK = "/providers/Microsoft.Authorization"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
USER = "1823dd4f-9b8c-4ab6-ab4e-7397a3684615"


def assign(server: LiveServer, scope: str, role: str, assignee: str) -> Json:
    properties = {"roleDefinitionId": f"{MARK}/roleDefinitions/{role}", "principalId": assignee,
                  "principalType": "ServicePrincipal"}  # fmt: skip
    answer = server.call("PUT", f"{scope}{MARK}/roleAssignments/{uuid.uuid4()}", {"properties": properties})
    assert answer.status == 201, answer.body
    return answer.json


GROUP = "/subscriptions/s1/resourceGroups/rg"
RESOURCES = f"{GROUP}/providers/{PROVIDER}"
REGISTRY = f"{RESOURCES}/registries/contoso"
SCOPES = [
    "", "/subscriptions/s1", GROUP, REGISTRY, f"{RESOURCES}/workspaces/dev", f"{REGISTRY}/models/m",
    f"{REGISTRY}/models/m/versions/1",
]  # fmt: skip


@pytest.mark.parametrize("scope", SCOPES)
def test_a_role_is_given_shown_found_and_taken_back_at_every_scope(server: LiveServer, scope: str) -> None:
    who = str(uuid.uuid4())
    made = assign(server, scope, USER, who)
    assert made["properties"]["scope"] == (scope or "/")
    assert server.call("GET", made["id"]).json["properties"]["principalId"] == who
    for terms in (
        f"principalId%20eq%20'{who}'",
        f"atScope()%20and%20principalId%20eq%20'{who}'",
        f"assignedTo('{who}')",
    ):
        found = server.call("GET", f"{scope}{MARK}/roleAssignments?$filter={terms}").json["value"]
        assert [one["id"] for one in found] == [made["id"]], terms
    assert server.call("DELETE", made["id"]).json["id"] == made["id"]
    assert server.call("DELETE", made["id"]).status == 204
    assert server.call("GET", made["id"]).status == 404


def test_a_role_has_one_id_in_all_that_is_asked_below_a_subscription(server: LiveServer) -> None:
    made = assign(server, "", USER, str(uuid.uuid4()))  # azure-cli finds the role of an assignment by its id
    found = server.call("GET", f"/subscriptions/s1{MARK}/roleAssignments").json["value"]
    ids = {one["properties"]["roleDefinitionId"] for one in found}
    known = {one["id"] for one in server.call("GET", f"/subscriptions/s1{MARK}/roleDefinitions").json["value"]}
    assert ids <= known and f"/subscriptions/s1{MARK}/roleDefinitions/{USER}" in ids
    assert server.call("DELETE", made["id"]).status == 200


def test_an_assignment_is_not_reached_through_another_scope(server: LiveServer) -> None:
    made = assign(server, SCOPES[2], USER, str(uuid.uuid4()))
    elsewhere = made["id"].replace("/resourceGroups/rg", "/resourceGroups/other")
    assert server.call("GET", elsewhere).status == 404
    assert server.call("DELETE", elsewhere).status == 204
    assert server.call("GET", made["id"]).status == 200


def test_a_list_at_a_scope_shows_what_is_above_and_without_atscope_what_is_below(server: LiveServer) -> None:
    who = str(uuid.uuid4())
    above, here, below = (assign(server, scope, USER, who)["id"] for scope in (SCOPES[1], SCOPES[3], SCOPES[5]))
    found = server.call("GET", f"{SCOPES[3]}{MARK}/roleAssignments?$filter=atScope()").json["value"]
    assert {above, here} <= {one["id"] for one in found}
    assert below not in {one["id"] for one in found}
    found = server.call("GET", f"{SCOPES[3]}{MARK}/roleAssignments").json["value"]
    assert {above, here, below} <= {one["id"] for one in found}


def test_the_same_role_twice_is_the_conflict_that_az_knows(server: LiveServer) -> None:
    who = str(uuid.uuid4())
    assign(server, SCOPES[2], READER, who)
    properties = {"roleDefinitionId": READER, "principalId": who}
    again = server.call("PUT", f"{SCOPES[2]}{MARK}/roleAssignments/{uuid.uuid4()}", {"properties": properties})
    assert (again.status, again.json["error"]["code"]) == (409, "RoleAssignmentExists")


def test_an_assignment_with_a_condition_is_refused_rather_than_given_without(server: LiveServer) -> None:
    place = f"{SCOPES[2]}{MARK}/roleAssignments/{uuid.uuid4()}"
    asked = {"roleDefinitionId": READER, "principalId": str(uuid.uuid4()), "condition": "@Resource[x] StringEquals 'y'"}
    told = server.call("PUT", place, {"properties": {**asked, "conditionVersion": "2.0"}})
    assert told.status == 400 and "condition" in told.json["error"]["message"]
    assert server.call("GET", place).status == 404


def test_the_description_of_an_assignment_may_change(server: LiveServer) -> None:
    made = assign(server, SCOPES[2], READER, str(uuid.uuid4()))
    asked = {name: made["properties"][name] for name in ("roleDefinitionId", "principalId")}
    for description in ("for the audit", "until May"):
        told = server.call("PUT", made["id"], {"properties": {**asked, "description": description}})
        assert told.status == 201 and told.json["properties"]["description"] == description
    assert server.call("PUT", made["id"], {"properties": asked}).json["properties"]["description"] == "until May"


def test_no_role_is_given_on_a_group_that_is_not_there_yet(server: LiveServer) -> None:
    place = f"/subscriptions/s1/resourceGroups/later{MARK}/roleAssignments/{uuid.uuid4()}"
    asked = {"roleDefinitionId": READER, "principalId": str(uuid.uuid4())}
    assert server.call("PUT", place, {"properties": asked}).status == 404


def test_a_custom_role_is_made_found_by_name_and_deleted(server: LiveServer) -> None:
    guid = str(uuid.uuid4())
    place = f"{SCOPES[2]}{MARK}/roleDefinitions"
    properties = {
        "roleName": "Registry Auditor", "description": "d", "assignableScopes": [SCOPES[2]],
        "permissions": [{"actions": [f"{PROVIDER}/registries/*/read"], "notActions": [], "dataActions": []}],
    }  # fmt: skip
    for _ in range(2):  # a change too is told as 201, or azure-cli takes it for a failure
        assert server.call("PUT", f"{place}/{guid}", {"properties": properties}).status == 201
    found = server.call("GET", f"{place}?$filter=roleName%20eq%20'registry%20auditor'").json["value"]
    assert [(one["name"], one["properties"]["type"]) for one in found] == [(guid, "CustomRole")]
    built_in = server.call("GET", f"{place}?$filter=type%20eq%20'BuiltInRole'").json["value"]
    assert {"Owner", "Reader", "AzureML Registry User"} <= {one["properties"]["roleName"] for one in built_in}
    elsewhere = server.call("GET", f"/subscriptions/s2{MARK}/roleDefinitions").json["value"]
    assert guid not in {one["name"] for one in elsewhere}
    assert server.call("DELETE", f"{place}/{guid}").json["name"] == guid


def test_a_denial_is_put_listed_and_deleted(server: LiveServer) -> None:
    path = f"{SCOPES[3]}{MARK}/denyAssignments/{uuid.uuid4()}"
    properties = {
        "denyAssignmentName": "freeze", "permissions": [{"actions": [f"{PROVIDER}/registries/assets/write"]}],
        "principals": [{"id": str(uuid.uuid4()), "type": "User"}],
    }  # fmt: skip
    assert server.call("PUT", path, {"properties": properties}).status == 201
    listed = server.call("GET", path.rpartition("/")[0]).json["value"]
    assert [one["properties"]["denyAssignmentName"] for one in listed] == ["freeze"]
    assert server.call("DELETE", path).status == 200
    assert server.call("GET", path).status == 404


def test_filters_that_are_not_understood_are_refused(server: LiveServer) -> None:
    answer = server.call("GET", f"{SCOPES[1]}{MARK}/roleAssignments?$filter=color%20eq%20'red'")
    assert answer.status == 400
    assert "atScope()" in answer.json["error"]["message"]


def test_the_server_tells_who_can_and_what_can_be_done(server: LiveServer) -> None:
    who = str(uuid.uuid4())
    assign(server, SCOPES[3], USER, who)
    action = f"{PROVIDER}/registries/assets/write"
    able = server.call("POST", f"{SCOPES[3]}{MARK}/whoCan", {"action": action}).json["value"]
    assert who in {one["principalId"] for one in able}
    told = server.call("POST", f"{SCOPES[3]}{MARK}/checkAccess", {"assignee": who}).json
    assert action in told["actions"]
    assert told["because"][0]["role"] == "AzureML Registry User"
    own = server.call("GET", f"{SCOPES[3]}{MARK}/permissions").json["value"]
    assert {"actions": ["*"], "notActions": []} in own
