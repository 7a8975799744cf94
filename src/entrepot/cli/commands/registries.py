"""`ml registry`: create, read, update, delete."""

from __future__ import annotations

from entrepot.client import resources
from entrepot.client.shapes import resource_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

KIND = "registries"


def create(call: Call) -> Json:
    """Create a registry from a file, from options, or both."""
    from entrepot.cli.commands.resource_files import described
    from entrepot.client.schemas.resources import REGISTRY
    from entrepot.client.shapes import resource_bodies

    group = str(call.text("resource_group"))
    data = described(call, REGISTRY, defaults={"location": call.configuration.default("location")})
    _tell_primary(call, data)
    address = resources.address(call.session, group, KIND, data["name"])
    return resource_views.registry(call.session.put(address, resource_bodies.registry(data)))


def _tell_primary(call: Call, data: Json) -> None:
    """Note that a list of regions without the registry's own is read as one with it: Azure asks for it there."""
    from entrepot.core.ids import normalise_region

    places = [normalise_region(place["location"]) for place in data.get("replication_locations") or ()]
    if places and normalise_region(data["location"]) not in places:
        call.console.warn(
            f"replication_locations lacks {data['location']}, where the registry is: its assets are kept there all the "
            f"same, and copied to {', '.join(places)}."
        )


def show(call: Call) -> Json:
    """Return a registry."""
    return resource_views.registry(call.session.get(_address(call)))


def list_(call: Call) -> Json:
    """Return the registries of a group, or of the subscription."""
    from entrepot.cli.commands.results import cut, documents

    # a configured group is not meant: registries are found by all, whatever their group
    group = call.text("resource_group")
    wanted = None if group == call.configuration.default("group") else group
    return cut(call, documents(resources.listed(call.session, KIND, wanted), resource_views.registry))


def update(call: Call) -> Json:
    """Change tags, description, display name, network access or the regions of a registry."""
    from entrepot.cli.commands.resource_files import changed
    from entrepot.client.shapes import resource_bodies

    address = _address(call)
    document = call.session.get(address)
    entity = changed(call, resource_views.registry(document))
    sent = resource_bodies.registry(entity)
    sent.pop("identity", None)
    return resource_views.registry(call.session.patch(address, sent))


def delete(call: Call) -> None:
    """Delete a registry and all its assets. `az` does not ask, so nor do we where nobody can answer."""
    is_agreed = call.flag("yes") or not call.console.is_terminal
    call.console.confirm(f"Delete the registry {call.text('name')} with all its assets?", is_agreed=is_agreed)
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def who_can(call: Call) -> Json:
    """Return who may do something in a registry, or holds a role there."""
    from entrepot.cli.commands.access import questions

    return questions.who_can(call)


def _address(call: Call) -> str:
    from entrepot.client import scopes
    from entrepot.client.failures import ServiceFailure, UsageFailure

    name = call.text("name")
    if not name:
        raise UsageFailure("the following arguments are required: --name/-n")
    try:
        found = scopes.registry(call.session, name)
    except ServiceFailure:
        return resources.address(call.session, str(call.text("resource_group") or "none"), KIND, name)
    return found.base.removeprefix(scopes.REGISTRY_PLANE)
