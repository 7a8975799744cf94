"""`ml schedule`: create, read, change, enable, disable, fire, delete."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.shapes import schedule_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def create(call: Call) -> Json:
    """Create a schedule of a file, or replace the one of its name."""
    from entrepot.cli.commands.results import watched
    from entrepot.client import files, overrides
    from entrepot.client.publishing.content import Publisher, require_name
    from entrepot.client.publishing.schedules import schedule_properties
    from entrepot.client.schemas.checks import check
    from entrepot.client.schemas.schedules import SCHEDULE

    document = files.load(call.file() or "")
    if call.text("name"):
        document.data["name"] = call.text("name")
    overrides.lay_over(document, call.words("set"))
    data, warnings = check(document, SCHEDULE)
    publisher = Publisher(call.session, call.workspace(), lambda label: watched(call, label))
    publisher.warnings.extend(warnings)
    name = require_name(document, data, "schedule")
    properties = schedule_properties(publisher, document, data)
    for warning in publisher.warnings:
        call.console.warn(warning)
    return schedule_views.view(call.session.put(_address(call, name), {"properties": properties}))


def show(call: Call) -> Json:
    """Return a schedule."""
    return schedule_views.view(call.session.get(_address(call)))


def list_(call: Call) -> Json:
    """Return the schedules of a workspace: those that are enabled, unless asked for others."""
    from entrepot.cli.commands.results import cut, documents

    view = "DisabledOnly" if call.flag("disabled_only") else "All" if call.flag("include_disabled") else "EnabledOnly"
    pages = call.session.pages(f"{call.workspace().base}/schedules?listViewType={view}")
    return cut(call, documents(pages, schedule_views.view))


def update(call: Call) -> Json:
    """Change a schedule's texts, tags and trigger, or whether it is enabled."""
    import copy

    from entrepot.client import overrides
    from entrepot.client.failures import Failure
    from entrepot.client.publishing.schedules import trigger

    document = call.session.get(_address(call))
    before = schedule_views.view(document)
    entity = copy.deepcopy(before)
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    if entity.get("create_job") != before.get("create_job"):
        raise Failure("'create_job' of a schedule cannot be changed in place: run entrepot ml schedule create again.")
    properties = document["properties"] | {
        "displayName": entity.get("display_name"),
        "description": entity.get("description"),
        "tags": entity.get("tags") or {},
        "isEnabled": bool(entity.get("is_enabled")),
        "trigger": trigger(entity["trigger"]),
    }
    return schedule_views.view(call.session.put(_address(call), {"properties": properties}))


def enable(call: Call) -> Json:
    """Have a schedule fire again."""
    return _switched(call, is_enabled=True)


def disable(call: Call) -> Json:
    """Keep a schedule from firing."""
    return _switched(call, is_enabled=False)


def delete(call: Call) -> None:
    """Delete a schedule that is disabled."""
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def trigger(call: Call) -> Json:
    """Submit a schedule's job now."""
    answer = call.session.post(f"{_address(call)}/trigger", {})
    return {"job_name": answer["submissionId"], "schedule_action_type": answer["scheduleActionType"]}


def _switched(call: Call, *, is_enabled: bool) -> Json:
    document = call.session.get(_address(call))
    properties = document["properties"] | {"isEnabled": is_enabled}
    return schedule_views.view(call.session.put(_address(call), {"properties": properties}))


def _address(call: Call, name: str | None = None) -> str:
    return f"{call.workspace().base}/schedules/{quote(name or str(call.text('name')))}"
