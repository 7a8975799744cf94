"""The genuine `az ad` keeps our directory, and what it makes can sign in."""

from pathlib import Path

from tests.az.conftest import Az

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


def test_az_keeps_users_and_groups(az: Az) -> None:
    name = (
        "--display-name",
        "Ada",
        "--user-principal-name",
        "ada@contoso.test",
        "--password",
        "a long enough password",
    )
    user = az("ad", "user", "create", *name).json
    az("ad", "group", "create", "--display-name", "team", "--mail-nickname", "team")
    az("ad", "group", "member", "add", "--group", "team", "--member-id", user["id"])
    listed = az("ad", "group", "member", "list", "--group", "team").json
    assert [member["displayName"] for member in listed] == ["Ada"]
    checked = az("ad", "group", "member", "check", "--group", "team", "--member-id", user["id"]).json
    assert checked["value"] is True
    az("ad", "user", "delete", "--id", "ada@contoso.test")
    assert az("ad", "group", "member", "list", "--group", "team").json == []


def test_a_principal_that_az_made_signs_in_and_has_the_role_that_it_was_given(az: Az, tmp_path: Path) -> None:
    az("group", "create", "-n", "for-ci", "-l", "eastus")
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/for-ci"
    made = az("ad", "sp", "create-for-rbac", "-n", "ci", "--role", "Reader", "--scopes", scope).json
    trust = '{"name": "ci", "issuer": "https://token.contoso.test", "subject": "repo:contoso/ml", "audiences": ["a"]}'
    az("ad", "app", "federated-credential", "create", "--id", made["appId"], "--parameters", trust)
    kept = az("ad", "app", "federated-credential", "list", "--id", made["appId"]).json
    assert [entry["subject"] for entry in kept] == ["repo:contoso/ml"]
    own = str(tmp_path / "ci")
    az(
        "cloud",
        "register",
        "-n",
        "Entrepot",
        "--endpoint-resource-manager",
        az.server.file.https_url,
        AZURE_CONFIG_DIR=own,
    )
    az("cloud", "set", "-n", "Entrepot", AZURE_CONFIG_DIR=own)
    who = ("--service-principal", "-u", made["appId"], "--tenant", made["tenant"])
    refused = az("login", *who, "-p", "wrong", code=1, AZURE_CONFIG_DIR=own)
    assert "AADSTS7000215" in refused.err
    az("login", *who, "-p", made["password"], AZURE_CONFIG_DIR=own)
    assert [group["name"] for group in az("group", "list", AZURE_CONFIG_DIR=own).json] == ["for-ci"]
    denied = az("group", "create", "-n", "more", "-l", "eastus", code=1, AZURE_CONFIG_DIR=own)
    assert "The role 'Contributor' would grant it" in denied.err


def test_az_shows_and_changes_all_that_roles_need(az: Az) -> None:
    app = az("ad", "app", "create", "--display-name", "tool", "--identifier-uris", "api://tool").json["appId"]
    az("ad", "app", "update", "--id", app, "--set", 'tags=["a"]')
    assert az("ad", "app", "show", "--id", "api://tool", "--query", "tags").json == ["a"]
    az("ad", "sp", "create", "--id", app)
    secret = az("ad", "sp", "credential", "reset", "--id", app, "--display-name", "one").json["password"]
    more = az("ad", "sp", "credential", "reset", "--id", app, "--append").json["password"]
    assert secret != more
    [first, _] = az("ad", "sp", "credential", "list", "--id", app).json
    az("ad", "sp", "credential", "delete", "--id", app, "--key-id", first["keyId"])
    az("ad", "sp", "update", "--id", app, "--set", "accountEnabled=false")
    assert az("ad", "sp", "show", "--id", app, "--query", "accountEnabled").json is False
    trust = '{"name": "f", "issuer": "https://i.test", "subject": "s"}'
    az("ad", "app", "federated-credential", "create", "--id", app, "--parameters", trust)
    place = ("--id", app, "--federated-credential-id", "f")
    az("ad", "app", "federated-credential", "update", *place, "--parameters", '{"subject": "t"}')
    assert az("ad", "app", "federated-credential", "show", *place, "--query", "subject").json == "t"
    assert az("ad", "app", "permission", "list", "--id", app).json == []
    assert az("ad", "app", "owner", "list", "--id", app).json == []
    listed = az("ad", "user", "list", "-o", "table").out.splitlines()
    assert "odata" not in listed[0] and "UserPrincipalName" in listed[0]
    az("ad", "app", "delete", "--id", app)
    assert "There is no servicePrincipal" in az("ad", "sp", "show", "--id", app, code=3).err
