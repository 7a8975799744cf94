"""Connections: credentials are told to who may ask for them, and lie in the store sealed."""

from typing import Any

from entrepot.testing.live import LiveServer

Json = Any
KEY = "a-key-that-nobody-should-read"


def put(server: LiveServer, place: str, **properties: Json) -> Json:
    given = {"category": "ApiKey", "authType": "ApiKey", "target": "https://example.com", **properties}
    reply = server.call("PUT", place, {"properties": given})
    assert reply.status == 200, reply.json
    return reply.json


def test_credentials_are_told_apart_and_lie_in_the_store_sealed(server: LiveServer, provider: str) -> None:
    place = f"{provider}/workspaces/dev/connections/sealed"
    assert put(server, place, credentials={"key": KEY})["properties"]["credentials"] is None
    assert server.call("GET", place).json["properties"]["credentials"] is None
    listed = server.call("GET", f"{provider}/workspaces/dev/connections?category=apikey")
    assert [each["name"] for each in listed.json["value"]] == ["sealed"] and KEY not in str(listed.json)
    assert server.call("POST", f"{place}/listsecrets").json["properties"]["credentials"] == {"key": KEY}
    stored = b"".join(file.read_bytes() for file in server.home.glob("entrepot.db*"))
    assert b"connections/sealed" in stored and KEY.encode() not in stored


def test_a_change_keeps_what_it_leaves_out_and_deleting_takes_the_secret(server: LiveServer, provider: str) -> None:
    place = f"{provider}/workspaces/dev/connections/changing"
    put(server, place, credentials={"key": KEY}, metadata={"a": "b"})
    put(server, place, target="https://other.example.com")
    found = server.call("POST", f"{place}/listsecrets").json["properties"]
    assert (found["target"], found["credentials"]) == ("https://other.example.com", {"key": KEY})
    assert found["metadata"] == {"a": "b"}
    assert server.call("DELETE", place).status == 200
    assert server.call("GET", place).status == server.call("POST", f"{place}/listsecrets").status == 404
    put(server, place)
    assert server.call("POST", f"{place}/listsecrets").json["properties"]["credentials"] is None


def test_what_a_connection_needs_is_said(server: LiveServer, provider: str) -> None:
    place = f"{provider}/workspaces/dev/connections"
    for name, body, words in (
        ("a b", {"category": "x", "authType": "PAT"}, "not a connection name"),
        ("good", {"authType": "PAT"}, "properties.category"),
        ("good", {"category": "x", "authType": "PAT", "credentials": "text"}, "must be an object"),
    ):
        reply = server.call("PUT", f"{place}/{name.replace(' ', '%20')}", {"properties": body})
        assert reply.status == 400 and words in reply.json["error"]["message"]
