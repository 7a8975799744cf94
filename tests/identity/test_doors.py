"""People sign in with a browser by an outside OpenID provider: what comes of it, and what does not get through."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from entrepot.testing.live import live
from tests.identity.conftest import GROUP, PROVIDER, House, Json
from tests.identity.provider import Provider, provider
from tests.identity.robot import Robot
from tests.identity.test_people import PASSWORD, authorize, redeem, sent_to_client

WORKSPACE = f"{PROVIDER}/workspaces/dev"
READER = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"


@pytest.fixture(scope="module")
def outside() -> Iterator[Provider]:
    """A provider."""
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def joined(outside: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that is a client of the provider, whose ml-team reads a workspace."""
    table = {
        "issuer": outside.issuer, "audience": "api", "groups": {"ml-team": "ML Team"}, "label": "Contoso <SSO>",
        "client_id": outside.client_id, "client_secret": outside.client_secret,
    }  # fmt: skip
    with live(tmp_path_factory.mktemp("doors") / "home", oidc_providers=[table]) as server:
        house = House(server)
        assert server.call("PUT", GROUP, {"location": "eastus"}).status == 201
        assert server.call("PUT", WORKSPACE, {"location": "eastus"}).status == 201
        team = house.made("groups", {"displayName": "ML Team"})["id"]
        role = {"properties": {"roleDefinitionId": READER, "principalId": team, "principalType": "Group"}}
        place = f"{WORKSPACE}/providers/Microsoft.Authorization/roleAssignments/33333333-3333-3333-3333-333333333333"
        assert server.call("PUT", place, role).status == 201
        yield house


@pytest.fixture(autouse=True)
def person(outside: Provider) -> Json:
    """Who sits at the browsers: somebody new, whom the provider calls by this."""
    outside.wrong = {}
    outside.person = {"sub": secrets.token_hex(8), "preferred_username": f"{secrets.token_hex(4)}@contoso.test"}
    return outside.person


def signed_in(house: House, robot: Robot | None = None) -> Robot:
    """Return a browser that went through the door of the sign-in page."""
    robot = robot or house.robot()
    robot.visit(f"{house.server.file.https_url}/login")
    assert "Sign in with Contoso &lt;SSO&gt;" in robot.text
    robot.visit(f"{house.server.file.https_url}/login/outside/0?next=%2F")
    return robot


def session(robot: Robot) -> list[str]:
    """Return the names of the cookies that sign a browser in."""
    return [cookie.name for cookie in robot.cookies if cookie.name == "entrepot-session"]


def test_somebody_of_the_provider_is_signed_in_with_the_roles_of_their_groups(
    joined: House, outside: Provider, person: Json
) -> None:
    person["groups"] = ["ml-team"]
    robot = signed_in(joined)
    assert robot.status == 200 and robot.headers["refresh"] == "0; url=/" and session(robot), robot.text
    base = joined.server.file.https_url
    robot.visit(f"{base}/", Accept="text/html")
    assert person["preferred_username"] in robot.text
    assert robot.visit(f"{base}{WORKSPACE}") and robot.status == 200
    by_token = outside.token(aud="api", sub=person["sub"])
    me = joined.server.call("GET", "/v1.0/me", token=by_token).json
    assert me["userPrincipalName"] == person["preferred_username"], "one account, whichever way they come"
    robot.visit(f"{base}{WORKSPACE}")
    assert robot.status == 404, "that token tells of no groups, and groups are those of now"


def test_a_departure_is_bound_to_one_browser_and_one_return(joined: House) -> None:
    robot = joined.robot()
    kept: list[str] = []
    robot.visit(f"{joined.server.file.https_url}/login/outside/0")
    kept.append(robot.url)
    assert urlsplit(robot.url).path == "/login/callback" and robot.status == 200
    again = robot.visit(kept[0])
    assert robot.status == 400 and "did not begin" in again, "the answer of before is not taken twice"
    stolen = joined.robot()
    stolen.visit(kept[0])
    assert stolen.status == 400 and not session(stolen)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nonce": "other"}, "another sign-in"), ({"nonce": None}, "another sign-in"),
        ({"aud": "other"}, "must be for"),
        ({"aud": ["entrepot-web", "b"], "azp": "b"}, "another application"), ({"exp": 1}, "expired"),
        ({"iss": "https://evil.test"}, "must be for"), ({"sub": ""}, "does not say whose"),
    ],
)  # fmt: skip
def test_a_token_that_is_wrong_in_one_place_signs_nobody_in(
    joined: House, outside: Provider, wrong: Json, words: str
) -> None:
    outside.wrong = wrong
    robot = signed_in(joined)
    assert robot.status == 400 and words in robot.text and not session(robot)


def test_a_provider_that_says_no_is_quoted_and_nothing_is_believed(joined: House) -> None:
    robot, base = joined.robot(), joined.server.file.https_url
    for query in ("?error=access_denied&error_description=<b>no</b>&state=x", "?code=x&state=x", ""):
        robot.visit(f"{base}/login/callback{query}")
        assert robot.status == 400 and "<b>" not in robot.text and not session(robot)
    robot.visit(f"{base}/login/outside/7")
    assert robot.status == 404


def test_a_client_of_azure_gets_its_code_after_a_sign_in_by_the_provider(joined: House, person: Json) -> None:
    robot, base = joined.robot(), joined.server.file.https_url
    page = authorize(joined, response_mode="form_post", prompt="login")
    text = robot.visit(page)
    door = text.partition('<p><a href="')[2].partition('"')[0].replace("&amp;", "&")
    robot.visit(f"{base}{door}")
    onward = robot.headers["refresh"].partition("url=")[2]
    assert parse_qs(urlsplit(onward).query)["state"] == ["s-1"] and "prompt" not in onward
    robot.visit(f"{base}{onward}")
    assert "Continue" in robot.text and person["preferred_username"] in robot.text
    robot.send(do="accept")
    told = redeem(joined, sent_to_client(robot)["code"])
    me = joined.server.call("GET", "/v1.0/me", token=told["access_token"]).json
    assert me["userPrincipalName"] == person["preferred_username"]


def test_keys_that_the_provider_changed_are_fetched_anew(joined: House, outside: Provider) -> None:
    assert session(signed_in(joined))
    outside.rotate()
    end = time.monotonic() + 60
    while not session(robot := signed_in(joined)) and time.monotonic() < end:
        time.sleep(2)  # an unknown key is asked for only so often
    assert session(robot)


def test_an_account_that_is_switched_off_here_stays_out(joined: House, person: Json) -> None:
    robot = signed_in(joined)
    place = f"/v1.0/users/{person['preferred_username']}"
    assert joined.server.call("PATCH", place, {"accountEnabled": False}).status == 204
    robot.visit(f"{joined.server.file.https_url}/v1.0/me")
    assert robot.status == 401
    assert not session(signed_in(joined)) and not joined.server.call("GET", place).json["accountEnabled"]


def test_another_entrepot_is_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "first") as first:
        home = House(first)
        home.user("ada", PASSWORD)
        application = home.application("second")
        monkeypatch.setenv("SSL_CERT_FILE", first.file.authority)
        issuer = first.call("GET", "/organizations/v2.0/.well-known/openid-configuration", secure=True).json["issuer"]
        table = {
            "issuer": issuer, "audience": "api", "client_id": application.app_id, "client_secret": application.secret,
            "subject_claim": "oid",
        }  # fmt: skip
        with live(tmp_path / "second", oidc_providers=[table]) as second:
            back = {"web": {"redirectUris": [f"{second.file.https_url}/login/callback"]}}
            assert first.call("PATCH", f"/v1.0/applications/{application.object_id}", back).status == 204
            both = tmp_path / "both.pem"
            both.write_text("".join(Path(one.file.authority).read_text() for one in (first, second)))
            robot = Robot(str(both))
            robot.visit(f"{second.file.https_url}/login/outside/0")
            assert robot.url.startswith(first.file.https_url), robot.text
            robot.sign_in("ada@contoso.test", PASSWORD)
            assert robot.url.startswith(second.file.https_url) and session(robot), robot.text
            robot.visit(f"{second.file.https_url}/", Accept="text/html")
            assert "Signed in as <strong>ada@contoso.test" in robot.text
