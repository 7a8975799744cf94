"""Homes of assets: what one needs to know of a registry or workspace to act in it, remembered between calls."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.errors import InvalidName, InvalidReference, NotFound, StateConflict
from entrepot.core.ids import Region, RegistryScope, Scope, WorkspaceScope, normalise_region
from entrepot.core.regions import AZURE_REGIONS
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Document

Json = Any

BLOB_ORIGIN = "https://blob.entrepot.invalid"
API_ORIGIN = "https://api.entrepot.invalid"
LOCAL_REGION = "local"
"""What single-machine users and samples write for "here": where regions are not open, the first configured one."""


@dataclass(frozen=True, slots=True)
class Home:
    """A registry or workspace as assets see it. `regions` starts with the primary; `guid` is its unchanging id."""

    scope: Scope  # spelled as it was created
    arm_id: str
    guid: str
    regions: tuple[Region, ...]
    is_deleting: bool

    @property
    def key(self) -> str:
        """The key of its document."""
        return self.scope.key

    @property
    def region(self) -> Region:
        """Where its bytes arrive first."""
        return self.regions[0]

    @property
    def is_registry(self) -> bool:
        """True for a registry."""
        return isinstance(self.scope, RegistryScope)


def home(hub: Hub, scope: Scope) -> Home:
    """Return what is known of a registry or workspace. Raises NotFound."""
    document = hub.documents.get(scope.key)
    if document is None:
        raise NotFound(missing(scope), hint=_hint(scope))
    stamp = (document.sequence, document.revision)
    known: Home | None = hub.memory.recall(document.key, stamp)
    if known is None:
        known = home_of(document)
        hub.memory.remember(document.key, stamp, known)
    return known


def writable_home(hub: Hub, scope: Scope) -> Home:
    """Return the home, if it is not being deleted. Raises NotFound, StateConflict."""
    found = home(hub, scope)
    if found.is_deleting:
        raise StateConflict(f"The {found.scope} is being deleted")
    return found


def home_of(document: Document) -> Home:
    """Read a registry's or workspace's document."""
    body = document.body
    properties, ours = body["properties"], body["entrepot"]
    scope: Scope
    if document.key.startswith("registries/"):
        scope = RegistryScope(body["name"])
        regions = tuple(Region(detail["location"]) for detail in properties["regionDetails"])
        primary = Region(body["location"])
        regions = (primary, *(region for region in regions if region != primary))
    else:
        _, subscription, _, group, *_ = body["id"].strip("/").split("/")
        scope = WorkspaceScope(subscription, group, body["name"])
        regions = (Region(body["location"]),)
    return Home(scope, body["id"], ours["guid"], regions, properties["provisioningState"] == "Deleting")


def missing(scope: Scope) -> str:
    """Return the sentence for a registry or workspace that is not there."""
    if isinstance(scope, RegistryScope):
        return f"There is no registry {scope.name!r}"
    return f"There is no workspace {scope.name!r} in resource group {scope.resource_group!r}"


def _hint(scope: Scope) -> str:
    noun = "registry" if isinstance(scope, RegistryScope) else "workspace"
    return f"az ml {noun} list shows what there is"


def offered_region(hub: Hub, text: str) -> Region:
    """Return a region of this server from any spelling of its name. Raises InvalidName that tells the nearest ones."""
    settings, region = hub.settings, normalise_region(text)
    if settings.open_regions and settings.is_embedded:
        if region not in AZURE_REGIONS and region != LOCAL_REGION and region not in known_regions(hub):
            raise _unknown_region(hub, text, region)
        return region
    if region == LOCAL_REGION and LOCAL_REGION not in settings.regions:
        return Region(settings.regions[0])
    if region not in settings.regions:
        raise InvalidName(f"There is no region {text!r} on this server; it has {', '.join(settings.regions)}")
    return region


def _unknown_region(hub: Hub, text: str, region: Region) -> InvalidName:
    known = known_regions(hub)
    near = get_close_matches(region, dict.fromkeys((*known, *sorted(AZURE_REGIONS))), n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else f"this server has {', '.join(known)}, and takes Azure's"
    return InvalidName(
        f"There is no region {text!r}: {meant}",
        target="location",
        hint="az account list-locations; a region of one's own is added to the setting `regions`",
    )


def open_regions(hub: Hub, regions: Iterable[Region]) -> None:
    """Make the regions that something was just put in known to all, if they are none of the configured ones."""
    for region in regions:
        if region not in hub.settings.regions:
            hub.depots.of(region)


def known_regions(hub: Hub) -> tuple[Region, ...]:
    """Return the configured regions, then the others that are in use."""
    return tuple(dict.fromkeys((*map(Region, hub.settings.regions), *hub.depots.known())))


def workspace_of_id(arm_id: str) -> WorkspaceScope:
    """Read a workspace's ARM id. Raises InvalidReference."""
    parts = arm_id.strip("/").split("/")
    if len(parts) < 8 or parts[0].lower() != "subscriptions" or parts[6].lower() != "workspaces":
        raise InvalidReference(f"{arm_id!r} is not the ARM id of a workspace")
    return WorkspaceScope(parts[1], parts[3], parts[7])


def created_by(principal: Principal, now: float) -> dict[str, Json]:
    """Return ARM's systemData of something new."""
    who = {"By": principal.name or principal.id, "ByType": _BY_TYPE.get(principal.kind, "User"), "At": to_iso(now)}
    return {f"{verb}{what}": value for verb in ("created", "lastModified") for what, value in who.items()}


def modified_by(system_data: dict[str, Json], principal: Principal, now: float) -> dict[str, Json]:
    """Return systemData with its last modification now."""
    fresh = created_by(principal, now)
    return {**fresh, **{name: value for name, value in system_data.items() if name.startswith("created")}}


_BY_TYPE = {"User": "User", "ServicePrincipal": "Application", "System": "ManagedIdentity"}
