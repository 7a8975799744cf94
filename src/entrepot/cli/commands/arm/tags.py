"""`tag`: the tags of a group, a registry or a workspace; those in use."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.failures import UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

OPERATIONS = ("merge", "replace", "delete")


def list_(call: Call) -> Json:
    """Return the tags of a resource, or all names and values in use."""
    if call.text("resource_id"):
        return call.session.get(_address(call))
    return [*call.session.pages(f"/subscriptions/{quote(call.session.subscription)}/tagNames")]


def create(call: Call) -> Json:
    """Give a resource these tags and no others."""
    return call.session.put(_address(call), {"properties": {"tags": call.tags() or {}}})


def update(call: Call) -> Json:
    """Merge tags with those of a resource, replace them, or delete them."""
    operation = str(call.text("operation")).lower()
    if operation not in OPERATIONS:
        raise UsageFailure(f"argument --operation: {operation!r} is none of {', '.join(OPERATIONS)}")
    body = {"operation": operation.capitalize(), "properties": {"tags": call.tags() or {}}}
    return call.session.patch(_address(call), body)


def delete(call: Call) -> None:
    """Take all tags from a resource."""
    call.console.confirm("Are you sure you want to perform this operation?", is_agreed=call.flag("yes"))
    call.session.delete(_address(call))


def _address(call: Call) -> str:
    id = call.text("resource_id")
    if not id:
        raise UsageFailure("the following arguments are required: --resource-id")
    return f"{id.rstrip('/')}/providers/Microsoft.Resources/tags/default"
