"""Data collection of a deployment: its data assets, made where they are missing, and what replicas are told of it.

https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data tells what it means. A collection
without a data asset gets one, `<endpoint>-<deployment>-<collection>` version 1, below modelDataCollector in the
workspace's blob store; its content is whatever lies there when somebody reads it.
"""

from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound
from entrepot.core.ids import AssetRef, DatastorePath, WorkspaceScope, parse_reference
from entrepot.core.nouns import DATA
from entrepot.domain import access, datastores
from entrepot.domain.assets import awaited, catalog
from entrepot.domain.endpoints.places import DeploymentRef
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs.planning import Planner
from entrepot.store.documents import Document

Json = Any

_FOLDER = "modelDataCollector"


def resolved(
    hub: Hub, principal: Principal, ref: DeploymentRef, properties: Mapping[str, Json]
) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return (the properties that change, what replicas are told), registering data assets that are not there yet.

    Both are empty when nothing is collected. Raises NotFound, AccessDenied, InvalidRequest.
    """
    given = properties.get("dataCollector")
    if not given:
        return {}, {}
    collections, told = {}, {}
    for name, one in given["collections"].items():
        collections[name] = one
        if one["dataCollectionMode"] == "Enabled":
            found = _asset(hub, principal, ref, name, one.get("dataId"))
            document, place = _placed(hub, principal, ref.endpoint.scope, found)
            collections[name] = {**one, "dataId": document.body["id"]}
            told[name.lower()] = {"rate": one["samplingRate"], **place}
    fields = {"dataCollector": {**given, "collections": collections}}
    if not told:
        return fields, {}
    headers = (given.get("requestLogging") or {}).get("captureHeaders") or []
    collect = {"collections": told, "roll": given["rollingRate"], "headers": headers, "source": ref.id}
    return fields, {"collect": collect}


def _asset(hub: Hub, principal: Principal, ref: DeploymentRef, name: str, given: Json) -> Document:
    """Return the version that a collection is read by. Raises NotFound, InvalidRequest."""
    if given:
        if not isinstance(given, str):
            raise InvalidRequest(f"dataId must be the id of a data asset: got {given!r}", target="dataCollector")
        scope = ref.endpoint.scope
        return Planner(hub, principal, scope).resolve(given, DATA, scope, where="dataId")
    asset = AssetRef(ref.endpoint.scope, DATA, f"{ref.endpoint.name}-{ref.name}-{name}", "1")
    try:
        return catalog.get(hub, principal, asset)
    except NotFound:
        path = f"{_FOLDER}/{ref.endpoint.name}/{ref.name}/{name}"
        place = f"azureml://datastores/{datastores.BLOB_STORE}/paths/{path}"
        body = {"dataUri": place, "dataType": "uri_folder", "description": f"Collected by {ref.id}"}
        return catalog.create(hub, principal, asset, body)[0]


def _placed(
    hub: Hub, principal: Principal, scope: WorkspaceScope, document: Document
) -> tuple[Document, dict[str, str]]:
    """Have a data asset show what is collected; return it, and the container and path where that is to lie.

    Raises InvalidRequest for one that lies elsewhere, AccessDenied for one that the principal may not write.
    """
    uri = str(document.body["properties"]["dataUri"])
    reference = parse_reference(uri, DATA) if uri.startswith("azureml:") else None
    if not isinstance(reference, DatastorePath):
        raise InvalidRequest(
            f"{document.body['id']} lies at {uri}: what is collected needs a path in a datastore, such as "
            f"azureml://datastores/{datastores.BLOB_STORE}/paths/{_FOLDER}/...",
            target="dataCollector",
        )
    if reference.scope is not None and reference.scope.key != scope.key:
        raise InvalidRequest(
            f"{document.body['id']} lies in {reference.scope}: what is collected stays in {scope}",
            target="dataCollector",
        )
    container = datastores.container_of(hub, scope, reference.datastore)
    path = reference.path.strip("/")
    place = {"container": container, "path": path}
    long = datastores.uri(scope, reference.datastore, path)
    if not awaited.grows(document):
        action = access.asset_action(scope.key, DATA, "write")
        access.require(hub, principal, action, scope.key, target=document.body["id"])
    return awaited.growing(hub, document, {**place, "address": uri}), {**place, "uri": long}
