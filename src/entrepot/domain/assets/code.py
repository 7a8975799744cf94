"""Code: the folder that a component or job runs in. It only travels with others and has no verbs of its own."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.ids import AssetRef
from entrepot.domain.assets.kind import Properties, Rules, snapshot_contents

Json = Any


def _normalise(ref: AssetRef, properties: Properties) -> None:
    """Code has nothing but its bytes and the hashes that clients remember in `properties`."""


def _contents(properties: Properties, ours: Mapping[str, Json]) -> dict[str, Json]:
    return snapshot_contents(ours)


def client_hash(properties: Mapping[str, Json]) -> str | None:
    """Return the hash by which azure-ai-ml looks for code that is there already."""
    found = (properties.get("properties") or {}).get("hash_sha256")
    return found if isinstance(found, str) and found else None


RULES = Rules(address=("codeUri",), normalise=_normalise, contents=_contents)
