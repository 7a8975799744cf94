"""Tokens for Azure clients: who gets one, for what, and where it is accepted."""

import base64
import json
from dataclasses import replace
from urllib.parse import quote

import pytest

from entrepot.server.runfiles import ServerFile, identity_file
from entrepot.testing.live import LiveServer, Reply

FIXED = (
    "https://management.azure.com", "https://management.azure.com/", "https://ml.azure.com",
    "https://ml.azure.localhost", "https://storage.azure.com/", "https://storage.azure.com",
)  # fmt: skip


def _ask(server: LiveServer, resource: str, *, secret: str | None = None) -> Reply:
    header = identity_file(server.home).read_text().strip() if secret is None else secret
    path = f"/msi/token?api-version=2019-08-01&resource={quote(resource, safe='')}"
    return server.call("GET", path, token=None, headers={"X-IDENTITY-HEADER": header} if header else {}, secure=True)


def _claims(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_a_token_has_the_audience_as_it_was_asked_and_says_who_and_until_when(server: LiveServer) -> None:
    own = (server.file.https_url, server.file.https_url + "/", server.file.https_url + "//")
    for resource in (*FIXED, *own):
        answer = _ask(server, resource).json
        claims = _claims(answer["access_token"])
        assert (claims["aud"], answer["resource"], answer["token_type"]) == (resource, resource, "Bearer")
        assert claims["tid"] and claims["oid"] and abs(int(answer["expires_on"]) - int(str(claims["exp"]))) <= 1
        assert server.call("GET", "/subscriptions", token=answer["access_token"], secure=True).status == 200


def test_a_scope_is_understood_as_its_resource(server: LiveServer) -> None:
    token = _ask(server, server.file.https_url + "//.default").json["access_token"]
    assert _claims(token)["aud"] == server.file.https_url + "/"
    assert server.call("GET", "/subscriptions", token=token).status == 200


@pytest.mark.parametrize("secret", ["", "guess", "owner"])
def test_only_who_has_the_homes_secret_gets_a_token(server: LiveServer, secret: str) -> None:
    answer = _ask(server, FIXED[0], secret=server.token if secret == "owner" else secret)
    assert answer.status == 401
    assert "access_token" not in answer.json


def test_the_secret_is_no_bearer_token(server: LiveServer) -> None:
    secret = identity_file(server.home).read_text().strip()
    assert identity_file(server.home).stat().st_mode & 0o077 == 0
    assert server.call("GET", "/subscriptions", token=secret).status == 401


@pytest.mark.parametrize("resource", ["", "https://vault.azure.net", "https://management.azure.com.evil.test"])
def test_tokens_for_others_are_not_made(server: LiveServer, resource: str) -> None:
    answer = _ask(server, resource)
    assert answer.status == 400 and "resource" in answer.json["message"]


def test_a_bearer_token_opens_containers_by_what_its_holder_may_do(server: LiveServer, provider: str) -> None:
    token = _ask(server, "https://storage.azure.com/").json["access_token"]
    found = server.call("GET", f"{provider}/workspaces/dev/datastores/workspaceblobstore").json
    container = found["properties"]["containerName"]
    plane = LiveServer(server.home, server.process, _at(server), server.token)
    blob, header = f"/{container}/by-bearer.txt", {"x-ms-blob-type": "BlockBlob"}
    assert plane.call("PUT", blob, b"x", token=token, headers=header).status == 201
    assert plane.call("GET", blob, token=token).body == b"x"
    assert plane.call("GET", blob, token="guess").status == 401


def _at(server: LiveServer) -> ServerFile:
    return replace(server.file, url=server.file.blob_url)
