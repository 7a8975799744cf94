"""What a bearer token lets its holder do in a container: what its principal may do where the container belongs.

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

    def _permissions(self, principal: Principal, container: str) -> str:
        info = self._hub.containers.describe(container)
        owner = info.owner if info else ""  # a view of a snapshot belongs to nobody: only who reads all may read it
        if owner.startswith("subscriptions/"):
            return PERMISSIONS if access.allowed(self._hub, principal, datastores.SECRETS, owner) else ""
        if access.allowed(self._hub, principal, registry_action("write"), owner):
            return PERMISSIONS
        return _READING if access.allowed(self._hub, principal, registry_action("read"), owner) else ""
