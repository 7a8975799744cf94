"""Replica documents: what is kept of one replica, and what a deployment's replicas amount to together.

`{deployment}/replicas/{id}` is written by the deployment's attendant alone; the gateways and the deployment's state
follow it. `secret` is what the gateway shows to the replica; it is never answered to anyone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from entrepot.domain.hub import Hub
from entrepot.store.documents import Delete, Document, Put, View

Json = Any

PREPARING, STARTING, READY, UNREADY = "Preparing", "Starting", "Ready", "Unready"
ASLEEP, DRAINING, FAILED = "Asleep", "Draining", "Failed"
SERVING = (READY, ASLEEP)
"""States in which a replica counts as serving: one that is asleep wakes by the request."""

_MOST = 1000
_TOLD = {
    PREPARING: "preparing its environment (get-logs --container storage-initializer)",
    STARTING: "loading the model (get-logs)", FAILED: "failed, tried again", UNREADY: "not ready",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica. `recipe` is what it is made of, kept so that it can be made again when its deployment moved on."""

    id: str
    generation: str
    state: str
    secret: str
    created: float
    recipe: Json = field(default_factory=dict)
    address: str | None = None
    restarts: int = 0
    error: str | None = None
    started: float | None = None
    wakes: bool = False  # has a socket in which requests may wait for its start

    @property
    def is_serving(self) -> bool:
        """True when a request that is sent there will be answered."""
        return self.state in SERVING

    def moved(self, state: str, **changes: Json) -> "Replica":
        """Return the replica in another state."""
        return replace(self, state=state, **changes)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a deployment stands: replicas of its current generation that serve, how many there shall be, what ails."""

    ready: int
    wanted: int
    generation: str
    error: str | None
    left: int
    """Replicas of any generation that still exist."""
    states: Mapping[str, int] = field(default_factory=dict)
    """How many replicas of the current generation are in each state."""

    @property
    def progress(self) -> str:
        """In words, for whoever waits."""
        others = ", ".join(f"{count} {_TOLD.get(state, state)}" for state, count in sorted(self.states.items()))
        return f"{self.ready} of {self.wanted} ready" + (f"; {others}" if others else "")


def key_of(deployment_key: str, id: str) -> str:
    """Return the key of a replica's document."""
    return f"{deployment_key}/replicas/{id}"


def scale_key(deployment_key: str) -> str:
    """Return the key of the document that says how many replicas the load asks for."""
    return f"{deployment_key}/scale"


def put(deployment_key: str, replica: Replica) -> Put:
    """Return the change that writes a replica."""
    body = {
        "id": replica.id, "generation": replica.generation, "state": replica.state, "address": replica.address,
        "secret": replica.secret, "restarts": replica.restarts, "error": replica.error, "started": replica.started,
        "created": replica.created, "wakes": replica.wakes, "launch": {"recipe": replica.recipe},
    }  # fmt: skip
    return Put(key_of(deployment_key, replica.id), body)


def delete(deployment_key: str, replica: Replica) -> Delete:
    """Return the change that removes a replica."""
    return Delete(key_of(deployment_key, replica.id))


def all_of(hub: Hub, deployment_key: str) -> list[Replica]:
    """Return a deployment's replicas, oldest first."""
    page = hub.documents.list(f"{deployment_key}/replicas", view=View.ALL, limit=_MOST)
    return [_replica(document) for document in reversed(page.documents)]


def routable(replicas: Iterable[Replica]) -> tuple[Replica, ...]:
    """Return those to which gateways send requests: where none serves, those that start and let them wait meanwhile."""
    known = [replica for replica in replicas if replica.address]
    serving = tuple(replica for replica in known if replica.is_serving)
    return serving or tuple(replica for replica in known if replica.state == STARTING and replica.wakes)


def status(hub: Hub, deployment_key: str) -> Summary:
    """Return how a deployment's replicas stand; all zero when there is no such deployment."""
    document = hub.documents.get(deployment_key)
    ours: Json = {} if document is None else document.body["entrepot"]
    scale = hub.documents.get(scale_key(deployment_key))
    generation = str(ours.get("generation", ""))
    wanted = int(ours.get("wanted", 0))
    if wanted and scale is not None and scale.body["generation"] == generation:
        wanted = int(scale.body["wanted"])
    replicas = all_of(hub, deployment_key)
    current = [replica for replica in replicas if replica.generation == generation and replica.state != DRAINING]
    error = next((replica.error for replica in current if replica.state == FAILED), None)
    ready = sum(replica.is_serving for replica in current)
    states = Counter(replica.state for replica in current if not replica.is_serving)
    return Summary(ready, wanted, generation, error, len(replicas), states)


def _replica(document: Document) -> Replica:
    body = document.body
    return Replica(
        id=body["id"], generation=body["generation"], state=body["state"], secret=body["secret"],
        created=body["created"], recipe=body["launch"]["recipe"], address=body["address"], restarts=body["restarts"],
        error=body["error"], started=body["started"], wakes=body["wakes"],
    )  # fmt: skip
