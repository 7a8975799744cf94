"""Uploads and downloads: which container a client writes to or reads from. Signing addresses is the server's affair."""

from dataclasses import dataclass, replace

from entrepot.core.digests import Digest
from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef, Region, check_asset_name, check_new_version
from entrepot.domain import access, audit
from entrepot.domain.assets import awaited
from entrepot.domain.assets import reading as catalogue
from entrepot.domain.assets.stock import region_with
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import BLOB_ORIGIN, writable_home
from entrepot.store.containers import snapshot_container

_UPLOAD = {"step": "a place to upload to"}


@dataclass(frozen=True, slots=True)
class Upload:
    """A container of one's own to upload into. `prefix` names what is meant within it, '' all."""

    container: str
    region: Region | None
    prefix: str = ""

    @property
    def blob_uri(self) -> str:
        """The container's neutral address."""
        return f"{BLOB_ORIGIN}/{self.container}"


def start(hub: Hub, principal: Principal, ref: AssetRef, *, request_id: str = "") -> Upload:
    """Give a fresh container for the bytes of a version that is to be created. Raises AccessDenied, InvalidName.

    Also for a version that is there: refusing here would make genuine clients skip the upload and fail obscurely, so
    content that differs is refused when the version is put.
    """
    home = writable_home(hub, ref.scope)
    check_asset_name(ref.kind, ref.name)
    check_new_version(ref.version)
    ref = replace(ref, scope=home.scope)
    action = access.asset_action(home.key, ref.kind, "write")
    access.require(hub, principal, action, ref.key, target=ref.id, request_id=request_id)
    container = f"u-{hub.new_id()}"
    now = hub.clock.now()
    note = audit.record(principal, action, target=ref.id, now=now, request_id=request_id, details=_UPLOAD)
    hub.containers.recorded(lambda *_: [note]).create(
        container, region=home.region, owner=home.key, purpose=f"upload of {ref.id}"
    )
    return Upload(container, home.region)


def reading(hub: Hub, principal: Principal, ref: AssetRef) -> Upload:
    """Return the read-only container with a version's bytes, and their path in it. Raises NotFound, InvalidRequest."""
    document = awaited.settled(hub, catalogue.get(hub, principal, ref))
    body = document.body
    ours = body["entrepot"]
    if not ours.get("snapshot"):
        address = body["properties"].get("dataUri")
        more = f": it points to {address}" if address else ""
        raise InvalidRequest(f"{ref} has no bytes on this server{more}")
    digest = Digest(ours["snapshot"])
    region = region_with(hub, digest, tuple(ours.get("regions", {})))
    return Upload(snapshot_container(digest), region, ours["path"])
