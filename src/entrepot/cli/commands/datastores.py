"""`ml datastore`: create, read, update, delete."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.shapes import resource_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def create(call: Call) -> Json:
    """Create a datastore from a file, from options, or both."""
    from entrepot.cli.commands.resource_files import described
    from entrepot.client.schemas.resources import DATASTORE
    from entrepot.client.shapes import resource_bodies

    data = described(call, DATASTORE, defaults={})
    body = resource_bodies.datastore(data)
    return resource_views.datastore(call.session.put(_address(call, data["name"]), body))


def show(call: Call) -> Json:
    """Return a datastore."""
    return resource_views.datastore(call.session.get(_address(call, str(call.text("name")))))


def list_(call: Call) -> Json:
    """Return the datastores of a workspace."""
    from entrepot.cli.commands.results import cut, documents

    return cut(call, documents(call.session.pages(f"{call.workspace().base}/datastores"), resource_views.datastore))


def update(call: Call) -> Json:
    """Change what may change of a datastore."""
    from entrepot.cli.commands.resource_files import changed
    from entrepot.client.failures import UsageFailure
    from entrepot.client.shapes import resource_bodies

    name = call.text("name")
    if not name:
        raise UsageFailure("the following arguments are required: --name/-n")
    address = _address(call, name)
    document = call.session.get(address)
    entity = changed(call, resource_views.datastore(document))
    entity.pop("credentials", None)
    sent = resource_bodies.datastore(entity)
    sent["properties"]["credentials"] = document["properties"].get("credentials") or {"credentialsType": "None"}
    return resource_views.datastore(call.session.put(address, sent))


def delete(call: Call) -> None:
    """Delete a datastore."""
    call.session.delete(_address(call, str(call.text("name"))))


def _address(call: Call, name: str) -> str:
    return f"{call.workspace().base}/datastores/{quote(name)}"
