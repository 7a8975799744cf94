"""The audit trail: what is in it, that tampering shows, and that letting old entries go does not break it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.core.clock import from_iso
from entrepot.core.errors import AccessDenied, InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import AssetRef, RegistryScope
from entrepot.core.nouns import ENVIRONMENT, registry_action
from entrepot.domain import access, audit, registries
from entrepot.domain.assets import catalog
from entrepot.domain.audit import retention, sealing, verifying
from entrepot.domain.audit.notes import Notes
from entrepot.domain.audit.sealing import Notary
from entrepot.domain.audit.search import Query, entries, exported
from entrepot.domain.authorization import assignments, denials
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Append, Put
from entrepot.testing.hub import OWNER, close_hub, make_hub

STRANGER = Principal(id="22222222-2222-2222-2222-222222222222", name="Stan Stranger")
CONTOSO = RegistryScope("contoso")
KEY = b"k" * 32


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with a registry, in which three environments were made and sealed one by one."""
    made = make_hub(tmp_path)
    registries.create(made, OWNER, "s1", "rg", "contoso", {"location": "eastus"})
    for number in range(3):
        catalog.create(made, OWNER, AssetRef(CONTOSO, ENVIRONMENT, "e", str(number)), {"image": f"x:{number}"})
        sealing.seal(made, notary_of(tmp_path))
    yield made
    close_hub(made)


def notary_of(folder: Path, key: bytes = KEY, *, is_alone: bool = True) -> Notary:
    return Notary(lambda: key, folder / "newest.json", is_alone)


@pytest.fixture
def notary(tmp_path: Path) -> Notary:
    return notary_of(tmp_path)


def tampered(hub: Hub, sql: str, *values: object) -> None:
    """Change the database behind the product's back."""
    with closing(sqlite3.connect(hub.settings.home / "entrepot.db")) as connection, connection:
        assert connection.execute(sql, values).rowcount > 0


def problems(hub: Hub, notary: Notary) -> str:
    found = verifying.verify(hub, notary)
    return " | ".join(found.problems)


def test_an_untouched_trail_verifies(hub: Hub, notary: Notary) -> None:
    found = verifying.verify(hub, notary)
    assert (found.problems, found.seals, found.unsealed) == ([], 3, 0)
    assert found.entries == len(audit.entries(hub))
    access.record(hub, OWNER, registries.READ, CONTOSO.key)
    assert verifying.verify(hub, notary).unsealed == 1
    assert sealing.seal(hub, notary) == 1
    assert verifying.verify(hub, notary).unsealed == 0


BODY = "CAST(replace(CAST(body AS TEXT), 'Olga', 'Otto') AS BLOB)"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (f"UPDATE streams SET body = {BODY} WHERE stream = 'audit' AND position = 2", "an entry was changed"),
        ("DELETE FROM streams WHERE stream = 'audit' AND position = 2", "entries, and"),
        ("DELETE FROM streams WHERE stream = 'auditseals' AND position = 2", "does not follow on"),
        ("DELETE FROM streams WHERE stream = 'auditseals' AND position = 3", "cut off"),
        ("UPDATE streams SET body = CAST(replace(CAST(body AS TEXT), '\"count\":1', '\"count\":2') AS BLOB) "
         "WHERE stream = 'auditseals' AND position = 3", "was changed"),
    ],
)  # fmt: skip
def test_every_change_in_the_database_shows(hub: Hub, notary: Notary, sql: str, told: str) -> None:
    tampered(hub, sql)
    assert told in problems(hub, notary)


def test_a_reordering_shows(hub: Hub, notary: Notary) -> None:
    for before, after in ((2, 1000), (3, 2), (1000, 3)):
        tampered(hub, "UPDATE streams SET position = ? WHERE stream = 'audit' AND position = ?", after, before)
    assert problems(hub, notary)


def test_cutting_off_the_end_with_its_seals_shows_beside_the_database(hub: Hub, notary: Notary) -> None:
    seals = hub.documents.read(sealing.SEALS)
    tampered(hub, "DELETE FROM streams WHERE stream = 'audit' AND position > ?", seals[1].body["position"])
    tampered(hub, "DELETE FROM streams WHERE stream = 'auditseals' AND position = 3")
    assert "its end was cut off" in problems(hub, notary)


def test_an_end_that_was_cut_off_still_shows_after_the_server_has_sealed_more(hub: Hub, notary: Notary) -> None:
    seals, head = hub.documents.read(sealing.SEALS), hub.documents.get(sealing.SEALS)
    assert head
    tampered(hub, "DELETE FROM streams WHERE stream = 'audit' AND position > ?", seals[1].body["position"])
    tampered(hub, "DELETE FROM streams WHERE stream = 'auditseals' AND position = 3")
    hub.documents.commit([Put(head.key, seals[1].body, match=head.revision)])
    for number in range(3):
        catalog.create(hub, OWNER, AssetRef(CONTOSO, ENVIRONMENT, "later", str(number)), {"image": "x"})
        assert sealing.seal(hub, notary)
        assert "the trail was replaced" in problems(hub, notary)


def test_a_trail_that_was_sealed_anew_with_another_key_is_a_forgery(hub: Hub, notary: Notary, tmp_path: Path) -> None:
    tampered(hub, f"UPDATE streams SET body = {BODY} WHERE stream = 'audit' AND position = 2")
    tampered(hub, "DELETE FROM streams WHERE stream = 'auditseals'")
    tampered(hub, "DELETE FROM documents WHERE key = 'auditseals'")
    forger = Notary(lambda: b"f" * 32, tmp_path / "elsewhere.json")
    sealing.seal(hub, forger)
    assert verifying.verify(hub, forger).problems == []
    assert "not made by this server" in problems(hub, notary)


def test_a_trail_made_anew_with_the_servers_own_key_shows_by_a_head_that_was_kept_elsewhere(
    hub: Hub, notary: Notary, tmp_path: Path
) -> None:
    head = verifying.verify(hub, notary).head
    assert verifying.verify(hub, notary, head=head).problems == []
    catalog.create(hub, OWNER, AssetRef(CONTOSO, ENVIRONMENT, "later", "1"), {"image": "x"})
    sealing.seal(hub, notary)
    assert verifying.verify(hub, notary, head=head).problems == [], "it has gone on"
    tampered(hub, f"UPDATE streams SET body = {BODY} WHERE stream = 'audit' AND position = 2")
    tampered(hub, "DELETE FROM streams WHERE stream = 'auditseals'")
    tampered(hub, "DELETE FROM documents WHERE key = 'auditseals'")
    (tmp_path / "newest.json").unlink()
    sealing.seal(hub, notary)
    assert problems(hub, notary) == "", "with the key and the memory, nothing shows"
    assert verifying.verify(hub, notary, head=head).problems


def test_servers_that_share_a_database_accept_each_others_seals_and_say_so(hub: Hub, tmp_path: Path) -> None:
    other = notary_of(tmp_path / "other", b"o" * 32, is_alone=False)
    found = verifying.verify(hub, other)
    assert (found.problems, found.unknown_keys) == ([], 3)


def test_old_entries_are_let_go_and_the_rest_still_verifies(hub: Hub, notary: Notary) -> None:
    seals = hub.documents.read(sealing.SEALS)
    end = from_iso(seals[1].body["time"]) + 1e-5
    told = retention.trim(hub, OWNER, notary, end)
    assert told == {"removed": seals[1].body["position"], "beginsBehind": seals[1].body["position"]}
    found = verifying.verify(hub, notary)
    assert (found.problems, found.begins) == ([], seals[1].body["position"])
    assert audit.entries(hub)[0].position == seals[1].body["position"] + 1
    newest = audit.entries(hub, newest=True, limit=1)[0].body
    assert (newest["action"], newest["details"]) == (audit.search.DELETE, told)
    assert retention.trim(hub, OWNER, notary, end)["removed"] == 0
    catalog.create(hub, OWNER, AssetRef(CONTOSO, ENVIRONMENT, "e", "9"), {"image": "y"})
    sealing.seal(hub, notary)
    assert problems(hub, notary) == ""
    edit = "UPDATE documents SET raw = CAST(replace(CAST(raw AS TEXT), ?, ?) AS BLOB) WHERE key = 'auditcheckpoint'"
    tampered(hub, edit, '"hash":"', '"hash":"0')
    assert "checkpoint" in problems(hub, notary)


def test_a_trail_that_does_not_verify_loses_nothing(hub: Hub, notary: Notary) -> None:
    tampered(hub, f"UPDATE streams SET body = {BODY} WHERE stream = 'audit' AND position = 2")
    with pytest.raises(StateConflict, match="not intact"):
        retention.trim(hub, OWNER, notary, hub.clock.now())
    with pytest.raises(InvalidRequest, match="in the past"):
        retention.trim(hub, OWNER, notary, hub.clock.now() + 1000)
    with pytest.raises(AccessDenied):
        retention.trim(hub, STRANGER, notary, 0)


def test_entries_are_found_by_who_what_where_when_and_how(hub: Hub) -> None:
    with pytest.raises(AccessDenied):
        catalog.create(hub, STRANGER, AssetRef(CONTOSO, ENVIRONMENT, "e", "7"), {"image": "x"}, request_id="r-7")
    write = registry_action("write")

    def count(**asked: str) -> int:
        return len(entries(hub, OWNER, Query(**asked)))

    assert count(principal=STRANGER.id) == count(outcome="denied") == count(request_id="r-7") == 1
    assert count(action=write) == count(action="assets/write") == 4
    assert count(action="*/assets/*") >= 4
    assert count(scope="registries/contoso/environments/e") == 4
    assert count(scope="registries/contoso/environments/e/versions/1") == 1
    assert count(scope="registries/other") == 0
    (second,) = entries(hub, OWNER, Query(scope="registries/contoso/environments/e/versions/1"))
    assert count(start=second.body["time"], end=second.body["time"]) == 1
    assert next(one.position for one in exported(hub, OWNER, Query(start=second.body["time"]))) == second.position


def test_a_page_goes_on_where_the_last_ended(hub: Hub) -> None:
    every = entries(hub, OWNER, Query(), limit=1000)
    first = entries(hub, OWNER, Query(), limit=2)
    rest = entries(hub, OWNER, Query(), below=first[-1].position, limit=1000)
    assert [*first, *rest] == every


def test_who_reads_a_registrys_entries_sees_no_others(hub: Hub) -> None:
    registries.create(hub, OWNER, "s1", "rg", "other", {"location": "eastus"})
    assignments.assign(hub, OWNER, role="Reader", assignee=STRANGER.id, scope="registries/contoso")
    seen = {one.body["target"].lower() for one in entries(hub, STRANGER, Query(), limit=1000)}
    assert seen and all("registries/contoso" in target for target in seen)
    assert list(exported(hub, Principal(id="nobody", name=""), Query())) == []


def test_notes_are_written_together_counted_and_kept_when_the_database_fails(hub: Hub) -> None:
    for _ in range(5):
        access.sightless(hub, OWNER, registries.READ, "/registries/contoso")

    class Broken:
        def commit(self, changes: object) -> None:
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        hub.notes.write(Broken())  # type: ignore[arg-type]
    hub.notes.write(hub.documents)
    newest = audit.entries(hub, newest=True, limit=1)[0].body
    assert (newest["action"], newest["count"]) == (registries.READ, 5)


def test_a_flood_of_refusals_is_counted_and_hides_nothing(hub: Hub) -> None:
    watch = [0.0]
    notes = Notes(told_per_minute=10, clock=lambda: watch[0])
    flooded = replace(hub, notes=notes)
    other = Principal(id="33333333-3333-3333-3333-333333333333", name="Ada")
    before = len(audit.entries(hub))
    for number in range(500):
        ref = AssetRef(CONTOSO, ENVIRONMENT, f"e{number}", "1")
        with pytest.raises(NotFound):
            catalog.get(flooded, STRANGER, ref)
        with pytest.raises(AccessDenied):
            catalog.create(flooded, STRANGER, ref, {"image": "x"})
    with pytest.raises(NotFound):
        catalog.get(flooded, other, AssetRef(CONTOSO, ENVIRONMENT, "e0", "1"))
    notes.note(audit.entry(OWNER, "secrets/told", target="/", now=hub.clock.now()))
    notes.write(hub.documents)
    told = audit.entries(hub)[before:]
    assert len(told) == 12 and {told[-1].body["action"], told[-2].body["principal"]["name"]} == {"secrets/told", "Ada"}
    watch[0] = 61.0
    notes.write(hub.documents)
    told = audit.entries(hub)[before:]
    assert len(told) == 14, "one more for each action"
    counts = dict.fromkeys(("read", "write"), 0)
    for one in told:
        if one.body["principal"]["id"] == STRANGER.id:
            assert one.body["outcome"] == audit.DENIED
            counts[one.body["action"].rpartition("/")[2]] += one.body.get("count", 1)
    assert counts == {"read": 500, "write": 500}
    assert told[-1].body["details"]["first"]["target"].startswith("azureml://registries/contoso/")
    with pytest.raises(NotFound):
        catalog.get(flooded, STRANGER, AssetRef(CONTOSO, ENVIRONMENT, "e0", "1"))
    notes.write(hub.documents)
    assert "e0" in audit.entries(hub)[-1].body["target"], "the next minute is told again"


def test_what_was_counted_is_written_at_the_end(hub: Hub) -> None:
    notes = Notes(told_per_minute=0)
    access.sightless(replace(hub, notes=notes), STRANGER, registries.READ, "/registries/contoso")
    notes.write(hub.documents)
    before = len(audit.entries(hub))
    notes.write(hub.documents, is_last=True)
    assert [one.body["count"] for one in audit.entries(hub)[before:]] == [1]


def test_a_refusal_deep_within_tells_of_its_request(hub: Hub) -> None:
    with audit.answering("request-7"), pytest.raises(NotFound):
        catalog.get(hub, STRANGER, AssetRef(CONTOSO, ENVIRONMENT, "e", "1"))
    hub.notes.write(hub.documents)
    assert audit.entries(hub)[-1].body["requestId"] == "request-7"


def test_a_hidden_deny_assignment_is_asked_for_and_noted(hub: Hub) -> None:
    denied = {"denyAssignmentName": "freeze", "permissions": [{"actions": ["*/write"]}], "principals": [{"id": "x"}]}
    denials.put(hub, OWNER, "registries/contoso", "freeze", denied)
    with pytest.raises(NotFound):
        denials.get(hub, STRANGER, "freeze")
    hub.notes.write(hub.documents)
    newest = audit.entries(hub)[-1].body
    assert (newest["action"], newest["outcome"]) == (denials.READ, audit.DENIED)


def test_two_processes_seal_one_chain(hub: Hub, notary: Notary, tmp_path: Path) -> None:
    other = make_hub(tmp_path)
    for number in range(10):
        hub.documents.commit([Append(audit.STREAM, audit.entry(OWNER, "a/b", target="/", now=number))])
        sealing.seal(hub if number % 2 else other, notary)
    close_hub(other)
    found = verifying.verify(hub, notary)
    assert (found.problems, found.unsealed) == ([], 0)
