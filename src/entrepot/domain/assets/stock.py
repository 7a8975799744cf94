"""Bytes that are here: which files, in which region's store, under which names; and keeping them as a snapshot.

How an address leads to them is in `sources.py`.
"""

from dataclasses import dataclass
from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.errors import NotFound
from entrepot.core.ids import Region, WorkspaceScope
from entrepot.core.manifests import Manifest
from entrepot.domain.hub import Hub
from entrepot.domain.scopes import Home, known_regions
from entrepot.store import snapshots
from entrepot.store.documents import Document

Json = Any


@dataclass(frozen=True, slots=True)
class Origin:
    """The job that bytes came from, with its document's body."""

    scope: WorkspaceScope
    name: str
    output: str
    body: dict[str, Json]

    @property
    def id(self) -> str:
        """The job's ARM id."""
        return f"{self.scope.arm_id}/jobs/{self.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes that are here. `manifest` is relative to `name`; `container` and `path` are where they have names.

    `snapshot` is set when they are known to be a whole snapshot that the region has.
    """

    manifest: Manifest
    name: str
    is_file: bool
    region: Region
    container: str
    path: str
    job: Origin | None = None
    asset: Document | None = None
    snapshot: Digest | None = None

    @property
    def tree(self) -> Manifest:
        """The snapshot to keep: a folder's files lie below its base name, a file has it."""
        return self.manifest if self.is_file else self.manifest.prefixed(self.name)


def located(hub: Hub, container: str, path: str, region: Region, text: str) -> Source:
    """Return what a container has at a path, a file or a folder. Raises NotFound; `text` is what the caller wrote."""
    try:
        is_file = bool(path) and hub.containers.stat(container, path) is not None
        manifest = hub.containers.tree(container, path)
    except NotFound as error:
        raise NotFound(f"There is nothing at {text}", target="path") from error
    return Source(manifest, path.rpartition("/")[2], is_file, region, container, path)


def region_with(hub: Hub, digest: Digest, preferred: tuple[str, ...] = ()) -> Region:
    """Return a region whose store has the snapshot, the preferred ones first. Raises NotFound."""
    for region in dict.fromkeys((*map(Region, preferred), *known_regions(hub))):
        if snapshots.exists(hub.depots.of(region), digest):
            return region
    raise NotFound(f"no region of this server has the snapshot {digest}")


def keep(hub: Hub, source: Source, home: Home) -> Digest:
    """Have a source's bytes as a snapshot in a home's first region; what is there already is not moved."""
    if source.snapshot is not None and source.region == home.region:
        return source.snapshot
    tree = source.tree
    target = hub.depots.of(home.region)
    if not snapshots.exists(target, tree.digest):
        store = hub.depots.of(source.region)
        snapshots.write(store, tree)
        if source.region != home.region:
            snapshots.copy(store, target, tree.digest)
    return tree.digest
