"""What `az ml job` prints of a job, of a pipeline and of its children."""

from __future__ import annotations

from entrepot.client.shapes.asset_views import node_view, port_view
from entrepot.client.shapes.naming import creation_context, reference, resource, snake_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = Any

TERMINAL = ("Completed", "Failed", "Canceled")
# what the server keeps of a run beside ARM's properties, and is worth reading
TOLD = ("metrics", "reuse", "environment", "error", "substitutions", "sandbox", "start_time", "end_time",
        "status_message", "params")  # fmt: skip


def view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a job as `az ml job show` prints it."""
    properties, ours = document.get("properties") or {}, document.get("entrepot") or {}
    shown = resource(document)
    shown |= snake_fields(properties)
    for name in ("job_type", "component_id", "compute_id", "environment_id", "code_id"):
        shown.pop(name, None)
    shown["type"] = ours.get("kind") or str(properties.get("jobType") or "").lower() or None
    if not shown.get("is_archived"):
        shown.pop("is_archived", None)
    for sent, written in (("componentId", "component"), ("environmentId", "environment"), ("codeId", "code")):
        if properties.get(sent):
            shown[written] = reference(properties[sent])
    if ours.get("codeId") and "code" not in shown and shown["type"] == "command":
        shown["code"] = reference(ours["codeId"])  # of a registry
    if properties.get("computeId"):
        shown["compute"] = "azureml:" + str(properties["computeId"]).rsplit("/", 1)[-1].removeprefix("azureml:")
    for side in ("inputs", "outputs"):
        shown[side] = {name: port_view(port) for name, port in (properties.get(side) or {}).items()}
    if properties.get("jobs"):
        shown["jobs"] = {name: node_view(node) for name, node in properties["jobs"].items()}
    if properties.get("settings"):
        shown["settings"] = {k: v for k, v in properties["settings"].items() if not k.startswith("_")}
    shown["services"] = {name: _service(service) for name, service in (properties.get("services") or {}).items()}
    shown["creation_context"] = creation_context(document.get("systemData"))
    return shown | _told(ours)


def _told(ours: Mapping[str, Json]) -> dict[str, Json]:
    fields = snake_fields(ours)
    told = {name: fields[name] for name in TOLD if fields.get(name) is not None and name != "environment"}
    if ours.get("parent"):
        told["parent_job_name"] = ours["parent"]
    if isinstance(told.get("reuse"), dict):
        told["reuse"] = _reuse(told["reuse"])
    if isinstance(fields.get("environment"), dict):
        told["environment_build"] = fields["environment"]
    return told


def _reuse(reuse: Mapping[str, Json]) -> dict[str, Json]:
    fields = snake_fields(reuse)
    is_reused = bool(fields.pop("reused", fields.pop("is_reused", False)))
    return {"is_reused": is_reused, **fields}


def _service(service: Json) -> Json:
    if not isinstance(service, dict):
        return service
    fields = snake_fields(service)
    if "job_service_type" in fields:
        fields["type"] = fields.pop("job_service_type")
    return fields
