"""The ARM routes of online endpoints on a live server, and tokens, which the gateway asks the server about."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from entrepot.core.settings import LOCAL_SUBSCRIPTION
from entrepot.testing.live import LiveServer, Reply, live

Json = Any
GROUP = f"/subscriptions/{LOCAL_SUBSCRIPTION}/resourceGroups/rg"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/dev"
LIMIT_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live(tmp_path_factory.mktemp("routes") / "home", fsync=False) as running:
        assert running.call("PUT", WORKSPACE, {"location": "eastus"}).status == 201
        yield running


def path(name: str, *more: str) -> str:
    return "/".join((f"{WORKSPACE}/onlineEndpoints/{name}", *more))


def create(server: LiveServer, name: str, **properties: Json) -> Reply:
    return server.call("PUT", path(name), {"location": "eastus", "properties": properties})


def score(uri: str, authorization: str | None) -> tuple[int, Json]:
    """Ask the gateway: what the server answered is in force already."""
    place = urlsplit(uri)
    assert place.hostname
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=LIMIT_S)
    try:
        headers = {"Authorization": authorization} if authorization else {}
        connection.request("POST", place.path, body=b"{}", headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_an_endpoint_is_made_read_listed_changed_and_deleted(server: LiveServer) -> None:
    made = create(server, "first", authMode="Key", description="d")
    assert made.status == 201
    assert create(server, "first", description="e").status == 200
    shown = server.call("GET", path("first")).json
    assert shown["properties"]["scoringUri"].startswith("http://127.0.0.1:")
    secure = server.call("GET", path("first"), secure=True).json
    assert secure["properties"]["scoringUri"].startswith("https://127.0.0.1:")
    listed = server.call("GET", f"{WORKSPACE}/onlineEndpoints").json["value"]
    assert "first" in [item["name"] for item in listed]
    changed = server.call("PATCH", path("first"), {"tags": {"team": "taxi"}}).json
    assert (changed["tags"], changed["properties"]["description"]) == ({"team": "taxi"}, "e")
    assert server.call("DELETE", path("first")).status == 200
    assert server.call("GET", path("first")).status == 404
    assert server.call("DELETE", path("first")).status == 404


def test_keys_are_listed_and_replaced(server: LiveServer) -> None:
    create(server, "keyed")
    keys = server.call("POST", path("keyed", "listKeys")).json
    assert set(keys) == {"primaryKey", "secondaryKey"}
    assert server.call("POST", path("keyed", "regenerateKeys"), {"keyType": "Primary"}).status == 200
    again = server.call("POST", path("keyed", "listKeys")).json
    assert again["primaryKey"] != keys["primaryKey"]
    assert again["secondaryKey"] == keys["secondaryKey"]
    refused = server.call("POST", path("keyed", "regenerateKeys"), {})
    assert refused.status == 400
    assert server.call("POST", path("keyed", "token")).status == 409


def test_a_deployment_that_names_nothing_is_told_so(server: LiveServer) -> None:
    create(server, "bare")
    answer = server.call("PUT", path("bare", "deployments", "blue"), {"properties": {}})
    assert answer.status == 400
    assert "needs environmentId" in answer.json["error"]["message"]
    missing = server.call("GET", path("bare", "deployments", "blue"))
    assert missing.status == 404
    assert "There is no deployment blue of online endpoint bare" in missing.json["error"]["message"]
    assert server.call("PUT", path("none", "deployments", "blue"), {"properties": {}}).status == 404


def test_scoring_with_keys_and_with_tokens_of_either_kind(server: LiveServer) -> None:
    uri = create(server, "keys").json["properties"]["scoringUri"]
    key = server.call("POST", path("keys", "listKeys")).json["primaryKey"]
    assert score(uri, f"Bearer {key}")[0] == 404
    assert score(uri, "Bearer wrong")[0] == 401

    uri = create(server, "tokens", authMode="AMLToken").json["properties"]["scoringUri"]
    token = server.call("POST", path("tokens", "token")).json
    assert token["expiryTimeUtc"] > time.time() + 3600
    status, body = score(uri, f"Bearer {token['accessToken']}")
    assert (status, body["error"]["message"]) == (404, "No deployment of this endpoint has traffic")
    assert score(uri, f"Bearer {token['accessToken'][:-2]}xx")[0] == 401
    assert score(uri, None)[0] == 401
    other = create(server, "others", authMode="AMLToken").json["properties"]["scoringUri"]
    assert score(other, f"Bearer {token['accessToken']}")[0] == 401

    uri = create(server, "entra", authMode="AADToken").json["properties"]["scoringUri"]
    assert score(uri, f"Bearer {server.token}")[0] == 404
    assert score(uri, f"Bearer {token['accessToken']}")[0] == 401


def test_only_gateways_may_ask_about_tokens(server: LiveServer) -> None:
    create(server, "asked", authMode="AMLToken")
    assert server.call("GET", "/gateway/authorize").status == 401
    assert server.call("GET", "/gateway/authorize", headers={"x-entrepot-gateway": "guess"}).status == 401


def test_lineage_is_told_over_http_and_what_cannot_be_asked_is_refused(server: LiveServer) -> None:
    create(server, "traced")
    asked = f"/lineage/v1.0/edges?id={path('traced')}"
    assert server.call("GET", asked).json == {"id": path("traced"), "value": []}
    assert server.call("GET", f"/lineage/v1.0/edges?id={path('untraced')}").status == 404
    for wrong in ("depth=0", "depth=many", "depth=%C2%B2", f"depth={'9' * 5000}", "direction=sideways"):
        assert server.call("GET", f"{asked}&{wrong}").status == 400, wrong
    assert server.call("GET", asked, token="wrong").status == 401
