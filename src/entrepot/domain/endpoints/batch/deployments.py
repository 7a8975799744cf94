"""Deployments of batch endpoints: a model with its settings, or a pipeline component; checked and pinned when written.

A deployment keeps what its jobs are made of, so that an invocation resolves nothing but its own inputs.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.core.ids import Scope, WorkspaceScope, check_deployment_name
from entrepot.core.nouns import CODE, ENVIRONMENT
from entrepot.core.nouns import MODEL as MODEL_KIND
from entrepot.domain import access, audit, lineage
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.endpoints import resolution
from entrepot.domain.endpoints.batch import endpoints, places, scoring
from entrepot.domain.endpoints.batch.settings import read_model, with_defaults
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs.fields import get as field
from entrepot.domain.jobs.fields import mapping
from entrepot.domain.jobs.planning import Planner
from entrepot.domain.jobs.spec import Pipeline
from entrepot.domain.scopes import created_by, modified_by, writable_home
from entrepot.store.documents import Change, Delete, Document, Link, Page, Put, Unlink, View

Json = Any

_PIPELINE = "PipelineComponent"


def get(hub: Hub, principal: Principal, scope: WorkspaceScope, endpoint: str, name: str) -> Document:
    """Return a deployment. Raises NotFound."""
    what = f"Deployment {name!r} of batch endpoint {endpoint!r}"
    access.require_visible(hub, principal, places.DEPLOYMENT_READ, scope.key, what=what)
    endpoints.load(hub, scope, endpoint)
    return load(hub, scope, endpoint, name)


def load(hub: Hub, scope: WorkspaceScope, endpoint: str, name: str) -> Document:
    """Return a deployment, whoever asks. Raises NotFound."""
    document = hub.documents.get(places.deployment_key(scope, endpoint, name)) if "/" not in name else None
    if document is None:
        hint = f"az ml batch-deployment list --endpoint-name {endpoint} shows what there is"
        raise NotFound(f"Batch endpoint {endpoint!r} has no deployment {name!r}", hint=hint)
    return document


def list_(
    hub: Hub, principal: Principal, scope: WorkspaceScope, endpoint: str, *, after: str | None = None, limit: int = 100
) -> Page:
    """Return a page of an endpoint's deployments, newest first. Raises NotFound."""
    what = f"Batch endpoint {endpoint!r} in {scope}"
    access.require_visible(hub, principal, places.DEPLOYMENT_READ, scope.key, what=what)
    endpoints.load(hub, scope, endpoint)
    return hub.documents.list(places.deployments_of(scope, endpoint), view=View.ALL, after=after, limit=limit)


def put(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    endpoint: str,
    name: str,
    body: Mapping[str, Json],
    *,
    request_id: str = "",
) -> tuple[Document, bool]:
    """Create or replace a deployment; tell whether it is new. Invocations from now on use what it says.

    Raises NotFound, InvalidName, InvalidRequest, InvalidReference, AccessDenied.
    """
    check_deployment_name(name)
    found = writable_home(hub, scope)
    assert isinstance(found.scope, WorkspaceScope)
    scope, target = found.scope, places.deployment_id(found.scope, endpoint, name)
    access.require(hub, principal, places.DEPLOYMENT_WRITE, scope.key, target=target, request_id=request_id)
    endpoints.load(hub, scope, endpoint)
    properties = with_defaults(body.get("properties") or {})
    resolved, links = _resolved(hub, principal, scope, properties, target=target)

    def write() -> tuple[Document, bool]:
        now = hub.clock.now()
        existing = hub.documents.get(places.deployment_key(scope, endpoint, name))
        made = created_by(principal, now)
        fresh: dict[str, Json] = {
            "id": target,
            "name": name,
            "type": places.DEPLOYMENT_TYPE,
            "location": str(body.get("location") or found.region),
            "tags": dict(body.get("tags") or {}),
            "properties": {**properties, "provisioningState": "Succeeded"},
            "systemData": modified_by(existing.body["systemData"], principal, now) if existing else made,
            "entrepot": resolved,
        }
        note = audit.record(principal, places.DEPLOYMENT_WRITE, target=target, now=now, request_id=request_id)
        kept = Put(places.deployment_key(scope, endpoint, name), fresh, match=existing.revision if existing else 0)
        # the edges of what it was before go: what it no longer names may be deleted
        return hub.documents.commit([kept, Unlink(target), *links, note])[0], existing is None

    return settled(write)


def patch(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    endpoint: str,
    name: str,
    body: Mapping[str, Json],
    *,
    request_id: str = "",
) -> Document:
    """Change some of a deployment: tags and properties, each as given. Raises what `put` raises."""
    existing = get(hub, principal, scope, endpoint, name).body
    merged = {**existing["properties"], **(body.get("properties") or {})}
    tags = {**existing["tags"], **(body.get("tags") or {})}
    fresh = {**existing, "properties": merged, "tags": tags}
    return put(hub, principal, scope, endpoint, name, fresh, request_id=request_id)[0]


def delete(
    hub: Hub, principal: Principal, scope: WorkspaceScope, endpoint: str, name: str, *, request_id: str = ""
) -> None:
    """Delete a deployment; its jobs stay. An endpoint whose default it was has none any more. Raises NotFound."""
    document = get(hub, principal, scope, endpoint, name)
    target = document.body["id"]
    access.require(hub, principal, places.DEPLOYMENT_DELETE, scope.key, target=target, request_id=request_id)

    def write() -> None:
        changes: list[Change] = [Delete(places.deployment_key(scope, endpoint, name)), Unlink(target)]
        above = endpoints.load(hub, scope, endpoint)
        if endpoints.default_of(above.body) == name:
            changes.append(Put(above.key, endpoints.with_default(above.body, None), match=above.revision))
        now = hub.clock.now()
        note = audit.record(principal, places.DEPLOYMENT_DELETE, target=target, now=now, request_id=request_id)
        hub.documents.commit([*changes, note])

    settled(write)


def _resolved(
    hub: Hub, principal: Principal, scope: WorkspaceScope, properties: dict[str, Json], *, target: str
) -> tuple[dict[str, Json], list[Link]]:
    """Return what the deployment's jobs are made of, and its edges; references in `properties` become ids."""
    configuration = mapping(properties, "deployment_configuration")
    if configuration:
        return _pipeline(hub, principal, scope, configuration, target=target)
    settings = read_model(properties)
    planner = Planner(hub, principal, scope)
    model = planner.resolve(settings.model, MODEL_KIND, scope, where="the deployment")
    code = planner.resolve(settings.code, CODE, scope, where="the deployment") if settings.code else None
    if code is not None and settings.script:
        settings = replace(settings, script=resolution.script_in(hub, code, settings.script))
    is_mlflow = model.body["properties"].get("modelType") == "mlflow_model"
    if code is None and not is_mlflow:
        raise InvalidRequest(
            f"{model.body['id']} is no mlflow_model: the deployment needs a code_configuration and an environment",
            target="codeConfiguration",
        )
    if settings.environment:
        environment = planner.resolve(settings.environment, ENVIRONMENT, scope, where="the deployment")
    elif is_mlflow:
        environment = scoring.environment_of(hub, scope, model)
    else:
        raise InvalidRequest(
            "The deployment needs an environment, such as azureml:<name>:<version>", target="environment"
        )
    compute = planner.compute(settings.compute, where="the deployment")
    properties["model"] = {"referenceType": "Id", "assetId": model.body["id"]}
    made = scoring.components(hub, scope, settings, model=model, environment=environment, code=code)
    links = [Link(target, lineage.DEPLOYED, model.body["id"], {"role": "model"})]
    links += [lineage.used(target, used.body["id"]) for used in (environment, code) if used is not None]
    return {"components": made, "compute": compute, "model": model.body["id"]}, links


def _pipeline(
    hub: Hub, principal: Principal, scope: WorkspaceScope, configuration: Mapping[str, Json], *, target: str
) -> tuple[dict[str, Json], list[Link]]:
    kind = str(configuration.get("deploymentConfigurationType") or _PIPELINE)
    if kind.lower() != _PIPELINE.lower():
        raise InvalidRequest(f"deploymentConfigurationType is {kind!r}: it must be {_PIPELINE}")
    reference = field(configuration, "component_id")
    text = field(reference, "asset_id") if isinstance(reference, Mapping) else reference
    if not text:
        raise InvalidRequest("The deployment names no component: give one, such as azureml:<name>:<version>")
    planner = Planner(hub, principal, scope)
    component = planner.component(str(text), scope, where="the deployment")
    if not isinstance(component.content, Pipeline):
        raise InvalidRequest(f"{component.ref.id} is no pipeline component: a batch endpoint runs models and pipelines")
    settings = _settings(planner, scope, mapping(configuration, "settings"))
    ports = {name: port.type for name, port in component.content.inputs.items()}
    links = [lineage.used(target, component.ref.id, {"role": "component"})]
    return {"component": component.ref.id, "settings": settings, "inputs": ports}, links


def _settings(planner: Planner, scope: Scope, given: Mapping[str, Json]) -> dict[str, Json]:
    """Return a pipeline's settings; azure-ai-ml writes one of them with a prefix."""
    plain = {str(name).rpartition(".")[2]: value for name, value in given.items() if value is not None}
    if plain.get("default_compute"):
        planner.compute(str(plain["default_compute"]), where="the deployment")
    return plain
