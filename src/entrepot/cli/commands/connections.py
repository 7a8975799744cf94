"""`ml connection`: create, read, update, delete. Secrets are printed with --populate-secrets only."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.shapes import connections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def create(call: Call) -> Json:
    """Create a connection from a file, or write an existing one anew."""
    from entrepot.cli.commands.resource_files import described
    from entrepot.client.schemas.connections import CONNECTION

    data = described(call, CONNECTION, defaults={})
    made = call.session.put(_address(call, data["name"]), connections.body(data))
    return _shown(call, made)


def show(call: Call) -> Json:
    """Return a connection."""
    return _shown(call, call.session.get(_address(call, str(call.text("name")))))


def list_(call: Call) -> Json:
    """Return the connections of a workspace."""
    from entrepot.cli.commands.results import cut

    return cut(call, _listed(call))


def update(call: Call) -> Json:
    """Change a connection; its secrets stay unless they are set."""
    import copy

    from entrepot.client import overrides

    address = _address(call, str(call.text("name")))
    before = connections.view(call.session.get(address))
    entity = copy.deepcopy(before)
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    sent = connections.body(entity)
    if entity["type"] == before["type"]:
        del sent["properties"]["category"]  # it stays, also when it is one that files have no word for
    return _shown(call, call.session.put(address, sent))


def delete(call: Call) -> None:
    """Delete a connection with its secrets."""
    call.console.confirm(f"Delete the connection {call.text('name')}?", is_agreed=call.flag("yes"))
    call.session.delete(_address(call, str(call.text("name"))))


def _listed(call: Call) -> Iterator[Json]:
    kind = call.text("type")
    for document in call.session.pages(f"{call.workspace().base}/connections"):
        if not kind or connections.is_of(kind, connections.view(document)):
            yield _shown(call, document)


def _shown(call: Call, document: Json) -> Json:
    if call.flag("populate_secrets"):
        document = call.session.post(f"{_address(call, document['name'])}/listsecrets")
    return connections.view(document)


def _address(call: Call, name: str) -> str:
    return f"{call.workspace().base}/connections/{quote(name)}"
