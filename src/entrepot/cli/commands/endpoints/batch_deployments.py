"""`ml batch-deployment`: create, read, change, delete, and the jobs that invocations made."""

from __future__ import annotations

from entrepot.client.connection import quote
from entrepot.client.shapes import batch_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call

    Json = Any

_MUTABLE = ("description", "tags", "properties", "mini_batch_size", "max_concurrency_per_instance", "output_action",
            "output_file_name", "error_threshold", "retry_settings", "logging_level", "environment_variables",
            "resources", "settings")  # fmt: skip


def create(call: Call) -> Json:
    """Create the deployment of a file, or replace the one of its name; --set-default makes it the default."""
    from entrepot.cli.commands.results import watched
    from entrepot.client import files, overrides
    from entrepot.client.publishing.batch import deployment_body
    from entrepot.client.publishing.content import Publisher, require_name
    from entrepot.client.schemas.batch import batch_deployment
    from entrepot.client.schemas.checks import check

    document = files.load(call.file() or "")
    for option in ("name", "endpoint_name"):
        if call.text(option):
            document.data[option] = call.text(option)
    overrides.lay_over(document, call.words("set"))
    data, warnings = check(document, batch_deployment)
    publisher = Publisher(call.session, call.workspace(), lambda label: watched(call, label))
    publisher.warnings.extend(warnings)
    name, endpoint = require_name(document, data, "batch deployment"), str(data["endpoint_name"])
    call.session.get(_endpoint(call, endpoint))  # before anything is uploaded
    body = deployment_body(publisher, document, data)
    for warning in publisher.warnings:
        call.console.warn(warning)
    made = call.session.put(f"{_endpoint(call, endpoint)}/deployments/{quote(name)}", body)
    if call.flag("set_default"):
        call.session.patch(_endpoint(call, endpoint), {"properties": {"defaults": {"deploymentName": name}}})
    return batch_views.deployment_view(made)


def show(call: Call) -> Json:
    """Return a deployment."""
    return batch_views.deployment_view(call.session.get(_address(call)))


def list_(call: Call) -> Json:
    """Return the deployments of an endpoint."""
    pages = call.session.pages(f"{_endpoint(call)}/deployments")
    return [batch_views.deployment_view(document) for document in pages]


def update(call: Call) -> Json:
    """Change the settings, texts and tags of a deployment; a file replaces it."""
    import copy

    from entrepot.client import files, overrides
    from entrepot.client.failures import Failure, UsageFailure
    from entrepot.client.publishing.batch import settings_body
    from entrepot.client.schemas.batch import SETTINGS
    from entrepot.client.schemas.checks import check, fields

    if call.text("file"):
        return create(call)
    if not call.text("name") or not call.text("endpoint_name"):
        raise UsageFailure("the following arguments are required: --name/-n and --endpoint-name/-e, or --file/-f")
    document = call.session.get(_address(call))
    before = batch_views.deployment_view(document)
    entity = copy.deepcopy(before)
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    fixed = [name for name in {**before, **entity} if before.get(name) != entity.get(name) and name not in _MUTABLE]
    if fixed:
        raise Failure(f"{fixed[0]!r} of a batch deployment cannot be changed in place: create it again from a file.")
    properties = {**document["properties"]}
    if entity.get("type") == "pipeline":
        properties["deploymentConfiguration"] = {
            **properties["deploymentConfiguration"],
            "settings": entity["settings"],
        }
    else:
        given = {name: entity[name] for name in SETTINGS if entity.get(name) is not None}
        settings = check(files.Document(given, path=None, lines={}, texts={}), fields(SETTINGS, what="settings"))[0]
        properties |= settings_body(settings, resources=entity.get("resources") or {})
    properties |= {name: entity.get(name) for name in ("description", "properties")}
    body = {"tags": entity.get("tags") or {}, "properties": properties}
    return batch_views.deployment_view(call.session.put(_address(call), body))


def delete(call: Call) -> None:
    """Delete a deployment."""
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def list_jobs(call: Call) -> Json:
    """Return the jobs that invocations of a deployment made."""
    return [batch_views.job_view(document) for document in call.session.pages(f"{_address(call)}/jobs")]


def _endpoint(call: Call, name: str | None = None) -> str:
    return f"{call.workspace().base}/batchEndpoints/{quote(name or str(call.text('endpoint_name')))}"


def _address(call: Call) -> str:
    return f"{_endpoint(call)}/deployments/{quote(str(call.text('name')))}"
