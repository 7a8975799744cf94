"""`lineage show`: what something came from, and what came of it."""

from __future__ import annotations

from entrepot.client.connection import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def show(call: Call) -> Json:
    """Return the edges around an id, nearest first: `<source> <relation> <target>`."""
    asked = {"id": call.text("id"), "direction": call.text("direction"), "depth": call.text("depth")}
    query = "&".join(f"{name}={quote(value)}" for name, value in asked.items() if value)
    return call.session.get(f"/lineage/v1.0/edges?{query}")["value"]
