"""`ml batch-endpoint`: create, read, change, delete, invoke, and the jobs that invocations made."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.shapes import batch_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any


def create(call: Call) -> Json:
    """Create an endpoint, of a file or of its name alone, or replace what is said of the one of that name."""
    from entrepot.client import files, overrides
    from entrepot.client.publishing.batch import endpoint_body
    from entrepot.client.publishing.content import require_name
    from entrepot.client.schemas.batch import BATCH_ENDPOINT
    from entrepot.client.schemas.checks import check

    path = call.file()
    document = files.load(path) if path else files.Document({}, path=None, lines={}, texts={})
    if call.text("name"):
        document.data["name"] = call.text("name")
    overrides.lay_over(document, call.words("set"))
    data, warnings = check(document, BATCH_ENDPOINT)
    for warning in warnings:
        call.console.warn(warning)
    name = require_name(document, data, "batch endpoint")
    return batch_views.endpoint_view(call.session.put(_address(call, name), endpoint_body(data)))


def show(call: Call) -> Json:
    """Return an endpoint."""
    return batch_views.endpoint_view(call.session.get(_address(call)))


def list_(call: Call) -> Json:
    """Return the batch endpoints of a workspace."""
    pages = call.session.pages(f"{call.workspace().base}/batchEndpoints")
    return [batch_views.endpoint_view(document) for document in pages]


def update(call: Call) -> Json:
    """Change texts, tags and the default deployment; `--defaults deployment_name=blue` sets the latter."""
    import copy

    from entrepot.client import overrides
    from entrepot.client.failures import Failure, UsageFailure
    from entrepot.client.publishing.batch import endpoint_body

    if call.text("file"):
        return create(call)
    if not call.text("name"):
        raise UsageFailure("the following arguments are required: --name/-n or --file/-f")
    before = batch_views.endpoint_view(call.session.get(_address(call)))
    entity = copy.deepcopy(before)
    if call.text("defaults"):
        name, equals, chosen = str(call.text("defaults")).partition("=")
        if not equals or name != "deployment_name":
            raise UsageFailure("argument --defaults: write deployment_name=<name>")
        entity["defaults"] = {"deployment_name": chosen}
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    may_change = ("description", "tags", "defaults", "properties")
    fixed = [name for name in {**before, **entity} if before.get(name) != entity.get(name) and name not in may_change]
    if fixed:
        raise Failure(f"{fixed[0]!r} of a batch endpoint cannot change: only {', '.join(may_change)} can.")
    return batch_views.endpoint_view(call.session.put(_address(call), endpoint_body(entity)))


def delete(call: Call) -> None:
    """Delete an endpoint with its deployments."""
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def invoke(call: Call) -> Json:
    """Have a deployment work on data: return the job that does."""
    from entrepot.cli.commands.endpoints.batch_invocations import invocation
    from entrepot.client.session import versioned
    from entrepot.client.shapes import job_views

    chosen = call.text("deployment_name")
    headers = {"azureml-model-deployment": chosen} if chosen else None
    if chosen:
        call.session.get(f"{_address(call)}/deployments/{quote(chosen)}")  # its absence is told by its own message
    answer = call.session.request("POST", versioned(f"{_address(call)}/jobs"), body=invocation(call), headers=headers)
    return job_views.view(call.session.finish(answer, ""))


def list_jobs(call: Call) -> Json:
    """Return the jobs that invocations of an endpoint made."""
    return [batch_views.job_view(document) for document in call.session.pages(f"{_address(call)}/jobs")]


def _address(call: Call, name: str | None = None) -> str:
    return f"{call.workspace().base}/batchEndpoints/{quote(name or str(call.text('name')))}"
