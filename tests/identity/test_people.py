"""People sign in: with a device code, in the browser, with a password where AD FS takes one; and what pages refuse."""

import secrets
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from entrepot.domain.identity.clients import PUBLIC_CLIENTS
from entrepot.domain.identity.codes import challenge_of
from entrepot.testing.live import wait_until
from tests.identity.conftest import TENANT, House, Json
from tests.identity.furniture import ASKED, request
from tests.identity.robot import Robot
from tests.identity.test_client_secrets import claims

CLI = next(iter(PUBLIC_CLIENTS))
PASSWORD = "a long enough password"
REDIRECT = "http://localhost:8400"


@pytest.fixture
def ada(house: House) -> Json:
    """Somebody with a password."""
    name = f"ada{secrets.token_hex(4)}"
    return {"id": house.user(name, PASSWORD), "name": f"{name}@contoso.test"}


def authorize(house: House, **change: str) -> str:
    """Return the address that a client opens."""
    asked = {
        "client_id": CLI, "response_type": "code", "redirect_uri": REDIRECT, "scope": "openid offline_access",
        "state": "s-1", "nonce": "n-1", "code_challenge": challenge_of("v" * 43), "code_challenge_method": "S256",
        **change,
    }  # fmt: skip
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{house.server.file.https_url}/{TENANT}/oauth2/v2.0/authorize?{query}"


def sent_to_client(robot: Robot) -> Json:
    """Return what the form on this page carries to the client."""
    assert robot.status == 200, robot.text
    return robot.form().fields


def code_for(house: House, user: Json) -> str:
    """Sign in as a person does and return the code that the client would get."""
    robot = house.robot()
    robot.visit(authorize(house, response_mode="form_post"))
    robot.sign_in(user["name"], PASSWORD)
    code: str = sent_to_client(robot)["code"]
    return code


def redeem(house: House, code: str, **change: str) -> Json:
    form = {
        "grant_type": "authorization_code", "client_id": CLI, "code": code, "redirect_uri": REDIRECT,
        "code_verifier": "v" * 43, "scope": "https://management.azure.com/.default offline_access openid profile",
        **change,
    }  # fmt: skip
    return house.token(form).json


def test_azure_identity_signs_a_person_in_with_a_device_code(genuine: House) -> None:
    genuine.user("dora", PASSWORD)

    def typed(code: str) -> None:
        robot = genuine.robot()
        robot.visit(f"{genuine.server.file.https_url}/device")
        robot.sign_in("dora@contoso.test", PASSWORD)
        robot.send(user_code=code.lower(), do="look")
        assert "Microsoft Azure CLI" in robot.text and "dora@contoso.test" in robot.text
        robot.send(do="accept")
        assert "You have signed in" in robot.text

    told = genuine.azure_identity("device", {"SECOND_SCOPE": "https://ml.azure.com/.default"}, on_code=typed)
    assert "token" in told, told
    said = claims(told["token"])
    assert (said["upn"], said["idtyp"], said["appid"]) == ("dora@contoso.test", "user", CLI)
    assert claims(told["second"])["aud"] == "https://ml.azure.com", "by the refresh token, without another sign-in"


def test_azure_identity_signs_a_person_in_in_the_browser(genuine: House) -> None:
    genuine.user("bert", PASSWORD)
    robot = f"{sys.executable} {Path(__file__).with_name('robot.py')} %s &"
    who = {"ROBOT_NAME": "bert@contoso.test", "ROBOT_PASSWORD": PASSWORD}
    told = genuine.azure_identity("browser", {"BROWSER": robot, **who})
    assert "token" in told, told
    assert claims(told["token"])["upn"] == "bert@contoso.test"


def test_a_code_gives_tokens_once_and_its_second_use_ends_them(house: House, ada: Json) -> None:
    code = code_for(house, ada)
    told = redeem(house, code)
    said = claims(told["id_token"])
    assert (said["nonce"], said["aud"], said["oid"], said["preferred_username"]) == ("n-1", CLI, ada["id"], ada["name"])
    assert told["scope"].startswith("https://management.azure.com") and told["client_info"]
    assert house.server.call("GET", "/v1.0/me", token=told["access_token"]).json["id"] == ada["id"]
    assert redeem(house, code)["error_codes"] == [54005]
    assert house.server.call("GET", "/v1.0/me", token=told["access_token"]).status == 401
    again = {"grant_type": "refresh_token", "client_id": CLI, "refresh_token": told["refresh_token"]}
    assert house.token(again).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"code_verifier": "w" * 43}, 501481),
        ({"code_verifier": ""}, 501481),
        ({"redirect_uri": "http://localhost:9999"}, 50011),
        ({"client_id": list(PUBLIC_CLIENTS)[1]}, 700005),
    ],
)
def test_a_stolen_code_is_worth_nothing(house: House, ada: Json, change: Json, number: int) -> None:
    code = code_for(house, ada)
    assert redeem(house, code, **change)["error_codes"] == [number]
    assert redeem(house, code[:-2] + "xx")["error_codes"] == [70008]
    assert "access_token" in redeem(house, code), "a failed attempt does not spend it"


def test_refresh_tokens_belong_to_their_client_and_end_with_a_revocation(house: House, ada: Json) -> None:
    told = redeem(house, code_for(house, ada))
    form = {"grant_type": "refresh_token", "client_id": CLI, "refresh_token": told["refresh_token"]}
    fresh = house.token({**form, "scope": "https://storage.azure.com/.default"}).json
    assert claims(fresh["access_token"])["aud"] == "https://storage.azure.com"
    assert house.token({**form, "client_id": list(PUBLIC_CLIENTS)[1]}).json["error_codes"] == [700005]
    assert house.token({**form, "refresh_token": told["refresh_token"][:-2] + "xx"}).json["error"] == "invalid_grant"
    assert house.server.call("POST", f"/v1.0/users/{ada['id']}/revokeSignInSessions", {}).status == 200
    assert house.token(form).json["error_codes"] == [50173]
    assert house.server.call("GET", "/v1.0/me", token=fresh["access_token"]).status == 401


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.test/", "http://evil.test:8400", "http://localhost.evil.test", "http://localhost@evil.test",
        "https://localhost:8400", "javascript:alert(1)", "http://localhost:1/#x", "",
    ],
)  # fmt: skip
def test_codes_are_never_sent_anywhere_but_to_this_machine(house: House, redirect: str) -> None:
    robot = house.robot()
    robot.visit(authorize(house, redirect_uri=redirect))
    assert robot.status == 400 and "AADSTS50011" in robot.text
    assert "evil.test" not in robot.headers.get("location", "")


def test_a_request_that_lacks_proof_or_names_nobody_is_refused(house: House, ada: Json) -> None:
    robot = house.robot()
    robot.visit(authorize(house, client_id="00000000-0000-0000-0000-00000000dead"))
    assert robot.status == 400 and "700016" in robot.text
    for change in ({"code_challenge": ""}, {"code_challenge_method": "plain"}, {"response_type": "token"}):
        robot.visit(authorize(house, response_mode="form_post", **change))
        fields = sent_to_client(robot)
        assert fields["error"] and fields["state"] == "s-1" and "code" not in fields


def test_who_is_signed_in_is_asked_before_a_client_gets_anything(house: House, ada: Json) -> None:
    robot = house.robot()
    robot.visit(f"{house.server.file.https_url}/login")
    robot.sign_in(ada["name"], PASSWORD)
    robot.visit(authorize(house, response_mode="form_post"))
    assert "Continue" in robot.text and ada["name"] in robot.text and "code" not in robot.form().fields
    page, token = robot.url, robot.form().fields["token"]
    robot.visit(page, {"do": "accept", "token": "guess"})
    assert "code" not in robot.form().fields, "a form that is not ours agrees to nothing"
    robot.visit(page, {"do": "accept", "token": token}, Origin="http://localhost:9999")
    assert "code" not in robot.form().fields, "nor one from another origin"
    robot.visit(page, {"do": "accept", "token": token})
    fields = sent_to_client(robot)
    assert fields["code"] and fields["state"] == "s-1"
    robot.visit(page, {"do": "decline", "token": token})
    assert sent_to_client(robot)["error"] == "access_denied"


def test_pages_lock_the_browser_down(house: House) -> None:
    robot = house.robot()
    robot.visit(authorize(house))
    policy = robot.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script-src" not in policy
    assert "form-action 'self' http://localhost:8400;" in policy
    assert robot.headers["x-frame-options"] == "DENY" and robot.headers["cache-control"] == "no-store"
    robot.visit(authorize(house, login_hint='"><script>alert(1)</script>'))
    assert "<script>alert" not in robot.text


def test_a_wrong_password_is_told_without_saying_who_there_is(house: House, ada: Json) -> None:
    robot = house.robot()
    texts = []
    for name in (ada["name"], "nobody@contoso.test"):
        robot.visit(authorize(house))
        robot.sign_in(name, "wrong password")
        assert robot.status == 401
        texts.append(robot.text.replace(name, "NAME"))
    assert texts[0] == texts[1] and "Invalid username or password" in texts[0]
    assert not list(robot.cookies)


def test_the_owners_link_signs_one_browser_in_once(house: House) -> None:
    url = house.server.call("POST", "/login/tickets", {}, secure=True).json["url"]
    jar, robot = house.robot(), house.robot()
    jar.visit(url)
    [cookie] = jar.cookies
    assert cookie.secure and cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Strict"
    robot.visit(url)
    assert robot.status == 400 and "used already" in robot.text and not list(robot.cookies)
    base = house.server.file.https_url
    jar.visit(f"{base}/v1.0/me")
    assert jar.status == 200 and "userPrincipalName" in jar.text
    jar.visit(f"{base}/logout")
    jar.visit(f"{base}/v1.0/me")
    assert jar.status == 401


def test_a_link_leads_a_browser_home_wherever_it_came_from(house: House) -> None:
    robot, base = house.robot(), house.server.file.https_url
    robot.visit(f"{base}/", Accept="text/html")
    assert robot.url == f"{base}/login" and robot.status == 200
    url = house.server.call("POST", "/login/tickets", {}, secure=True).json["url"]
    robot.visit(url, None, **{"Sec-Fetch-Site": "cross-site", "Accept": "text/html"})
    assert robot.status == 200 and robot.headers["refresh"] == "0; url=/", "not a redirect, which loses strict cookies"
    assert robot.headers["referrer-policy"] == "same-origin" and robot.headers["cache-control"] == "no-store"
    robot.visit(f"{base}/", Accept="text/html")
    assert "Signed in as" in robot.text and "prefers-color-scheme:dark" in robot.text
    robot.visit(f"{base}/")
    assert '"metadata"' in robot.text, "programs are told what this server is"


def test_a_link_that_another_page_opens_signs_nobody_in_as_its_maker(house: House, ada: Json) -> None:
    robot = house.robot()
    robot.visit(f"{house.server.file.https_url}/login")
    robot.sign_in(ada["name"], PASSWORD)
    token = redeem(house, code_for(house, ada))["access_token"]
    url = house.server.call("POST", "/login/tickets", {}, token=token, secure=True).json["url"]
    victim = house.robot()
    victim.visit(url, None, **{"Sec-Fetch-Site": "cross-site"})
    assert victim.status == 400 and not list(victim.cookies)
    victim.visit(url, None, **{"Sec-Fetch-Site": "none"})
    assert victim.status == 200 and list(victim.cookies), "it was not used up"


@pytest.mark.parametrize("wanted", ["//evil.test/", "https://evil.test/", "/\\evil.test", "/a\r\nb: c"])
def test_a_link_leads_to_no_other_place(house: House, wanted: str) -> None:
    robot, url = house.robot(), house.server.call("POST", "/login/tickets", {}, secure=True).json["url"]
    robot.visit(f"{url}&{urlencode({'next': wanted})}")
    assert robot.headers["refresh"] == "0; url=/"


def test_a_cookie_changes_nothing_for_other_peoples_pages(house: House) -> None:
    robot = house.robot()
    robot.visit(house.server.call("POST", "/login/tickets", {}, secure=True).json["url"])
    base = house.server.file.https_url
    cookie = "; ".join(f"{found.name}={found.value}" for found in robot.cookies)
    place, body = "/v1.0/groups", {"displayName": "made by a page"}
    plain = {"Cookie": cookie}
    for headers in (plain, {**plain, "x-entrepot-intent": "1", "sec-fetch-site": "same-site"}):
        assert house.server.call("POST", place, body, token=None, headers=headers).status == 401
    crossing = {**plain, "sec-fetch-site": "cross-site"}
    assert house.server.call("GET", "/v1.0/me", token=None, headers=crossing).status == 401
    ours = {**plain, "x-entrepot-intent": "1", "sec-fetch-site": "same-origin", "Origin": base}
    assert house.server.call("POST", place, body, token=None, headers=ours).status == 201
    robot.visit(f"{base}/login?next=//evil.test/")
    assert "evil.test" not in robot.url


def test_no_route_lets_another_sites_page_change_anything_with_a_cookie(house: House) -> None:
    robot = house.robot()
    robot.visit(house.server.call("POST", "/login/tickets", {}, secure=True).json["url"])
    headers = {"Cookie": "; ".join(f"{found.name}={found.value}" for found in robot.cookies)}
    assert house.server.call("GET", "/v1.0/me", token=None, headers=headers).status == 200
    changing = [operation for operation in ASKED if operation.method not in ("GET", "HEAD")]
    assert len(changing) > 300
    for operation in changing:
        address, body = request(operation)
        reply = house.server.call(operation.method, address, body, token=None, headers=headers)
        assert reply.status == 401 and b"x-entrepot-intent" in reply.body, operation


def test_a_password_is_enough_below_adfs_only(house: House, ada: Json) -> None:
    form = {
        "grant_type": "password", "client_id": CLI, "username": ada["name"], "password": PASSWORD,
        "scope": "https://management.azure.com/.default openid offline_access",
    }  # fmt: skip
    told = house.token(form, tenant="adfs", path="oauth2/token").json
    assert claims(told["access_token"])["oid"] == ada["id"] and told["refresh_token"]
    assert house.token({**form, "password": "wrong"}, tenant="adfs", path="oauth2/token").json["error_codes"] == [50126]
    assert house.token(form).json["error_codes"] == [7000219]


def test_a_new_password_signs_everybody_out_who_had_the_old_one(house: House, ada: Json) -> None:
    told = redeem(house, code_for(house, ada))
    place = f"/v1.0/users/{ada['id']}"
    weak = house.server.call("PATCH", place, {"passwordProfile": {"password": "short"}})
    assert weak.status == 400 and "too easy to guess" in weak.json["error"]["message"]
    assert house.server.call("PATCH", place, {"passwordProfile": {"password": "another long one"}}).status == 204
    assert house.server.call("GET", "/v1.0/me", token=told["access_token"]).status == 401
    robot = house.robot()
    robot.visit(authorize(house))
    robot.sign_in(ada["name"], PASSWORD)
    assert robot.status == 401


def test_a_device_code_waits_is_declined_and_serves_once(house: House, ada: Json) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"client_id": CLI, "scope": "openid"}).encode()
    made = house.server.call(
        "POST", "/organizations/oauth2/v2.0/devicecode", body, token=None, headers=headers, secure=True
    ).json
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": CLI,
        "device_code": made["device_code"], "scope": "openid",
    }  # fmt: skip
    assert house.token(form, tenant="organizations").json["error"] == "authorization_pending"
    robot = house.robot()
    robot.visit(made["verification_uri"])
    robot.sign_in(ada["name"], PASSWORD)
    robot.send(user_code="WRONGCODE", do="look")
    assert robot.status == 400 and "unknown, used, or has expired" in robot.text
    robot.send(user_code=made["user_code"], do="look")
    robot.send(do="decline")
    assert house.token(form, tenant="organizations").json["error"] == "authorization_declined"
    assert house.token(form, tenant="organizations").json["error"] == "expired_token"


def test_a_web_application_proves_itself_when_it_fetches_tokens(house: House, ada: Json) -> None:
    app = house.application("portal")
    place = "https://portal.contoso.test/signed-in"
    change = {"web": {"redirectUris": [place]}}
    assert house.server.call("PATCH", f"/v1.0/applications/{app.object_id}", change).status == 204
    robot = house.robot()
    robot.visit(
        authorize(house, client_id=app.app_id, redirect_uri=place, code_challenge="", response_mode="form_post")
    )
    robot.sign_in(ada["name"], PASSWORD)
    fields = sent_to_client(robot)
    assert robot.form().action == place
    given = {"client_id": app.app_id, "redirect_uri": place, "code_verifier": ""}
    assert redeem(house, fields["code"], **given)["error"] == "invalid_client"
    assert "access_token" in redeem(house, fields["code"], **given, client_secret=app.secret)


def test_query_mode_sends_the_code_by_redirect(house: House, ada: Json) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    seen: list[str] = []

    class Client(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Client) as client:
        Thread(target=client.handle_request, daemon=True).start()
        place = f"http://127.0.0.1:{client.server_address[1]}/back"
        robot = house.robot()
        robot.visit(authorize(house, redirect_uri=place, response_mode=""))
        robot.sign_in(ada["name"], PASSWORD)
        wait_until(lambda: seen, timeout_s=60, what="the client's turn")
    got = parse_qs(urlsplit(seen[0]).query)
    assert got["state"] == ["s-1"]
    assert "access_token" in redeem(house, got["code"][0], redirect_uri=place)
