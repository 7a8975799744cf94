"""Who calls: the owner's token and tokens of the authority; everything else is refused."""

import base64
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.errors import Unauthenticated
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.identity import directory, granting, memberships
from entrepot.domain.identity.granting import Granted
from entrepot.server.authentication import Authenticator
from entrepot.server.identity.issuers import Issuers
from entrepot.server.identity.signing import BELIEVED_S, SIGNS_S, SigningKeys
from entrepot.server.identity.tokens import AUDIENCE, TokenSigner
from entrepot.store.web.addresses import Allowed
from entrepot.testing.hub import OWNER, close_hub, make_hub

HOME_OWNER = Principal(id="owner-id", name="owner")
ADDRESS = "https://127.0.0.1:7443"


class Watch:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.time = 1_790_000_000.0

    def now(self) -> float:
        return self.time


@dataclass
class Desk:
    """An authority with one user."""

    hub: Hub
    watch: Watch
    signer: TokenSigner
    authenticator: Authenticator
    user: str

    def token(self, *, audience: str = AUDIENCE, lifetime_s: float = 60, **claims: Any) -> str:
        holder = self.hub.standing.of(self.hub.documents, self.user, self.watch.now())
        assert holder is not None
        said = {**granting.claims_of(self.hub, Granted(holder, "client")), **claims}
        return self.signer.issue(said, audience=audience, lifetime_s=lifetime_s)

    def who(self, token: str) -> Principal:
        return self.authenticator.authenticate(b"Bearer " + token.encode())


def _desk(folder: Path, hub: Hub, watch: Watch, user: str) -> Desk:
    keys = SigningKeys(folder / "keys" / "signing", hub.documents, watch)
    signer = TokenSigner(keys, tenant=hub.settings.tenant, clock=watch, addresses=[ADDRESS])
    authenticator = Authenticator(
        hub, owner_token="secret-token", owner=HOME_OWNER, signer=signer, issuers=Issuers(watch, allowed=Allowed.of(()))
    )
    return Desk(hub, watch, signer, authenticator, user)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk of its own, on a clock that the test moves."""
    watch = Watch()
    hub = make_hub(tmp_path, clock=watch)
    made = directory.create(hub, OWNER, directory.USER, {"displayName": "Ada", "userPrincipalName": "ada@contoso.test"})
    yield _desk(tmp_path, hub, watch, made.body["id"])
    close_hub(hub)


def test_the_owner_token_is_the_owner(desk: Desk) -> None:
    assert desk.authenticator.authenticate(b"Bearer secret-token") == HOME_OWNER
    assert desk.authenticator.authenticate(b"bearer secret-token") == HOME_OWNER


def test_a_token_stands_for_its_holder_until_it_expires(desk: Desk) -> None:
    token = desk.token()
    caller = desk.who(token)
    assert (caller.id, caller.name, caller.kind, caller.via) == (desk.user, "ada@contoso.test", "User", None)
    assert caller.tenant == desk.hub.settings.tenant
    assert desk.who(token) == caller
    desk.watch.time += 61
    with pytest.raises(Unauthenticated, match="expired"):
        desk.who(token)


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Basic abc", b"Bearer secret-tokem", b"Bearer a.b.c"]
)
def test_anything_else_is_refused(desk: Desk, header: bytes | None) -> None:
    with pytest.raises(Unauthenticated):
        desk.authenticator.authenticate(header)


def test_unsigned_and_foreign_tokens_are_refused(desk: Desk, tmp_path: Path) -> None:
    from joserfc import jwk, jwt

    header, claims, _ = (part + "=" * (-len(part) % 4) for part in desk.token().split("."))
    said = json.loads(base64.urlsafe_b64decode(claims))
    kid = json.loads(base64.urlsafe_b64decode(header))["kid"]
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": kid}).encode()).rstrip(b"=").decode()
    stranger = jwk.RSAKey.generate_key(2048)
    public = desk.signer.keys.current().pair.as_pem(private=False)
    forged = (
        f"{none}.{desk.token().split('.')[1]}.",
        f"{none}.{desk.token().split('.')[1]}.c2ln",
        jwt.encode({"alg": "RS256", "kid": kid}, said, stranger),
        jwt.encode({"alg": "RS256", "kid": stranger.thumbprint()}, said, stranger),
        _signed_with_shared(public, {"alg": "HS256", "kid": kid}, said),  # as if the public key were a shared one
    )
    for token in forged:
        with pytest.raises(Unauthenticated, match="signature"):
            desk.who(token)


def _signed_with_shared(secret: bytes, header: object, claims: object) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    mac = hmac.new(secret, b".".join(parts), "sha256").digest()
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


@pytest.mark.parametrize("audience", ["https://vault.azure.net", "api://other", "", f"{ADDRESS}.evil.test"])
def test_tokens_for_others_are_refused(desk: Desk, audience: str) -> None:
    with pytest.raises(Unauthenticated, match="audience"):
        desk.who(desk.token(audience=audience))


def test_a_token_of_another_tenant_and_one_from_the_future_are_refused(desk: Desk) -> None:
    with pytest.raises(Unauthenticated):
        desk.who(desk.token(iss=f"{ADDRESS}/other/v2.0"))
    with pytest.raises(Unauthenticated, match="not valid yet"):
        desk.who(desk.token(nbf=int(desk.watch.time) + 600))


def test_groups_are_those_of_now_and_reach_through_other_groups(desk: Desk) -> None:
    token = desk.token()
    assert desk.who(token).groups == ()
    inner, outer = (
        directory.create(desk.hub, OWNER, directory.GROUP, {"displayName": name}).body["id"] for name in ("in", "out")
    )
    memberships.add(desk.hub, OWNER, inner, desk.user)
    memberships.add(desk.hub, OWNER, outer, inner)
    assert set(desk.who(token).groups) == {inner, outer}
    memberships.remove(desk.hub, OWNER, outer, inner)
    assert desk.who(token).groups == (inner,)


def test_switching_off_revoking_and_deleting_take_tokens_back(desk: Desk) -> None:
    hub, token = desk.hub, desk.token()
    directory.update(hub, OWNER, directory.USER, desk.user, {"accountEnabled": False})
    with pytest.raises(Unauthenticated, match="switched off"):
        desk.who(token)
    directory.update(hub, OWNER, directory.USER, desk.user, {"accountEnabled": True})
    assert desk.who(token).id == desk.user
    directory.revoke(hub, OWNER, directory.USER, desk.user)
    with pytest.raises(Unauthenticated, match="revoked"):
        desk.who(token)
    later = desk.token()
    assert desk.who(later).id == desk.user
    directory.delete(hub, OWNER, directory.USER, desk.user)
    with pytest.raises(Unauthenticated, match="not in the directory"):
        desk.who(later)


def test_another_process_of_the_store_notices_within_a_second_and_believes_the_same_keys(
    desk: Desk, tmp_path: Path
) -> None:
    other_hub = make_hub(tmp_path, clock=desk.watch)
    try:
        other = _desk(tmp_path / "other-home", other_hub, desk.watch, desk.user)
        token = desk.token()
        assert other.who(token).id == desk.user
        directory.revoke(desk.hub, OWNER, directory.USER, desk.user)
        desk.watch.time += 1
        with pytest.raises(Unauthenticated, match="revoked"):
            other.who(token)
        assert desk.who(other.token()).id == desk.user
    finally:
        close_hub(other_hub)


def test_keys_rotate_and_are_believed_until_their_tokens_have_ended(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "keys" / "signing"
    first = desk.token(lifetime_s=SIGNS_S)
    old = desk.signer.keys.current().id
    desk.watch.time += SIGNS_S + 1
    second = desk.token(lifetime_s=SIGNS_S)
    assert desk.signer.keys.current().id != old
    assert {key["kid"] for key in desk.signer.keys.published()} == {old, desk.signer.keys.current().id}
    assert desk.who(second).id == desk.user
    with pytest.raises(Unauthenticated, match="expired"):
        desk.who(first)
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0 and "PRIVATE" in file.read_text()
    assert "d" not in desk.signer.keys.published()[0], "the private half stays at home"
    desk.watch.time += BELIEVED_S - SIGNS_S
    desk.token()
    assert old not in {key["kid"] for key in desk.signer.keys.published()}
    again = SigningKeys(folder, desk.hub.documents, desk.watch)
    assert again.current().id == desk.signer.keys.current().id, "the next process signs with the same key"


def test_after_a_rotation_the_key_before_is_still_believed(desk: Desk) -> None:
    token = desk.token()
    desk.signer.keys.rotate()
    assert desk.who(token).id == desk.user
