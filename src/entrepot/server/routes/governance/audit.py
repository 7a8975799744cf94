"""The audit trail: search, export, verify, let go; and Azure's activity log over the same entries."""

from collections.abc import Iterator
from typing import Any

from entrepot.core.clock import from_iso
from entrepot.core.errors import InvalidRequest
from entrepot.domain import access
from entrepot.domain.audit import retention, sealing, verifying
from entrepot.domain.audit.search import DELETE, READ, Query, entries, exported
from entrepot.server.calls import Answer, Call, reply
from entrepot.server.places import SUBSCRIPTION
from entrepot.server.routing import Route
from entrepot.wire.arm import LARGEST_PAGE, encode, list_query, next_url
from entrepot.wire.assets import text_field
from entrepot.wire.governance.audit import activity_filter, event, head_in, moment

Json = Any

_LINES = (b"content-type", b"application/x-ndjson")
_BATCH = 200


def _query(call: Call) -> Query:
    given = call.query
    return Query(
        principal=given.get("principal", ""),
        action=given.get("action", ""),
        scope=given.get("scope", ""),
        outcome=given.get("outcome", ""),
        start=moment(given.get("from", ""), name="from"),
        end=moment(given.get("to", ""), name="to"),
        request_id=given.get("requestId", ""),
    )


def _list(call: Call) -> Answer:
    limit = list_query({name: call.query[name] for name in ("$top",) if name in call.query}).limit
    found = entries(call.hub, call.principal, _query(call), below=_below(call), limit=limit + 1)
    link = next_url(call.origins.api, call.path, call.query, str(found[limit - 1].position) if found[limit:] else None)
    value = [{"position": one.position, **one.body} for one in found[:limit]]
    return reply({"value": value, **({"nextLink": link} if link else {})})


def _below(call: Call) -> int | None:
    text = call.query.get("$skip") or call.query.get("$skipToken") or ""
    if text and not text.isdigit():
        raise InvalidRequest(f"$skip={text!r} is no position of this list", target="$skip")
    return int(text) if text else None


def _export(call: Call) -> Answer:
    def lines() -> Iterator[bytes]:
        waiting: list[bytes] = []
        for one in exported(call.hub, call.principal, query):
            waiting.append(encode({"position": one.position, **one.body}))
            if len(waiting) == _BATCH:
                yield b"\n".join(waiting) + b"\n"
                waiting = []
        if waiting:
            yield b"\n".join(waiting) + b"\n"

    query = _query(call)
    return Answer(200, headers=(_LINES,), chunks=lines())


def _verify(call: Call) -> Answer:
    """Seal what is not sealed yet, then check everything."""
    access.require(call.hub, call.principal, READ, "", request_id=call.request_id)
    call.hub.notes.write(call.hub.documents)
    found = verifying.verify(call.hub, call.site.auditor.notary, head=head_in(call.fields))
    if not found.problems:
        sealing.seal(call.hub, call.site.auditor.notary)
        found.head = sealing.head_of(call.hub)
    return reply(found.told())


def _trim(call: Call) -> Answer:
    before = from_iso(moment(text_field(call.object, "before"), name="before"))
    return reply(retention.trim(call.hub, call.principal, call.site.auditor.notary, before, request_id=call.request_id))


def _activity(call: Call) -> Answer:
    asked = activity_filter(call.query.get("$filter", ""))
    subscription = call.params["subscription"]
    scope = asked.get("resource") or f"/subscriptions/{subscription}"
    if asked.get("group") and not asked.get("resource"):
        scope += f"/resourceGroups/{asked['group']}"
    query = Query(
        principal=asked.get("caller", ""), scope=scope, start=asked.get("start", ""), end=asked.get("end", ""),
        request_id=asked.get("correlation", ""),
    )  # fmt: skip
    found = entries(call.hub, call.principal, query, below=_below(call), limit=LARGEST_PAGE + 1)
    last = str(found[LARGEST_PAGE - 1].position) if found[LARGEST_PAGE:] else None
    link = next_url(call.origins.api, call.path, call.query, last)
    value = [event(one.position, one.body, subscription) for one in found[:LARGEST_PAGE]]
    return reply({"value": value, **({"nextLink": link} if link else {})})


_AUDIT = "/audit/v1.0"
_ACTIVITY = SUBSCRIPTION + "/providers/Microsoft.Insights/eventtypes/management/values"
ROUTES = (
    Route("GET", _AUDIT + "/entries", READ, _list, is_long=True),
    Route("GET", _AUDIT + "/export", READ, _export, is_long=True),
    Route("POST", _AUDIT + "/verify", READ, _verify, is_long=True),
    Route("POST", _AUDIT + "/trim", DELETE, _trim, is_long=True),
    Route(
        "GET",
        SUBSCRIPTION + "/providers/Microsoft.Insights/eventtypes/management/values",
        READ,
        _activity,
        is_long=True,
    ),
)
