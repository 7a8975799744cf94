"""Finding entries of the trail: by who, what, where, when and how it ended; only what the asker may see."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import parse_reference
from entrepot.domain import access
from entrepot.domain.audit import STREAM
from entrepot.domain.authorization.places import containing
from entrepot.domain.authorization.roles import Permission
from entrepot.domain.hub import Hub, Principal
from entrepot.store.documents import Entry

Json = Any

READ = "Microsoft.Insights/eventtypes/values/read"
DELETE = "Microsoft.Insights/eventtypes/values/delete"

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for; '': anything. Times are ISO 8601 as entries have them; `*` in an action is any text."""

    principal: str = ""
    action: str = ""
    scope: str = ""
    outcome: str = ""
    start: str = ""
    end: str = ""
    request_id: str = ""


def entries(hub: Hub, principal: Principal, query: Query, *, below: int | None = None, limit: int = 100) -> list[Entry]:
    """Return the newest entries that fit, newest first, those before position `below` if it is given."""
    found: list[Entry] = []
    for entry in _backwards(hub, below):
        if query.start and entry.body["time"] < query.start:
            break
        if _fits(hub, principal, query, entry.body):
            found.append(entry)
            if len(found) == limit:
                break
    return found


def exported(hub: Hub, principal: Principal, query: Query) -> Iterator[Entry]:
    """Yield all entries that fit, oldest first."""
    after = _position_at(hub, query.start) if query.start else 0
    while page := hub.documents.read(STREAM, after=after, limit=_PAGE):
        for entry in page:
            if query.end and entry.body["time"] > query.end:
                return
            if _fits(hub, principal, query, entry.body):
                yield entry
        after = page[-1].position


def _backwards(hub: Hub, below: int | None) -> Iterator[Entry]:
    """Yield entries, newest first. Positions have no gaps, so a page before another is found by counting back."""
    if below is None:
        newest = hub.documents.read(STREAM, limit=1, newest=True)
        below = newest[0].position + 1 if newest else 1
    while below > 1:
        first = max(0, below - 1 - _PAGE)
        page = [one for one in hub.documents.read(STREAM, after=first, limit=_PAGE) if one.position < below]
        if not page:
            return
        yield from reversed(page)
        below = page[0].position


def _position_at(hub: Hub, time: str) -> int:
    """Return the last position before a time: entries are in order of time but for what was written together."""
    newest = hub.documents.read(STREAM, limit=1, newest=True)
    low, high = 0, newest[0].position if newest else 0
    while low < high:
        middle = (low + high) // 2
        entry = hub.documents.read(STREAM, after=middle, limit=1)
        if not entry or entry[0].body["time"] >= time:
            high = middle
        else:
            low = entry[0].position
    return max(0, low - _PAGE)


def _fits(hub: Hub, principal: Principal, query: Query, body: dict[str, Json]) -> bool:
    who = body["principal"]
    if query.principal and query.principal not in (who["id"], who["name"], who.get("via")):
        return False
    if query.outcome and query.outcome != body["outcome"]:
        return False
    if query.request_id and query.request_id != body["requestId"]:
        return False
    if (query.start and body["time"] < query.start) or (query.end and body["time"] > query.end):
        return False
    if query.action and not _names(query.action.lower(), body["action"].lower()):
        return False
    place = scope_of(body["target"])
    if query.scope and not _is_within(place, access.scope_key_of(query.scope)):
        return False
    return access.allowed(hub, principal, READ, place)


def _names(pattern: str, action: str) -> bool:
    if "*" in pattern:
        return Permission((pattern,)).covers(action)
    return action == pattern or action.endswith("/" + pattern)


def _is_within(place: str, scope_key: str) -> bool:
    return not scope_key or scope_key in containing(place)


def scope_of(target: str) -> str:
    """Return the key of the scope that an entry's target names; the tenant's '' for what lies nowhere."""
    if "{" in target:
        return ""  # a route that somebody unknown asked for
    text = target.partition("/providers/Microsoft.Authorization/")[0]
    try:
        return access.scope_key_of(text)
    except InvalidRequest:
        return _asset_scope(target)


def _asset_scope(target: str) -> str:
    try:
        pointer = parse_reference(target)
    except InvalidRequest:
        return ""
    scope = getattr(pointer, "scope", None)
    return scope.key if scope is not None else ""
