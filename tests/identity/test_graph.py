"""The directory by Graph's routes: what is said of an object is kept, credentials of principals, what is refused."""

import secrets

import pytest

from tests.identity.conftest import House, Json


@pytest.fixture
def application(house: House) -> Json:
    """An application, with what its maker says of it."""
    body = {
        "displayName": f"app{secrets.token_hex(4)}", "tags": ["x"], "notes": "n",
        "appRoles": [{"value": "v"}], "requiredResourceAccess": [{"resourceAppId": "r", "resourceAccess": []}],
    }  # fmt: skip
    return house.made("applications", body)


def test_what_is_said_of_an_object_is_kept_and_may_change(house: House, application: Json) -> None:
    place = f"/v1.0/applications/{application['id']}"
    assert (
        house.server.call("PATCH", place, {"appRoles": [], "tags": ["y"], "appId": application["appId"]}).status == 204
    )
    shown = house.server.call("GET", place).json
    assert (shown["appRoles"], shown["tags"], shown["notes"]) == ([], ["y"], "n")
    assert shown["requiredResourceAccess"][0]["resourceAppId"] == "r" and "@odata.type" not in shown
    user = house.made("users", {"displayName": "U", "userPrincipalName": f"{secrets.token_hex(4)}@c.test",
                                "mailNickname": "u", "businessPhones": ["1"]})  # fmt: skip
    assert (user["mailNickname"], user["businessPhones"], user["jobTitle"]) == ("u", ["1"], None)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"appId": "other"}, "appId"), ({"id": "other"}, "id"), ({"createdDateTime": "2020"}, "createdDateTime"),
        ({"passwordCredentials": [{"keyId": "k"}]}, "passwordCredentials"),
        ({"entrepot": {"generation": 0}}, "entrepot"),
        ({"web": {"redirectUris": "x"}}, "redirectUris"), ({"spa": ["x"]}, "redirectUris"),
        ({"notes": "x" * 70_000}, "64 KiB"), ({"identifierUris": [1]}, "identifierUris"),
    ],
)  # fmt: skip
def test_what_a_body_may_not_say_is_refused(house: House, application: Json, body: Json, word: str) -> None:
    reply = house.server.call("PATCH", f"/v1.0/applications/{application['id']}", body)
    assert reply.status == 400 and word in reply.json["error"]["message"]


def test_a_principal_proves_itself_as_its_application_does(house: House, application: Json) -> None:
    principal = house.made("servicePrincipals", {"appId": application["appId"]})
    place = f"servicePrincipals/{principal['id']}"
    secret = house.made(f"{place}/addPassword", {"passwordCredential": {"displayName": "one"}})
    assert house.by_secret(application["appId"], secret["secretText"]).status == 200
    shown = house.server.call("GET", f"/v1.0/{place}").json
    assert [entry["keyId"] for entry in shown["passwordCredentials"]] == [secret["keyId"]]
    assert "secretText" not in str(shown)
    assert house.server.call("PATCH", f"/v1.0/{place}", {**shown, "notes": "as az sends it"}).status == 204
    gone = house.server.call("POST", f"/v1.0/{place}/removePassword", {"keyId": secret["keyId"]})
    assert gone.status == 204
    assert house.by_secret(application["appId"], secret["secretText"]).status == 401


def test_a_federated_credential_is_shown_and_changed_by_its_name(house: House, application: Json) -> None:
    place = f"applications/{application['id']}/federatedIdentityCredentials"
    house.made(place, {"name": "ci", "issuer": "https://i.test", "subject": "s"})
    assert house.server.call("PATCH", f"/v1.0/{place}/ci", {"subject": "t", "audiences": ["a"]}).status == 204
    shown = house.server.call("GET", f"/v1.0/{place}/ci").json
    assert (shown["subject"], shown["audiences"], shown["issuer"]) == ("t", ["a"], "https://i.test")
    for body in ({"issuer": "http://evil.test"}, {"name": "other"}, {"audiences": "a"}, {"subject": ""}):
        assert house.server.call("PATCH", f"/v1.0/{place}/ci", body).status == 400
    assert house.server.call("GET", f"/v1.0/{place}/none").status == 404


def test_a_change_of_password_at_the_next_sign_in_is_refused_not_forgotten(house: House) -> None:
    name = f"{secrets.token_hex(4)}@c.test"
    profile = {"password": "a long enough password", "forceChangePasswordNextSignIn": True}
    body = {"displayName": "U", "userPrincipalName": name, "passwordProfile": profile}
    reply = house.server.call("POST", "/v1.0/users", body)
    assert reply.status == 400 and "asks nobody to change" in reply.json["error"]["message"]
    house.made("users", {**body, "passwordProfile": {**profile, "forceChangePasswordNextSignIn": False}})
    only = {"passwordProfile": {"forceChangePasswordNextSignIn": False}}
    assert house.server.call("PATCH", f"/v1.0/users/{name}", only).status == 204, "the password stays"


def test_nobody_owns_objects_and_who_wants_to_is_told_what_does(house: House, application: Json) -> None:
    place = f"/v1.0/applications/{application['id']}/owners"
    assert house.server.call("GET", place).json["value"] == []
    assert house.server.call("GET", "/v1.0/me/ownedObjects").json["value"] == []
    told = house.server.call("POST", f"{place}/$ref", {"@odata.id": "x"})
    assert told.status == 400 and "roles" in told.json["error"]["message"]
