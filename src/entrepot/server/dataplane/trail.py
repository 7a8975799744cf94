"""The data plane's part of the audit trail: each write in its own commit, by whom the signature or token was given.

A signature names its holder and the request in which it was given, so a blob leads to a principal.
"""

from collections.abc import Sequence

from entrepot.domain import access, audit
from entrepot.domain.hub import Hub, Principal
from entrepot.server.dataplane.messages import Request
from entrepot.server.dataplane.sas import Grant
from entrepot.store.containers import Containers
from entrepot.store.documents import Change

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_VERBS = {"GET": "read", "HEAD": "read", "POST": "read", "DELETE": "delete", "PUT": "write"}


class Trail:
    """Records for one server."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def recorded(self, containers: Containers, request: Request, grant: Grant) -> Containers:
        """Return the containers, whose writes are committed together with entries that tell of this request."""

        def entry(container: str, name: str) -> Sequence[Change]:
            given = {"signatureOf": grant.request} if grant.request else {}
            return [
                audit.record(
                    self._holder(grant), _action(request), target=self._target(container),
                    now=self._hub.clock.now(), request_id=request.id,
                    details={"blob": f"{container}/{name}", **given},
                )
            ]  # fmt: skip

        return containers.recorded(entry)

    def refuse(self, request: Request, grant: Grant, *, outcome: str) -> None:
        """Note a refused request; of one that nobody signed not where it went, or strangers could fill the trail."""
        target = self._target(request.container) if grant.holder else "/"
        note = audit.entry(
            self._holder(grant), _action(request), target=target, outcome=outcome, now=self._hub.clock.now(),
            request_id=request.id,
        )  # fmt: skip
        self._hub.notes.note(note)

    def _holder(self, grant: Grant) -> Principal:
        if not grant.holder:
            return Principal(id="", name="anonymous", kind="Anonymous")
        known = self._hub.standing.of(self._hub.documents, grant.holder, self._hub.clock.now())
        return Principal(id=grant.holder, name=known.name if known else "", kind=known.kind if known else "User")

    def _target(self, container: str) -> str:
        info = self._hub.containers.describe(container)
        return access.arm_scope(self._hub, info.owner) if info and info.owner else "/"


def _action(request: Request) -> str:
    return f"{_BLOBS}/{_VERBS.get(request.method, 'write')}"
