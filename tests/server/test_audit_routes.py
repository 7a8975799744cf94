"""The audit trail over the wire: entries of what a live server did and refused, verification, the activity log."""

import json
import uuid
from urllib.parse import quote

from entrepot.testing.live import LiveServer, wait_until
from tests.server.conftest import GROUP, PROVIDER

TRAIL = "/audit/v1.0"
ML = "Microsoft.MachineLearningServices"
ACTIVITY = "/subscriptions/s1/providers/Microsoft.Insights/eventtypes/management/values"


def entries(server: LiveServer, query: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = server.call("GET", f"{TRAIL}/entries?{query}").json["value"]
    return found


def _verified(server: LiveServer) -> dict[str, int]:
    found: dict[str, int] = server.call("POST", f"{TRAIL}/verify").json
    return found


def test_a_write_is_in_the_trail_with_its_request_id(server: LiveServer) -> None:
    answer = server.call("PUT", f"{PROVIDER}/registries/contoso/environments/audited/versions/1",
                         {"properties": {"image": "x"}})  # fmt: skip
    (found,) = entries(server, f"requestId={answer.headers['x-ms-request-id']}")
    assert (found["outcome"], found["action"]) == (
        "allowed",
        f"{ML}/registries/assets/write",
    )
    assert found["target"].endswith("/environments/audited/versions/1")


def test_strangers_are_noted_by_what_they_asked_for(server: LiveServer) -> None:
    assert server.call("GET", f"{PROVIDER}/registries/contoso", token=None).status == 401
    assert server.call("DELETE", f"{PROVIDER}/registries/contoso", token="wrong").status == 401
    asked = {f"{ML}/registries/read", f"{ML}/registries/delete"}

    def noted() -> set[str]:
        return {found["action"] for found in entries(server, "outcome=unauthenticated")}

    wait_until(lambda: noted() >= asked, timeout_s=60, what="the notes")
    assert "wrong" not in json.dumps(entries(server, "outcome=unauthenticated"))


def test_the_trail_verifies_and_is_sealed_by_itself(server: LiveServer) -> None:
    server.call("PUT", f"{GROUP}-{uuid.uuid4().hex[:6]}", {"location": "eastus"})
    found = _verified(server)
    assert found["isIntact"] is True and found["entries"] + found["unsealed"] > 0
    wait_until(
        lambda: server.call("POST", f"{TRAIL}/verify").json["seals"] > found["seals"], timeout_s=60, what="seals"
    )


def test_the_trail_is_exported_as_json_lines(server: LiveServer) -> None:
    answer = server.call("GET", f"{TRAIL}/export?action=Microsoft.MachineLearningServices/registries/write")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines and all(line["action"].endswith("registries/write") for line in lines)
    assert [line["position"] for line in lines] == sorted(line["position"] for line in lines)


def test_pages_of_entries_link_to_each_other(server: LiveServer) -> None:
    first = server.call("GET", f"{TRAIL}/entries?$top=1").json
    link = first["nextLink"].partition("//")[2]
    second = server.call("GET", "/" + link.partition("/")[2]).json
    assert second["value"][0]["position"] < first["value"][0]["position"]


def test_azures_activity_log_shows_the_same(server: LiveServer) -> None:
    terms = "eventTimestamp ge '2020-01-01T00:00:00Z' and eventTimestamp le '2100-01-01T00:00:00Z'"
    terms += " and resourceGroupName eq 'rg'"
    events = server.call("GET", f"{ACTIVITY}?api-version=2015-04-01&$filter={quote(terms)}").json["value"]
    made = next(one for one in events if one["operationName"]["value"].endswith("workspaces/write"))
    assert made["resourceGroupName"] == "rg" and made["status"]["value"] == "Succeeded"
    assert made["authorization"]["scope"].endswith("/workspaces/dev")
    none = quote("eventTimestamp le '2020-01-01T00:00:00Z'")
    assert server.call("GET", f"{ACTIVITY}?$filter={none}").json["value"] == []
    assert server.call("GET", f"{ACTIVITY}?$filter=color%20eq%20'red'").status == 400


def test_letting_go_needs_a_time_in_the_past(server: LiveServer) -> None:
    assert server.call("POST", f"{TRAIL}/trim", {"before": "2100-01-01T00:00:00Z"}).status == 400
    assert server.call("POST", f"{TRAIL}/trim", {"before": "soon"}).status == 400
    assert server.call("POST", f"{TRAIL}/trim", {"before": "2020-01-01T00:00:00Z"}).json["removed"] == 0


def test_details_of_events_are_texts_which_is_all_that_az_reads(server: LiveServer) -> None:
    place = f"{PROVIDER}/workspaces/dev/onlineEndpoints/noted-{uuid.uuid4().hex[:6]}"
    body = {"location": "eastus", "properties": {"authMode": "Key", "traffic": {}}}
    assert server.call("PUT", place, body).status in (200, 201)
    asked = quote(f"eventTimestamp ge '2020-01-01T00:00:00Z' and resourceUri eq '{place}'")
    found = [event["properties"] for event in server.call("GET", f"{ACTIVITY}?$filter={asked}").json["value"]]
    assert {"traffic": "{}"} in found
    assert server.call("DELETE", place).status in (200, 202, 204)
