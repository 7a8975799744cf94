"""Neutral origins: what leaves shows real addresses, what arrives loses every spelling of them."""

import pytest

from entrepot.wire.origins import Origins

ORIGINS = Origins(
    api="https://127.0.0.1:7443",
    blob="https://127.0.0.1:9443",
    api_hosts=("127.0.0.1:7443", "localhost:7443"),
    blob_hosts=("127.0.0.1:9443", "localhost:9443", "127.0.0.1:9000"),
)


def test_real_origins_go_in_on_the_way_out() -> None:
    body = b'{"a":"https://blob.entrepot.invalid/c/x","b":"https://api.entrepot.invalid/y"}'
    assert ORIGINS.outward(body) == b'{"a":"https://127.0.0.1:9443/c/x","b":"https://127.0.0.1:7443/y"}'


@pytest.mark.parametrize(
    ("spelling", "neutral"),
    [
        ("https://127.0.0.1:9443/c/x", "https://blob.entrepot.invalid/c/x"),
        ("http://127.0.0.1:9000/c/x", "https://blob.entrepot.invalid/c/x"),
        ("https://localhost:9443/c", "https://blob.entrepot.invalid/c"),
        ("https://entrepot.blob.x@127.0.0.1:9443/c/x", "https://blob.entrepot.invalid/c/x"),
        ("https://127.0.0.1:7443/z", "https://api.entrepot.invalid/z"),
        ("https://127.0.0.1:7443", "https://api.entrepot.invalid"),
    ],
)
def test_every_spelling_of_ours_comes_out_on_the_way_in(spelling: str, neutral: str) -> None:
    assert ORIGINS.inward(f'{{"uri":"{spelling}"}}'.encode()) == f'{{"uri":"{neutral}"}}'.encode()


@pytest.mark.parametrize(
    "foreign",
    [
        "https://127.0.0.1:94430/c",
        "https://127.0.0.1:9443.evil.test/c",
        "https://127.0.0.1:9443@evil.test/c",
        "https://evil.test/127.0.0.1:9443/c",
        "https://evil.test/?x@127.0.0.1:9443/c",
        "https://example.com/x.csv",
        "azureml://registries/r/models/m/versions/1",
    ],
)
def test_addresses_of_others_are_left_alone(foreign: str) -> None:
    body = f'{{"uri":"{foreign}"}}'.encode()
    assert ORIGINS.inward(body) == body


def test_in_and_out_again_gives_the_same_body() -> None:
    body = b'{"a":"https://127.0.0.1:9443/c/x","b":["https://127.0.0.1:7443/y"]}'
    assert ORIGINS.outward(ORIGINS.inward(body)) == body
