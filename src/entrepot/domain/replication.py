"""Copies of registry assets in the registry's regions: which are wanted, how they come about, what state they are in.

A version with bytes carries `entrepot.regions`: {region: Succeeded | Pending | Failed}. One work item per version and
region is enqueued in the commit that makes the version, and one per region when a registry gains a region.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.digests import Digest
from entrepot.core.errors import BlobMissing, NotFound, RegistryRegionNotSupported, StateConflict
from entrepot.core.ids import AssetRef, Region, RegistryScope
from entrepot.core.nouns import REGISTRY_KINDS
from entrepot.domain import access
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub
from entrepot.domain.scopes import Home, home, home_of, known_regions
from entrepot.store import snapshots
from entrepot.store.documents import Change, Document, Enqueue, Order, Postpone, Put, View, Work

Json = Any

QUEUE = "replicate"
SUCCEEDED, PENDING, FAILED = "Succeeded", "Pending", "Failed"
_BATCH = 200


def planned(hub: Hub, found: Home, digest: Digest | None, *, at: Region) -> dict[str, str]:
    """Return the first state of a version in each region: what has no bytes is everywhere at once."""
    states: dict[str, str] = {}
    for region in found.regions:
        is_there = digest is None or region == at or snapshots.exists(hub.depots.of(region), digest)
        states[region] = SUCCEEDED if is_there else PENDING
    return states


def items(key: str, states: Mapping[str, str]) -> list[Change]:
    """Return the work items that bring a version to the regions where it is not yet."""
    return [_item(key, region) for region, state in states.items() if state != SUCCEEDED]


def regions_changed(hub: Hub, before: Home, regions: Sequence[Region]) -> list[Change]:
    """Return the work that follows from a new list of regions. Raises StateConflict when a lost one is in use."""
    changes: list[Change] = []
    for region in before.regions:
        if region not in regions:
            _check_unused(hub, before, region)
    for region in [*regions, *before.regions]:
        if (region in regions) != (region in before.regions):
            payload = {"registry": before.key, "region": region}
            changes.append(Enqueue(QUEUE, f"region:{before.key}:{region}", payload))
    return changes


def require_region(hub: Hub, ref: AssetRef, region: Region) -> bool:
    """Say whether an asset's bytes are in a workspace's region by now.

    Raises RegistryRegionNotSupported when the registry does not replicate there, and NotFound.
    """
    if not isinstance(ref.scope, RegistryScope):
        return home(hub, ref.scope).region == region
    found = home(hub, ref.scope)
    document = hub.documents.get(ref.key)
    if _is_public_recipe(ref, document):
        return True
    if region not in found.regions:
        listed = ", ".join(found.regions)
        raise RegistryRegionNotSupported(
            f"Registry {found.scope.name} is not replicated to {region}, the region of this workspace; its regions are "
            f"{listed}. Add {region} to replication_locations in the registry's YAML and run: "
            f"az ml registry update --name {found.scope.name} --file registry.yml",
            target=ref.id,
        )
    if document is None:
        raise NotFound(f"There is no {ref}")
    body = document.body
    if body["entrepot"].get("snapshot") and region not in body["entrepot"].get("regions", {}):
        _want(hub, ref.key, region)  # made while the region joined, and passed by
        return False
    return is_copied(body, region)


def _is_public_recipe(ref: AssetRef, document: Document | None) -> bool:
    """Say whether this is a curated asset without bytes: such are for all regions, also those opened later."""
    is_public = isinstance(ref.scope, RegistryScope) and ref.scope.name.lower() == access.PUBLIC_REGISTRY
    return is_public and document is not None and not document.body["entrepot"].get("snapshot")


def is_copied(body: Mapping[str, Json], region: Region) -> bool:
    """Say whether a version's bytes are in a region; those without bytes always are."""
    ours = body["entrepot"]
    return not ours.get("snapshot") or ours.get("regions", {}).get(region) == SUCCEEDED


def replicate(hub: Hub, work: Work) -> None:
    """Handle one item of the queue `replicate`: a version's copy, or a region that came or went."""
    payload: dict[str, Json] = work.payload
    if "registry" in payload:
        _spread(hub, work, payload["registry"], Region(payload["region"]))
        return
    key, region = payload["key"], Region(payload["region"])
    document = hub.documents.get(key)
    if document is None:
        return
    registry = hub.documents.get("/".join(key.split("/")[:2]))
    if registry is None or region not in home_of(registry).regions:
        return
    try:
        _copy(hub, document, region)
    except Exception as error:
        _settle(hub, key, region, FAILED, {"message": str(error), "attempt": work.attempt})
        raise
    _settle(hub, key, region, SUCCEEDED, None)


def _copy(hub: Hub, document: Document, region: Region) -> None:
    ours = document.body["entrepot"]
    digest = ours.get("snapshot")
    target = hub.depots.of(region)
    if digest is None or snapshots.exists(target, digest):
        return
    for other in dict.fromkeys((*map(Region, ours.get("regions", {})), *known_regions(hub))):
        source = hub.depots.of(other)
        if other != region and snapshots.exists(source, digest):
            snapshots.copy(source, target, digest)
            return
    raise BlobMissing(f"no region has the bytes of {document.body['id']} (snapshot {digest})")


def _settle(hub: Hub, key: str, region: Region, state: str, problem: dict[str, Json] | None) -> None:
    def write() -> None:
        document = hub.documents.get(key)
        if document is None:
            return
        body = document.body
        ours = body["entrepot"]
        ours.setdefault("regions", {})[region] = state
        problems = ours.setdefault("regionErrors", {})
        problems.pop(region, None)
        if problem is not None:
            problems[region] = {**problem, "time": to_iso(hub.clock.now())}
        if not problems:
            del ours["regionErrors"]
        hub.documents.commit([Put(key, body, match=document.revision, is_archived=document.is_archived, facets=None)])

    settled(write)


def _spread(hub: Hub, work: Work, registry_key: str, region: Region) -> None:
    """Bring every version of a registry in line with a region that came or went, a batch at a time."""
    document = hub.documents.get(registry_key)
    if document is None:
        return
    is_wanted = region in home_of(document).regions
    cursor = work.payload.get("after")
    while True:
        page = hub.documents.scan(f"{registry_key}/", after=cursor, limit=_BATCH)
        versions = [found for found in page.documents if found.key.count("/") == 5]
        for found in versions:
            if is_wanted:
                _want(hub, found.key, region)
            else:
                _unwant(hub, found.key, region)
        cursor = page.next
        if cursor is None:
            return
        hub.documents.commit([Postpone(work, renew_s=60, payload={**work.payload, "after": cursor})])


def _want(hub: Hub, key: str, region: Region) -> None:
    def write() -> None:
        document = hub.documents.get(key)
        if document is None or document.body["entrepot"].get("regions", {}).get(region) == SUCCEEDED:
            return
        body = document.body
        digest = body["entrepot"].get("snapshot")
        is_there = digest is None or snapshots.exists(hub.depots.of(region), digest)
        body["entrepot"].setdefault("regions", {})[region] = SUCCEEDED if is_there else PENDING
        put = Put(key, body, match=document.revision, is_archived=document.is_archived, facets=None)
        hub.documents.commit([put] if is_there else [put, _item(key, region)])

    settled(write)


def _unwant(hub: Hub, key: str, region: Region) -> None:
    def write() -> None:
        document = hub.documents.get(key)
        if document is None or region not in document.body["entrepot"].get("regions", {}):
            return
        body = document.body
        del body["entrepot"]["regions"][region]
        body["entrepot"].get("regionErrors", {}).pop(region, None)
        hub.documents.commit([Put(key, body, match=document.revision, is_archived=document.is_archived, facets=None)])

    settled(write)


def _check_unused(hub: Hub, found: Home, region: Region) -> None:
    name = found.scope.name
    if region == found.region:
        raise StateConflict(f"{region} is the primary region of registry {name} and cannot be removed from it")
    is_empty = all(
        not hub.documents.list(f"{found.key}/{kind.plural}", view=View.ALL, order=Order.KEY, limit=1).documents
        for kind in REGISTRY_KINDS
    )
    if is_empty:
        return
    readers = hub.documents.find("regions", "workspace", region, view=View.ALL, limit=4).documents
    if readers:
        names = ", ".join(reader.body["name"] for reader in readers[:3]) + (" and others" if len(readers) > 3 else "")
        raise StateConflict(
            f"{region} cannot be removed from registry {name} while workspaces in {region} use its assets: {names}. "
            "Delete them first"
        )


def _item(key: str, region: str) -> Enqueue:
    return Enqueue(QUEUE, f"{region}:{key}", {"key": key, "region": region})
