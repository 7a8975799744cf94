"""A hub for tests: real stores, SQLite and local depots, below one folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrepot.compute.backend import ComputeBackend
from entrepot.core.clock import Clock, SystemClock, new_id
from entrepot.core.ids import Region
from entrepot.core.settings import Settings
from entrepot.domain import access
from entrepot.domain.hub import Hub, Principal
from entrepot.store.containers import Containers
from entrepot.store.depots import open_depots
from entrepot.store.sql import open_documents

OWNER = Principal(id="11111111-1111-1111-1111-111111111111", name="Olga Owner", tenant="")
"""Owner of the tenant in every test hub."""


def make_hub(
    folder: Path,
    *,
    clock: Clock | None = None,
    backends: Mapping[str, ComputeBackend] | None = None,
    owner: Principal = OWNER,
    **settings: Any,
) -> Hub:
    """Return a hub whose state is below `folder`; the same folder again has it again. Nothing is flushed."""
    chosen = Settings(home=folder, **{"fsync": False, **settings})
    ticking = clock or SystemClock()
    documents = open_documents(folder / "entrepot.db", fsync=chosen.fsync)
    depots = open_depots(folder / "regions", fsync=chosen.fsync)
    regions = tuple(Region(region) for region in chosen.regions)
    containers = Containers(documents, depots.of, regions=regions, clock=ticking)
    hub = Hub(chosen, ticking, documents, depots, containers, backends or {}, new_id)
    access.bootstrap(hub, owner)
    return hub


def close_hub(hub: Hub) -> None:
    """Release files; for tests that open the same folder again."""
    hub.documents.close()
    close = getattr(hub.depots, "close", None)
    if close is not None:
        close()
