"""Jobs of a workspace: submit, read, list, cancel, delete, their logs and the addresses of their outputs."""

import time
from collections.abc import Iterator

from entrepot.domain.jobs import logs, queries, submission
from entrepot.domain.jobs.records import CANCEL, DELETE, READ, TERMINAL, WRITE
from entrepot.server.calls import Answer, Call, reply, reply_document, reply_empty, reply_raw
from entrepot.server.places import PREFIXES, WORKSPACE, workspace_of
from entrepot.server.routing import Route
from entrepot.server.transfers import Place, reading_answer
from entrepot.wire.arm import list_query, next_url, page_body
from entrepot.wire.assets import text_field
from entrepot.wire.jobs import job_choice, log_window, output_place

STD_LOG = "user_logs/std_log.txt"
_LONGEST_WAIT_S = 30.0
_GLANCE_S = 0.1


def _put(call: Call) -> Answer:
    document = submission.submit(
        call.hub, call.principal, workspace_of(call), call.params["job"], call.properties, request_id=call.request_id
    )
    return reply_document(document, status=201 if document.revision == 1 else 200)


def _get(call: Call) -> Answer:
    return reply_document(queries.get(call.hub, call.principal, workspace_of(call), call.params["job"]))


def _list(call: Call) -> Answer:
    asked = list_query(call.query)
    page = queries.list_(
        call.hub, call.principal, workspace_of(call), parent=call.query.get("parentJobName") or None,
        choice=queries.Choice(**job_choice(call.query)),
        view=asked.view, after=asked.after, limit=asked.limit,
    )  # fmt: skip
    return reply_raw(page_body(page, next_url(call.origins.api, call.path, call.query, page.next)))


def _cancel(call: Call) -> Answer:
    submission.cancel(call.hub, call.principal, workspace_of(call), call.params["job"], request_id=call.request_id)
    return reply_empty(200)


def _delete(call: Call) -> Answer:
    submission.delete(call.hub, call.principal, workspace_of(call), call.params["job"], request_id=call.request_id)
    return reply_empty(200)


def _logs(call: Call) -> Answer:
    """Answer what was logged since `offset`; wait for it up to `waitSeconds`, but not beyond the job's end."""
    scope, job = workspace_of(call), call.params["job"]
    name = call.query.get("name") or STD_LOG
    offset = int(call.number("offset", 0, low=0, high=1 << 53))
    end = time.monotonic() + call.number("waitSeconds", 0, low=0, high=_LONGEST_WAIT_S)
    while True:
        status = queries.get(call.hub, call.principal, scope, job).body["properties"]["status"]
        text, reached = logs.read(call.hub, scope, job, name, offset)
        if text or status in TERMINAL or time.monotonic() >= end or call.site.stopping.is_set():
            return reply(log_window(text, reached, status))
        time.sleep(_GLANCE_S)


def _output(call: Call) -> Answer:
    document = queries.get(call.hub, call.principal, workspace_of(call), call.params["job"])
    container, prefix = output_place(document.body, text_field(call.object, "output"))
    return reading_answer(call, Place(container, prefix))


def _routes() -> Iterator[Route]:
    for prefix in PREFIXES:
        jobs = prefix + WORKSPACE + "/jobs"
        job = jobs + "/{job}"
        yield Route("PUT", job, WRITE, _put)
        yield Route("GET", job, READ, _get, inline=True)
        yield Route("DELETE", job, DELETE, _delete)
        yield Route("GET", jobs, READ, _list, inline=True)
        yield Route("POST", job + "/cancel", CANCEL, _cancel)
        yield Route("GET", job + "/logs", READ, _logs, is_long=True)
        yield Route("POST", job + "/datarefs", READ, _output)


ROUTES = tuple(_routes())
