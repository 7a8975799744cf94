"""Secrets at rest: sealed for one document, opened by whoever has the key, sealed anew when the key changes."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.domain.hub import Hub
from entrepot.domain.secrets.rotation import reseal
from entrepot.domain.secrets.sealing import SealedElsewhere, Sealer, id_of, is_sealed, sealed_with
from entrepot.server.keys import add_key, load_keys
from entrepot.store.documents import Facet, Put
from entrepot.testing.hub import OWNER, close_hub, make_hub

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
    assert len(set(load_keys(file))) == 2, "the key before the newest is kept, older ones go"


def test_keys_from_the_environment_go_before_the_file(tmp_path: Path) -> None:
    first, second = "ab" * 32, "cd" * 32
    assert load_keys(tmp_path / "none", given=f"{first},{second}") == (bytes.fromhex(first), bytes.fromhex(second))
    assert not (tmp_path / "none").exists()
    with pytest.raises(InvalidRequest, match="64 hexadecimal"):
        load_keys(tmp_path / "none", given="too-short")


def test_after_rotation_everything_is_sealed_with_the_new_key_and_found_as_before(hub: Hub, tmp_path: Path) -> None:
    for number in range(3):
        key = f"things/{number}"
        body = {"name": str(number), "entrepot": {"keys": [{"primary": hub.sealer.seal(f"s{number}", at=key)}]}}
        hub.documents.commit([Put(key, body, facets=(Facet("things", "n", str(number)),))])
    old = hub.sealer.newest
    add_key(tmp_path / "keys" / "secrets.key")
    hub.sealer.forget()
    assert reseal(hub, OWNER) == 3 and reseal(hub, OWNER) == 0
    for number in range(3):
        document = hub.documents.find("things", "n", str(number)).documents[0]
        sealed = document.body["entrepot"]["keys"][0]["primary"]
        assert sealed_with(sealed) == hub.sealer.newest != old
        assert hub.sealer.open(sealed, at=document.key) == f"s{number}"


def test_the_name_of_a_key_tells_nothing_of_it() -> None:
    key = b"k" * 32
    assert len(id_of(key)) == 12 and id_of(key) not in key.hex()
