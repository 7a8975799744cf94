"""`secrets`: the key with which what must not be read at rest is sealed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def rotate(call: Call) -> Json:
    """Seal every secret of the server with a new key."""
    found = call.session.post("/secrets/v1.0/rotate")
    if not found["isNewKey"]:
        call.console.warn(
            "the keys are those of ENTREPOT_SECRETS_KEY: put a new one in front and start the servers again"
        )
    if found["unreadable"]:
        call.console.warn(f"{len(found['unreadable'])} documents were sealed with a key that this server does not have")
    return found
