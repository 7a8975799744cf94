"""Secrets at rest: sealed for one document, opened by whoever has the key, sealed anew when the key changes."""

import contextlib
import http.client
import itertools
import signal
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.core.errors import AccessDenied, InvalidRequest
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.secrets.rotation import ROTATE, rotate
from entrepot.domain.secrets.sealing import SealedElsewhere, Sealer, id_of, is_sealed, sealed_with
from entrepot.server.keys import add_key, load_keys, open_sealer, retire_keys
from entrepot.store.documents import Change, Document, Facet, Put
from entrepot.testing.hub import OWNER, close_hub, make_hub
from entrepot.testing.live import live, wait_until
from tests.identity.conftest import GROUP, PROVIDER

SECRET = "correct horse battery staple"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub of its own."""
    made = make_hub(tmp_path)
    yield made
    close_hub(made)


def test_a_sealed_text_opens_in_its_own_document_only(hub: Hub) -> None:
    sealed = hub.sealer.seal(SECRET, at="a/b")
    assert is_sealed(sealed) and SECRET not in sealed and sealed != hub.sealer.seal(SECRET, at="a/b")
    assert hub.sealer.open(sealed, at="a/b") == SECRET
    with pytest.raises(SealedElsewhere, match="another document"):
        hub.sealer.open(sealed, at="a/c")
    with pytest.raises(SealedElsewhere, match="changed"):
        hub.sealer.open(sealed[:-6] + ("AAAA==" if not sealed.endswith("AAAA==") else "BBBB=="), at="a/b")


def test_without_the_key_the_error_says_which_and_where_it_belongs(hub: Hub) -> None:
    stranger = Sealer(lambda: [b"x" * 32])
    with pytest.raises(SealedElsewhere, match=hub.sealer.newest) as caught:
        stranger.open(hub.sealer.seal(SECRET, at="a"), at="a")
    assert "ENTREPOT_SECRETS_KEY" in (caught.value.hint or "")


def test_the_key_file_is_private_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "secrets.key"
    assert load_keys(file) == load_keys(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    add_key(file)
    assert len(set(load_keys(file))) == 2 and stat.S_IMODE(file.stat().st_mode) == 0o600
    add_key(file)
    three = load_keys(file)
    assert len(set(three)) == 3, "whatever may still be sealed with the older ones opens"
    retire_keys(file)
    assert load_keys(file) == three[:2] and stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keys_from_the_environment_go_before_the_file(tmp_path: Path) -> None:
    first, second = "ab" * 32, "cd" * 32
    assert load_keys(tmp_path / "none", given=f"{first},{second}") == (bytes.fromhex(first), bytes.fromhex(second))
    assert not (tmp_path / "none").exists()
    with pytest.raises(InvalidRequest, match="64 hexadecimal"):
        load_keys(tmp_path / "none", given="too-short")


def sealed_things(hub: Hub, count: int) -> None:
    """Put documents with a sealed text each into the store."""
    for number in range(count):
        key = f"things/{number}"
        body = {"name": str(number), "entrepot": {"keys": [{"primary": hub.sealer.seal(f"s{number}", at=key)}]}}
        hub.documents.commit([Put(key, body, facets=(Facet("things", "n", str(number)),))])


def opened(hub: Hub, count: int) -> set[str]:
    """Check that all of them open and are found; return by which keys they were sealed."""
    keys = set()
    for number in range(count):
        document = hub.documents.find("things", "n", str(number)).documents[0]
        sealed = document.body["entrepot"]["keys"][0]["primary"]
        assert hub.sealer.open(sealed, at=document.key) == f"s{number}"
        keys.add(sealed_with(sealed))
    return keys


def test_after_a_rotation_everything_is_sealed_with_the_new_key_and_found_as_before(hub: Hub) -> None:
    sealed_things(hub, 3)
    old = hub.sealer.newest
    told = rotate(hub, OWNER)
    assert (told["documents"], told["isNewKey"], told["unreadable"]) == (3, True, [])
    assert opened(hub, 3) == {told["key"]} == {hub.sealer.newest} != {old}
    entry = hub.documents.read("audit", limit=1, newest=True)[0].body
    assert (entry["action"], entry["details"]["documents"]) == (ROTATE, 3)


class Killed(BaseException):
    """The process is gone."""


def test_a_rotation_that_is_cut_off_anywhere_leaves_all_readable_and_the_next_one_ends_it(
    hub: Hub, tmp_path: Path
) -> None:
    sealed_things(hub, 6)
    real = hub.documents.commit
    for cut in range(8):  # the seventh commit is the entry of the trail, the eighth is not reached
        commits = itertools.count()

        def commit(
            changes: Sequence[Change], *, last: int = cut, commits: Iterator[int] = commits
        ) -> Sequence[Document]:
            if next(commits) == last:
                raise Killed
            return real(changes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hub.documents, "commit", commit)
            with contextlib.suppress(Killed):
                rotate(hub, OWNER)
        again = make_hub(tmp_path)
        opened(again, 6)
        close_hub(again)
    told = rotate(hub, OWNER)
    assert opened(hub, 6) == {told["key"]}
    assert len(load_keys(tmp_path / "keys" / "secrets.key")) == 2


def test_keys_from_outside_are_left_and_what_nobody_here_can_open_is_told(hub: Hub, tmp_path: Path) -> None:
    old, new = "ab" * 32, "cd" * 32
    given = replace(hub, sealer=open_sealer(tmp_path / "none", given=old))
    sealed_things(given, 2)
    given = replace(hub, sealer=open_sealer(tmp_path / "none", given=f"{new},{old}"))
    told = rotate(given, OWNER)
    assert (told["documents"], told["isNewKey"]) == (2, False) and opened(given, 2) == {id_of(bytes.fromhex(new))}
    told = rotate(hub, OWNER)
    assert told["unreadable"] == ["things/0", "things/1"]
    opened(given, 2)


def test_only_who_may_change_secrets_rotates(hub: Hub) -> None:
    contributor = Principal("33333333-3333-3333-3333-333333333333", "Carl")
    assignments.assign(hub, OWNER, role="Contributor", assignee=contributor.id, scope="/")
    before = hub.sealer.newest
    with pytest.raises(AccessDenied, match=r"secrets/write.*User Access Administrator"):
        rotate(hub, contributor)
    assert hub.sealer.newest == before


def test_a_server_that_is_killed_while_it_rotates_loses_no_secret(tmp_path: Path) -> None:
    home, place = tmp_path / "home", f"{PROVIDER}/workspaces/dev/connections"
    file = home / "keys" / "secrets.key"
    with live(home, sandbox="none") as server:
        for path in (GROUP, f"{PROVIDER}/workspaces/dev"):
            assert server.call("PUT", path, {"location": "eastus"}).status == 201
        for number in range(40):
            given = {"category": "ApiKey", "authType": "ApiKey", "target": "t", "credentials": {"key": f"s{number}"}}
            assert server.call("PUT", f"{place}/c{number}", {"properties": given}).status == 200

        def rotating() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                server.call("POST", "/secrets/v1.0/rotate")

        thread = threading.Thread(target=rotating)
        thread.start()
        wait_until(lambda: len(load_keys(file)) == 2, timeout_s=60, what="a second key")
        server.stop(signal.SIGKILL)
        thread.join()
    with live(home, sandbox="none") as server:
        for _ in range(2):
            for number in range(40):
                told = server.call("POST", f"{place}/c{number}/listsecrets").json
                assert told["properties"]["credentials"] == {"key": f"s{number}"}
            newest = server.call("POST", "/secrets/v1.0/rotate").json
            assert newest["isNewKey"] and newest["documents"] >= 40
    assert len(load_keys(file)) == 2 and id_of(load_keys(file)[0]) == newest["key"]


def test_the_name_of_a_key_tells_nothing_of_it() -> None:
    key = b"k" * 32
    assert len(id_of(key)) == 12 and id_of(key) not in key.hex()
