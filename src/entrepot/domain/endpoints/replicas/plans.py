"""How many replicas to start and which to retire: the rolling update and the scaling as one pure function."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from entrepot.domain.endpoints.replicas.records import DRAINING, FAILED, Replica

_SURGE = 0.2  # how many more than wanted may run during an update, and at least one


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: how many replicas of the current generation to start, and the ids of those to retire."""

    starts: int
    retired: tuple[str, ...]


def plan(replicas: Sequence[Replica], *, generation: str, wanted: int) -> Plan:
    """Decide the next moves. Idempotent: what was started or retired already counts as done.

    Older generations go only as new replicas serve in their place; those that can't serve anyway go at once.
    """
    live = [replica for replica in replicas if replica.state != DRAINING]
    new = [replica for replica in live if replica.generation == generation]
    old = [replica for replica in live if replica.generation != generation]
    surge = max(1, math.ceil(wanted * _SURGE))
    starts = max(0, min(wanted - len(new), wanted + surge - len(live)))
    serving = sum(replica.is_serving for replica in new)
    kept = min(len(old), max(0, wanted - serving))
    retired = [replica.id for replica in old if replica.state == FAILED]
    rest = sorted(
        (replica for replica in old if replica.state != FAILED), key=lambda one: (one.is_serving, one.created)
    )
    retired += [replica.id for replica in rest[: max(0, len(rest) - kept)]]
    surplus = sorted(new, key=lambda one: (one.is_serving, -one.created))
    retired += [replica.id for replica in surplus[: max(0, len(new) - wanted)]]
    return Plan(starts, tuple(retired))
