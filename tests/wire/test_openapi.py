"""The OpenAPI document says of every route how it is called and what it needs."""

import re

from entrepot.server.compose import OPERATIONS, ROUTES
from entrepot.wire.openapi import document

DOCUMENT = document(OPERATIONS, version="1.2.3")
ALL = [(path, method, told) for path, methods in DOCUMENT["paths"].items() for method, told in methods.items()]


def test_every_route_is_told_once() -> None:
    assert len(ALL) == len(OPERATIONS) > 200
    assert len({told["operationId"] for _, _, told in ALL}) == len(ALL)
    told = {(method.upper(), path) for path, method, _ in ALL}
    assert ("PUT", "/subscriptions/{subscription}/resourceGroups/{group}") in told
    short = [route for route in ROUTES if not route.template.startswith("/mferp/")]
    assert len(short) == len(OPERATIONS)


def test_parameters_are_those_of_the_path() -> None:
    for path, _, told in ALL:
        named = [parameter["name"] for parameter in told["parameters"] if parameter["in"] == "path"]
        assert named == re.findall(r"\{(\w+)\}", path)
        assert all(parameter["required"] for parameter in told["parameters"] if parameter["in"] == "path")


def test_what_strangers_may_ask_is_told_and_all_else_needs_a_token() -> None:
    assert DOCUMENT["security"] == [{"bearer": []}]
    opened = {path for path, _, told in ALL if told.get("security") == []}
    assert {"/health", "/metadata/endpoints"} <= opened and not any("/versions/" in path for path in opened)


def test_a_writing_route_says_which_action_it_needs() -> None:
    told = DOCUMENT["paths"]["/subscriptions/{subscription}/resourceGroups/{group}"]["put"]["description"]
    assert re.search(r"`Microsoft\.Resources/\S+/write`", told)
