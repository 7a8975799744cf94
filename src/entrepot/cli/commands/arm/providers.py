"""`provider`: the kinds of resources that the server makes."""

from __future__ import annotations

from entrepot.client.connection import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def list_(call: Call) -> Json:
    """Return all providers with their resource types."""
    return [*call.session.pages(_address(call))]


def show(call: Call) -> Json:
    """Return one provider."""
    return call.session.get(f"{_address(call)}/{_name(call)}")


def register(call: Call) -> None:
    """Register a provider; those of this server are."""
    call.session.post(f"{_address(call)}/{_name(call)}/register")


def unregister(call: Call) -> None:
    """Refuse, as the server does: a provider is part of it."""
    call.session.post(f"{_address(call)}/{_name(call)}/unregister")


def _address(call: Call) -> str:
    return f"/subscriptions/{quote(call.session.subscription)}/providers"


def _name(call: Call) -> str:
    return quote(str(call.text("namespace")))
