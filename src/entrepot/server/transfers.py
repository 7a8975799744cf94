"""Answers about bytes: signed addresses under which a client writes an upload or reads a snapshot."""

from dataclasses import dataclass
from typing import Protocol

from entrepot.core.ids import Region
from entrepot.server.calls import Answer, Call, reply
from entrepot.wire.assets import data_reference
from entrepot.wire.origins import BLOB

WRITING = "racwdl"
READING = "rl"
LIFETIME_S = 24 * 3600


class Located(Protocol):
    """A container, the path in it that is meant, and the region whence bytes should come."""

    @property
    def container(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def region(self) -> Region | None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Files below a prefix of a container; `region`: whence their bytes should come."""

    container: str
    prefix: str = ""
    region: Region | None = None


def writing_answer(call: Call, place: Located) -> Answer:
    """Answer an address under which the caller may write."""
    return _answer(call, place, WRITING)


def reading_answer(call: Call, place: Located) -> Answer:
    """Answer an address under which the caller may read."""
    return _answer(call, place, READING)


def sas_token(call: Call, container: str, permissions: str, *, region: Region | None, lifetime_s: float) -> str:
    """Return a shared access signature for a container."""
    expires = int(call.hub.clock.now() + lifetime_s)
    holder, request = call.principal.id, call.request_id
    return call.site.sas.sign(container, permissions, region, expires, holder=holder, request=request)


def _answer(call: Call, place: Located, permissions: str) -> Answer:
    container = place.container
    # azure-storage-blob drops what it does not know from a signature, so the region is in that of our own client only
    sas = sas_token(call, container, permissions, region=None, lifetime_s=LIFETIME_S)
    ours = sas_token(call, container, permissions, region=place.region, lifetime_s=LIFETIME_S)
    return reply(
        data_reference(
            blob_uri=f"{BLOB}/{container}",
            sas=sas,
            transfer=f"{call.site.addresses.blob_http}/{container}?{ours}",
            prefix=place.prefix,
            upload_id=container,
        )
    )
