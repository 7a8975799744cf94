"""Services sign in with a secret: the genuine library does, and nothing but the right secret will do."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.domain.identity import guesses
from entrepot.testing.live import live, wait_until
from tests.identity.conftest import PROVIDER, TENANT, House, Json

WORKSPACE = f"{PROVIDER}/workspaces/dev"


def claims(token: str) -> Json:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("kind", ["secret", "environment", "default"])
def test_azure_identity_signs_a_service_in(genuine: House, kind: str) -> None:
    app = genuine.application(f"genuine-{kind}")
    known = {"AZURE_CLIENT_ID": app.app_id, "AZURE_CLIENT_SECRET": app.secret}
    if kind == "default":  # unmodified scripts: ADFS's addresses spare them the question to the Internet
        known["AZURE_TENANT_ID"] = "adfs"
    told = genuine.azure_identity(kind, known)
    assert "token" in told, told
    said = claims(told["token"])
    assert (said["oid"], said["appid"], said["tid"], said["idtyp"]) == (app.principal_id, app.app_id, TENANT, "app")
    assert said["iss"] == f"{genuine.server.file.https_url}/{TENANT}/v2.0"
    assert 0 < told["expires_on"] - time.time() <= 3600
    assert genuine.server.call("GET", "/v1.0/me", token=told["token"]).json["appId"] == app.app_id


def test_a_service_may_do_nothing_until_somebody_lets_it(house: House) -> None:
    app = house.application("newcomer")
    token = house.by_secret(app.app_id, app.secret).json["access_token"]
    assert house.server.call("GET", WORKSPACE, token=token).status == 404
    refused = house.server.call("PUT", f"{PROVIDER}/workspaces/more", {"location": "eastus"}, token=token)
    assert refused.status in (403, 404)
    for path, body in (("users", {"displayName": "x", "userPrincipalName": "x@y.z"}), ("applications", {})):
        assert house.server.call("POST", f"/v1.0/{path}", body, token=token).status == 403
    taken = house.server.call("POST", f"/v1.0/applications/{app.object_id}/addPassword", {}, token=token)
    assert taken.status == 403


@pytest.mark.parametrize(
    ("change", "error", "number"),
    [
        ({"client_secret": "wrong"}, "invalid_client", 7000215),
        ({"client_secret": ""}, "invalid_client", 7000215),
        ({"client_id": "00000000-0000-0000-0000-00000000dead"}, "unauthorized_client", 700016),
        ({"client_id": ""}, "invalid_request", 900144),
        ({"grant_type": "magic"}, "unsupported_grant_type", 70003),
        ({"grant_type": ""}, "invalid_request", 900144),
        ({"scope": "https://vault.azure.net/.default"}, "invalid_resource", 500011),
    ],
)
def test_every_refusal_says_why_in_entras_words(house: House, change: Json, error: str, number: int) -> None:
    app = house.application("refused")
    form = {
        "grant_type": "client_credentials", "client_id": app.app_id, "client_secret": app.secret,
        "scope": "https://management.azure.com/.default",
    }  # fmt: skip
    assert house.token(form).status == 200
    reply = house.token({**form, **change})
    assert reply.status == (401 if error == "invalid_client" else 400)
    assert (reply.json["error"], reply.json["error_codes"]) == (error, [number])
    assert reply.json["error_description"].startswith(f"AADSTS{number}: ")
    assert app.secret not in reply.body.decode()


def test_a_strange_tenant_is_told(house: House) -> None:
    reply = house.token({"grant_type": "client_credentials"}, tenant="contoso.onmicrosoft.com")
    assert reply.json["error_codes"] == [90002]
    assert house.server.call("GET", "/contoso/v2.0/.well-known/openid-configuration", token=None).status == 400


@pytest.mark.parametrize("tenant", [TENANT, "organizations", "common"])
def test_discovery_names_endpoints_that_answer_and_keys_that_check(house: House, tenant: str) -> None:
    from joserfc import jwk, jwt

    path = f"/{tenant}/v2.0/.well-known/openid-configuration"
    found = house.server.call("GET", path, token=None, secure=True).json
    base = house.server.file.https_url
    assert found["issuer"] == f"{base}/{TENANT}/v2.0"
    assert all(found[name].startswith(f"{base}/{tenant}/") for name in ("token_endpoint", "jwks_uri"))
    keys = house.server.call("GET", found["jwks_uri"].removeprefix(base), token=None, secure=True).json
    app = house.application("checked")
    token = house.by_secret(app.app_id, app.secret).json["access_token"]
    verified = jwt.decode(token, jwk.KeySet.import_key_set(keys), algorithms=["RS256"])
    assert verified.claims["oid"] == app.principal_id
    assert verified.claims["aud"] == "https://management.azure.com"


def test_basic_authentication_of_clients_is_understood(house: House) -> None:
    app = house.application("basic")
    header = {
        "Authorization": "Basic " + base64.b64encode(f"{app.app_id}:{app.secret}".encode()).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = b"grant_type=client_credentials"
    reply = house.server.call("POST", f"/{TENANT}/oauth2/v2.0/token", body, token=None, headers=header)
    assert reply.status == 200 and claims(reply.json["access_token"])["aud"] == house.server.url


def test_taking_a_secret_back_ends_its_tokens_and_leaves_others(house: House) -> None:
    app = house.application("two-secrets")
    other = house.made(f"applications/{app.object_id}/addPassword", {"passwordCredential": {"displayName": "ci"}})
    first, second = (
        house.by_secret(app.app_id, secret).json["access_token"] for secret in (app.secret, other["secretText"])
    )
    place = f"/v1.0/applications/{app.object_id}/removePassword"
    assert house.server.call("POST", place, {"keyId": app.key_id}).status == 204
    assert house.server.call("GET", "/subscriptions", token=first).status == 401
    assert house.server.call("GET", "/subscriptions", token=second).status == 200
    assert house.by_secret(app.app_id, app.secret).json["error_codes"] == [7000215]
    shown = house.server.call("GET", f"/v1.0/applications/{app.object_id}").json
    assert [held["displayName"] for held in shown["passwordCredentials"]] == ["ci"]
    assert "hash" not in json.dumps(shown) and other["secretText"] not in json.dumps(shown)


def test_an_expired_secret_is_told_from_a_wrong_one(house: House) -> None:
    app = house.application("short-lived")
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    wanted = {"passwordCredential": {"endDateTime": end}}
    secret = house.made(f"applications/{app.object_id}/addPassword", wanted)["secretText"]
    wait_until(
        lambda: house.by_secret(app.app_id, secret).json.get("error_codes") == [7000222],
        timeout_s=60, what="the secret's end",
    )  # fmt: skip


def test_guessing_ends_after_a_few_wrong_ones_however_many_at_once_and_the_right_one_waits_too(
    tmp_path: Path,
) -> None:
    with live(tmp_path / "home") as server:
        _guess(House(server))


def _guess(house: House) -> None:
    app = house.application("guessed")
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: house.by_secret(app.app_id, f"guess-{n}").json, range(40)))
    numbers = [reply["error_codes"][0] for reply in replies]
    wrong = numbers.count(7000215)
    assert 0 < wrong <= guesses.LIMITS["pair"] + 2, "as many as the limit, and one in flight per processor"
    assert numbers.count(50053) == 40 - wrong
    assert house.by_secret(app.app_id, app.secret).json["error_codes"] == [50053]
    other = house.application("bystander")
    assert house.by_secret(other.app_id, other.secret).status == 200
