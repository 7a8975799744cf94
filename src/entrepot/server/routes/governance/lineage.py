"""Lineage: what an asset, job, deployment or endpoint came from, and what came of it."""

from entrepot.core.errors import InvalidRequest
from entrepot.domain import lineage
from entrepot.server.calls import Answer, Call, reply
from entrepot.server.routing import Route

_DIGITS = 4
_REASON = "each end of an edge is told to whoever may read it, and `hidden` to others"


def _edges(call: Call) -> Answer:
    depth = call.query.get("depth", str(lineage.DEPTH))
    if not depth.isdecimal() or len(depth) > _DIGITS:
        raise InvalidRequest(f"depth must be a number of steps: got {depth!r}")
    name, found = lineage.told(
        call.hub, call.principal, call.query.get("id", ""), depth=int(depth),
        direction=call.query.get("direction", lineage.BOTH),
    )  # fmt: skip
    told = [{"source": edge.source, "relation": edge.relation, "target": edge.target} for edge in found]
    return reply({"id": name, "value": told})


ROUTES = (Route("GET", "/lineage/v1.0/edges", None, _edges, reason=_REASON),)
