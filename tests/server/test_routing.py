"""The trie router: case, double slashes, precedence, rests, and the table's own rules."""

import pytest

from entrepot.core.errors import RouteNotFound
from entrepot.server.calls import Answer, Call
from entrepot.server.routing import MethodNotAllowed, Route, Router


def _handler(_call: Call) -> Answer:
    return Answer()


def _route(method: str, template: str) -> Route:
    return Route(method, template, "a/read", _handler)


ROUTER = Router(
    [
        _route("GET", "/subscriptions/{s}/resourceGroups/{group}"),
        _route("PUT", "/subscriptions/{s}/resourceGroups/{group}"),
        _route("GET", "/subscriptions/{s}/resourceGroups"),
        _route("GET", "/w/{name}/versions/{version}"),
        _route("GET", "/w/special/versions/latest"),
        _route("GET", "/w/special/other"),
        _route("GET", "/files/{path:rest}"),
        _route("POST", "/w/{name}/versions/{v}/share"),
    ]
)


def _found(method: str, path: str) -> tuple[str, dict[str, str]]:
    route, params = ROUTER.match(method, path)
    return route.template, dict(params)


@pytest.mark.parametrize(
    "path",
    [
        "/subscriptions/S1/resourceGroups/My-Rg",
        "/SUBSCRIPTIONS/S1/resourcegroups/My-Rg/",
        "//subscriptions//S1/RESOURCEGROUPS/My-Rg",
    ],
)
def test_literals_match_in_any_case_and_parameters_keep_theirs(path: str) -> None:
    assert _found("GET", path) == ("/subscriptions/{s}/resourceGroups/{group}", {"s": "S1", "group": "My-Rg"})


def test_literals_win_and_a_dead_end_falls_back_to_the_parameter() -> None:
    assert _found("GET", "/w/special/versions/latest")[0] == "/w/special/versions/latest"
    assert _found("GET", "/w/special/versions/3") == (
        "/w/{name}/versions/{version}",
        {"name": "special", "version": "3"},
    )


def test_templates_may_name_the_same_place_differently() -> None:
    assert _found("POST", "/w/m/versions/1/share")[1] == {"name": "m", "v": "1"}


def test_a_rest_takes_all_that_is_left() -> None:
    assert _found("GET", "/files/a/b/c.txt")[1] == {"path": "a/b/c.txt"}
    assert _found("GET", "/files")[1] == {"path": ""}


def test_an_unknown_path_and_a_wrong_method_are_told_apart() -> None:
    with pytest.raises(RouteNotFound, match="GET /nowhere"):
        ROUTER.match("GET", "/nowhere")
    with pytest.raises(MethodNotAllowed, match="answers GET, PUT"):
        ROUTER.match("DELETE", "/subscriptions/s/resourcegroups/g")


def test_a_place_is_claimed_once() -> None:
    with pytest.raises(ValueError, match="is taken by"):
        Router([_route("GET", "/a/{x}"), _route("GET", "/A/{y}")])


def test_a_route_without_an_action_must_say_why() -> None:
    with pytest.raises(ValueError, match="name an RBAC action"):
        Route("GET", "/a", None, _handler)
    assert Route("GET", "/a", None, _handler, reason="public").reason == "public"
