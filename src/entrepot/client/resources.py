"""Registries, workspaces, datastores, compute targets, resource groups: ARM resources that are created and listed."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.scopes import PROVIDER, group_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from entrepot.client.session import Session

    Json = Any


def address(session: Session, group: str, kind: str, name: str) -> str:
    """Return the address of a resource: `kind` is `registries` or `workspaces`."""
    return f"{group_address(session.subscription, group)}/{PROVIDER}/{kind}/{quote(name)}"


def listed(session: Session, kind: str, group: str | None) -> Iterator[Json]:
    """Yield the resources of a kind in a group, or in the whole subscription."""
    scope = group_address(session.subscription, group) if group else f"/subscriptions/{quote(session.subscription)}"
    return session.pages(f"{scope}/{PROVIDER}/{kind}")


def location_of(session: Session, group: str) -> str:
    """Return the region of a resource group, where resources go that do not say. Raises ServiceFailure."""
    return str(session.get(group_address(session.subscription, group))["location"])
