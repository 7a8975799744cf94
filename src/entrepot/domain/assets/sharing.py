"""Sharing: an asset and all that it needs, published in a registry together, or not at all.

The closure of a component is its environment, its code and its child components; models, data, environments and code
need nothing but their bytes. Bytes are moved only when the registry's region lacks them. What has a registry of its
own, such as a curated environment, stays there and is only referenced.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from entrepot.core.clock import to_iso
from entrepot.core.digests import Digest, digest_json
from entrepot.core.errors import InvalidReference, InvalidRequest
from entrepot.core.ids import (
    AssetPointer,
    AssetRef,
    RegistryScope,
    Scope,
    check_asset_name,
    check_new_version,
    parse_reference,
)
from entrepot.core.nouns import COMPONENT, ENVIRONMENT, registry_action
from entrepot.domain import access, lineage
from entrepot.domain.assets import awaited, provenance, reading, references
from entrepot.domain.assets.environment import build_digest
from entrepot.domain.assets.kind import MUTABLE, SERVER_FILLED, Draft, address_in, with_address
from entrepot.domain.assets.kinds import rules_of
from entrepot.domain.assets.publishing import comparison
from entrepot.domain.assets.publishing.drafting import component_ours, snapshot_address, used_links
from entrepot.domain.assets.publishing.publication import publish
from entrepot.domain.assets.references import Pin
from entrepot.domain.assets.stock import region_with
from entrepot.domain.authorization import sight
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import Home, home, writable_home
from entrepot.store import snapshots
from entrepot.store.documents import Document

Json = Any

_DEEPEST = 16


def share(hub: Hub, principal: Principal, source: AssetRef, destination: AssetRef, *, request_id: str = "") -> Document:
    """Publish a version, with its closure, as `destination` in a registry; return the registry's version.

    The same thing again is the same version. Raises NotFound, AccessDenied, AlreadyExists when the name is taken by
    other content, InvalidRequest.
    """
    if not isinstance(destination.scope, RegistryScope):
        raise InvalidRequest(f"Assets are shared with a registry, and {destination.scope} is none")
    if source.kind is not destination.kind:
        raise InvalidRequest(f"{source} cannot become {destination}: the kinds differ")
    document = reading.get(hub, principal, source)
    sight.require_noted(hub, principal, destination.scope, registry_action("write"))
    target = writable_home(hub, destination.scope)
    destination = replace(destination, scope=target.scope)
    check_asset_name(destination.kind, destination.name)
    check_new_version(destination.version)
    action = access.asset_action(target.key, destination.kind, "write")
    access.require(hub, principal, action, destination.key, target=destination.id, request_id=request_id)
    closure = _Closure(hub, principal, target)
    closure.take(document, wanted=destination)
    for made in closure.drafts.values():  # what comes along is written by the same principal
        action = access.asset_action(target.key, made.ref.kind, "write")
        access.require(hub, principal, action, made.ref.key, target=made.ref.id, request_id=request_id)
    results = publish(hub, principal, list(closure.drafts.values()), request_id=request_id)
    return results[-1][0]


def import_(hub: Hub, principal: Principal, registry: Scope, body: Json, *, request_id: str = "") -> Document:
    """Share what the body of an ARM import names: `sourceAssetId`, `destinationName`, `destinationVersion`."""
    properties = body.get("properties") or {}
    text = properties.get("sourceAssetId")
    if not isinstance(text, str) or not text:
        raise InvalidRequest("properties.sourceAssetId must name the asset to import", target="sourceAssetId")
    pointer = parse_reference(text)
    if not isinstance(pointer, AssetPointer) or (pointer.scope is None and pointer.workspace_guid is None):
        raise InvalidReference(
            f"{text!r} is not the id of an asset: write azureml://locations/<region>/workspaces/<workspace id>/"
            "<type>/<name>/versions/<version>",
            target="sourceAssetId",
        )
    source = reading.ref_of(reading.resolve(hub, principal, pointer).body)
    name = properties.get("destinationName") or source.name
    version = properties.get("destinationVersion") or source.version
    return share(hub, principal, source, AssetRef(registry, source.kind, name, version), request_id=request_id)


@dataclass(slots=True)
class _Closure:
    """What is to be published, in the order of need: children before those that reference them."""

    hub: Hub
    principal: Principal
    target: Home
    drafts: dict[str, Draft] = field(default_factory=dict)
    _taken: dict[str, str] = field(default_factory=dict)  # source id -> id in the registry
    _depth: int = 0

    def take(self, document: Document, *, wanted: AssetRef | None = None) -> str:
        """Plan a version's publication and return its id in the registry; `wanted` None: its own name if it can be."""
        document = awaited.settled(self.hub, document)
        body = document.body
        source_id: str = body["id"]
        if wanted is None and source_id in self._taken:
            return self._taken[source_id]
        source = reading.ref_of(body)
        home_of_source = home(self.hub, source.scope)
        ref = wanted or replace(source, scope=self.target.scope)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidRequest(f"{source} nests components more than {_DEEPEST} deep")
        made = self._draft(body, source, ref)
        self._depth -= 1
        made.ours["provenance"] = self._provenance(document, home_of_source)
        made = replace(made, links=(*made.links, lineage.shared(source_id, made.ref.id)))
        if wanted is None:
            made = self._placed(made)
        made = self._without_updates(made)
        self.drafts[made.ref.key] = made
        self._taken[source_id] = made.ref.id
        return made.ref.id

    def _draft(self, body: Json, source: AssetRef, ref: AssetRef) -> Draft:
        properties = {
            name: value
            for name, value in body["properties"].items()
            if name not in SERVER_FILLED - {"flavors", "jobName"} and name != "isArchived"
        }
        if ref.kind is COMPONENT:
            return self._component(properties, source, ref)
        ours: dict[str, Json] = {}
        rules = rules_of(ref.kind)
        if body["entrepot"].get("snapshot"):
            digest = Digest(body["entrepot"]["snapshot"])
            self._bring(digest, tuple(body["entrepot"].get("regions", {})))
            ours = {"snapshot": digest, "path": body["entrepot"]["path"]}
            slash = "/" if address_in(properties, rules.address).endswith("/") else ""
            with_address(properties, rules.address, snapshot_address(digest, ours["path"]) + slash)
        elif rules.needs_bytes:
            address = address_in(properties, rules.address)
            raise InvalidRequest(
                f"{source} cannot be shared: it points to {address}, and a registry keeps its own copy of bytes"
            )
        if ref.kind is ENVIRONMENT:
            ours["build"] = {"digest": build_digest(properties, ours)}
        return Draft(ref, self.target, properties, ours, at=self.target.region)

    def _component(self, properties: dict[str, Json], source: AssetRef, ref: AssetRef) -> Draft:
        spec = properties["componentSpec"]
        pinned = references.pins(self.hub, self.principal, source.scope, spec)
        spelling = {pin.document.key: self._reference(pin, source) for pin in pinned}
        spec = references.rewritten(spec, pinned, lambda document: spelling[document.key])
        properties["componentSpec"] = {**spec, "name": ref.name, "version": ref.version}
        moved = [Pin(pin.mention, self._moved(pin.document, spelling[pin.document.key])) for pin in pinned]
        return Draft(ref, self.target, properties, component_ours(moved), used_links(ref, moved))

    def _reference(self, pin: Pin, source: AssetRef) -> str:
        scope = reading.ref_of(pin.document.body).scope
        is_elsewhere = isinstance(scope, RegistryScope) and scope.key != source.scope.key
        if is_elsewhere or scope.key == self.target.key:
            return str(pin.document.body["id"])
        return self.take(pin.document)

    def _moved(self, document: Document, new_id: str) -> Document:
        """Return the document of a reference with the id that it has in the registry."""
        body = {"id": new_id, "entrepot": document.body["entrepot"]}
        return replace(document, raw=msgspec.json.encode(body))

    def _placed(self, made: Draft) -> Draft:
        """Keep a child's name and version where they are free or mean the same; else derive the version from it."""
        if self._fits(made):
            return made
        contents = rules_of(made.ref.kind).contents(made.properties, made.ours)
        version = f"{made.ref.version}-{digest_json(contents)[:12]}"
        ref = replace(made.ref, version=version)
        if made.ref.kind is COMPONENT:
            made.properties["componentSpec"]["version"] = version
        *others, shared = made.links
        renamed = [lineage.used(ref.id, link.target) if link.source == made.ref.id else link for link in others]
        return replace(made, ref=ref, links=(*renamed, lineage.shared(shared.source, ref.id)))

    def _fits(self, made: Draft) -> bool:
        planned = self.drafts.get(made.ref.key)
        if planned is not None:
            contents = rules_of(made.ref.kind).contents
            return contents(planned.properties, planned.ours) == contents(made.properties, made.ours)
        existing = self.hub.documents.get(made.ref.key)
        return existing is None or not comparison.differences(existing.body, made)

    def _without_updates(self, made: Draft) -> Draft:
        """Let a registry's own description and tags be, when the version is there already."""
        if self.hub.documents.get(made.ref.key) is None:
            return made
        kept = {name: value for name, value in made.properties.items() if name not in MUTABLE}
        return replace(made, properties=kept)

    def _bring(self, digest: Digest, regions: tuple[str, ...]) -> None:
        store = self.hub.depots.of(self.target.region)
        if not snapshots.exists(store, digest):
            origin = region_with(self.hub, digest, regions)
            snapshots.copy(self.hub.depots.of(origin), store, digest)

    def _provenance(self, document: Document, origin: Home) -> dict[str, Json]:
        told = provenance.of_asset(self.hub, self.principal, document)
        told |= {
            "sharedBy": self.principal.name or self.principal.id,
            "sharedAt": to_iso(self.hub.clock.now()),
        }
        if not origin.is_registry:
            told |= {"workspace": origin.arm_id, "workspaceId": origin.guid} if "workspace" not in told else {}
        return told
