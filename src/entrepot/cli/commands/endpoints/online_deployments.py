"""`ml online-deployment`: create, read, change, scale, logs, delete."""

from __future__ import annotations

from entrepot.cli.commands.endpoints.online_endpoints import tell_local
from entrepot.client.connection import quote
from entrepot.client.shapes import online_views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrepot.cli.call import Call
    from entrepot.client.files import Document

    Json = Any

_READ_ONLY = ("id", "name", "resourceGroup", "endpoint_name", "provisioning_state", "creation_context", "location",
              "type", "error", "progress", "rollout_status")  # fmt: skip


def create(call: Call) -> Json:
    """Create the deployment of a file, or replace the one of its name; return when it answers requests."""
    from entrepot.client import files, overrides
    from entrepot.client.failures import Failure
    from entrepot.client.publishing.content import require_name

    tell_local(call)
    document = files.load(call.file() or "")
    for option in ("name", "endpoint_name"):
        if call.text(option):
            document.data[option] = call.text(option)
    overrides.lay_over(document, call.words("set"))
    if call.flag("package_model"):
        call.console.warn("--package-model changes nothing: models are not copied into images here.")
    if call.flag("no_wait") and call.flag("all_traffic"):
        raise Failure("--all-traffic waits until the deployment answers: leave --no-wait out.")
    if call.flag("all_traffic") and document.data.get("rollout"):
        raise Failure("--all-traffic gives it all at once, `rollout` step by step: leave one of them out.")
    name = require_name(document, document.data, "online deployment")
    made = _put(call, document, name)
    if call.flag("all_traffic"):
        shares = {"properties": {"traffic": {name: 100}}}
        call.session.patch(_endpoint(call, str(document.data["endpoint_name"])), shares)
    return made


def show(call: Call) -> Json:
    """Return a deployment."""
    return online_views.deployment_view(call.session.get(_address(call)))


def list_(call: Call) -> Json:
    """Return the deployments of an endpoint."""
    pages = call.session.pages(f"{_endpoint(call)}/deployments")
    return [online_views.deployment_view(document) for document in pages]


def update(call: Call) -> Json:
    """Change a deployment: new replicas are ready before the old ones go."""
    import copy

    from entrepot.client import files, overrides
    from entrepot.client.failures import Failure, UsageFailure

    tell_local(call)
    loaded = files.load(call.file() or "") if call.file() else files.blank()
    name = call.text("name") or loaded.data.get("name")
    endpoint = call.text("endpoint_name") or loaded.data.get("endpoint_name")
    if not name or not endpoint:
        raise UsageFailure("the following arguments are required: --name/-n and --endpoint-name/-e, or --file/-f")
    address = f"{_endpoint(call, str(endpoint))}/deployments/{quote(str(name))}"
    before = online_views.deployment_view(call.session.get(address))
    entity = {**copy.deepcopy(before), **loaded.data, "name": name, "endpoint_name": endpoint}
    overrides.apply(entity, call.options.ordered, keeps_strings=call.flag("force_string"))
    fixed = [field for field in _READ_ONLY if field in before and before[field] != entity.get(field)]
    if fixed:
        raise Failure(f"{fixed[0]!r} of an online deployment cannot change.")
    document = files.Document(entity, path=loaded.path, lines=loaded.lines, texts={})
    return _put(call, document, str(name))


def delete(call: Call) -> None:
    """Delete a deployment that has no traffic."""
    tell_local(call)
    call.console.confirm(f"Delete the online deployment {call.text('name')}?", is_agreed=call.flag("yes"))
    call.session.delete(_address(call), wait=not call.flag("no_wait"))


def get_logs(call: Call) -> None:
    """Print the last lines that a deployment's replicas wrote, as they wrote them."""
    body: dict[str, Json] = {"tail": call.number("lines")}
    if call.text("container"):
        body["containerType"] = call.text("container")
    print(call.session.post(f"{_address(call)}/getLogs", body)["content"], end="")


def _put(call: Call, document: Document, name: str) -> Json:
    from entrepot.cli.commands.results import watched
    from entrepot.client.publishing.content import Publisher
    from entrepot.client.publishing.online import deployment_body
    from entrepot.client.schemas.checks import check
    from entrepot.client.schemas.online import ONLINE_DEPLOYMENT
    from entrepot.client.session import versioned

    data, warnings = check(document, ONLINE_DEPLOYMENT)
    publisher = Publisher(call.session, call.workspace(), lambda label: watched(call, label))
    publisher.warnings.extend(warnings)
    if str(data.get("egress_public_network_access") or "enabled").lower() != "enabled":
        call.console.warn("egress_public_network_access is kept, not enforced: replicas reach what the server does.")
    location = str(call.session.get(_endpoint(call, data["endpoint_name"]))["location"])  # before anything is uploaded
    body = deployment_body(publisher, document, data, location=location)
    for warning in publisher.warnings:
        call.console.warn(warning)
    address = f"{_endpoint(call, data['endpoint_name'])}/deployments/{quote(name)}"
    if call.flag("no_wait"):
        import json

        answer = call.session.request("PUT", versioned(address), body=body)
        return online_views.deployment_view(json.loads(answer.body))
    return online_views.deployment_view(call.session.put(address, body))


def _endpoint(call: Call, name: str | None = None) -> str:
    return f"{call.workspace().base}/onlineEndpoints/{quote(name or str(call.text('endpoint_name')))}"


def _address(call: Call) -> str:
    return f"{_endpoint(call)}/deployments/{quote(str(call.text('name')))}"
