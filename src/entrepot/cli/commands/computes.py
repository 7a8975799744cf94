"""`ml compute`: create, read, update, delete."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.shapes import resource_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def create(call: Call) -> Json:
    """Create a compute target from a file, from options, or both."""
    from entrepot.cli.commands.resource_files import described
    from entrepot.client.schemas.resources import COMPUTE
    from entrepot.client.shapes import resource_bodies

    data = described(call, COMPUTE, defaults={})
    location = str(call.session.get(call.workspace().base)["location"])
    body = resource_bodies.compute(data, location=location)
    return resource_views.compute(call.session.put(_address(call, data["name"]), body))


def show(call: Call) -> Json:
    """Return a compute target."""
    return resource_views.compute(call.session.get(_address(call, str(call.text("name")))))


def list_(call: Call) -> Json:
    """Return the compute targets of a workspace."""
    from entrepot.cli.commands.results import cut, documents

    items = documents(call.session.pages(f"{call.workspace().base}/computes"), resource_views.compute)
    if kind := call.text("type"):
        items = (item for item in items if item["type"] == kind.lower())
    return cut(call, items)


def update(call: Call) -> Json:
    """Change what may change of a compute target."""
    import copy

    from entrepot.client import overrides
    from entrepot.client.shapes import resource_bodies

    address = _address(call, str(call.text("name")))
    entity = copy.deepcopy(resource_views.compute(call.session.get(address)))
    for option in ("min_instances", "max_instances", "idle_time_before_scale_down"):
        if (number := call.number(option)) is not None:
            entity[option] = number
    if (tags := call.tags()) is not None:
        entity["tags"] = {**entity["tags"], **tags}
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    return resource_views.compute(
        call.session.put(address, resource_bodies.compute(entity, location=entity["location"]))
    )


def delete(call: Call) -> None:
    """Delete a compute target."""
    call.console.confirm(f"Delete the compute target {call.text('name')}?", is_agreed=call.flag("yes"))
    call.session.delete(
        f"{_address(call, str(call.text('name')))}?underlyingResourceAction=Delete", wait=not call.flag("no_wait")
    )


def _address(call: Call, name: str) -> str:
    return f"{call.workspace().base}/computes/{quote(name)}"
