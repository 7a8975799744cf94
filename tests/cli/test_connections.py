"""`ml connection` on the command line: every command, every kind of credentials, no secret unasked for."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run

FEED = """
$schema: http://azureml/sdk-2-0/Connection.json
name: feed
type: python_feed
target: https://pkgs.example.com/simple
credentials: {type: pat, pat: s3cr3t}
metadata: {team: blue}
"""
KINDS = {
    "git": ("type: git\ntarget: https://git.example.com\ncredentials: {type: pat, pat: s3cr3t}", "pat"),
    "acr": (
        "type: container_registry\ntarget: https://r.example.com\n"
        "credentials: {type: username_password, username: u, password: s3cr3t}", "username_password",
    ),
    "s3": (
        "type: s3\ntarget: s3.example.com\n"
        "credentials: {type: access_key, access_key_id: i, secret_access_key: s3cr3t}",
        "access_key",
    ),
    "blob": (
        "type: azure_blob\nurl: https://a.example.com/c\naccount_name: a\ncontainer_name: c\n"
        "credentials: {type: sas, sas_token: s3cr3t}", "sas",
    ),
    "aoai": ("type: azure_open_ai\nazure_endpoint: https://o.example.com\napi_key: s3cr3t", "api_key"),
    "aad": ("type: azure_open_ai\nazure_endpoint: https://o.example.com", "aad"),
    "safety": ("type: azure_content_safety\nendpoint: https://c.example.com\napi_key: s3cr3t", "api_key"),
    "own": ("type: custom\ntarget: x\nconfigs: {region: eu}\nsecrets: {one: s3cr3t}", "custom_keys"),
    "openai": ("type: open_ai\napi_key: s3cr3t", "api_key"),
}  # fmt: skip


def test_a_connection_lives_through_all_its_commands(az: Run) -> None:
    Path("feed.yml").write_text(FEED)
    made = az("ml", "connection", "create", "-f", "feed.yml").json
    assert (made["type"], made["target"]) == ("python_feed", "https://pkgs.example.com/simple")
    assert (made["credentials"], made["metadata"]) == ({"type": "pat"}, {"team": "blue"})
    shown = az("ml", "connection", "show", "-n", "feed", "--populate-secrets").json
    assert shown["credentials"] == {"type": "pat", "pat": "s3cr3t"}
    changed = az("ml", "connection", "update", "-n", "feed", "--set", "target=https://else", "metadata.team=red").json
    assert (changed["target"], changed["metadata"]) == ("https://else", {"team": "red"})
    kept = az("ml", "connection", "show", "-n", "feed", "-p").json
    assert kept["credentials"]["pat"] == "s3cr3t"
    az("ml", "connection", "update", "-n", "feed", "--set", "credentials.pat=another")
    assert az("ml", "connection", "show", "-n", "feed", "-p").json["credentials"]["pat"] == "another"
    assert az("ml", "connection", "delete", "-n", "feed", "--yes").code == 0
    assert az("ml", "connection", "show", "-n", "feed").code == 3


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_keeps_its_secret_to_itself(az: Run, name: str) -> None:
    text, credentials = KINDS[name]
    Path("c.yml").write_text(f"name: c-{name}\n{text}\n")
    made = az("ml", "connection", "create", "-f", "c.yml")
    assert made.json["credentials"]["type"] == credentials, made.out
    assert made.json["type"] == text.split()[1]
    plain = az("ml", "connection", "show", "-n", f"c-{name}")
    assert "s3cr3t" not in made.out + plain.out
    told = az("ml", "connection", "show", "-n", f"c-{name}", "--populate-secrets").out
    assert ("s3cr3t" in told) == (credentials != "aad")
    of_kind = az("ml", "connection", "list", "--type", text.split()[1])
    assert f"c-{name}" in [found["name"] for found in of_kind.json]
    assert "s3cr3t" not in of_kind.out
    assert f"c-{name}" not in [found["name"] for found in az("ml", "connection", "list", "-t", "serp").json]


def test_what_a_file_lacks_is_told(az: Run) -> None:
    Path("c.yml").write_text("name: c\ntype: git\n")
    ended = az("ml", "connection", "create", "-f", "c.yml")
    assert ended.code == 1 and "needs the field 'target'" in ended.err
    Path("c.yml").write_text("name: c\ntype: gti\ntarget: x\n")
    assert "must be one of git" in az("ml", "connection", "create", "-f", "c.yml").err
