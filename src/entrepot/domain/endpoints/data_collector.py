"""`dataCollector` in a deployment: which collections there are, how much is kept, how files are divided. Pure."""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

ROLLS = ("Year", "Month", "Day", "Hour", "Minute")
_MODES = {"enabled": "Enabled", "disabled": "Disabled"}


def checked(given: Json) -> dict[str, Json]:
    """Return `dataCollector` with every default filled in. Raises InvalidRequest."""
    collections = given.get("collections") if isinstance(given, Mapping) else None
    if not isinstance(collections, Mapping) or not all(isinstance(one, Mapping) for one in collections.values()):
        raise InvalidRequest(
            "dataCollector needs collections, such as {'request': {'dataCollectionMode': 'Enabled'}}: "
            f"got {given!r}",
            target="dataCollector",
        )
    rolls = {roll.lower(): roll for roll in ROLLS}
    roll = rolls.get(str(given.get("rollingRate") or "Hour").lower())
    if roll is None:
        raise InvalidRequest(
            f"dataCollector.rollingRate is {given['rollingRate']!r}: it must be one of {', '.join(ROLLS)}",
            target="dataCollector.rollingRate",
        )
    headers = (given.get("requestLogging") or {}).get("captureHeaders") or []
    if not isinstance(headers, list) or not all(isinstance(name, str) for name in headers):
        raise InvalidRequest(
            f"dataCollector.requestLogging.captureHeaders must be names of headers: got {headers!r}",
            target="dataCollector.requestLogging",
        )
    found = {name: _collection(name, one) for name, one in collections.items()}
    return {**given, "rollingRate": roll, "collections": found}


def _collection(name: str, given: Mapping[str, Json]) -> dict[str, Json]:
    if not name or not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise InvalidRequest(
            f"A collection's name has letters, digits, '_' and '-': got {name!r}", target="dataCollector.collections"
        )
    target = f"dataCollector.collections.{name}"
    mode = _MODES.get(str(given.get("dataCollectionMode") or "Disabled").lower())
    if mode is None:
        raise InvalidRequest(
            f"dataCollectionMode is {given['dataCollectionMode']!r}: it must be Enabled or Disabled", target=target
        )
    rate = given.get("samplingRate")
    rate = 1.0 if rate is None else rate
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise InvalidRequest(f"samplingRate must be a number from 0.0 to 1.0: got {rate!r}", target=target)
    return {**given, "dataCollectionMode": mode, "samplingRate": float(rate)}
