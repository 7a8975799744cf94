"""Secrets that are given to the server are told by the routes for that, to who may ask, and are found nowhere else."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.live import LiveServer, live, wait_until
from tests.identity.conftest import GROUP, House, Registration
from tests.identity.furniture import ASKED, WORKSPACE, furnish, request

Json = Any
GIVEN = ("lake", "blob", "connection", "template", "endpoint")
SECRETS = {name: f"canary-{name}-{os.urandom(12).hex()}" for name in GIVEN}
STORES = f"{WORKSPACE}/datastores"
TELLING = ("/listSecrets", "/listsecrets", "/listKeys", "/regenerateKeys")
DEPLOYMENT = f"{GROUP}/providers/Microsoft.Resources/deployments/secretive"
TEMPLATE = {
    "contentVersion": "1.0.0.0",
    "parameters": {"key": {"type": "securestring"}},
    "resources": [
        {
            "type": "Microsoft.MachineLearningServices/workspaces/connections", "apiVersion": "2024-04-01",
            "name": "dev/templated",
            "properties": {
                "category": "ApiKey", "authType": "ApiKey", "target": "https://example.com",
                "credentials": {"key": "[parameters('key')]"},
            },
        }
    ],
}  # fmt: skip
PARAMETERS = {"key": {"value": SECRETS["template"]}}
DEPLOYED = {"properties": {"mode": "Incremental", "template": TEMPLATE, "parameters": PARAMETERS}}


def lake(kind: str = "AccountKey", **secrets: str) -> Json:
    """Return the body of a data lake that is elsewhere."""
    credentials: Json = {"credentialsType": kind}
    if secrets:
        credentials["secrets"] = {"secretsType": kind, **secrets}
    return {
        "properties": {
            "datastoreType": "AzureDataLakeGen2", "accountName": "lake", "filesystem": "raw", "credentials": credentials
        }
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keeper:
    """A server that was given secrets, all that it ever answered meanwhile, and somebody who may only read."""

    server: LiveServer
    house: House
    reader: str
    registration: Registration
    environment: str


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    with live(tmp_path_factory.mktemp("keeper") / "home", sandbox="none", log_level="debug") as server:
        furnish(lambda path, body: server.call("PUT", path, body).status)
        house = House(server)
        made = house.application("reader")
        role = (
            "/subscriptions/s1/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
        )
        given = {"roleDefinitionId": role, "principalId": made.principal_id, "principalType": "ServicePrincipal"}
        place = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{made.object_id}"
        assert server.call("PUT", place, {"properties": given}).status == 201
        reader = house.by_secret(made.app_id, made.secret).json["access_token"]
        blob: Json = {"datastoreType": "AzureBlob", "accountName": "other", "containerName": "here"}
        blob["credentials"] = {"credentialsType": "AccountKey", "secrets": {"key": SECRETS["blob"]}}
        connection = {
            "category": "ApiKey",
            "authType": "ApiKey",
            "target": "t",
            "credentials": {"key": SECRETS["connection"]},
        }
        told = [
            server.call("PUT", f"{STORES}/lake", lake(key=SECRETS["lake"])),
            server.call("PUT", f"{STORES}/here", {"properties": blob}),
            server.call("PUT", f"{WORKSPACE}/connections/secret", {"properties": connection}),
            server.call(
                "POST", f"{WORKSPACE}/onlineEndpoints/one/regenerateKeys",
                {"keyType": "Primary", "keyValue": SECRETS["endpoint"]},
            ),
            server.call("POST", f"{DEPLOYMENT}/validate", DEPLOYED),
            server.call("POST", f"{DEPLOYMENT}/whatIf", DEPLOYED),
            server.call("PUT", DEPLOYMENT, DEPLOYED),
        ]  # fmt: skip
        assert max(reply.status for reply in told) < 300, [reply.body for reply in told]
        assert found(b"".join(reply.body for reply in told)) == []
        wait_until(
            lambda: server.call("GET", DEPLOYMENT).json["properties"]["provisioningState"] == "Succeeded", timeout_s=60
        )
        yield Keeper(server, house, reader, made, environment_of_a_job(server))


def environment_of_a_job(server: LiveServer) -> str:
    """Return what a job finds in its environment and in its folder."""
    reading = "[print(p, p.read_bytes()[:9999]) for p in pathlib.Path('.').rglob('*') if p.is_file()]"
    printing = f"import os, pathlib; print(dict(os.environ)); {reading}"
    properties = {
        "jobType": "Command", "command": f'python -c "{printing}" && echo the-end', "environmentId": "azureml:one:one",
        "computeId": f"{WORKSPACE}/computes/cpu-cluster",
    }  # fmt: skip
    assert server.call("PUT", f"{WORKSPACE}/jobs/printing", {"properties": properties}).status == 201
    address = f"{WORKSPACE}/jobs/printing"
    wait_until(
        lambda: server.call("GET", address).json["properties"]["status"] in ("Completed", "Failed"), timeout_s=120
    )
    log = server.call("GET", f"{address}/logs").body.decode()
    assert "the-end" in log and "AZUREML_RUN_ID" in log, log
    return log


def found(data: bytes | str) -> list[str]:
    """Return the names of the secrets that are in this."""
    text = data if isinstance(data, bytes) else data.encode()
    return [name for name, secret in SECRETS.items() if secret.encode() in text]


def test_a_datastores_secrets_are_told_as_they_were_given(keeper: Keeper) -> None:
    told = keeper.server.call("POST", f"{STORES}/lake/listSecrets")
    assert told.json == {"secretsType": "AccountKey", "key": SECRETS["lake"]}
    shown = keeper.server.call("GET", f"{STORES}/lake").json["properties"]
    assert shown["credentials"] == {"credentialsType": "AccountKey"}


def test_a_store_on_this_server_tells_a_signature_when_it_shall_expire(keeper: Keeper) -> None:
    expiring = keeper.server.call("POST", f"{STORES}/here/listSecrets", {"expirableSecret": True}).json
    assert expiring["secretsType"] == "Sas" and SECRETS["blob"] not in str(expiring)
    assert keeper.server.call("POST", f"{STORES}/here/listSecrets", {}).json["key"] == SECRETS["blob"]
    own = keeper.server.call("POST", f"{STORES}/workspaceblobstore/listSecrets", {}).json
    assert own["secretsType"] == "Sas"


def test_a_reader_is_told_no_secret(keeper: Keeper) -> None:
    for place in (
        f"{STORES}/lake/listSecrets", f"{STORES}/here/listSecrets", f"{WORKSPACE}/connections/secret/listsecrets",
        f"{WORKSPACE}/onlineEndpoints/one/listKeys",
    ):  # fmt: skip
        reply = keeper.server.call("POST", place, {}, token=keeper.reader)
        assert reply.status == 403 and found(reply.body) == [], reply.body


def test_a_change_keeps_the_secrets_unless_it_brings_others_or_is_of_another_kind(keeper: Keeper) -> None:
    place, server = f"{STORES}/changing", keeper.server

    def told() -> Json:
        return server.call("POST", f"{place}/listSecrets").json

    server.call("PUT", place, lake(key="first-of-all"))
    server.call("PUT", place, lake())
    assert told()["key"] == "first-of-all"
    server.call("PUT", place, lake(key="second"))
    assert told()["key"] == "second"
    server.call("PUT", place, lake("ServicePrincipal", clientSecret="third"))
    assert told() == {"secretsType": "ServicePrincipal", "clientSecret": "third"}
    server.call("PUT", place, lake("None"))
    assert server.call("POST", f"{place}/listSecrets").status == 400
    server.call("PUT", place, lake(key="fourth"))
    assert server.call("DELETE", place).status == 200
    server.call("PUT", place, lake())
    assert server.call("POST", f"{place}/listSecrets").status == 400


@pytest.mark.parametrize("credentials", ["text", {"credentialsType": "Sas", "secrets": "text"}])
def test_credentials_that_are_none_are_refused(keeper: Keeper, credentials: Json) -> None:
    body = lake()
    body["properties"]["credentials"] = credentials
    reply = keeper.server.call("PUT", f"{STORES}/bad", body)
    assert reply.status == 400 and "are objects" in reply.json["error"]["message"]


def test_no_other_route_tells_a_secret(keeper: Keeper) -> None:
    server, leaks = keeper.server, []
    for operation in ASKED:
        is_reading = operation.method == "GET" or (operation.action or "").endswith("/read")
        if operation.template.endswith(TELLING) or not is_reading:
            continue
        address, body = request(operation)
        for name in ("one", "lake", "here", "secret", "secretive", "printing", "templated"):
            reply = server.call(operation.method, address.replace("/one", f"/{name}"), body)
            leaks += [(operation.template, leaked) for leaked in found(reply.body)]
    assert leaks == []


def test_secrets_are_neither_in_the_audit_trail_nor_in_logs_nor_in_jobs_nor_in_any_file(keeper: Keeper) -> None:
    server = keeper.server
    assert found(server.call("GET", "/audit/v1.0/export").body) == []
    assert found(keeper.environment) == []
    assert found((server.home.parent / f"{server.home.name}.log").read_bytes()) == []
    files = files_of(server.home)
    assert len(files) > 20
    assert [(str(file), leaked) for file in files for leaked in found(_bytes(file))] == []


def test_what_a_service_signs_in_with_is_in_no_file(keeper: Keeper) -> None:
    token = json.dumps(keeper.house.by_secret(keeper.registration.app_id, keeper.registration.secret).json)
    assert keeper.registration.secret not in token
    needles = (keeper.registration.secret.encode(), json.loads(token)["access_token"].encode())
    files = files_of(keeper.server.home)
    assert [str(file) for file in files for needle in needles if needle in _bytes(file)] == []
    assert needles[0] not in keeper.server.call("GET", "/audit/v1.0/export").body
    assert keeper.registration.secret not in keeper.environment


def files_of(folder: Path) -> list[Path]:
    """Return all files below a folder that is being worked in."""
    return [file for at, _, names in os.walk(folder) for name in names if (file := Path(at, name)).is_file()]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:  # a temporary one
        return b""
