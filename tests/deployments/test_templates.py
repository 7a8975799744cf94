"""The template language as it is carried out: order, references, loops, children, nested deployments, scopes."""

from pathlib import Path
from typing import Any

import pytest

from entrepot.core.errors import InvalidName, InvalidRequest, StateConflict
from entrepot.core.ids import WorkspaceScope
from entrepot.domain import groups, workspaces
from entrepot.domain.authorization import assignments
from entrepot.domain.deployments import deployments, running
from entrepot.domain.deployments.records import Target
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory
from entrepot.server.inner.requests import Requests
from entrepot.testing.hub import OWNER, close_hub, make_hub
from tests.deployments.conftest import PROVIDER, Json, Place, body, site_of

TARGET = Target("s1", "rg1", "made")
WORKSPACES = f"{PROVIDER}/workspaces"


def workspace(name: str, **more: Json) -> dict[str, Json]:
    return {
        "type": WORKSPACES,
        "apiVersion": "2023-04-01",
        "name": name,
        "location": "eastus",
        "properties": {},
        **more,
    }


def found(hub: Hub, name: str, group: str = "rg1") -> Json:
    return workspaces.get(hub, OWNER, WorkspaceScope("s1", group, name)).body


def outputs(place: Place, template: Json, **parameters: Json) -> dict[str, Json]:
    properties = place.deploy({"resources": [], **template}, **parameters)
    assert properties["provisioningState"] == "Succeeded", properties
    return {name: entry["value"] for name, entry in properties["outputs"].items()}


def test_children_wait_for_their_parents_and_outputs_read_what_was_made(place: Place) -> None:
    compute = {
        "type": "computes", "name": "cpu", "location": "eastus",
        "properties": {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_DS3_V2"}},
    }  # fmt: skip
    told = outputs(
        place,
        {
            "resources": [workspace("dev", resources=[compute])],
            "outputs": {
                "guid": {"type": "string", "value": "[reference('dev').workspaceId]"},
                "full": {
                    "type": "string",
                    "value": f"[reference(resourceId('{WORKSPACES}', 'dev'), '1', 'Full').name]",
                },
                "kind": {"type": "string", "value": f"[reference('{WORKSPACES}/computes/dev/cpu').computeType]"},
            },
        },
    )
    assert told["guid"] == found(place.hub, "dev")["properties"]["workspaceId"]
    assert (told["full"], told["kind"]) == ("dev", "AmlCompute")


def test_a_resource_waits_for_what_it_refers_to_without_being_told(place: Place) -> None:
    second = workspace("second", properties={"description": "[concat('beside ', reference('first').workspaceId)]"})
    properties = place.deploy({"resources": [second, workspace("first")]})
    assert properties["provisioningState"] == "Succeeded", properties
    first = found(place.hub, "first")["properties"]["workspaceId"]
    assert found(place.hub, "second")["properties"]["description"] == f"beside {first}"


def test_what_is_there_already_is_read_and_not_made(place: Place) -> None:
    place.deploy({"resources": [workspace("old")]}, name="before")
    existing = {"existing": True, "type": WORKSPACES, "apiVersion": "2023-04-01", "name": "old"}
    told = outputs(
        place,
        {
            "languageVersion": "2.0",
            "resources": {"o": existing},
            "outputs": {"id": {"type": "string", "value": "[reference('o').workspaceId]"}},
        },
    )
    assert told["id"] == found(place.hub, "old")["properties"]["workspaceId"]
    absent = place.deploy({"resources": {"o": {**existing, "name": "none"}}})
    assert absent["provisioningState"] == "Failed" and "it is not there" in absent["error"]["message"]


def test_loops_make_resources_properties_variables_and_outputs(place: Place) -> None:
    told = outputs(
        place,
        {
            "parameters": {"names": {"type": "array", "defaultValue": ["a", "b", "c"]}},
            "variables": {"copy": [{"name": "tens", "count": 3, "input": "[mul(copyIndex('tens'), 10)]"}]},
            "resources": [
                workspace(
                    "[concat('ws-', parameters('names')[copyIndex()])]",
                    copy={"name": "all", "count": "[length(parameters('names'))]"},
                    tags={
                        "number": "[string(copyIndex(1))]",
                        "twin": "[join(map(range(0, 2), lambda('i', string(lambdaVariables('i')))), '+')]",
                    },
                ),
                workspace("last", dependsOn=["all"]),
            ],
            "outputs": {
                "tens": {"type": "array", "value": "[variables('tens')]"},
                "ids": {"type": "array", "copy": {"count": 2, "input": "[reference(concat('ws-', parameters('names')"
                                                                       "[copyIndex()])).friendlyName]"}},
            },
        },
    )  # fmt: skip
    assert told["tens"] == [0, 10, 20]
    assert [found(place.hub, f"ws-{name}")["tags"]["number"] for name in "abc"] == ["1", "2", "3"]
    assert found(place.hub, "ws-a")["tags"]["twin"] == "0+1" and found(place.hub, "last")
    assert len(told["ids"]) == 2


@pytest.mark.parametrize("scope", ["inner", "outer"])
def test_nested_deployments_are_deployments_of_their_own(place: Place, scope: str) -> None:
    groups.create(place.hub, OWNER, "s1", "rg2", {"location": "westus"})
    inner = {
        "parameters": {"name": {"type": "string", "defaultValue": "below"}} if scope == "inner" else {},
        "resources": [workspace("[parameters('name')]")],
        "outputs": {"made": {"type": "string", "value": "[parameters('name')]"}},
    }
    told = outputs(
        place,
        {
            "parameters": {"name": {"type": "string", "defaultValue": "above"}},
            "resources": [
                {
                    "type": "Microsoft.Resources/deployments",
                    "apiVersion": "2022-09-01",
                    "name": "nested",
                    "resourceGroup": "rg2",
                    "properties": {
                        "mode": "Incremental",
                        "expressionEvaluationOptions": {"scope": scope},
                        "template": inner,
                    },
                }
            ],
            "outputs": {"made": {"type": "string", "value": "[reference('nested').outputs.made.value]"}},
        },
    )
    name = {"inner": "below", "outer": "above"}[scope]
    assert told == {"made": name} and found(place.hub, name, "rg2")
    below = deployments.get(place.hub, OWNER, Target("s1", "rg2", "nested")).body
    assert below["properties"]["provisioningState"] == "Succeeded"


def test_a_failure_within_a_nested_deployment_is_told_from_within(place: Place) -> None:
    nested = {
        "type": "Microsoft.Resources/deployments", "name": "nested",
        "properties": {"mode": "Incremental", "template": {"resources": [workspace("not good")]}},
    }  # fmt: skip
    after = workspace("after", dependsOn=["nested"])
    failed = place.deploy({"resources": [nested, after, workspace("beside")]})
    assert failed["provisioningState"] == "Failed"
    assert "failed at Microsoft.MachineLearningServices/workspaces not good" in failed["error"]["message"]
    assert found(place.hub, "beside")
    states = [one["properties"]["provisioningState"] for one in deployments.operations(place.hub, OWNER, TARGET)]
    assert states == ["Failed", "Succeeded"]  # what never began is not listed


def test_a_subscription_takes_groups_and_what_is_in_them(place: Place) -> None:
    template = {
        "resources": [
            {"type": "Microsoft.Resources/resourceGroups", "name": "fresh", "location": "[deployment().location]"},
            {
                "type": "Microsoft.Resources/deployments",
                "name": "inside",
                "resourceGroup": "fresh",
                "dependsOn": ["fresh"],
                "properties": {"mode": "Incremental", "template": {"resources": [workspace("dev")]}},
            },
        ]
    }
    properties = place.deploy(template, group="", location="westus")
    assert properties["provisioningState"] == "Succeeded", properties
    assert groups.get(place.hub, OWNER, "s1", "fresh").body["location"] == "westus"
    assert found(place.hub, "dev", "fresh")
    with pytest.raises(InvalidRequest, match="needs a location"):
        place.deploy(template, group="")


def test_own_functions_and_the_identity_of_what_is_left_out(place: Place) -> None:
    told = outputs(
        place,
        {
            "functions": [
                {
                    "namespace": "ours",
                    "members": {
                        "twice": {
                            "parameters": [{"name": "what", "type": "string"}],
                            "output": {"type": "string", "value": "[concat(parameters('what'), parameters('what'))]"},
                        }
                    },
                }
            ],
            "resources": [{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "name": "id"}],
            "outputs": {
                "twice": {"type": "string", "value": "[ours.twice('ab')]"},
                "principal": {"type": "string", "value": "[reference('id').principalId]"},
            },
        },
    )
    assert told["twice"] == "abab" and len(told["principal"]) == 36


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ([workspace("a", dependsOn=["b"]), workspace("b", dependsOn=["a"])], "in a circle: a -> b -> a"),
        ([workspace("a", dependsOn=["nobody"])], "names 'nobody'"),
        ([workspace("a"), workspace("A")], "in the template twice"),
        ([workspace("a", copy={"name": "x", "count": -1})], "from 0 to 800"),
        ([{**workspace("a/b"), "type": WORKSPACES}], r"needs 1 name\(s\), got 2"),
        ([workspace("[copyIndex()]")], "no copy loop around it"),
    ],
)
def test_a_template_that_cannot_work_is_refused_before_anything_is_made(
    place: Place, resources: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        deployments.validate(place.hub, OWNER, TARGET, body({"resources": resources}), place.maker)


def test_resources_that_refer_to_each_other_end_the_deployment(place: Place) -> None:
    one = workspace("one", tags={"x": "[reference('two').workspaceId]"})
    two = workspace("two", tags={"x": "[reference('one').workspaceId]"})
    failed = place.deploy({"resources": [one, two]})
    assert "refer to each other in a circle: one, two" in failed["error"]["message"]


def test_what_if_tells_property_by_property(place: Place) -> None:
    place.deploy({"resources": [workspace("dev", tags={"a": "1"}, properties={"description": "old"})]})
    template = {"resources": [workspace("dev", tags={"a": "1"}, properties={"description": "new"}), workspace("more")]}
    given = deployments.what_if(place.hub, OWNER, TARGET, body(template), place.maker)["properties"]["changes"]
    assert [change["changeType"] for change in given] == ["Modify", "Create"]
    assert given[0]["delta"][0]["children"][0] == {
        "path": "description", "propertyChangeType": "Modify", "before": "old", "after": "new",
    }  # fmt: skip
    same = {"resources": [workspace("dev", tags={"a": "1"})]}
    again = deployments.what_if(place.hub, OWNER, TARGET, body(same), place.maker)["properties"]["changes"]
    assert [change["changeType"] for change in again] == ["NoChange"]


def test_what_if_looks_into_nested_deployments(place: Place) -> None:
    place.deploy({"resources": [workspace("dev")]})
    inner = {"resources": [workspace("dev", tags={"a": "1"}), workspace("more")]}
    nested = {
        "type": "Microsoft.Resources/deployments", "name": "nested", "resourceGroup": "rg1",
        "properties": {"mode": "Incremental", "template": inner},
    }  # fmt: skip
    for _ in range(2):  # also when the nested deployment was carried out before
        given = deployments.what_if(place.hub, OWNER, TARGET, body({"resources": [nested]}), place.maker)
        told = [(one["resourceId"].rpartition("/")[2], one["changeType"]) for one in given["properties"]["changes"]]
        assert told in ([("dev", "Modify"), ("more", "Create")], [("dev", "NoChange"), ("more", "NoChange")])
        assert place.deploy({"resources": [nested]})["provisioningState"] == "Succeeded"
    assert told == [("dev", "NoChange"), ("more", "NoChange")]


def test_a_name_that_no_deployment_may_have_is_refused_before_anything_else(place: Place) -> None:
    target = Target("s1", "rg1", "bad name")
    for act in (deployments.validate, deployments.what_if, deployments.create):
        with pytest.raises(InvalidName, match="no name of a deployment"):
            act(place.hub, OWNER, target, body({"resources": []}), place.maker)


def test_one_of_a_name_at_a_time_and_what_is_canceled_goes_no_further(place: Place) -> None:
    given = body({"resources": [workspace("never")]})
    deployments.create(place.hub, OWNER, TARGET, given, place.maker)
    for act in (deployments.create, deployments.delete):
        with pytest.raises(StateConflict, match="still running"):
            act(place.hub, OWNER, TARGET, *([given, place.maker] if act is deployments.create else []))
    deployments.cancel(place.hub, OWNER, TARGET)
    place.run()
    properties = deployments.get(place.hub, OWNER, TARGET).body["properties"]
    assert properties["provisioningState"] == "Canceled"
    assert not workspaces.list_(place.hub, OWNER, "s1", resource_group="rg1").documents
    with pytest.raises(StateConflict, match="has ended already"):
        deployments.cancel(place.hub, OWNER, TARGET)
    assert deployments.export(place.hub, OWNER, TARGET)["template"] == given["properties"]["template"]
    assert deployments.delete(place.hub, OWNER, TARGET) and not deployments.delete(place.hub, OWNER, TARGET)


def test_a_deployment_goes_on_in_another_process_with_the_values_it_began_with(tmp_path: Path) -> None:
    hub = make_hub(tmp_path)
    groups.create(hub, OWNER, "s1", "rg1", {"location": "eastus"})
    template = {
        "parameters": {"id": {"type": "string", "defaultValue": "[newGuid()]"}},
        "resources": [workspace("dev", tags={"id": "[parameters('id')]"})],
    }
    begun = deployments.create(hub, OWNER, TARGET, body(template), Requests(site_of(hub))).body
    close_hub(hub)
    again = make_hub(tmp_path)
    place = Place(again, Requests(site_of(again)))
    place.run()
    place.run()
    assert found(again, "dev")["tags"]["id"] == begun["properties"]["parameters"]["id"]["value"]
    assert not again.documents.lease([running.QUEUE], owner="x/", now=again.clock.now() + 1e6, seconds=1)
    close_hub(again)


def test_who_is_switched_off_meanwhile_makes_nothing_more(place: Place) -> None:
    hub = place.hub
    body_of_ada = {"displayName": "Ada", "userPrincipalName": "ada@contoso.test"}
    id = directory.create(hub, OWNER, directory.USER, body_of_ada).body["id"]
    assignments.assign(hub, OWNER, role="Contributor", assignee=id, scope="/subscriptions/s1")
    ada = Principal(id, "Ada", tenant=hub.settings.tenant)
    deployments.create(hub, ada, TARGET, body({"resources": [workspace("never")]}), place.maker)
    directory.update(hub, OWNER, directory.USER, id, {"accountEnabled": False})
    place.run()
    properties = deployments.get(hub, OWNER, TARGET).body["properties"]
    assert properties["provisioningState"] == "Failed" and "is switched off" in properties["error"]["message"]
    assert not workspaces.list_(hub, OWNER, "s1", resource_group="rg1").documents


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[dateTimeAdd('2026-01-31T00:00:00Z', 'P1M')]", "2026-02-28T00:00:00Z"),
        ("[dateTimeAdd('2026-03-01', '-PT1H', 'yyyy-MM-dd HH:mm')]", "2026-02-28 23:00"),
        ("[dateTimeFromEpoch(dateTimeToEpoch('20260102T030405Z'))]", "2026-01-02T03:04:05Z"),
        ("[intersection(createArray(1, 2, 3), createArray(3, 2))]", [2, 3]),
        ("[union(createObject('a', createObject('x', 1)), createObject('a', createObject('y', 2)))]",
         {"a": {"x": 1, "y": 2}}),
        ("[sort(createArray(3, 1, 2), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))]", [1, 2, 3]),
        ("[filter(range(0, 5), lambda('i', equals(mod(lambdaVariables('i'), 2), 0)))]", [0, 2, 4]),
        ("[reduce(range(1, 3), 0, lambda('sum', 'i', add(lambdaVariables('sum'), lambdaVariables('i'))))]", 6),
        ("[toObject(createArray('a', 'b'), lambda('i', lambdaVariables('i')), lambda('i', 'A'))]",
         {"a": "A", "b": "A"}),
        ("[items(createObject('b', 2, 'a', 1))[0].key]", "a"),
        ("[div(-7, 2)]", -3),
        ("[padLeft(7, 3, '0')]", "007"),
        ("[uri('https://x.test/a/', 'b/c')]", "https://x.test/a/b/c"),
        ("[base64ToJson(base64('{\"one\": 1}')).one]", 1),
        ("[tryGet(createObject('a', createArray(5)), 'a', 3)]", None),
        ("[subscriptionResourceId('A.B/c', 'd')]", "/subscriptions/s1/providers/A.B/c/d"),
        ("[extensionResourceId('/subscriptions/s1', 'A.B/c', 'd')]", "/subscriptions/s1/providers/A.B/c/d"),
        ("[resourceId('other', 'A.B/c/e', 'd', 'f')]", "/subscriptions/s1/resourceGroups/other/providers/A.B/c/d/e/f"),
    ],
)  # fmt: skip
def test_functions(place: Place, expression: str, value: Json) -> None:
    assert outputs(place, {"outputs": {"it": {"type": "string", "value": expression}}})["it"] == value
