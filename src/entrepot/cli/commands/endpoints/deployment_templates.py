"""`ml deployment-template`: create, read, change, archive, restore, delete. They are in registries only."""

from __future__ import annotations

from entrepot.cli.commands.assets import archive, restore, show, update
from entrepot.client.shapes import asset_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

__all__ = ["archive", "create", "delete", "list_", "restore", "show", "update"]

_PLURAL = "deploymenttemplates"


def create(call: Call) -> Json:
    """Create a version from a file."""
    from entrepot.cli.commands.results import watched
    from entrepot.client import files, overrides
    from entrepot.client.publishing.content import Publisher
    from entrepot.client.publishing.deployment_templates import create_template
    from entrepot.client.schemas.checks import check
    from entrepot.client.schemas.online import DEPLOYMENT_TEMPLATE

    document = files.load(call.file() or "") if call.file() else files.blank()
    for option in ("name", "version"):
        if call.text(option):
            document.data[option] = files.SetText(call.text(option) or "")
            document.forget((option,))
    overrides.lay_over(document, call.words("set"))
    data, warnings = check(document, DEPLOYMENT_TEMPLATE)
    for warning in warnings:
        call.console.warn(warning)
    publisher = Publisher(call.session, call.target(), lambda label: watched(call, label))
    return asset_views.view(_PLURAL, create_template(publisher, document, data))


def list_(call: Call) -> Json:
    """Return all versions of all templates that are not archived, newest first within each name."""
    target = call.target()
    containers = call.session.pages(f"{target.base}/{_PLURAL}")
    versions = (call.session.pages(f"{target.container(_PLURAL, found['name'])}/versions") for found in containers)
    return [asset_views.view(_PLURAL, document) for page in versions for document in page]


def delete(call: Call) -> None:
    """Delete a version that no model and no deployment needs."""
    name, version = str(call.text("name")), str(call.text("version"))
    call.console.confirm(f"Delete the deployment template {name}:{version}?", is_agreed=call.flag("yes"))
    call.session.delete(call.target().version(_PLURAL, name, version), wait=not call.flag("no_wait"))
