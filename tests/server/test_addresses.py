"""Signed addresses: good for their path, until their time."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from entrepot.core.errors import Unauthenticated
from entrepot.server.addresses import AddressSigner

SIGNER = AddressSigner(b"k" * 32)


def _split(address: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(address)
    return unquote(parts.path), dict(parse_qsl(parts.query))


def test_a_signed_address_opens_its_own_path_until_it_expires() -> None:
    path, query = _split(SIGNER.sign("/runs/a b/user_logs/std_log.txt", expires=1000))
    assert path == "/runs/a b/user_logs/std_log.txt"
    SIGNER.verify(path, query, now=999)
    with pytest.raises(Unauthenticated, match="expired"):
        SIGNER.verify(path, query, now=1000)


@pytest.mark.parametrize("change", [{"se": "9999"}, {"sig": "0" * 64}, {"sig": ""}, {"sig": "é"}])
def test_a_changed_address_opens_nothing(change: dict[str, str]) -> None:
    path, query = _split(SIGNER.sign("/a", expires=1000))
    with pytest.raises(Unauthenticated, match="not signed"):
        SIGNER.verify(path, {**query, **change}, now=1)
    with pytest.raises(Unauthenticated, match="not signed"):
        SIGNER.verify("/b", query, now=1)


def test_another_key_makes_other_signatures() -> None:
    path, query = _split(AddressSigner(b"x" * 32).sign("/a", expires=1000))
    with pytest.raises(Unauthenticated):
        SIGNER.verify(path, query, now=1)
