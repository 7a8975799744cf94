"""`ml workspace`: create, read, update, delete."""

from __future__ import annotations

from entrepot.client import resources
from entrepot.client.shapes import resource_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

KIND = "workspaces"


def create(call: Call) -> Json:
    """Create a workspace, or bring an existing one to what the file says."""
    from entrepot.cli.commands.resource_files import described
    from entrepot.client.schemas.resources import WORKSPACE
    from entrepot.client.shapes import resource_bodies

    data = described(call, WORKSPACE, defaults={"location": call.configuration.default("location")})
    group = str(call.text("resource_group"))
    if not data.get("location"):
        data["location"] = resources.location_of(call.session, group)
    address = resources.address(call.session, group, KIND, data["name"])
    return resource_views.workspace(call.session.put(address, resource_bodies.workspace(data)))


def show(call: Call) -> Json:
    """Return a workspace."""
    return resource_views.workspace(call.session.get(_address(call)))


def list_(call: Call) -> Json:
    """Return the workspaces of a group, or of the subscription."""
    from entrepot.cli.commands.results import cut, documents

    found = resources.listed(call.session, KIND, call.text("resource_group"))
    return cut(call, documents(found, resource_views.workspace))


def update(call: Call) -> Json:
    """Change what may change of a workspace."""
    from entrepot.cli.commands.resource_files import changed
    from entrepot.client.shapes import resource_bodies

    address = _address(call)
    entity = changed(call, resource_views.workspace(call.session.get(address)))
    sent = resource_bodies.workspace(entity)
    patch = {"tags": sent["tags"], "properties": sent["properties"]}
    return resource_views.workspace(call.session.patch(address, patch))


def delete(call: Call) -> None:
    """Delete a workspace with its assets and jobs."""
    name = call.text("name")
    call.console.confirm(f"Delete the workspace {name} with all that is in it?", is_agreed=call.flag("yes"))
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def list_keys(call: Call) -> Json:
    """Return the keys of what belongs to a workspace."""
    return call.session.post(f"{_address(call)}/listKeys")


def _address(call: Call) -> str:
    return resources.address(call.session, str(call.text("resource_group")), KIND, str(call.text("name")))
