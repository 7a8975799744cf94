"""The replicas of a deployment as their documents tell: who may get requests, who failed. They are made elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.domain.hub import Hub
from entrepot.store.documents import Document, View

Json = Any

READY, ASLEEP, STARTING, FAILED = "Ready", "Asleep", "Starting", "Failed"
_MOST_REPLICAS = 1000


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica. `wakes`: its socket listens although its process does not answer yet; a request waits in it."""

    id: str
    generation: str
    state: str
    address: str | None
    secret: str
    wakes: bool = False
    error: str = ""

    @property
    def is_routable(self) -> bool:
        """True when a request that is sent there will be answered."""
        return bool(self.address) and (self.state in (READY, ASLEEP) or (self.state == STARTING and self.wakes))

    @property
    def is_warm(self) -> bool:
        """True when it answers without starting first."""
        return self.state == READY


def replica_of(body: Mapping[str, Json]) -> Replica:
    """Read a replica's document."""
    launch = body.get("launch") or {}
    return Replica(
        id=body["id"],
        generation=str(body.get("generation", "")),
        state=body["state"],
        address=body.get("address"),
        secret=body.get("secret") or launch.get("key") or "",
        wakes=bool(body.get("wakes")),
        error=body.get("error") or "",
    )


def documents_of(hub: Hub, deployment_key: str) -> tuple[Document, ...]:
    """Return the documents of a deployment's replicas, oldest first."""
    page = hub.documents.list(f"{deployment_key}/replicas", view=View.ALL, limit=_MOST_REPLICAS)
    return tuple(reversed(page.documents))


def replicas_of(hub: Hub, deployment_key: str) -> list[Replica]:
    """Return a deployment's replicas, oldest first."""
    return [replica_of(document.body) for document in documents_of(hub, deployment_key)]


def told(hub: Hub, deployment_key: str, *, tail: int) -> str:
    """Return what is known of each replica, a line each, the last `tail` of them."""
    lines = [
        f"replica {replica.id} of generation {replica.generation}: {replica.state} {replica.error}".rstrip()
        for replica in replicas_of(hub, deployment_key)
    ]
    return "".join(f"{line}\n" for line in lines[-tail:] if tail)
