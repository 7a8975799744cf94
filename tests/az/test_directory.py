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
