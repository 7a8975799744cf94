"""`wait` of groups, deployments and resources: until one is there, made, changed, gone, or as an expression says."""

from __future__ import annotations

import time

from entrepot.client.failures import Failure, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

INTERVAL_S, TIMEOUT_S = 30, 3600
SOONEST_S = 0.05  # the server is near: az's pause is the longest of ours, not the first


def wait(call: Call, ask: Callable[[], Json | None]) -> None:
    """Return when what the options want is so. Raises Failure at the time-out, or when it can no longer become so."""
    wanted = [name for name in ("created", "updated", "deleted", "exists") if call.flag(name)]
    custom = call.text("custom")
    if len(wanted) + bool(custom) != 1:
        raise UsageFailure("say what to wait for: one of --created, --updated, --deleted, --exists, --custom")
    longest = call.number("interval") or INTERVAL_S
    end = time.monotonic() + (call.number("timeout") or TIMEOUT_S)
    pause = SOONEST_S
    while not _is_so(wanted[0] if wanted else "", custom, ask()):
        if time.monotonic() + pause > end:
            raise Failure("Wait operation timed-out.")
        time.sleep(pause)
        pause = min(pause * 2, longest)


def _is_so(wanted: str, custom: str | None, found: Json | None) -> bool:
    if wanted == "deleted":
        return found is None
    if found is None:
        return False
    state = str((found.get("properties") or {}).get("provisioningState") or "Succeeded").lower()
    if wanted in ("created", "updated") and state in ("failed", "canceled"):
        raise Failure(f"The operation ended as {state}.")
    if custom:
        from entrepot.cli.output import Query

        return bool(Query(custom).apply(found))
    return wanted == "exists" or state == "succeeded"
