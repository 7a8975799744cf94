"""How an endpoint's requests are divided among its deployments: what a client may ask for. Pure.

Percentages are whole and sum to 0 or 100; a mirror is one deployment that gets copies of up to half of the requests
and answers none of them.
"""

from collections.abc import Collection, Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

MOST_MIRRORED_PERCENT = 50


def read_traffic(given: Json, names: Collection[str]) -> dict[str, int]:
    """Return {deployment: percent} for all `names`, with 0 for those that are not named. Raises InvalidRequest."""
    shares = _shares(given, "traffic", names)
    total = sum(shares.values())
    if total not in (0, 100):
        raise InvalidRequest(f"Traffic must sum to 0 or 100: got {total} ({_shown(shares)})", target="traffic")
    return {name: shares.get(name, 0) for name in names}


def read_mirror(given: Json, names: Collection[str], traffic: Mapping[str, int]) -> dict[str, int]:
    """Return {deployment: percent} with one deployment or none. Raises InvalidRequest."""
    shares = {name: percent for name, percent in _shares(given, "mirrorTraffic", names).items() if percent}
    if len(shares) > 1:
        raise InvalidRequest(f"Traffic can be mirrored to one deployment: got {_shown(shares)}", target="mirrorTraffic")
    for name, percent in shares.items():
        if percent > MOST_MIRRORED_PERCENT:
            raise InvalidRequest(
                f"At most {MOST_MIRRORED_PERCENT} % of the traffic can be mirrored: got {name}={percent}",
                target="mirrorTraffic",
            )
        if traffic.get(name):
            raise InvalidRequest(
                f"Deployment {name} has {traffic[name]} % of the live traffic and cannot be a mirror too: "
                f"set its traffic to 0 first",
                target="mirrorTraffic",
            )
    return shares


def _shares(given: Json, field: str, names: Collection[str]) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{field} must be an object such as {{'blue': 100}}: got {given!r}", target=field)
    by_lower = {name.lower(): name for name in names}
    found = {}
    for name, percent in given.items():
        known = by_lower.get(str(name).lower())
        if known is None:
            if percent == 0:
                continue  # clients send back what they read before a deployment went
            there = f"there are {', '.join(sorted(names))}" if names else "the endpoint has none yet"
            raise InvalidRequest(f"{field} names the deployment {name!r}, which is not there: {there}", target=field)
        found[known] = _percent(percent, f"{field}.{name}")
    return found


def _percent(value: Json, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or not 0 <= value <= 100:
        raise InvalidRequest(f"{field} must be a whole percentage from 0 to 100: got {value!r}", target=field)
    return int(value)


def _shown(shares: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={percent}" for name, percent in shares.items()) or "nothing"
