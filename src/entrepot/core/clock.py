"""Time and randomness, passed in wherever they are needed so that tests can hold them still."""

import functools
import time
import uuid
from datetime import datetime, timezone
from typing import Protocol

UTC = timezone.utc  # noqa: UP017 - the command line in `az` runs on Python 3.10, which has no datetime.UTC


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


@functools.lru_cache(256)  # what is written together has one time
def to_iso(epoch_s: float) -> str:
    """Render seconds since the epoch as ARM does: `2026-11-23T10:00:00.123456Z`."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """Read an ISO 8601 time, `Z` included, as seconds since the epoch."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def new_id() -> str:
    """Return a fresh random GUID."""
    return str(uuid.uuid4())
