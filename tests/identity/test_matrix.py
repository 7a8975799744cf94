"""Every route that names an action, called by somebody without rights and by a Reader: neither gets more than theirs.

The table of routes is the server's own, so a new route is asked as soon as it is there.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrepot.server.compose import OPERATIONS
from entrepot.testing.live import LiveServer, Reply, live
from entrepot.wire.openapi import Operation
from tests.identity.conftest import GROUP, PROVIDER, House

Json = Any
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
WORKSPACE, REGISTRY = f"{PROVIDER}/workspaces/dev", f"{PROVIDER}/registries/contoso"
NAMES = {
    "subscription": "s1", "group": "rg", "workspace": "dev", "registry": "contoso", "label": "latest",
    "compute": "cpu-cluster", "id": "11111111-1111-1111-1111-111111111111",
}  # fmt: skip
EVERYBODYS = "/registries/azureml"  # the public registry
ABOUT_ONESELF = ("/roleDefinitions", "/permissions")  # built-in roles are no secret
REFUSED = (401, 403, 404)
ASSET = "azureml://registries/contoso/environments/one/versions/one"
SOURCE = "azureml://locations/eastus/workspaces/one/environments/one/versions/one"
ROLE = f"/subscriptions/s1/providers/Microsoft.Authorization/roleDefinitions/{READER}"
PROPERTIES = {
    "PATCH": {"description": "mine", "tags": {"a": "b"}},
    "PUT": {
        "roleDefinitionId": ROLE, "principalId": READER, "principalType": "Group", "roleName": "Mine",
        "assignableScopes": [GROUP], "permissions": [{"actions": ["*"]}], "tags": {"a": "b"},
    },
    "POST": {"sourceAssetId": SOURCE, "destinationName": "two", "destinationVersion": "1"},
}  # fmt: skip
BODY = {
    "location": "eastus", "registryName": "contoso", "assetId": ASSET, "keyType": "Primary", "role": "Reader",
    "before": "2020-01-01T00:00:00Z", "runId": "one", "values": [ASSET], "name": "one", "version": "one",
    "@odata.id": "https://graph/v1.0/directoryObjects/one",
}  # fmt: skip
"""Right enough for any route to get to its question of rights."""
MODELS = {"GET": "search", "POST": "create", "PATCH": "update", "DELETE": "delete"}
TRACKING = {"GET": "runs/get", "POST": "runs/create", "PATCH": "logged-models/one", "DELETE": "logged-models/one"}
ASKED = [found for found in OPERATIONS if found.action and not found.is_anonymous]


@dataclass(frozen=True, slots=True)
class Cast:
    """A server with something of every kind, called `one`, and the tokens of those who try."""

    server: LiveServer
    stranger: str
    reader: str

    def ask(self, operation: Operation, token: str) -> Reply:
        """Call a route where something is."""
        method, template = operation.method, operation.template
        called = (TRACKING if "/mlflow/{endpoint:rest}" in template else MODELS).get(method, "one")
        names = {**NAMES, "endpoint": called} if "/mlflow/" in template else NAMES
        names = {**names, "path": "one/one/MLmodel"}
        path = re.sub(r"\{(\w+)(:rest)?\}", lambda found: names.get(found[1], "one"), template)
        query = "?path=one/one" if template.endswith("/artifacts") else ""
        body = None if method == "GET" else {**BODY, "properties": PROPERTIES.get(method, {})}
        return self.server.call(method, path + query, body, token=token)


def furnish(server: LiveServer) -> None:
    """Make something of every kind."""
    plain = {"properties": {"image": "docker.io/python"}}
    for path, body in (
        (GROUP, {"location": "eastus"}),
        (WORKSPACE, {"location": "eastus"}),
        (
            REGISTRY,
            {"location": "eastus", "properties": {"regionDetails": [{"location": "eastus"}], "readAccess": "RBAC"}},
        ),
        (f"{WORKSPACE}/environments/one/versions/one", plain),
        (f"{REGISTRY}/environments/one/versions/one", plain),
        (
            f"{WORKSPACE}/data/one/versions/one",
            {"properties": {"dataType": "uri_file", "dataUri": "https://example.com/x"}},
        ),
        (
            f"{WORKSPACE}/jobs/one",
            {"properties": {"jobType": "Command", "command": "true", "environmentId": "azureml:one:one"}},
        ),
        (f"{WORKSPACE}/onlineEndpoints/one", {"location": "eastus", "properties": {"authMode": "Key"}}),
        (f"{WORKSPACE}/batchEndpoints/one", {"location": "eastus", "properties": {"authMode": "AADToken"}}),
    ):
        reply = server.call("PUT", path, body)
        assert reply.status < 300, (path, reply.body)


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    with live(Path(tmp_path_factory.mktemp("matrix")) / "home", sandbox="none") as server:
        furnish(server)
        house, tokens = House(server), {}
        for name in ("stranger", "reader"):
            made = house.application(name)
            tokens[name] = house.by_secret(made.app_id, made.secret).json["access_token"]
            if name == "reader":
                role = f"/subscriptions/s1/providers/Microsoft.Authorization/roleDefinitions/{READER}"
                given = {
                    "roleDefinitionId": role,
                    "principalId": made.principal_id,
                    "principalType": "ServicePrincipal",
                }
                place = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
                assert server.call("PUT", place, {"properties": given}).status == 201
        yield Cast(server, tokens["stranger"], tokens["reader"])


def is_nothing(reply: Reply) -> bool:
    """Say whether an answer tells nothing but what everybody may know."""
    if not reply.body.strip():
        return reply.status not in (201, 202, 204)
    told = [json.loads(line) for line in reply.body.splitlines()]
    if len(told) == 1 and len(told[0]) == 1:
        (told,) = told[0].values()  # a list page; MLflow's names its lists
    return all(EVERYBODYS in json.dumps(found).lower() for found in told)


def test_without_a_role_no_route_gives_or_takes_anything(cast: Cast) -> None:
    got = []
    for operation in ASKED:
        if operation.template.endswith(ABOUT_ONESELF):
            continue
        reply = cast.ask(operation, cast.stranger)
        if reply.status not in REFUSED and not is_nothing(reply):
            got.append((operation.method, operation.template, reply.status, reply.body[:200]))
    assert got == []


def test_a_reader_changes_nothing(cast: Cast) -> None:
    done = []
    for operation in ASKED:
        assert operation.action
        if operation.action.endswith("/read"):
            continue
        reply = cast.ask(operation, cast.reader)
        if reply.status not in REFUSED:
            done.append((operation.method, operation.template, reply.status, reply.body[:200]))
    assert done == []


def test_a_reader_may_read_whatever_is_read_below_the_group(cast: Cast) -> None:
    refused = [
        (operation.template, reply.body[:200])
        for operation in ASKED
        if operation.method == "GET" and operation.action and operation.action.endswith("/read")
        and operation.template.startswith("/subscriptions/{subscription}/resourceGroups/{group}")
        and (reply := cast.ask(operation, cast.reader)).status == 403
    ]  # fmt: skip
    assert refused == []


def test_the_owner_finds_what_the_others_were_asked_about(cast: Cast) -> None:
    found = [operation for operation in ASKED if operation.method == "GET" and cast.ask(operation, "").status == 200]
    assert len(found) > 60
