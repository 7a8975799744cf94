"""Reading jobs: documents, lists, children, and the run-history view that azure-ai-ml asks for beside ARM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from entrepot.core.clock import from_iso
from entrepot.core.ids import JobOutput, WorkspaceScope, parse_reference
from entrepot.domain import access
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import logs, records
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.tracking import interactive
from entrepot.domain.scopes import home
from entrepot.store.documents import Document, Page, View

Json = Any

_RUN_TYPES = {
    (records.COMMAND, False): "azureml.scriptrun",
    (records.COMMAND, True): "azureml.StepRun",
    (records.PIPELINE, False): "azureml.PipelineRun",
    (records.PIPELINE, True): "azureml.PipelineRun",
    (records.SWEEP, False): "azureml.sweep",
    (records.SWEEP, True): "azureml.sweep",
}


_MODEL_WORDS = {"custom_model": "CustomModel", "mlflow_model": "MLFlowModel", "triton_model": "TritonModel"}
_ANY = (0, 0)
_JUST_ENDED_S = 60.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of a workspace's jobs a list is to have; what is None does not matter. `tag`: a name, or name=value."""

    type: str | None = None
    tag: str | None = None
    schedule: str | None = None
    is_scheduled: bool | None = None

    def holds(self, body: Json) -> bool:
        """Say whether a job is among the chosen."""
        properties = body["properties"]
        name, equals, value = (self.tag or "").partition("=")
        made_by = properties.get("properties", {}).get("azureml.scheduleName")
        return (
            (self.type is None or properties["jobType"].lower() == self.type.lower())
            and (not name or (name in properties["tags"] and (not equals or properties["tags"][name] == value)))
            and (self.schedule is None or made_by == self.schedule)
            and (self.is_scheduled is None or bool(made_by) == self.is_scheduled)
        )


_ALL = Choice()


def get(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str) -> Document:
    """Return a job's document, with what MLflow logged for it. Raises NotFound."""
    document = hub.documents.get(records.key_of(scope, name)) if "/" not in name else None
    what = f"Job {name!r} in {scope}"
    access.require_visible(hub, principal, records.READ, scope.key, what=what)
    if document is None:
        home(hub, scope)
        return interactive.load(hub, scope, name)
    return _with_tracking(hub, scope, name, document)


def list_(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    *,
    parent: str | None = None,
    choice: Choice = _ALL,
    view: View = View.ACTIVE,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a page of root jobs, newest first, or of a pipeline's nodes, in the order of the pipeline.

    A page may have fewer than `limit` when not all jobs are chosen.

    Raises NotFound for a workspace or a parent that is not there.
    """
    home(hub, scope)
    access.require_visible(hub, principal, records.READ, scope.key, what=f"The {scope}")
    if parent is None:
        page = _found(hub, scope, "", view=view, after=after, limit=limit)
        return page if choice == _ALL else Page(tuple(d for d in page.documents if choice.holds(d.body)), page.next)
    return children(hub, scope, parent, after=after, limit=limit)


def children(hub: Hub, scope: WorkspaceScope, parent: str, *, after: str | None = None, limit: int = 100) -> Page:
    """Return a page of a pipeline's nodes, in the order in which they may run, or of the runs that are in another one.

    Raises NotFound.
    """
    if records.find(hub, scope, parent) is None:
        interactive.load(hub, scope, parent)
    graph = hub.documents.get(records.graph_key(scope, parent))
    if graph is None:
        return _found(hub, scope, parent, after=after, limit=limit)
    names = [node["job"] for node in graph.body["nodes"].values()]
    start = int(after) if after and after.isdigit() else 0
    found = [hub.documents.get(records.key_of(scope, name)) for name in names[start : start + limit]]
    is_more = start + limit < len(names)
    return Page(tuple(document for document in found if document), str(start + limit) if is_more else None)


def _found(
    hub: Hub, scope: WorkspaceScope, parent: str, *, view: View = View.ACTIVE, after: str | None, limit: int
) -> Page:
    page = hub.documents.find(records.space_of(scope), "parent", parent, view=view, after=after, limit=limit)
    shown = (interactive.as_job(hub, scope, d) if interactive.is_run(d, scope) else d for d in page.documents)
    return Page(tuple(shown), page.next)


def run(document: Document) -> dict[str, Json]:
    """Return a job as run history tells it."""
    record = records.record_of(document)
    properties, ours = record.properties, record.ours
    system = record.body["systemData"]
    return {
        "runId": record.name,
        "runUuid": record.name,
        "rootRunId": ours["root"],
        "rootRunUuid": ours["root"],
        "parentRunId": record.parent,
        "experimentId": properties["experimentName"],
        "experimentName": properties["experimentName"],
        "displayName": properties["displayName"],
        "name": properties["displayName"],
        "description": properties.get("description"),
        "status": properties["status"],
        "createdUtc": system["createdAt"],
        "createdBy": {"userName": system["createdBy"], "userObjectId": ours["submittedBy"]["id"]},
        "startTimeUtc": ours.get("startTime"),
        "endTimeUtc": ours.get("endTime"),
        "runType": _RUN_TYPES[(properties["jobType"], record.parent is not None)],
        "computeTarget": (properties.get("computeId") or "").rpartition("/")[2] or None,
        "properties": {**properties.get("properties", {}), **_told(record)},
        "tags": properties.get("tags", {}),
        "hidden": bool(properties.get("isArchived")),
        "error": _error(properties),
        "inputs": {},
        "outputs": {name: _asset_told(record, name, entry) for name, entry in ours["outputs"].items()},
        "services": properties["services"],
    }


def output_uris(hub: Hub, principal: Principal, scope: WorkspaceScope, asset_ids: Sequence[str]) -> dict[str, str]:
    """Return in which datastore the outputs are that a run tells as assets: {asset id: uri}, of those there are."""
    access.require_visible(hub, principal, records.READ, scope.key, what=f"The {scope}")
    found: dict[str, str] = {}
    for asset_id in asset_ids:
        reference = parse_reference(asset_id) if asset_id.startswith("azureml://jobs/") else None
        record = records.find(hub, scope, reference.job) if isinstance(reference, JobOutput) else None
        if record is not None and isinstance(reference, JobOutput) and reference.output in record.ours["outputs"]:
            found[asset_id] = record.ours["outputs"][reference.output]["uri"]
    return found


def _asset_told(record: Record, output: str, entry: Json) -> dict[str, str]:
    kind = entry.get("type") or "uri_folder"
    return {"assetId": f"azureml://jobs/{record.name}/outputs/{output}", "type": _MODEL_WORDS.get(kind, kind)}


def details(document: Document) -> dict[str, Json]:
    """Return a run's details: its state and the names of its log files, to which a server gives addresses."""
    record = records.record_of(document)
    ours = record.ours
    return {
        "runId": record.name,
        "target": (record.properties.get("computeId") or "").rpartition("/")[2] or None,
        "status": record.status,
        "startTimeUtc": ours.get("startTime"),
        "endTimeUtc": ours.get("endTime"),
        "error": _error(record.properties),
        "properties": record.properties.get("properties", {}),
        "inputDatasets": [],
        "outputDatasets": [],
        "logFiles": dict.fromkeys(logs.names(record), ""),
        "warnings": [],
    }


def followed(hub: Hub, document: Document) -> dict[str, Json]:
    """Return a run's details for who follows it: one that ended before anybody looked is Finalizing at the first look.

    azure-ai-ml prints no log of a job that has ended when it begins to stream, and short jobs end sooner here than in
    Azure.
    """
    told = details(document)
    key, ended = f"{document.key}#followed", told["endTimeUtc"]
    is_first = hub.memory.recall(key, _ANY) is None
    hub.memory.remember(key, _ANY, True)
    if not is_first or not ended or hub.clock.now() - from_iso(ended) > _JUST_ENDED_S:
        return told
    return {**told, "status": records.FINALIZING}


def _told(record: Record) -> dict[str, str]:
    """Return what run history says of a node in its properties, as text."""
    reuse = record.ours.get("reuse") or {}
    found = {"azureml.nodeid": record.ours.get("node"), "azureml.componentid": record.ours.get("componentId")}
    if reuse.get("reused"):
        found |= {"azureml.isreused": "true", "azureml.reusedrunid": reuse["of"]}
    return {name: value for name, value in found.items() if value}


def _error(properties: dict[str, Json]) -> dict[str, Json] | None:
    error = properties.get("error")
    return {"error": {"code": error["code"], "message": error["message"]}} if error else None


def _with_tracking(hub: Hub, scope: WorkspaceScope, name: str, document: Document) -> Document:
    """Add metrics, parameters and tags to a job that logged some; for others the stored bytes are the answer."""
    logged = hub.documents.get(records.run_key(scope, name))
    if logged is None:
        return document
    body, run = document.body, logged.body
    body["entrepot"] |= {
        "metrics": {key: metric["value"] for key, metric in run["metrics"].items()},
        "parameters": run["params"],
    }
    own = {key: value for key, value in run["tags"].items() if not key.startswith("mlflow.")}
    body["properties"]["tags"] = {**own, **body["properties"].get("tags", {})}
    return Document(document.key, msgspec.json.encode(body), document.revision, document.sequence, document.is_archived)
