"""Signatures: what they grant, for how long, and that nothing of them can be changed."""

from urllib.parse import parse_qsl, urlencode

import pytest

from entrepot.core.errors import Unauthenticated
from entrepot.core.ids import Region
from entrepot.server.dataplane.sas import Grant, SasSigner

NOW = 1_800_000_000.0
SIGNER = SasSigner(b"k" * 32)


def test_a_signature_grants_what_was_signed() -> None:
    query = SIGNER.sign("container", "lr", Region("eastus"), NOW + 60)
    assert SIGNER.verify("container", query, NOW) == {"r", "l"}
    grant = SIGNER.grant("container", "?" + query, NOW)
    assert grant == Grant(frozenset("rl"), Region("eastus"))
    assert SIGNER.grant("container", SIGNER.sign("container", "r", None, NOW + 60), NOW).region is None


def test_a_signature_ends_at_its_expiry() -> None:
    query = SIGNER.sign("container", "r", None, NOW + 60)
    assert SIGNER.verify("container", query, NOW + 59)
    with pytest.raises(Unauthenticated, match="ended at 2027-01-15T08:01:00Z"):
        SIGNER.verify("container", query, NOW + 60)


@pytest.mark.parametrize(
    "change",
    [
        {"sp": "racwdl"},
        {"se": "2099-01-01T00:00:00Z"},
        {"rg": "westus"},
        {"sr": "b"},
        {"sv": "2020-01-01"},
        {"sig": ""},
        {"sig": "AAAA"},
        {"sig": "é"},
    ],
)
def test_nothing_of_a_signature_can_be_changed(change: dict[str, str]) -> None:
    fields = dict(parse_qsl(SIGNER.sign("container", "r", Region("eastus"), NOW + 60)))
    with pytest.raises(Unauthenticated):
        SIGNER.verify("container", urlencode(fields | change), NOW)


@pytest.mark.parametrize("left_out", ["sp", "se", "rg", "sig"])
def test_nothing_of_a_signature_can_be_left_out(left_out: str) -> None:
    fields = dict(parse_qsl(SIGNER.sign("container", "r", Region("eastus"), NOW + 60)))
    del fields[left_out]
    with pytest.raises(Unauthenticated):
        SIGNER.verify("container", fields, NOW)


def test_a_signature_is_for_one_container_and_one_key() -> None:
    query = SIGNER.sign("container", "r", None, NOW + 60)
    with pytest.raises(Unauthenticated):
        SIGNER.verify("other", query, NOW)
    with pytest.raises(Unauthenticated):
        SasSigner(b"x" * 32).verify("container", query, NOW)


def test_unknown_permissions_are_not_signed() -> None:
    with pytest.raises(ValueError, match="racwdl"):
        SIGNER.sign("container", "rx", None, NOW)
