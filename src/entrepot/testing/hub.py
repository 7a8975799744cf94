"""A hub for tests: real stores, SQLite and local depots, below one folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrepot.compute.backend import ComputeBackend
from entrepot.core.clock import Clock, SystemClock, new_id
from entrepot.core.ids import AssetRef
from entrepot.core.settings import Settings
from entrepot.domain.assets import sources, uploads
from entrepot.domain.authorization import assignments
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import known_regions
from entrepot.server.keys import open_sealer
from entrepot.store import paths, snapshots
from entrepot.store.containers import Containers
from entrepot.store.depots import open_depots
from entrepot.store.documents import Document
from entrepot.store.sql import open_documents

OWNER = Principal(id="11111111-1111-1111-1111-111111111111", name="Olga Owner", tenant="")
"""Owner of the tenant in every test hub."""


def make_hub(
    folder: Path,
    *,
    clock: Clock | None = None,
    backends: Mapping[str, ComputeBackend] | None = None,
    owner: Principal = OWNER,
    is_alone: bool = False,
    database_url: str = "",
    **settings: Any,
) -> Hub:
    """Return a hub whose state is below `folder`; the same folder again has it again. Nothing is flushed.

    `is_alone`: as a server, which shares its folder with no other hub. `database_url`: a database elsewhere.
    """
    chosen = Settings(home=folder, **{"fsync": False, **settings})
    ticking = clock or SystemClock()
    documents = open_documents(database_url or folder / "entrepot.db", fsync=chosen.fsync, is_alone=is_alone)
    depots = open_depots(folder / "regions", fsync=chosen.fsync)
    containers = Containers(documents, depots.of, regions=lambda: known_regions(hub), clock=ticking)
    sealer = open_sealer(folder / "keys" / "secrets.key")
    hub = Hub(chosen, ticking, documents, depots, containers, backends or {}, new_id, sealer)
    assignments.bootstrap(hub, owner)
    return hub


def upload(
    hub: Hub, ref: AssetRef, files: Mapping[str, str | bytes], *, at: str = "", principal: Principal = OWNER
) -> str:
    """Upload files for a version, as a client does, and return the address for its properties.

    `at` is the folder's base name; without it `files` must be one file, which the address names.
    """
    place = uploads.start(hub, principal, ref)
    assert place.region is not None
    store = hub.depots.of(place.region)
    for path, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        name = f"{at}/{path}" if at else path
        hub.containers.put(place.container, name, snapshots.keep(store, data), len(data))
    return f"{place.blob_uri}/{at or next(iter(files))}"


def content_of(hub: Hub, document: Document) -> dict[str, bytes]:
    """Return the files of a version, as its user sees them."""
    source = sources.of_document(hub, document)
    store = hub.depots.of(source.region)
    found = {}
    for entry in source.manifest.files:
        with store.open(paths.content(entry.digest)) as file:
            found[entry.path] = file.read()
    return found


def close_hub(hub: Hub) -> None:
    """Release files; for tests that open the same folder again."""
    hub.documents.close()
    close = getattr(hub.depots, "close", None)
    if close is not None:
        close()
