"""The run-history service that azure-ai-ml asks beside ARM: runs, children, details with log addresses, run data."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from entrepot.domain.jobs import logs, queries, submission
from entrepot.domain.jobs.records import READ, WRITE
from entrepot.server.calls import TEXT_TYPE, Answer, Call, reply
from entrepot.server.places import WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.wire.arm import list_query, next_url
from entrepot.wire.assets import text_field, text_list
from entrepot.wire.jobs import run_data, run_patch, with_log_addresses

Json = Any

HISTORY = "/history/v1.0" + WORKSPACE
_PART_BYTES = 1 << 20
_ADDRESS_S = 24 * 3600.0
_SIGNED = "the address carries its own signature, because azure-ai-ml fetches logs without a credential"


def _run(call: Call) -> Answer:
    return reply(queries.run(queries.get(call.hub, call.principal, workspace_of(call), call.params["run"])))


def _children(call: Call) -> Answer:
    asked = list_query(call.query)
    page = queries.list_(
        call.hub, call.principal, workspace_of(call), parent=call.params["run"], view=asked.view, after=asked.after,
        limit=asked.limit,
    )  # fmt: skip
    link = next_url(call.origins.api, call.path, call.query, page.next)
    return reply({"value": [queries.run(document) for document in page.documents], "nextLink": link})


def _details(call: Call) -> Answer:
    document = queries.get(call.hub, call.principal, workspace_of(call), call.params["run"])
    expires = call.hub.clock.now() + _ADDRESS_S

    def address(name: str) -> str:
        path = f"{call.path.rpartition('/details')[0]}/logs/{name}"
        return call.origins.api + call.site.signer.sign(path, expires=expires)

    return reply(with_log_addresses(queries.followed(call.hub, document), address))


def _log(call: Call) -> Answer:
    call.site.signer.verify(call.path, call.query, now=call.hub.clock.now())
    return Answer(200, headers=(TEXT_TYPE,), chunks=_log_parts(call))


def _log_parts(call: Call) -> Iterator[bytes]:
    scope, offset = workspace_of(call), 0
    while True:
        text, offset = logs.read(
            call.hub, scope, call.params["run"], call.params["name"], offset, limit_bytes=_PART_BYTES
        )
        if not text:
            return
        yield text.encode()


def _patch(call: Call) -> Answer:
    document = submission.update(
        call.hub, call.principal, workspace_of(call), call.params["run"], run_patch(call.object),
        request_id=call.request_id,
    )  # fmt: skip
    return reply(queries.run(document))


def _run_data(call: Call) -> Answer:
    run_id = text_field(call.object, "runId")
    return reply(run_data(queries.run(queries.get(call.hub, call.principal, workspace_of(call), run_id))))


def _services(call: Call) -> Answer:
    """Name no services: no job here opens a notebook or a shell of its own."""
    queries.get(call.hub, call.principal, workspace_of(call), call.params["run"])
    return reply({"instances": {}})


def _resolved_uris(field: str, call: Call) -> Answer:
    """Tell in which datastore the outputs are that run data name as assets."""
    asked = text_list(call.object, "values")
    found = queries.output_uris(call.hub, call.principal, workspace_of(call), asked)
    return reply({"values": {asset_id: {field: uri} for asset_id, uri in found.items()}})


def _routes() -> Iterator[Route]:
    run = HISTORY + "/runs/{run}"
    experiment_run = HISTORY + "/experiments/{experiment}/runs/{run}"
    for place in (run, experiment_run):
        yield Route("GET", place, READ, _run, inline=True)
        yield Route("PATCH", place, WRITE, _patch)
        yield Route("GET", place + "/children", READ, _children, inline=True)
        yield Route("GET", place + "/details", READ, _details, inline=True)
        yield Route("GET", place + "/serviceinstances/{node}", READ, _services, inline=True)
        yield Route("GET", place + "/logs/{name:rest}", None, _log, is_long=True, reason=_SIGNED, is_anonymous=True)
    yield Route("POST", HISTORY + "/rundata", READ, _run_data)
    for service, field in (
        ("/data/v1.0" + WORKSPACE + "/dataversion", "uri"),
        ("/modelregistry/v1.0" + WORKSPACE + "/models", "path"),
    ):
        yield Route("POST", service + "/batchGetResolvedUris", READ, partial(_resolved_uris, field))


ROUTES = tuple(_routes())
