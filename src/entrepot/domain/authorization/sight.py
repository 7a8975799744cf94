"""What somebody who holds nothing in a registry or workspace learns of it: as little as of one that is not there.

Everywhere else what may not be read is not there either; here even a refusal would tell that something is.
"""

from entrepot.core.errors import NotFound
from entrepot.core.ids import RegistryScope, Scope
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access
from entrepot.domain.access import Coverage
from entrepot.domain.authorization.roles import narrowest_role
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import missing


def sees(hub: Hub, principal: Principal, scope: Scope, action: str) -> bool:
    """Say whether a principal may read a registry or workspace, or has an action in it or on something in it."""
    noun = "registries" if isinstance(scope, RegistryScope) else "workspaces"
    if access.allowed(hub, principal, f"{PROVIDER}/{noun}/read", scope.key):
        return True
    return access.coverage(hub, principal, action, scope.key) is not Coverage.NONE


def require(hub: Hub, principal: Principal, scope: Scope, action: str) -> None:
    """Return if the principal `sees` it; else raise, whether it is there or not, the NotFound that says so of both."""
    if sees(hub, principal, scope, action):
        return
    place = access.show_scope(scope.key)
    who = f"{principal.name} ({principal.id})" if principal.name else principal.id
    raise NotFound(
        f"{missing(scope)} that {who} may see",
        hint=f"if there is one, its owner can give access to it: az role assignment create --assignee {principal.id} "
        f'--role "{narrowest_role(action).name}" --scope {place}',
    )


def require_noted(hub: Hub, principal: Principal, scope: Scope, *actions: str) -> None:
    """Do as `require` for any of some actions, and have it in the audit trail when nothing may be seen."""
    if any(sees(hub, principal, scope, action) for action in actions):
        return
    access.sightless(hub, principal, actions[0], access.show_scope(scope.key))
    require(hub, principal, scope, actions[0])
