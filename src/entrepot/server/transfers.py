"""Answers about bytes: signed addresses under which a client writes an upload or reads a snapshot."""

from dataclasses import dataclass

from entrepot.core.ids import Region
from entrepot.server.calls import Answer, Call, reply
from entrepot.wire.assets import data_reference
from entrepot.wire.origins import BLOB

WRITING = "racwdl"
READING = "rl"
LIFETIME_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Place:
    """Files below a prefix of a container; `region`: whence their bytes should come."""

    container: str
    prefix: str = ""
    region: Region | None = None


def writing_answer(call: Call, place: Place) -> Answer:
    """Answer an address under which the caller may write."""
    return _answer(call, place, WRITING)


def reading_answer(call: Call, place: Place) -> Answer:
    """Answer an address under which the caller may read."""
    return _answer(call, place, READING)


def sas_token(call: Call, container: str, permissions: str, *, region: Region | None, lifetime_s: float) -> str:
    """Return a shared access signature for a container."""
    return call.site.sas.sign(container, permissions, region, int(call.hub.clock.now() + lifetime_s))


def _answer(call: Call, place: Place, permissions: str) -> Answer:
    sas = sas_token(call, place.container, permissions, region=place.region, lifetime_s=LIFETIME_S)
    transfer_uri = f"{call.site.addresses.blob_http}/{place.container}"
    return reply(
        data_reference(
            blob_uri=f"{BLOB}/{place.container}", sas=sas, transfer_uri=transfer_uri, prefix=place.prefix,
            upload_id=place.container,
        )
    )  # fmt: skip
