"""Errors on the wire: one table from category to HTTP status, and ARM's error body. Pure."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import Category, EntrepotError

Json = Any

STATUS: Mapping[Category, int] = {
    Category.BAD_REQUEST: 400,
    Category.UNAUTHENTICATED: 401,
    Category.FORBIDDEN: 403,
    Category.NOT_FOUND: 404,
    Category.METHOD: 405,
    Category.CONFLICT: 409,
    Category.PRECONDITION: 412,
    Category.TOO_LARGE: 413,
    Category.USER_CODE: 422,
    Category.THROTTLED: 429,
    Category.OURS: 500,
    Category.UNSUPPORTED: 400,
    Category.UNAVAILABLE: 503,
    Category.NO_ROOM: 507,
}


def status_of(error: EntrepotError) -> int:
    """Return the HTTP status of an error."""
    return STATUS[error.category]


def error_body(error: EntrepotError, *, request_id: str) -> dict[str, Json]:
    """Return ARM's error object: code, message, target, details, and the hint and request id as additional info."""
    info: list[Json] = [{"type": "RequestId", "info": {"value": request_id}}]
    if error.hint:
        info.append({"type": "Hint", "info": {"value": error.hint}})
    body: dict[str, Json] = {
        "code": error.code,
        "message": error.message,
        "target": error.target,
        "details": [dict(detail) for detail in error.details],
        "additionalInfo": info,
    }
    return {"error": body}


def internal_error_body(request_id: str) -> dict[str, Json]:
    """Return the body of a 500, which tells the caller nothing but the id to look for in the server's log."""
    message = f"The server failed on this request. Its log tells more under the request id {request_id}."
    info = [{"type": "RequestId", "info": {"value": request_id}}]
    error = {"code": "InternalServerError", "message": message, "target": None, "details": [], "additionalInfo": info}
    return {"error": error}
