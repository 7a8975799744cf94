"""Online endpoints on the wire: answers that are no documents, and the headers of long-running operations. Pure."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.nouns import PROVIDER

Json = Any

RETRY_AFTER_S = 1
"""azure-core polls every 30 s when it is not told otherwise, and takes no less than a second."""


def keys(primary: str, secondary: str) -> dict[str, str]:
    """Return the answer to listKeys."""
    return {"primaryKey": primary, "secondaryKey": secondary}


def token(text: str, *, expires: float, refresh: float) -> dict[str, Json]:
    """Return the answer to token; times in whole epoch seconds."""
    return {
        "accessToken": text,
        "expiryTimeUtc": int(expires),
        "refreshAfterTimeUtc": int(refresh),
        "tokenType": "Bearer",
    }


def read_regeneration(body: Mapping[str, Json]) -> tuple[str, str | None]:
    """Read (key type, wished value or None) of regenerateKeys. Raises InvalidRequest."""
    kind, value = body.get("keyType"), body.get("keyValue")
    if not isinstance(kind, str) or not (value is None or isinstance(value, str)):
        raise InvalidRequest("regenerateKeys needs keyType, Primary or Secondary", target="keyType")
    return kind, value or None


def read_tail(body: Mapping[str, Json], *, default: int, most: int) -> int:
    """Read how many lines of a log are wanted. Raises InvalidRequest."""
    tail = body.get("tail")
    if tail is None:
        return default
    if isinstance(tail, bool) or not isinstance(tail, int) or tail < 0:
        raise InvalidRequest(f"tail must be a number of lines from 0: got {tail!r}", target="tail")
    return min(tail, most)


def read_container(body: Mapping[str, Json]) -> str:
    """Read which container's log is wanted, as the command line spells it. Raises InvalidRequest."""
    given = str(body.get("containerType") or "InferenceServer")
    known = {"inferenceserver": "inference-server", "storageinitializer": "storage-initializer"}
    found = known.get(given.lower().replace("-", ""))
    if found is None:
        raise InvalidRequest(
            f"containerType is {given!r}: it must be InferenceServer (inference-server) or StorageInitializer "
            "(storage-initializer)",
            target="containerType",
        )
    return found


def skus(largest: int) -> dict[str, Json]:
    """Return the answer to a deployment's list of SKUs: the one there is here, with how far it scales."""
    capacity = {"default": 1, "minimum": 1, "maximum": largest, "scaleType": "Manual"}
    kind = f"{PROVIDER}/workspaces/onlineEndpoints/deployments"
    return {"value": [{"resourceType": kind, "sku": {"name": "Default", "tier": "Standard"}, "capacity": capacity}]}


def operation_paths(subscription: str, region: str, name: str) -> tuple[str, str]:
    """Return the paths of an operation's status and of its result."""
    place = f"/subscriptions/{subscription}/providers/{PROVIDER}/locations/{region}"
    return f"{place}/mfeOperationsStatus/{name}", f"{place}/mfeOperationResults/{name}"
