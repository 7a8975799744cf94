"""What a deployment needs of the server it runs in: the same requests that a client would send. A protocol only."""

from typing import Any, Protocol

from entrepot.domain.hub import Principal

Json = Any


class Unknown(Exception):
    """A value that is not known yet: it comes from the resource with this id, which is not there yet."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class Maker(Protocol):
    """Sends requests by ARM id for a principal, with all checks that any request meets."""

    def takes(self, id: str) -> bool:
        """Say whether this server makes resources of that id's type."""
        ...

    def put(self, principal: Principal, id: str, body: Json, *, request_id: str) -> Json:
        """Create or change a resource and return it as far as it has come. Raises EntrepotError."""
        ...

    def get(self, principal: Principal, id: str) -> Json:
        """Return a resource; None when there is none that the principal may see."""
        ...

    def post(self, principal: Principal, path: str) -> Json:
        """Return the answer to an action on a resource, such as `.../listKeys`. Raises EntrepotError."""
        ...
