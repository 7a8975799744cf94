"""Which function carries out which command. A command of the grammar that is not here is not built yet."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from entrepot.cli.call import Call
    from entrepot.cli.parser import Command

BUILT_IN = ("list", "open", "set")  # their functions have an underscore behind
ASSET_VERBS = "archive create download list restore share show update"
# group: the module in entrepot.cli.commands and the commands it has; a function's name is its command's last word
MODULES: dict[str, str] = {
    "model": f"assets {ASSET_VERBS}",
    "environment": f"assets {ASSET_VERBS}",
    "component": f"assets {ASSET_VERBS}",
    "data": f"assets {ASSET_VERBS}",
    "registry": "registries create delete list show update who-can",
    "workspace": "workspaces create delete list list-keys show update",
    "datastore": "datastores create delete list show update",
    "compute": "computes create delete list show update",
    "connection": "connections create delete list show update",
    "job": "jobs archive cancel create download list restore show stream update validate",
    "schedule": "schedules create delete disable enable list show trigger update",
    "online-endpoint": "endpoints.online_endpoints create delete get-credentials invoke list regenerate-keys show "
    "update",
    "online-deployment": "endpoints.online_deployments create delete get-logs list show update",
    "batch-endpoint": "endpoints.batch_endpoints create delete invoke list list-jobs show update",
    "batch-deployment": "endpoints.batch_deployments create delete list list-jobs show update",
    "deployment-template": "endpoints.deployment_templates archive create delete list restore show update",
    "account": "accounts clear get-access-token list list-locations set show",
    "ad": "directory.words add check create create-for-rbac delete get-member-groups list remove reset show update",
    "extension": "arm.signing add list remove show update",
    "group": "arm.groups create delete exists list show update wait",
    "deployment": "arm.deployments cancel create delete export list show validate wait what-if",
    "login": "arm.signing login",
    "logout": "arm.signing logout",
    "provider": "arm.providers list register show unregister",
    "resource": "arm.resources create delete list patch show tag update wait",
    "tag": "arm.tags create delete list update",
    "role": "access.roles create delete list show update",
    "lineage": "access.lineage show",
    "audit": "access.trail export list trim verify",
    "secrets": "access.sealing rotate",
    "access": "access.questions check who-can",
    "configure": "configuring configure",
    "rest": "rest rest",
    "version": "servers version",
    "open": "opening open",
    "up": "servers up",
    "down": "servers down",
    "status": "servers status",
    "gateway": "endpoints.gateways down status up",
    "env": "exports env",
    "run": "exports run",
}


def handler_of(command: Command) -> Callable[[Call], Any] | None:
    """Return the function for a command, importing its module only; None when it is not built yet."""
    words = command.name.split()
    module, *verbs = MODULES.get(words[0], "none").split()
    if words[-1] not in verbs or words[:2] == ["workspace", "outbound-rule"]:
        return None
    function = words[-1].replace("-", "_")
    function += "_" if function in BUILT_IN else ""
    handler: Callable[[Call], Any] = getattr(import_module(f"entrepot.cli.commands.{module}"), function)
    return handler
