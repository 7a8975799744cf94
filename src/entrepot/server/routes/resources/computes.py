"""What is done to compute targets and asked about them: start, stop, nodes, sizes, quotas."""

import os
from collections.abc import Iterator
from functools import partial

from entrepot.core.nouns import PROVIDER
from entrepot.domain import computes
from entrepot.server.calls import Answer, Call, reply, reply_empty
from entrepot.server.places import PREFIXES, SUBSCRIPTION, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.wire.workspaces import sizes

_LOCATION = f"{SUBSCRIPTION}/providers/{PROVIDER}/locations/{{location}}"
_ASKED = "tells what every job sees of this machine, and no account has quotas here"


def _switch(verb: str, call: Call) -> Answer:
    computes.switch(
        call.hub, call.principal, workspace_of(call), call.params["compute"], verb, request_id=call.request_id
    )
    # azure-ai-ml 1.35 wants to wait for this one
    location = call.url(f"{call.path.rpartition('/')[0]}/switched").encode()
    return reply_empty(202, headers=((b"location", location), (b"retry-after", b"1")))


def _switched(call: Call) -> Answer:
    computes.get(call.hub, call.principal, workspace_of(call), call.params["compute"])
    return reply_empty(200)


def _nodes(call: Call) -> Answer:
    """Tell no nodes: jobs run on this server itself, which nobody logs in to by this way."""
    computes.get(call.hub, call.principal, workspace_of(call), call.params["compute"])
    return reply({"nodes": []})


def _sizes(_call: Call) -> Answer:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return reply(sizes(computes.SIZE, processors=os.cpu_count() or 1, memory_bytes=memory))


def _none(_call: Call) -> Answer:
    return reply({"value": []})


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        compute = prefix + WORKSPACE + "/computes/{compute}"
        for verb, action in computes.SWITCHES.items():
            yield Route("POST", f"{compute}/{verb}", action, partial(_switch, verb))
        yield Route("GET", compute + "/switched", computes.READ, _switched, inline=True)
        yield Route("POST", compute + "/listNodes", computes.READ, _nodes)
        yield Route("GET", prefix + _LOCATION + "/vmSizes", None, _sizes, inline=True, reason=_ASKED)
        for noun in ("usages", "quotas"):
            yield Route("GET", f"{prefix}{_LOCATION}/{noun}", None, _none, inline=True, reason=_ASKED)


ROUTES = tuple(_routes())
