"""`ad signed-in-user`: who one is in the directory."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def show(call: Call) -> Json:
    """Return the caller's entry in the directory."""
    return call.session.get("/v1.0/me")
