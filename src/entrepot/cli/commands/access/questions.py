"""`access check` and `access who-can`, `ml registry who-can`: what can somebody do, who can do something, and why."""

from __future__ import annotations

from entrepot.cli.commands.access.places import names, person, scope, under
from entrepot.client.failures import UsageFailure
from entrepot.client.scopes import REGISTRY_PLANE, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

_SHORT = "Microsoft.MachineLearningServices/"


def check(call: Call) -> Json:
    """Return what an assignee (oneself, without one) may do at a scope, or whether it may do one thing."""
    assignee = call.text("assignee")
    sent = {"assignee": person(call, assignee)[0] if assignee else None, "action": _action(call)}
    return call.session.post(under(scope(call), "checkAccess"), sent)


def who_can(call: Call) -> Json:
    """Return who may perform an action at a scope, or holds a role there."""
    if bool(call.text("action")) == bool(call.text("role")):
        raise UsageFailure("usage error: --action ACTION | --role ROLE")
    name = call.text("name")
    at = registry(call.session, name).base.removeprefix(REGISTRY_PLANE) if name else scope(call)
    asked = {"action": _action(call), "role": call.text("role")}
    found = call.session.post(under(at, "whoCan"), asked)["value"]
    known = names(call, sorted({one["principalId"] for one in found if one["principalId"]}))
    return [{**one, "principalName": known.get(one["principalId"], (None, None))[0]} for one in found]


def _action(call: Call) -> str | None:
    """Return the action, whose provider may be left out: `registries/assets/read`."""
    text = call.text("action")
    return _SHORT + text if text and not text.lower().startswith(("microsoft.", "*")) else text
