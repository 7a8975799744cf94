"""Every route that names an action, over a socket: somebody without rights and a Reader get no more than theirs.

All roles at all scopes are in test_role_matrix.py.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrepot.server.compose import OPERATIONS
from entrepot.testing.live import LiveServer, Reply, live
from entrepot.wire.openapi import Operation
from tests.identity.conftest import GROUP, House
from tests.identity.furniture import ASKED, READER, furnish, request

EVERYBODYS = "/registries/azureml"  # the public registry
ABOUT_ONESELF = ("/roleDefinitions", "/permissions")  # built-in roles are no secret
REFUSED = (401, 403, 404)


@dataclass(frozen=True, slots=True)
class Cast:
    """A server with something of every kind, called `one`, and the tokens of those who try."""

    server: LiveServer
    stranger: str
    reader: str

    def ask(self, operation: Operation, token: str) -> Reply:
        """Call a route where something is."""
        address, body = request(operation)
        return self.server.call(operation.method, address, body, token=token)


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    with live(Path(tmp_path_factory.mktemp("matrix")) / "home", sandbox="none") as server:
        furnish(lambda path, body: server.call("PUT", path, body).status)
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


ABSENT = {"/registries/contoso": "/registries/absent", "/workspaces/dev": "/workspaces/absent"}


def elsewhere(text: str) -> str:
    """Return an address, or a body as text, in which the registry and the workspace are some that are not there."""
    for there, absent in ABSENT.items():
        text = re.sub(f"{there}(?![\\w-])", absent, text, flags=re.IGNORECASE)
    return text.replace('"registryName": "contoso"', '"registryName": "absent"')


def told(reply: Reply) -> str:
    """Return what an answer tells, but for the request's id and the names that were asked for."""
    text = re.sub(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22,}", b"", reply.body).decode()
    return f"{reply.status} {elsewhere(text).replace('contoso', 'absent').replace(chr(39) + 'dev', chr(39) + 'absent')}"


def test_without_a_role_nobody_can_tell_what_is_there_from_what_is_not(cast: Cast) -> None:
    differing = []
    for operation in OPERATIONS:
        address, body = request(operation)
        text = json.dumps(body)
        if elsewhere(address) == address and not operation.template.endswith(("/share", "/import")):
            continue
        here = cast.server.call(operation.method, address, body, token=cast.stranger)
        there = cast.server.call(operation.method, elsewhere(address), json.loads(elsewhere(text)), token=cast.stranger)
        if told(here) != told(there):
            differing.append(f"{operation.method} {operation.template}\n  {told(here)[:300]}\n  {told(there)[:300]}")
    assert not differing, f"{len(differing)}\n" + "\n".join(differing)
