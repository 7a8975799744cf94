"""Who asks for bytes: what a token lets its holder do in a container, and whether a signature's holder still stands.

Clients send tokens instead of signatures for datastores without credentials of their own.
"""

from entrepot.core.errors import Unauthenticated
from entrepot.core.nouns import registry_action
from entrepot.domain import access, datastores
from entrepot.domain.hub import Hub, Principal
from entrepot.server.authentication import Authenticator
from entrepot.server.dataplane.sas import PERMISSIONS, Grant

_READING = "rl"


class Bearers:
    """Answers the data plane's question for one server."""

    def __init__(self, hub: Hub, authenticator: Authenticator) -> None:
        self._hub = hub
        self._authenticator = authenticator

    def grant(self, token: str, container: str) -> Grant | None:
        """Return what a caller may do in a container, perhaps nothing; None for a token that is not of this server."""
        try:
            principal = self._authenticator.authenticate(
                b"Bearer " + token.encode(), is_local=not self._hub.settings.is_exposed
            )
        except Unauthenticated:
            return None
        return Grant(frozenset(self._permissions(principal, container)), holder=principal.id)

    def stands(self, grant: Grant, container: str) -> bool:
        """Say whether the one to whom a signature was given is still there, and still has a role where it leads."""
        if not grant.holder:
            return True
        hub = self._hub
        known = hub.standing.of(hub.documents, grant.holder, hub.clock.now())
        if known is None or not known.is_enabled:
            return False
        info = hub.containers.describe(container)
        owner = info.owner if info else ""
        return not owner or access.is_involved(hub, access.somebody(hub, grant.holder), owner)

    def _permissions(self, principal: Principal, container: str) -> str:
        info = self._hub.containers.describe(container)
        owner = info.owner if info else ""  # a view of a snapshot belongs to nobody: only who reads all may read it
        if owner.startswith("subscriptions/"):
            return PERMISSIONS if access.allowed(self._hub, principal, datastores.SECRETS, owner) else ""
        if access.allowed(self._hub, principal, registry_action("write"), owner):
            return PERMISSIONS
        return _READING if access.allowed(self._hub, principal, registry_action("read"), owner) else ""
