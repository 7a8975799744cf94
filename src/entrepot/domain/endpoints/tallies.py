"""Counts of what a deployment answered, as gateways keep them: since they began, and by subtraction since a moment.

Pure. Where the counts come from is the gateway's affair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

Json = Any

MODEL_ERROR = 424
TIMEOUT, TOO_MANY = 408, 429
_GATEWAY_TIMEOUT, _UNAVAILABLE = 504, 503


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers by status, refusals for want of room, and how many answers took at most so many milliseconds.

    `within` is cumulative and rising; its last bound is infinite and counts all that were timed.
    """

    answers: Mapping[int, int] = field(default_factory=dict)
    refused: int = 0
    in_flight: int = 0
    within: tuple[tuple[float, int], ...] = ()
    total_ms: float = 0.0

    @property
    def requests(self) -> int:
        """All that a deployment was asked."""
        return sum(self.answers.values())

    @property
    def timed(self) -> int:
        """How many answers were timed so far: gateways tell times up to a second after the answers."""
        return self.within[-1][1] if self.within else 0

    @property
    def statuses(self) -> dict[int, int]:
        """Answers by the status that callers saw: gateways count a timeout as 504 and want of room as 503."""
        seen = dict(self.answers)
        if late := seen.pop(_GATEWAY_TIMEOUT, 0):
            seen[TIMEOUT] = seen.get(TIMEOUT, 0) + late
        if refused := min(self.refused, seen.get(_UNAVAILABLE, 0)):
            seen[_UNAVAILABLE] -= refused
            seen[TOO_MANY] = seen.get(TOO_MANY, 0) + refused
        return {status: count for status, count in sorted(seen.items()) if count}

    @property
    def errors(self) -> int:
        """Answers that a model or its replica failed to give; requests that found no room are not among them."""
        failed = sum(count for status, count in self.answers.items() if status >= 500 or status == MODEL_ERROR)
        return max(0, failed - self.refused)

    def since(self, earlier: "Tally") -> "Tally":
        """Return what was counted after an earlier tally; a gateway that began anew counts from nothing."""
        if self.requests < earlier.requests:
            return self
        before = dict(earlier.within)
        return Tally(
            answers={status: count - earlier.answers.get(status, 0) for status, count in self.answers.items()},
            refused=self.refused - earlier.refused,
            in_flight=self.in_flight,
            within=tuple((bound, count - before.get(bound, 0)) for bound, count in self.within),
            total_ms=self.total_ms - earlier.total_ms,
        )

    def plus(self, other: "Tally") -> "Tally":
        """Return what both counted; the bounds are the same wherever anything was timed."""
        more = dict(other.within)
        within = tuple((bound, count + more.get(bound, 0)) for bound, count in self.within) or other.within
        statuses = self.answers.keys() | other.answers.keys()
        return Tally(
            answers={status: self.answers.get(status, 0) + other.answers.get(status, 0) for status in statuses},
            refused=self.refused + other.refused,
            in_flight=other.in_flight,
            within=within,
            total_ms=self.total_ms + other.total_ms,
        )

    def quantile_ms(self, share: float) -> float | None:
        """Return the time within which this share (0 to 1) was answered, between bounds by line; None when none was."""
        if not self.timed:
            return None
        wanted, low, counted = share * self.timed, 0.0, 0
        for bound, count in self.within:
            if count >= wanted:
                if bound == float("inf") or count == counted:
                    return low
                return low + (bound - low) * (wanted - counted) / (count - counted)
            low, counted = bound, count
        return low

    def stored(self) -> dict[str, Json]:
        """Return the tally as JSON that `read` understands."""
        return {
            "answers": {str(status): count for status, count in self.answers.items()},
            "refused": self.refused,
            "within": [[str(bound), count] for bound, count in self.within],
            "totalMs": self.total_ms,
        }


Counts = Mapping[str, Tally]
"""What each gateway counted since it began, by the gateway's name: one that begins anew has another name."""

Measure = Callable[[str, str], Counts]
"""Tells what a deployment answered so far, given its endpoint's slug and its name."""


def gained(now: Counts, before: Counts) -> Tally:
    """Return what all gateways together counted between two moments, with all that is under way now."""
    fresh = [tally.since(before.get(name, Tally())) for name, tally in now.items()]
    return replace(reduce(Tally.plus, fresh, Tally()), in_flight=sum(tally.in_flight for tally in now.values()))


def read(stored: Mapping[str, Json]) -> Tally:
    """Read a tally that was stored."""
    return Tally(
        answers={int(status): count for status, count in (stored.get("answers") or {}).items()},
        refused=stored.get("refused", 0),
        within=tuple((float(bound), count) for bound, count in stored.get("within") or ()),
        total_ms=stored.get("totalMs", 0.0),
    )
