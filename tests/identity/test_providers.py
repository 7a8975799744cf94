"""People whom an outside OpenID provider vouches for: believed for the right audience, and given nothing at first."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.core.settings import load_settings
from entrepot.domain.identity.visitors import read_providers
from entrepot.testing.live import live
from tests.identity.conftest import GROUP, PROVIDER, House, Json
from tests.identity.provider import Provider, provider

AUDIENCE = "entrepot"
WORKSPACE = f"{PROVIDER}/workspaces/dev"


@pytest.fixture(scope="module")
def outside() -> Iterator[Provider]:
    """A provider."""
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def joined(outside: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that believes the provider, with a workspace and a group."""
    table = {"issuer": outside.issuer, "audience": [AUDIENCE, "api"], "groups": {"ml-team": "ML Team"}}
    with live(tmp_path_factory.mktemp("joined") / "home", oidc_providers=[table]) as server:
        assert server.call("PUT", GROUP, {"location": "eastus"}).status == 201
        assert server.call("PUT", WORKSPACE, {"location": "eastus"}).status == 201
        house = House(server)
        house.made("groups", {"displayName": "ML Team"})
        yield house


def _me(house: House, token: str) -> Json:
    reply = house.server.call("GET", "/v1.0/me", token=token)
    return reply.json if reply.status == 200 else reply.status


def test_who_comes_for_the_first_time_is_known_and_may_do_nothing(joined: House, outside: Provider) -> None:
    token = outside.token(sub="s-1", aud=AUDIENCE, preferred_username="grace@contoso.test", name="Grace")
    me = _me(joined, token)
    assert (me["displayName"], me["userPrincipalName"], me["userType"]) == ("Grace", "grace@contoso.test", "Guest")
    assert joined.server.call("GET", WORKSPACE, token=token).status == 404
    assert joined.server.call("POST", "/v1.0/users", {}, token=token).status == 403
    again = outside.token(sub="s-1", aud="api", preferred_username="grace.new@contoso.test")
    assert _me(joined, again)["id"] == me["id"], "the subject counts, not the name"


def test_many_first_requests_at_once_make_one_account(joined: House, outside: Provider) -> None:
    tokens = [outside.token(sub="s-many", aud=AUDIENCE, preferred_username="many@contoso.test", n=n) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda token: _me(joined, token), tokens))
    assert len({me["id"] for me in found}) == 1


def test_group_claims_become_groups_and_leave_with_the_claim(joined: House, outside: Provider) -> None:
    [group] = joined.server.call("GET", "/v1.0/groups").json["value"]
    role = f"/subscriptions/{GROUP.split('/')[2]}/providers/Microsoft.Authorization/roleDefinitions/"
    role += "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    assignment = {"properties": {"roleDefinitionId": role, "principalId": group["id"], "principalType": "Group"}}
    place = f"{WORKSPACE}/providers/Microsoft.Authorization/roleAssignments/33333333-3333-3333-3333-333333333333"
    reply = joined.server.call("PUT", place, assignment)
    assert reply.status == 201, reply.body
    inside = outside.token(sub="s-2", aud=AUDIENCE, groups=["/ml-team", "others"])
    assert joined.server.call("GET", WORKSPACE, token=inside).status == 200
    left = outside.token(sub="s-2", aud=AUDIENCE, groups=["others"])
    assert joined.server.call("GET", WORKSPACE, token=left).status == 404


@pytest.mark.parametrize(
    "change", [{"aud": "other"}, {"aud": None}, {"exp": 1}, {"nbf": 2**33}, {"sub": ""}, {"iss": "https://evil.test"}]
)
def test_tokens_that_are_wrong_in_one_place_are_refused(joined: House, outside: Provider, change: Json) -> None:
    assert _me(joined, outside.token(**{"sub": "s-3", "aud": AUDIENCE, **change})) == 401
    with provider() as other:
        assert _me(joined, other.token(sub="s-3", aud=AUDIENCE, iss=outside.issuer)) == 401, "another one's key"


def test_a_user_switched_off_here_stays_out_whatever_the_provider_says(joined: House, outside: Provider) -> None:
    token = outside.token(sub="s-4", aud=AUDIENCE)
    me = _me(joined, token)
    change = {"accountEnabled": False}
    assert joined.server.call("PATCH", f"/v1.0/users/{me['id']}", change).status == 204
    assert _me(joined, token) == 401
    assert _me(joined, outside.token(sub="s-4", aud=AUDIENCE)) == 401


def test_keys_that_change_are_fetched_and_a_silent_provider_locks_out_nobody_known(tmp_path: Path) -> None:
    with provider() as outside:
        table = {"issuer": outside.issuer, "audience": AUDIENCE}
        with live(tmp_path / "home", oidc_providers=[table]) as server:
            house = House(server)
            first = outside.token(sub="s", aud=AUDIENCE)
            id = _me(house, first)["id"]
            outside.rotate()
            second = outside.token(sub="s", aud=AUDIENCE)
            end = time.monotonic() + 60
            while (found := _me(house, second)) == 401 and time.monotonic() < end:
                time.sleep(0.5)  # an unknown key is asked for only so often
            assert found["id"] == id
            assert sum(outside.asked.values()) <= 8
            outside.is_silent = True
            assert _me(house, outside.token(sub="s", aud=AUDIENCE))["id"] == id
            house.server.call("GET", "/v1.0/me", token=first)


def test_settings_that_say_too_little_or_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for table, why in (({"issuer": "https://x"}, "audience"), ({"audience": "x"}, "issuer"), ({"isuer": "x"}, "isuer")):
        with pytest.raises(InvalidRequest, match=why):
            read_providers([table])
    monkeypatch.setenv("ENTREPOT_OIDC_PROVIDERS", '[{"issuer": "https://x", "audience": "y"}]')
    assert load_settings(tmp_path).oidc_providers == ({"issuer": "https://x", "audience": "y"},)
    monkeypatch.setenv("ENTREPOT_OIDC_PROVIDERS", "https://x")
    with pytest.raises(InvalidRequest, match="JSON"):
        load_settings(tmp_path)
    (tmp_path / "config.toml").write_text('[[oidc_providers]]\nissuer = "https://x"\naudience = "y"\n')
    monkeypatch.delenv("ENTREPOT_OIDC_PROVIDERS")
    assert read_providers(load_settings(tmp_path).oidc_providers)["https://x"].audiences == ("y",)
