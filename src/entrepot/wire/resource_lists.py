"""`az resource list`: its filter, and registries and workspaces as plain resources. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

_TERM = re.compile(r"(\w+)\s+eq\s+'((?:[^']|'')*)'(?:\s+and\s+(?=\w)|\Z)", re.IGNORECASE)
_FIELDS = {
    "resourcegroup": "group", "name": "name", "location": "location", "resourcetype": "type", "tagname": "tag_name",
    "tagvalue": "tag_value",
}  # fmt: skip
_SHOWN = ("id", "name", "type", "location", "tags", "kind", "sku", "identity", "systemData")


@dataclass(frozen=True, slots=True)
class ResourceFilter:
    """What `$filter` asks for; empty: anything. All comparisons are without regard to case but for tags."""

    group: str = ""
    name: str = ""
    location: str = ""
    type: str = ""
    tag_name: str = ""
    tag_value: str | None = None

    def admits(self, body: Mapping[str, Json]) -> bool:
        """Say whether a resource's body is asked for."""
        group = str(body["id"]).split("/")[4]
        asked = ((self.group, group), (self.name, body["name"]), (self.location, body.get("location") or ""))
        if any(want and want.lower() != str(has).lower() for want, has in (*asked, (self.type, body["type"]))):
            return False
        tags = body.get("tags") or {}
        return not self.tag_name or (self.tag_name in tags and self.tag_value in (None, tags[self.tag_name]))


def resource_filter(text: str) -> ResourceFilter:
    """Read `name eq 'x' and resourceType eq 'A/b' and ...`. Raises InvalidRequest."""
    values: dict[str, str] = {}
    rest = text.strip()
    while rest:
        match = _TERM.match(rest)
        field = _FIELDS.get(match[1].lower()) if match else None
        if match is None or field is None:
            raise InvalidRequest(f"$filter: {rest!r} is not understood; write name eq 'x' and ...", target="$filter")
        values[field] = match[2].replace("''", "'")
        rest = rest[match.end() :]
    return ResourceFilter(**values)


def deployment_state(text: str) -> str:
    """Read `provisioningState eq 'Failed'`, the filter of deployments; '' for none. Raises InvalidRequest."""
    if not text.strip():
        return ""
    match = re.fullmatch(r"\s*provisioningState\s+eq\s+'(\w+)'\s*", text, re.IGNORECASE)
    if match is None:
        raise InvalidRequest(
            f"$filter: {text!r} is not understood; write provisioningState eq 'Succeeded'", target="$filter"
        )
    return match[1]


def as_resource(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return a registry or workspace as lists of resources show it."""
    shown: dict[str, Json] = {name: body[name] for name in _SHOWN if name in body}
    shown["provisioningState"] = body["properties"].get("provisioningState")
    system = body.get("systemData") or {}
    return {**shown, "createdTime": system.get("createdAt"), "changedTime": system.get("lastModifiedAt")}


def tag_names(subscription: str, tagged: Iterable[Mapping[str, str]]) -> list[Json]:
    """Return the names of tags as ARM counts them, with the values that each has."""
    counted: dict[str, Counter[str]] = {}
    for tags in tagged:
        for name, value in tags.items():
            counted.setdefault(name, Counter())[value] += 1
    place = f"/subscriptions/{subscription}/tagNames"
    return [
        {
            "id": f"{place}/{name}",
            "tagName": name,
            "count": {"type": "Total", "value": values.total()},
            "values": [_tag_value(f"{place}/{name}", value, count) for value, count in sorted(values.items())],
        }
        for name, values in sorted(counted.items())
    ]


def _tag_value(place: str, value: str, count: int) -> dict[str, Json]:
    return {"id": f"{place}/tagValues/{value}", "tagValue": value, "count": {"type": "Total", "value": count}}
