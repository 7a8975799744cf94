"""`group`: resource groups."""

from __future__ import annotations

from entrepot.cli.commands.arm import waiting
from entrepot.client.connection import quote
from entrepot.client.scopes import group_address
from entrepot.client.session import versioned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def create(call: Call) -> Json:
    """Create a resource group, or change its tags."""
    return call.session.put(_address(call), {"location": call.text("location"), "tags": call.tags() or {}})


def show(call: Call) -> Json:
    """Return a resource group."""
    return call.session.get(_address(call))


def list_(call: Call) -> Json:
    """Return all resource groups, or those with a tag."""
    found = call.session.pages(f"/subscriptions/{quote(call.session.subscription)}/resourceGroups")
    name, _, value = (call.text("tag") or "").partition("=")
    return [group for group in found if not name or _is_tagged(group, name, value)]


def _is_tagged(group: Json, name: str, value: str) -> bool:
    tags = group.get("tags") or {}
    return name in tags and value in ("", tags[name])


def exists(call: Call) -> bool:
    """Say whether a resource group is there."""
    return call.session.attempt("HEAD", versioned(_address(call))).status < 400


def update(call: Call) -> Json:
    """Change the tags of a resource group."""
    from entrepot.client import overrides

    body = show(call)
    if (tags := call.tags()) is not None:
        body["tags"] = tags
    overrides.apply(body, call.options.ordered, keeps_strings=call.flag("force_string"))
    return call.session.put(_address(call), {"location": body["location"], "tags": body.get("tags") or {}})


def wait(call: Call) -> None:
    """Wait until a resource group is as the options say."""
    waiting.wait(call, lambda: call.session.find(_address(call)))


def delete(call: Call) -> None:
    """Delete a resource group with all that is in it."""
    call.console.confirm("Are you sure you want to perform this operation?", is_agreed=call.flag("yes"))
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def _address(call: Call) -> str:
    return group_address(call.session.subscription, str(call.text("name")))
