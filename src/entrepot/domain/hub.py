"""The hub: what every domain function needs, handed in by the composition root. No behaviour lives here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from entrepot.compute.backend import ComputeBackend
from entrepot.core.clock import Clock
from entrepot.core.ids import Region
from entrepot.core.settings import Settings
from entrepot.domain.audit.notes import Notes
from entrepot.domain.authorization.grants import Grants
from entrepot.domain.concurrency.combining import Combiner
from entrepot.domain.concurrency.locks import Locks
from entrepot.domain.concurrency.memory import Memory
from entrepot.domain.identity.passwords import Passwords
from entrepot.domain.identity.standing import Standing
from entrepot.domain.secrets.sealing import Sealer
from entrepot.store.blobs import BlobStore
from entrepot.store.containers import Containers
from entrepot.store.documents import DocumentStore


class Depots(Protocol):
    """The regions' blob stores."""

    def of(self, region: Region) -> BlobStore:
        """Return the region's store, opening it at first use."""
        ...

    def known(self) -> tuple[Region, ...]:
        """Return the regions that have a store already, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts. `id` is a GUID; `name` is for people; `via` names the job when a job acts for its submitter.

    `within` is the key of the workspace that a job's token is good for; '' when it is no such token.
    """

    id: str
    name: str
    kind: str = "User"  # User | ServicePrincipal | Group
    tenant: str = ""
    via: str | None = None
    groups: tuple[str, ...] = ()
    within: str = ""


@dataclass(frozen=True, slots=True)
class Hub:
    """The product's dependencies. Tests build one in memory (`entrepot.testing`).

    The last seven hold what one process remembers between calls; all of it can be lost, if need be.
    """

    settings: Settings
    clock: Clock
    documents: DocumentStore
    depots: Depots
    containers: Containers
    backends: Mapping[str, ComputeBackend]
    new_id: Callable[[], str]
    sealer: Sealer
    grants: Grants = field(default_factory=Grants)
    locks: Locks = field(default_factory=Locks)
    memory: Memory = field(default_factory=Memory)
    notes: Notes = field(default_factory=Notes)
    publications: Combiner[Any, Any] = field(default_factory=Combiner)
    standing: Standing = field(default_factory=Standing)
    passwords: Passwords = field(default_factory=Passwords)
