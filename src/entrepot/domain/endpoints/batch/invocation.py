"""Invoking a batch endpoint: a deployment and what the caller gives become the body of an ordinary pipeline job."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.errors import InvalidRequest, StateConflict
from entrepot.core.ids import WorkspaceScope
from entrepot.domain import access
from entrepot.domain.endpoints.batch import deployments, endpoints, places
from entrepot.domain.endpoints.batch.scoring import DATA, SCORE
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import records, submission
from entrepot.domain.jobs.parallel.settings import check_file_name
from entrepot.domain.jobs.spec import LITERAL, LITERAL_TYPES
from entrepot.store.documents import Document, Page, View

Json = Any

NODE = "batchscoring"  # Azure ML's name for the step
_UNNAMED = ("urifolder", "urifile")  # how azure-ai-ml names an input that its caller gave without a name


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a caller gives. Inputs and outputs are as job bodies write them; `settings` as parallel steps do."""

    inputs: Mapping[str, Mapping[str, Json]]
    outputs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    deployment: str | None = None
    job: str | None = None
    experiment: str | None = None
    file_name: str | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    told: Mapping[str, Json] = field(default_factory=dict)  # properties and tags of the job
    request: str | None = None  # the same one again is the same job


def invoke(
    hub: Hub, principal: Principal, scope: WorkspaceScope, endpoint: str, asked: Invocation, *, request_id: str = ""
) -> Document:
    """Submit the job that an invocation asks for, as the caller, and return it.

    Raises NotFound, AccessDenied, InvalidRequest, and whatever is wrong with the job.
    """
    found = endpoints.get(hub, principal, scope, endpoint)
    target = found.body["id"]
    access.require(hub, principal, places.INVOKE, scope.key, target=target, request_id=request_id)
    name = asked.deployment or endpoints.default_of(found.body)
    if not name:
        raise StateConflict(
            f"Batch endpoint {endpoint} has no default deployment: name one, or set it with "
            f"az ml batch-endpoint update --name {endpoint} --set defaults.deployment_name=<name>"
        )
    deployment = deployments.load(hub, scope, endpoint, name)
    is_pipeline = "component" in deployment.body["entrepot"]
    properties = _pipeline_job(deployment.body, asked) if is_pipeline else _model_job(deployment.body, asked)
    properties |= {
        "jobType": records.PIPELINE,
        "experimentName": asked.experiment or endpoint,
        "properties": {
            **(asked.told.get("properties") or {}),
            "azureml.batchEndpoint": endpoint, "azureml.batchDeployment": name,
        },
        "tags": dict(asked.told.get("tags") or {}),
    }  # fmt: skip
    if asked.told.get("displayName"):
        properties["displayName"] = str(asked.told["displayName"])
    invoked = {
        records.BATCH_ENDPOINT: endpoint, records.BATCH_DEPLOYMENT: f"{endpoint}/{name}", "id": deployment.body["id"],
    }  # fmt: skip
    if "model" in deployment.body["entrepot"]:
        invoked["model"] = deployment.body["entrepot"]["model"]
    job = asked.job or _job_name(hub, scope, asked)
    return submission.submit(hub, principal, scope, job, properties, invoked=invoked, request_id=request_id)


def jobs(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    endpoint: str,
    deployment: str | None = None,
    *,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a page of the jobs that an endpoint's (or one deployment's) invocations made, newest first."""
    endpoints.get(hub, principal, scope, endpoint)
    access.require_visible(hub, principal, places.LIST_JOBS, scope.key, what=f"Batch endpoint {endpoint!r}")
    space = records.space_of(scope)
    if deployment is None:
        facet, value = records.BATCH_ENDPOINT, endpoint
    else:
        deployments.load(hub, scope, endpoint, deployment)
        facet, value = records.BATCH_DEPLOYMENT, f"{endpoint}/{deployment}"
    return hub.documents.find(space, facet, value, view=View.ALL, after=after, limit=limit)


def _job_name(hub: Hub, scope: WorkspaceScope, asked: Invocation) -> str:
    """Return a name for the job: the same one for a request that a client repeats."""
    if asked.request:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope.key}/batch/{asked.request}"))
    return f"batchjob-{hub.new_id()}"


def _model_job(deployment: Mapping[str, Json], asked: Invocation) -> dict[str, Json]:
    """Return the body of a job with one step, which scores."""
    ours = deployment["entrepot"]
    given = _only_input(asked)
    kind = "uri_file" if str(given.get("jobInputType", "")).lower() == "uri_file" else "uri_folder"
    output = _only_output(asked)
    is_file = str(output.get("jobOutputType", "")).lower() == "uri_file"
    step: dict[str, Json] = {
        "type": "parallel",
        "componentId": ours["components"][kind],
        "inputs": {DATA: {"job_input_type": LITERAL, "value": f"${{{{parent.inputs.{DATA}}}}}"}},
        "outputs": {
            SCORE: {"value": f"${{{{parent.outputs.{SCORE}}}}}", "job_output_type": "uri_file" if is_file else LITERAL}
        },
        "computeId": ours["compute"],
        **asked.settings,
    }
    if asked.file_name:
        step["task"] = {"output_file_name": check_file_name(asked.file_name)}
    return {
        "inputs": {DATA: given},
        "outputs": {SCORE: {"jobOutputType": "uri_folder", "mode": "Upload", **output}},
        "jobs": {NODE: step},
        "settings": {},
    }


def _pipeline_job(deployment: Mapping[str, Json], asked: Invocation) -> dict[str, Json]:
    ours = deployment["entrepot"]
    ports: Mapping[str, str] = ours["inputs"]
    data = [name for name, kind in ports.items() if kind not in LITERAL_TYPES]

    def port(name: str) -> str:
        is_unnamed = len(asked.inputs) == 1 and name.lower() in _UNNAMED and name not in ports
        return data[0] if is_unnamed and len(data) == 1 else name

    return {
        "componentId": ours["component"],
        "inputs": {port(name): dict(given) for name, given in asked.inputs.items()},
        "outputs": {name: dict(given) for name, given in asked.outputs.items()},
        "settings": dict(ours["settings"]),
    }


def _only_input(asked: Invocation) -> dict[str, Json]:
    found = [dict(given) for given in asked.inputs.values()]
    if len(found) != 1:
        names = ", ".join(asked.inputs) or "none"
        raise InvalidRequest(f"A deployment of a model takes one input, a file or a folder: got {len(found)} ({names})")
    kind = str(found[0].get("jobInputType", "")).lower()
    if kind in (*LITERAL_TYPES, LITERAL):
        raise InvalidRequest("A deployment of a model takes data, not a literal: give a uri_file or uri_folder")
    return found[0]


def _only_output(asked: Invocation) -> dict[str, Json]:
    if len(asked.outputs) > 1:
        names = ", ".join(asked.outputs)
        raise InvalidRequest(f"A deployment of a model has one output: got {len(asked.outputs)} ({names})")
    return dict(next(iter(asked.outputs.values()), {}))
