"""The route table as a whole: actions, reasons, and what is open to strangers."""

import re

from entrepot.server.compose import ROUTES

ANONYMOUS = {
    "/", "/health", "/metadata/endpoints", "/discovery/{rest:rest}",
    "/metrics",  # a scraper's key, or a token
    "/msi/token", "/gateway/authorize", "/gateway/follow",  # a secret in another header
    "/{tenant}/v2.0/.well-known/openid-configuration", "/{tenant}/.well-known/openid-configuration",
    "/{tenant}/discovery/v2.0/keys", "/{tenant}/discovery/keys",
    "/{tenant}/oauth2/v2.0/token", "/{tenant}/oauth2/token",  # the proof is in the body
    "/{tenant}/oauth2/v2.0/devicecode", "/{tenant}/oauth2/devicecode",
    "/{tenant}/oauth2/v2.0/authorize", "/{tenant}/oauth2/authorize", "/device", "/login",  # pages to sign in on
    "/login/outside/{number}", "/login/callback",  # to a provider of the settings and back
    "/{tenant}/oauth2/v2.0/logout", "/logout",
    "/azmirror/extensions/index.json", "/azmirror/extensions/extensionCommandTree.json", "/azmirror/extensions/{file}",
}  # fmt: skip


def test_every_route_names_an_action_or_says_why_not() -> None:
    for route in ROUTES:
        assert route.action or len(route.reason) > 20, route
        assert route.action is None or re.fullmatch(r"Microsoft\.\w+(/\w+)+/(read|write|delete|action)", route.action)


def test_strangers_reach_only_discovery_health_and_signed_addresses() -> None:
    opened = {route.template for route in ROUTES if route.is_anonymous}
    assert {template for template in opened if "/logs/" not in template} == ANONYMOUS
    signing_in = ("/token", "/devicecode", "/authorize", "/device", "/login")
    posts = {route.template for route in ROUTES if route.is_anonymous and route.method != "GET"}
    assert all(template.endswith(signing_in) for template in posts - {"/msi/token", "/gateway/follow"}), posts


def test_reads_are_gets_and_only_gets_run_in_the_loop() -> None:
    assert all(route.method in ("GET", "HEAD") for route in ROUTES if route.inline)
    assert not [route for route in ROUTES if route.inline and (route.is_long or route.takes_stream)]


def test_a_delete_asks_for_more_than_a_read() -> None:
    for route in ROUTES:
        if route.method in ("PUT", "PATCH", "DELETE"):
            assert route.action and not route.action.endswith("/read"), route
