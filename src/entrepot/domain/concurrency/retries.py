"""Optimistic writes: read, decide, commit, and all again when somebody was faster."""

import time
from collections.abc import Callable
from typing import TypeVar

from entrepot.core.errors import RevisionMismatch

T = TypeVar("T")

_ATTEMPTS = 60
_LONGEST_PAUSE_S = 0.05


def settled(act: Callable[[], T]) -> T:
    """Run a read-decide-commit until its commit meets no RevisionMismatch; the last one is raised."""
    for attempt in range(_ATTEMPTS - 1):
        try:
            return act()
        except RevisionMismatch:
            time.sleep(min(0.0005 * 2**attempt, _LONGEST_PAUSE_S))
    return act()
