"""`audit`: who did what; whether the trail is as it was written; letting old entries go."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

from entrepot.client.connection import quote
from entrepot.client.failures import Failure, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

_TRAIL = "/audit/v1.0"
_WORDS = {"action": "action", "from": "from", "outcome": "outcome", "principal": "principal", "scope": "scope",
          "to": "to", "request_id": "requestId"}  # fmt: skip


def list_(call: Call) -> Json:
    """Return the newest entries that fit, newest first."""
    text = str(call.text("max_results"))
    if not text.isdigit() or not int(text):
        raise UsageFailure(f"argument --max-results: {text!r} is no number from 1")
    top = min(int(text), 1000)
    return list(islice(call.session.pages(f"{_TRAIL}/entries?$top={top}{_asked(call)}"), int(text)))


def export(call: Call) -> None:
    """Write all entries that fit as JSON lines, oldest first, to a file or to stdout."""
    answer = call.session.request("GET", f"{_TRAIL}/export?all=true{_asked(call)}")
    path = call.text("file")
    if path is None:
        sys.stdout.write(answer.body.decode())
        return
    with open(path, "wb") as file:
        file.write(answer.body)


def verify(call: Call) -> Json:
    """Return what a verification found; fail when the trail is not as it was written."""
    found = call.session.post(f"{_TRAIL}/verify", _head_in(call.text("head")))
    if not found["isIntact"]:
        raise Failure("The audit trail was tampered with:\n  " + "\n  ".join(found["problems"]))
    return found


def _head_in(path: str | None) -> Json:
    """Return what an earlier `audit verify` told of the newest seal, from the file in which its output was kept."""
    if path is None:
        return {}
    try:
        kept = json.loads(Path(path).read_bytes())
        return {"head": kept.get("head", kept)}
    except (OSError, ValueError, AttributeError) as error:
        raise Failure(f"--head {path} does not hold what `audit verify -o json` printed: {error}") from error


def trim(call: Call) -> Json:
    """Let go of entries before a time; the rest goes on to verify."""
    before = str(call.text("before"))
    call.console.confirm(f"Remove the audit trail's entries before {before} for good?", is_agreed=call.flag("yes"))
    return call.session.post(f"{_TRAIL}/trim", {"before": before})


def _asked(call: Call) -> str:
    given = {sent: call.text(option) for option, sent in _WORDS.items()}
    return "".join(f"&{name}={quote(value)}" for name, value in given.items() if value)
