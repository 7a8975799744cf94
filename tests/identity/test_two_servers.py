"""Several server processes on one PostgreSQL: rights, sign-ins and the audit trail hold on all of them."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.core.ids import RegistryScope
from entrepot.core.nouns import registry_action
from entrepot.domain import access, audit, registries
from entrepot.domain.audit import sealing, verifying
from entrepot.domain.audit.sealing import Notary
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory
from entrepot.store.documents import Append
from entrepot.testing.hub import OWNER, close_hub, make_hub
from entrepot.testing.live import live, wait_until
from tests.identity.conftest import GROUP, PROVIDER, House
from tests.store.conftest import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
READ = registry_action("read")
REGISTRY = RegistryScope("contoso").key


class Watch:
    """A clock that is put ahead by hand."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str, watch: Watch) -> Iterator[tuple[Hub, Hub]]:
    """What two processes have of one store."""
    made = [make_hub(tmp_path / name, clock=watch, database_url=postgres_url) for name in ("a", "b")]
    registries.create(made[0], OWNER, "s1", "rg", "contoso", {"location": "eastus"})
    yield made[0], made[1]
    for hub in made:
        close_hub(hub)


def test_a_role_that_is_given_or_taken_back_is_noticed_within_a_second(pair: tuple[Hub, Hub], watch: Watch) -> None:
    here, there = pair
    somebody = Principal("22222222-2222-2222-2222-222222222222", "Stan")
    for _ in range(3):
        assert not access.allowed(there, somebody, READ, REGISTRY)
        made = assignments.assign(here, OWNER, role="Reader", assignee=somebody.id, scope=REGISTRY)
        watch.time += 1
        assert access.allowed(there, somebody, READ, REGISTRY)
        assignments.revoke(there, OWNER, made.body["name"])
        watch.time += 1
        assert not access.allowed(here, somebody, READ, REGISTRY)


def test_an_account_that_is_switched_off_is_noticed_within_a_second(pair: tuple[Hub, Hub], watch: Watch) -> None:
    here, there = pair
    body = {"displayName": "Ada", "userPrincipalName": "ada@contoso.test"}
    id = directory.create(here, OWNER, directory.USER, body).body["id"]
    watch.time += 1
    before = there.standing.of(there.documents, id, watch.now())
    assert before and before.is_enabled
    directory.revoke(here, OWNER, directory.USER, id)
    directory.update(here, OWNER, directory.USER, id, {"accountEnabled": False})
    watch.time += 1
    after = there.standing.of(there.documents, id, watch.now())
    assert after and not after.is_enabled and after.generation > before.generation


def test_processes_that_seal_at_once_make_one_chain_that_shows_every_change(
    pair: tuple[Hub, Hub],
    postgres_url: str,
    tmp_path: Path,
) -> None:
    import psycopg

    def sealed(hub: Hub, notary: Notary) -> None:
        for number in range(20):
            hub.documents.commit([Append(audit.STREAM, audit.entry(OWNER, "a/b", target="/", now=number))])
            sealing.seal(hub, notary)

    first = Notary(lambda: b"a" * 32, tmp_path / "first.json", is_alone=False)
    notaries = [first, Notary(lambda: b"b" * 32, tmp_path / "second.json", is_alone=False)]
    threads = [threading.Thread(target=sealed, args=of) for of in zip(pair, notaries, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [verifying.verify(hub, notary) for hub, notary in zip(pair, notaries, strict=True)]
    assert [one.problems for one in found] == [[], []] and found[0].unsealed == 0
    assert found[0].unknown_keys + found[1].unknown_keys == found[0].seals
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        gone = connection.execute("DELETE FROM streams WHERE stream = 'audit' AND position = 7")
        assert gone.rowcount == 1
    assert all(verifying.verify(hub, notary).problems for hub, notary in zip(pair, notaries, strict=True))


def test_two_servers_agree_on_who_may_what_and_on_the_trail(tmp_path: Path, postgres_url: str) -> None:
    with (
        live(tmp_path / "a" / "home", database_url=postgres_url) as one,
        live(tmp_path / "b" / "home", database_url=postgres_url) as two,
    ):
        registry = f"{PROVIDER}/registries/contoso"
        details = {"regionDetails": [{"location": "eastus"}], "readAccess": "RBAC"}
        assert one.call("PUT", GROUP, {"location": "eastus"}).status == 201
        assert one.call("PUT", registry, {"location": "eastus", "properties": details}).status == 201
        made = House(one).application("shared")
        token = House(one).by_secret(made.app_id, made.secret).json["access_token"]
        role = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
        given = {"roleDefinitionId": role, "principalId": made.principal_id, "principalType": "ServicePrincipal"}
        place = f"{registry}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"

        def becomes(status: int) -> None:
            wait_until(
                lambda: two.call("GET", registry, token=token).status == status, timeout_s=60, what=f"status {status}"
            )

        becomes(404)
        assert one.call("PUT", place, {"properties": given}).status == 201
        becomes(200)
        assert two.call("DELETE", place).status == 200
        wait_until(lambda: one.call("GET", registry, token=token).status == 404, timeout_s=60, what="its end")
        assert one.call("PUT", place, {"properties": given}).status == 201
        becomes(200)
        assert one.call("POST", f"/v1.0/servicePrincipals/{made.principal_id}/revokeSignInSessions", {}).status == 200
        becomes(401)
        trails = [server.call("POST", "/audit/v1.0/verify").json for server in (one, two)]
        assert [trail["isIntact"] for trail in trails] == [True, True], trails
