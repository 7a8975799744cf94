"""Who calls: the owner's token and signed job tokens; everything else is refused."""

import base64
import json

import pytest

from entrepot.core.errors import Unauthenticated
from entrepot.domain.hub import Principal
from entrepot.server.authentication import AUDIENCE, Authenticator, TokenSigner

OWNER = Principal(id="owner-id", name="owner")
USER = Principal(id="user-id", name="ada", groups=("g1",))


class Watch:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time


def _pair(key: bytes = b"k" * 32) -> tuple[Authenticator, TokenSigner, Watch]:
    watch = Watch()
    signer = TokenSigner(key, tenant="t-1", clock=watch)
    return Authenticator(owner_token="secret-token", owner=OWNER, signer=signer, clock=watch), signer, watch


def _bearer(token: str) -> bytes:
    return b"Bearer " + token.encode()


def test_the_owner_token_is_the_owner() -> None:
    authenticator, _, _ = _pair()
    assert authenticator.authenticate(b"Bearer secret-token") == OWNER
    assert authenticator.authenticate(b"bearer secret-token") == OWNER


def test_a_job_token_acts_for_its_submitter_until_it_expires() -> None:
    authenticator, signer, watch = _pair()
    header = _bearer(
        signer.issue(USER, job="j1", workspace="/subscriptions/s1/resourceGroups/rg/workspaces/w1", lifetime_s=60)
    )
    caller = authenticator.authenticate(header)
    assert (caller.id, caller.name, caller.via, caller.groups, caller.tenant) == (
        "user-id",
        "ada",
        "j1",
        ("g1",),
        "t-1",
    )
    assert authenticator.authenticate(header) == caller
    watch.time += 61
    with pytest.raises(Unauthenticated, match="expired"):
        authenticator.authenticate(header)


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Basic abc", b"Bearer secret-tokem", b"Bearer a.b.c"]
)
def test_anything_else_is_refused(header: bytes | None) -> None:
    with pytest.raises(Unauthenticated):
        _pair()[0].authenticate(header)


def test_unsigned_and_foreign_tokens_are_refused() -> None:
    authenticator, _, watch = _pair()
    claims = {"iss": "entrepot", "aud": AUDIENCE, "sub": "owner-id", "exp": int(watch.time) + 600}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, claims)
    ]
    for forged in (f"{parts[0]}.{parts[1]}.", f"{parts[0]}.{parts[1]}.c2ln"):
        with pytest.raises(Unauthenticated):
            authenticator.authenticate(_bearer(forged))
    foreign = TokenSigner(b"x" * 32, tenant="t-1", clock=watch).issue(USER, job="j", workspace="w", lifetime_s=60)
    with pytest.raises(Unauthenticated, match="signature"):
        authenticator.authenticate(_bearer(foreign))
