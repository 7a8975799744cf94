"""Errors on the wire: every category has a status, every error ARM's shape."""

from entrepot.core.errors import AlreadyExists, Category, NotFound, Unsupported
from entrepot.wire.errors import STATUS, error_body, internal_error_body, status_of


def test_every_category_has_a_status() -> None:
    assert set(STATUS) == set(Category)
    assert (status_of(NotFound("x")), status_of(AlreadyExists("x")), status_of(Unsupported("x"))) == (404, 409, 400)


def test_an_error_has_arms_shape_and_carries_its_hint() -> None:
    error = AlreadyExists("Model m:1 exists", target="version", hint="use version 2", details=[{"code": "path"}])
    body = error_body(error, request_id="r-1")["error"]
    assert (body["code"], body["message"], body["target"]) == ("Conflict", "Model m:1 exists", "version")
    assert body["details"] == [{"code": "path"}]
    assert {"type": "Hint", "info": {"value": "use version 2"}} in body["additionalInfo"]
    assert {"type": "RequestId", "info": {"value": "r-1"}} in body["additionalInfo"]


def test_our_own_failure_tells_the_request_id_only() -> None:
    body = internal_error_body("r-2")["error"]
    assert body["code"] == "InternalServerError" and "r-2" in body["message"] and body["details"] == []
