"""`ad ...`: the directory from our own command line, as `az ad` keeps it."""

import secrets
from pathlib import Path

import pytest

from entrepot.testing.live import LiveServer
from tests.cli.conftest import Run

PASSWORD = "a long enough password"


def fresh(word: str) -> str:
    """Return a name that nothing has."""
    return f"{word}{secrets.token_hex(4)}"


@pytest.fixture
def ada(az: Run) -> str:
    """A user."""
    name = f"{fresh('ada')}@contoso.test"
    made = az("ad", "user", "create", "--display-name", "Ada", "--user-principal-name", name, "--password", PASSWORD)
    assert made.code == 0, made.err
    return name


def test_users_are_made_shown_changed_found_and_deleted(az: Run, ada: str) -> None:
    shown = az("ad", "user", "show", "--id", ada).json
    assert (shown["displayName"], shown["mailNickname"]) == ("Ada", ada.partition("@")[0])
    assert az("ad", "user", "update", "--id", ada, "--display-name", "Ada L", "--account-enabled", "false").code == 0
    [found] = az("ad", "user", "list", "--upn", ada).json
    assert (found["displayName"], found["accountEnabled"]) == ("Ada L", False)
    by_filter = az("ad", "user", "list", "--filter", f"startswith(userPrincipalName,'{ada[:8]}')", "--query", "[].id")
    assert by_filter.json == [shown["id"]]
    assert az("ad", "user", "update", "--id", ada).code == 2
    weak = az("ad", "user", "update", "--id", ada, "--password", "short")
    assert weak.code == 1 and "easy to guess" in weak.err
    assert az("ad", "user", "delete", "--id", ada).code == 0
    gone = az("ad", "user", "show", "--id", ada)
    assert gone.code == 3 and "There is no user" in gone.err


def test_groups_have_members_and_are_found_by_the_beginning_of_their_names(az: Run, ada: str) -> None:
    team = fresh("team")
    made = az("ad", "group", "create", "--display-name", f"{team} one", "--mail-nickname", team).json
    again = az("ad", "group", "create", "--display-name", f"{team} one", "--mail-nickname", team)
    assert again.json["id"] == made["id"] and "exists already" in again.err
    id = az("ad", "user", "show", "--id", ada).json["id"]
    member = ("-g", team, "--member-id", id)
    assert az("ad", "group", "member", "add", *member).code == 0
    assert az("ad", "group", "member", "check", *member).json == {"value": True}
    assert [one["displayName"] for one in az("ad", "group", "member", "list", "-g", team).json] == ["Ada"]
    assert [one["id"] for one in az("ad", "user", "get-member-groups", "--id", ada).json] == [made["id"]]
    assert az("ad", "group", "get-member-groups", "-g", team).json == []
    assert az("ad", "group", "member", "remove", *member).code == 0
    assert az("ad", "group", "member", "check", *member).json == {"value": False}
    az("ad", "group", "create", "--display-name", f"{team} two", "--mail-nickname", f"{team}2")
    two = az("ad", "group", "show", "-g", team)
    assert two.code == 1 and "2 groups" in two.err
    assert az("ad", "group", "delete", "-g", f"{team} two").code == 0
    assert az("ad", "group", "show", "-g", fresh("none")).code == 3


def test_a_principal_for_scripts_has_a_role_and_a_secret_that_signs_in(az: Run, served: LiveServer) -> None:
    name = fresh("ci")
    words = ("ad", "sp", "create-for-rbac", "-n", name, "--role", "Reader", "--scopes", "azureml://registries/contoso")
    told = az(*words).json
    assert sorted(told) == ["appId", "displayName", "password", "tenant"]
    assert token(served, told["appId"], told["password"]) == 200
    [role] = az("role", "assignment", "list", "--assignee", told["appId"], "--all").json
    assert role["roleDefinitionName"] == "Reader" and role["scope"].endswith("/registries/contoso")
    second = az(*words).json
    assert second["appId"] == told["appId"] and token(served, told["appId"], told["password"]) == 401
    third = az("ad", "sp", "credential", "reset", "--id", told["appId"], "--append", "--years", "2").json
    assert token(served, told["appId"], second["password"]) == token(served, told["appId"], third["password"]) == 200
    first, _ = az("ad", "app", "credential", "list", "--id", told["appId"]).json
    assert az("ad", "sp", "credential", "delete", "--id", told["appId"], "--key-id", first["keyId"]).code == 0
    assert token(served, told["appId"], second["password"]) == 401
    assert az("ad", "sp", "update", "--id", told["appId"], "--set", "accountEnabled=false").code == 0
    assert token(served, told["appId"], third["password"]) == 400, "it is switched off"
    assert az("ad", "sp", "create-for-rbac", "--role", "Reader").code == 2
    table = az("ad", "sp", "list", "--display-name", name, "-o", "table").out.splitlines()
    assert table[0].split() == ["DisplayName", "Id", "AppId", "CreatedDateTime"] and table[2].startswith(name)


def token(server: LiveServer, client: str, secret: str) -> int:
    """Return the status with which the authority answers a secret."""
    from urllib.parse import urlencode

    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret,
            "scope": "https://management.azure.com/.default"}  # fmt: skip
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    place = "/organizations/oauth2/v2.0/token"
    return server.call("POST", place, urlencode(form).encode(), token=None, headers=headers, secure=True).status


def test_an_application_is_known_by_three_names_and_trusts_other_issuers(az: Run, tmp_path: Path) -> None:
    uri = f"api://{fresh('x')}"
    made = az("ad", "app", "create", "--display-name", fresh("app"), "--identifier-uris", uri).json
    for name in (uri, made["id"], made["appId"]):
        assert az("ad", "app", "show", "--id", name, "--query", "appId").json == made["appId"]
    where = ("--web-redirect-uris", "https://a.test/cb", "--is-fallback-public-client", "true")
    assert az("ad", "app", "update", "--id", uri, *where, "--set", "notes=n").code == 0
    shown = az("ad", "app", "show", "--id", uri).json
    assert (shown["web"], shown["isFallbackPublicClient"], shown["notes"]) == (
        {"redirectUris": ["https://a.test/cb"]}, True, "n",
    )  # fmt: skip
    file = tmp_path / "trust.json"
    file.write_text('{"name": "ci", "issuer": "https://i.test", "subject": "s"}')
    assert az("ad", "app", "federated-credential", "create", "--id", uri, "--parameters", f"@{file}").code == 0
    one = ("--id", uri, "--federated-credential-id", "ci")
    assert az("ad", "app", "federated-credential", "update", *one, "--parameters", '{"subject": "t"}').code == 0
    assert az("ad", "app", "federated-credential", "show", *one, "--query", "subject").json == "t"
    assert az("ad", "app", "federated-credential", "delete", *one).code == 0
    assert az("ad", "app", "federated-credential", "list", "--id", uri).json == []
    assert az("ad", "app", "federated-credential", "create", "--id", uri, "--parameters", "nonsense").code == 2
    assert az("ad", "app", "delete", "--id", uri).code == 0
    assert az("ad", "app", "show", "--id", uri).code == 3


def test_lists_go_on_behind_their_first_page(az: Run, served: LiveServer) -> None:
    prefix = fresh("many")
    for number in range(101):
        body = {"displayName": f"{prefix}{number}", "mailNickname": prefix}
        assert served.call("POST", "/v1.0/groups", body).status == 201
    found = az("ad", "group", "list", "--query", f"[?starts_with(displayName, '{prefix}')].id").json
    assert len(found) == 101
