"""Versions registered before their bytes: a workspace may name a place in a datastore where nothing lies yet.

Whoever reads such a version first finds what lies there then; from that moment it is the version's content for good.
But one that grows, which a deployment collects its data in, has whatever lies there at each reading.
"""

from typing import Any

from entrepot.core.digests import Digest
from entrepot.core.errors import NotFound
from entrepot.domain.assets import reading
from entrepot.domain.assets.kind import Content
from entrepot.domain.assets.kinds import rules_of
from entrepot.domain.assets.publishing.shelves import tag_facets
from entrepot.domain.assets.stock import Source, keep, located
from entrepot.domain.concurrency import retries
from entrepot.domain.hub import Hub
from entrepot.domain.scopes import home
from entrepot.store import paths
from entrepot.store.documents import Document, Facet, Put

Json = Any


def settled(hub: Hub, document: Document) -> Document:
    """Return the version with its bytes, if it waited for them. Raises NotFound while there are none.

    Raises InvalidRequest when they are not of the declared type.
    """
    if "awaits" not in document.body["entrepot"]:
        return document
    return retries.settled(lambda: _settle(hub, hub.documents.get(document.key) or document))


def growing(hub: Hub, document: Document, place: Json) -> Document:
    """Return the version as one that has what lies at a place, `{"container", "path", "address"}`, at each reading."""

    def attempt() -> Document:
        found = hub.documents.get(document.key) or document
        body, wanted = found.body, {**place, "grows": True}
        if body["entrepot"].get("awaits") == wanted:
            return found
        body["entrepot"]["awaits"] = wanted
        return hub.documents.commit(
            [Put(found.key, body, match=found.revision, is_archived=found.is_archived, facets=None)]
        )[0]

    return retries.settled(attempt)


def grows(document: Document) -> bool:
    """Say whether a version has whatever lies at its place at each reading."""
    return bool((document.body["entrepot"].get("awaits") or {}).get("grows"))


def _settle(hub: Hub, document: Document) -> Document:
    body = document.body
    ours = body["entrepot"]
    if "awaits" not in ours:
        return document
    ref = reading.ref_of(body)
    source = _come(hub, ours["awaits"], str(ref))
    store = hub.depots.of(source.region)

    def read(digest: Digest) -> bytes:
        with store.open(paths.content(digest)) as file:
            return file.read()

    properties = body["properties"]
    rules_of(ref.kind).inspect(ref, properties, Content(source.manifest, source.name, source.is_file, read))
    digest = keep(hub, source, home(hub, ref.scope))
    if not ours["awaits"].get("grows"):
        del ours["awaits"]
    elif ours.get("snapshot") == digest:
        return document
    ours |= {"snapshot": digest, "path": source.name}
    facets = (*tag_facets(ref.collection, properties["tags"] or {}), Facet(reading.SNAPSHOTS_SPACE, "digest", digest))
    put = Put(document.key, body, match=document.revision, is_archived=document.is_archived, facets=facets)
    return hub.documents.commit([put])[0]


def _come(hub: Hub, place: Json, shown: str) -> Source:
    container = hub.containers.describe(place["container"])
    address = place["address"]
    if container is None or container.region is None:
        raise NotFound(f"{shown} has no bytes: the datastore of {address} is gone")
    try:
        source = located(hub, place["container"], place["path"], container.region, address)
    except NotFound as error:
        raise NotFound(f"{shown} has no bytes yet: nothing lies at {address}") from error
    if not source.manifest.files:
        raise NotFound(f"{shown} has no bytes yet: nothing lies at {address}")
    return source
