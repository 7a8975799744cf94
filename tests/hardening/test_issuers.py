"""What another authority's documents may make the server ask."""

from collections.abc import Iterator

import pytest

from entrepot.core.clock import SystemClock
from entrepot.core.errors import Unavailable
from entrepot.server.identity.issuers import Issuers
from entrepot.store.web.addresses import Allowed
from tests.hardening.web import answer, serving
from tests.identity.provider import Json, Provider, provider

LOCAL, NONE = Allowed.of(["loopback"]), Allowed.of([])


@pytest.fixture
def outside() -> Iterator[Provider]:
    with provider() as found:
        yield found


def test_an_issuer_that_a_user_names_is_asked_only_where_the_operator_allows(outside: Provider) -> None:
    token = outside.token(aud="entrepot")
    with pytest.raises(Unavailable, match="fetch_addresses"):
        Issuers(SystemClock(), allowed=NONE).verify(token, outside.issuer, ["entrepot"])
    assert outside.asked == {}
    assert Issuers(SystemClock(), allowed=LOCAL).verify(token, outside.issuer, ["entrepot"])["aud"] == "entrepot"


def test_an_issuer_of_the_settings_is_asked_wherever_it_is(outside: Provider) -> None:
    issuers = Issuers(SystemClock(), allowed=NONE, trusted=[outside.issuer])
    assert issuers.verify(outside.token(aud="entrepot"), outside.issuer, ["entrepot"])["aud"] == "entrepot"


def test_keys_at_an_inner_address_are_not_asked_for(outside: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Json = {"issuer": outside.issuer, "jwks_uri": "https://169.254.169.254/keys"}
    monkeypatch.setattr(outside, "answer", lambda path: told)
    with pytest.raises(Unavailable, match="at the link-local address"):
        Issuers(SystemClock(), allowed=LOCAL).verify(outside.token(aud="x"), outside.issuer, ["x"])


@pytest.mark.parametrize("body", [b"[" * 100_000, b"9" * 100_000, b"[]", b"\xff", bytes(2 << 20)])
def test_a_discovery_document_that_is_a_bomb_is_no_document(outside: Provider, body: bytes) -> None:
    token = outside.token(aud="x")
    with serving(lambda handler: answer(handler, body=body)) as (port, _), pytest.raises(Unavailable):
        Issuers(SystemClock(), allowed=LOCAL).verify(token, f"http://127.0.0.1:{port}", ["x"])
