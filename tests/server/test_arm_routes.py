"""ARM's own routes: groups, subscriptions, providers, resource lists, template deployments with comments."""

from urllib.parse import quote, urlsplit

import pytest

from entrepot.testing.live import LiveServer

TEMPLATE = """{"properties": {"parameters": {"registryName": {"value": "templated"}}, "mode": "Incremental", template:{
  // spliced by az, comments and all
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {"registryName": {"type": "string"}},
  "resources": [{
    "type": "Microsoft.MachineLearningServices/registries", "apiVersion": "2022-10-01-preview",
    "name": "[parameters('registryName')]", "location": "[resourceGroup().location]",
    "properties": {"regionDetails": [{"location": "[resourceGroup().location]"}]},
  }],
}}}"""


def test_a_group_is_made_listed_and_deleted(server: LiveServer) -> None:
    path = "/subscriptions/s2/resourcegroups/one"
    made = server.call("PUT", path, {"location": "westus", "tags": {"a": "b"}})
    assert made.status == 201 and made.json["location"] == "westus"
    assert server.call("PUT", path, {"location": "westus"}).status == 200
    assert [found["name"] for found in server.call("GET", "/subscriptions/s2/resourcegroups").json["value"]] == ["one"]
    assert server.call("DELETE", path).status == 200
    assert server.call("GET", path).status == 404


def test_groups_are_found_by_tag_and_a_patch_changes_tags_alone(server: LiveServer) -> None:
    base = "/subscriptions/s4/resourcegroups"
    for name, value in (("one", "x"), ("two", "y")):
        assert server.call("PUT", f"{base}/{name}", {"location": "westus", "tags": {"a": value}}).status == 201
    found = server.call("GET", f"{base}?$filter=" + quote("tagname eq 'a' and tagvalue eq 'y'")).json["value"]
    assert [group["name"] for group in found] == ["two"]
    assert server.call("GET", f"{base}?$filter=nonsense").status == 400
    changed = server.call("PATCH", f"{base}/one", {"tags": {"b": "z"}, "location": "ignored"})
    assert (changed.status, changed.json["tags"], changed.json["location"]) == (200, {"b": "z"}, "westus")
    assert server.call("PATCH", f"{base}/three", {"tags": {}}).status == 404


def test_deployments_are_found_by_their_state(server: LiveServer) -> None:
    base = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Resources/deployments"
    body = {"properties": {"mode": "Incremental", "template": {"resources": []}}}
    assert server.call("PUT", f"{base}/fine", body).status == 201
    for state, is_there in (("succeeded", True), ("Failed", False)):
        asked = f"{base}?$filter=" + quote(f"provisioningState eq '{state}'")
        assert ("fine" in [one["name"] for one in server.call("GET", asked).json["value"]]) is is_there
    assert server.call("GET", f"{base}?$filter=nonsense").status == 400
    assert server.call("DELETE", f"{base}/fine").status == 204


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/providers/Microsoft.Authorization/locks", "Locks are not supported"),
        ("POST", "/resourceGroups/rg/moveResources", "Moves between groups are not supported"),
        ("POST", "/resourcegroups/rg/exportTemplate", "Templates of what a group holds are not supported"),
        ("PUT", "/tagNames/x", "Tag names without a resource are not supported"),
    ],
)
def test_what_azure_has_and_this_server_does_not_is_named(
    server: LiveServer, method: str, path: str, words: str
) -> None:
    told = server.call(method, f"/subscriptions/s1{path}", {} if method != "GET" else None)
    assert told.status == 404 and words in told.json["error"]["message"]


def test_a_long_list_is_followed_page_by_page_without_loss(server: LiveServer) -> None:
    names = {f"g{number}" for number in range(5)}
    for name in names:
        server.call("PUT", f"/subscriptions/s3/resourcegroups/{name}", {"location": "eastus"})
    found, link = [], "/subscriptions/s3/resourcegroups?api-version=2024-11-01&$top=2"
    for _ in range(10):
        page = server.call("GET", link).json
        found += [group["name"] for group in page["value"]]
        if "nextLink" not in page:
            break
        assert page["nextLink"].startswith(server.url) and "api-version=2024-11-01" in page["nextLink"]
        parts = urlsplit(page["nextLink"])
        link = f"{parts.path}?{parts.query}"
    assert sorted(found) == sorted(names)


def test_the_tenant_subscription_locations_and_provider_are_told(server: LiveServer) -> None:
    tenant = server.call("GET", "/tenants?api-version=2022-12-01").json["value"][0]["tenantId"]
    subscription = server.call("GET", "/subscriptions").json["value"][0]
    assert subscription["tenantId"] == tenant and subscription["state"] == "Enabled"
    places = server.call("GET", f"{subscription['id']}/locations").json["value"]
    assert [place["name"] for place in places] == ["eastus", "westus", "westeurope"]
    provider = server.call("GET", f"{subscription['id']}/providers/microsoft.machinelearningservices").json
    types = {found["resourceType"]: found for found in provider["resourceTypes"]}
    assert "registries" in types and types["workspaces"]["apiVersions"]


def test_resources_are_listed_by_filter(server: LiveServer, group: str) -> None:
    base = "/subscriptions/s1/resources?$filter="
    kind = "Microsoft.MachineLearningServices/registries"
    both = server.call("GET", base + quote("resourceGroup eq 'rg'")).json["value"]
    assert {"dev", "contoso"} <= {found["name"] for found in both}
    one = server.call("GET", base + quote(f"resourceType eq '{kind}' and name eq 'contoso'")).json["value"]
    assert [found["type"] for found in one] == [kind]
    assert server.call("GET", base + quote("colour eq 'red'")).status == 400


def test_a_template_with_comments_makes_a_registry(server: LiveServer, group: str, provider: str) -> None:
    path = f"{group}/providers/Microsoft.Resources/deployments/first"
    assert server.call("POST", path + "/validate", TEMPLATE.encode()).status == 200
    assert server.call("GET", f"{provider}/registries/templated").status == 404
    made = server.call("PUT", path, TEMPLATE.encode())
    assert made.status == 201 and made.json["properties"]["provisioningState"] == "Succeeded"
    assert server.call("GET", f"{provider}/registries/templated").json["location"] == "eastus"
    assert server.call("GET", path).json["name"] == "first"
    assert server.call("HEAD", path).status == 204
    operations = server.call("GET", f"{group}/deployments/first/operations").json["value"]
    assert operations[0]["properties"]["targetResource"]["resourceName"] == "templated"
    listed = server.call("GET", f"{group}/providers/Microsoft.Resources/deployments/").json["value"]
    assert [found["name"] for found in listed] == ["first"]
    assert server.call("DELETE", path).status == 204
    assert server.call("HEAD", path).status == 404


def test_a_template_that_does_not_parse_is_told_with_its_line(server: LiveServer, group: str) -> None:
    path = f"{group}/providers/Microsoft.Resources/deployments/bad"
    reply = server.call("PUT", path, TEMPLATE.replace('"contentVersion"', "contentVersion").encode())
    assert reply.status == 400 and "line 4" in reply.json["error"]["message"]


def test_tags_are_merged_replaced_and_taken_away_beside_all_else(server: LiveServer) -> None:
    group = "/subscriptions/s7/resourceGroups/tagged"
    server.call("PUT", group, {"location": "westus", "tags": {"a": "1"}})
    tags = f"{group}/providers/Microsoft.Resources/tags/default"
    for method, body, expected in (
        ("PATCH", {"operation": "Merge", "properties": {"tags": {"b": "2"}}}, {"a": "1", "b": "2"}),
        ("PATCH", {"operation": "Delete", "properties": {"tags": {"a": "1", "b": "other"}}}, {"b": "2"}),
        ("PUT", {"properties": {"tags": {"c": "3"}}}, {"c": "3"}),
    ):
        assert server.call(method, tags, body).json["properties"]["tags"] == expected
        found = server.call("GET", group).json
        assert (found["tags"], found["location"]) == (expected, "westus")
    assert server.call("GET", "/subscriptions/s7/tagNames").json["value"][0]["values"][0]["tagValue"] == "3"
    assert server.call("PATCH", tags, {"operation": "Mix", "properties": {"tags": {}}}).status == 400
    assert server.call("PATCH", tags, {"properties": {"tags": {"a": 1}}}).status == 400
    assert server.call("DELETE", tags).json["properties"]["tags"] == {}
    assert server.call("GET", tags.replace("tagged", "nowhere")).status == 404


def test_a_provider_lists_what_can_be_put(server: LiveServer) -> None:
    listed = {one["namespace"]: one for one in server.call("GET", "/subscriptions/s1/providers").json["value"]}
    types = {kind["resourceType"] for kind in listed["Microsoft.MachineLearningServices"]["resourceTypes"]}
    assert {"registries", "workspaces/computes", "registries/models/versions", "workspaces/onlineEndpoints"} <= types
    known = {kind["resourceType"] for kind in listed["Microsoft.Resources"]["resourceTypes"]}
    assert {"deployments", "resourceGroups"} <= known
    assert server.call("POST", "/subscriptions/s1/providers/Microsoft.Resources/unregister").status == 409
