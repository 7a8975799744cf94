"""The audit trail on the wire: its queries, Azure's activity log filter and events. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

_TERM = re.compile(
    r"(\w+)\s+(eq|ge|le|gt|lt)\s+(?:'((?:[^']|'')*)'|([\d:.TZ+-]+))(?:\s+and\s+(?=\w)|\Z)", re.IGNORECASE
)  # azure-cli puts times without quotes
_FIELDS = {
    "resourcegroupname": "group", "resourcegroup": "group", "resourceuri": "resource", "resourceid": "resource",
    "caller": "caller", "correlationid": "correlation", "resourceprovider": "provider", "levels": "levels",
    "eventchannels": "channels", "status": "status",
}  # fmt: skip
_SHOWN = {"allowed": ("Succeeded", "Informational"), "denied": ("Failed", "Error")}


def moment(text: str, *, name: str) -> str:
    """Return a time as entries spell it. Raises InvalidRequest."""
    if not text:
        return ""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise InvalidRequest(f"{name} must be a time such as 2026-11-25T10:00:00Z: got {text!r}", target=name) from None
    at = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def head_in(body: Mapping[str, Json]) -> Json:
    """Return the head of an earlier verification that a body names; None without one. Raises InvalidRequest."""
    head = body.get("head")
    if head is None:
        return None
    is_head = isinstance(head, dict) and isinstance(head.get("number"), int) and isinstance(head.get("hash"), str)
    if not is_head:
        raise InvalidRequest("head is the {number, hash} that an earlier verification told", target="head")
    return head


def activity_filter(text: str) -> dict[str, str]:
    """Read Azure's `eventTimestamp ge '..' and eventTimestamp le '..' and resourceGroupName eq 'x'` and its like.

    Returns start, end, group, resource, caller, correlation. Raises InvalidRequest.
    """
    found: dict[str, str] = {}
    rest = text.strip()
    while rest:
        match = _TERM.match(rest)
        word = match[1].lower() if match else ""
        if match is not None and word == "eventtimestamp" and match[2].lower() != "eq":
            side = "start" if match[2].lower() in ("ge", "gt") else "end"
            found[side] = moment(match[3] or match[4] or "", name="eventTimestamp")
        elif match is not None and word in _FIELDS and match[2].lower() == "eq" and match[3]:
            found[_FIELDS[word]] = match[3].replace("''", "'")
        else:
            raise InvalidRequest(
                f"$filter: {rest!r} is not understood; write eventTimestamp ge '2026-11-25T00:00:00Z' and "
                "eventTimestamp le '...' and resourceGroupName eq 'x' (or resourceUri, caller, correlationId)",
                target="$filter",
            )
        rest = rest[match.end() :]
    return found


def event(position: int, entry: Mapping[str, Json], subscription: str) -> dict[str, Json]:
    """Return an entry as Azure's activity log shows it."""
    who, action, target = entry["principal"], entry["action"], entry["target"]
    status, level = _SHOWN.get(entry["outcome"], ("Failed", "Warning"))
    parts = target.strip("/").split("/")
    group = parts[3] if len(parts) > 3 and parts[2].lower() == "resourcegroups" else ""
    return {
        "id": f"/subscriptions/{subscription}/events/{position}",
        "eventDataId": str(position),
        "correlationId": entry["requestId"],
        "operationId": entry["requestId"],
        "caller": who["name"] or who["id"],
        "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": who["id"]},
        "authorization": {"action": action, "scope": target},
        "operationName": {"value": action, "localizedValue": action},
        "status": {"value": status, "localizedValue": status},
        "subStatus": {"value": "" if status == "Succeeded" else "Forbidden"},
        "level": level,
        "category": {"value": "Administrative", "localizedValue": "Administrative"},
        "eventName": {"value": "EndRequest", "localizedValue": "End request"},
        "resourceId": target,
        "resourceGroupName": group,
        "resourceProviderName": {"value": action.partition("/")[0]},
        "eventTimestamp": entry["time"],
        "submissionTimestamp": entry["time"],
        "subscriptionId": subscription,
        "properties": {  # texts alone: azure-cli reads no event that has anything else here
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in (entry.get("details") or {}).items()
        },
    }
