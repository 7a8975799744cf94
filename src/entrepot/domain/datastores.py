"""Datastores: names under which a workspace keeps bytes. Each workspace has two of its own, made with it.

What a datastore elsewhere is opened with lies beside its document, sealed, and is told by `secrets` alone.
"""

import re
from typing import Any
from urllib.parse import unquote

import msgspec

from entrepot.core.errors import InvalidRequest, NotFound, StateConflict
from entrepot.core.ids import DatastorePath, Region, WorkspaceScope, check_job_name
from entrepot.core.nouns import PROVIDER
from entrepot.domain import access, audit
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import created_by, home, modified_by
from entrepot.store.documents import Change, Delete, Document, Page, Put, View

Json = Any

_BY_CONTAINER = re.compile(
    r"(?:wasbs?|abfss?)://(?P<container>[^@/]+)@(?P<account>[^./@]+)\.(?:blob|dfs)\.[^/]+(?:/(?P<path>[^?#]*))?",
    re.IGNORECASE,
)
_BY_ACCOUNT = re.compile(
    r"https?://(?P<account>[^./@]+)\.(?:blob|dfs)\.[^/]+/(?P<container>[^/?#]+)(?:/(?P<path>[^?#]*))?", re.IGNORECASE
)

BLOB_STORE = "workspaceblobstore"
ARTIFACT_STORE = "workspaceartifactstore"
OWN = (BLOB_STORE, ARTIFACT_STORE)

READ = f"{PROVIDER}/workspaces/datastores/read"
WRITE = f"{PROVIDER}/workspaces/datastores/write"
DELETE = f"{PROVIDER}/workspaces/datastores/delete"
SECRETS = f"{PROVIDER}/workspaces/datastores/listSecrets/action"


def key_of(scope: WorkspaceScope, name: str) -> str:
    """Return the document key of a datastore."""
    return f"{scope.key}/datastores/{name}"


def new_defaults(hub: Hub, principal: Principal, scope: WorkspaceScope, region: Region, guid: str) -> list[Put]:
    """Make the containers of a new workspace and return the changes that add its two datastores."""
    changes = []
    for name, prefix in ((BLOB_STORE, "azureml-blobstore"), (ARTIFACT_STORE, "azureml-artifacts")):
        container = f"{prefix}-{guid}"
        hub.containers.create(container, region=region, owner=scope.key, purpose=name)
        properties = {
            "datastoreType": "AzureBlob",
            "accountName": "entrepot",
            "containerName": container,
            "endpoint": "core.windows.net",
            "protocol": "https",
            "isDefault": name == BLOB_STORE,
            "credentials": {"credentialsType": "Sas"},
            "serviceDataAccessAuthIdentity": "None",
            "description": None,
            "tags": {},
            "properties": {},
        }
        changes.append(Put(key_of(scope, name), _body(hub, principal, scope, name, properties)))
    return changes


def get(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str) -> Document:
    """Return a datastore's document. Raises NotFound."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"Datastore {name!r} in {scope}")
    document = hub.documents.get(key_of(scope, name))
    if document is None:
        raise NotFound(f"There is no datastore {name!r} in {scope}", hint="az ml datastore list shows what there is")
    return document


def list_(
    hub: Hub,
    principal: Principal,
    scope: WorkspaceScope,
    *,
    is_default: bool | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a page of a workspace's datastores, by name; `is_default` narrows it."""
    home(hub, scope)
    access.require_visible(hub, principal, READ, scope.key, what=f"The {scope}")
    page = hub.documents.list(f"{scope.key}/datastores", view=View.ALL, after=after, limit=limit)
    if is_default is None:
        return page
    shown = (found for found in page.documents if bool(found.body["properties"].get("isDefault")) == is_default)
    return Page(tuple(shown), page.next)


def put(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, body: Json, *, request_id: str = ""
) -> tuple[Document, bool]:
    """Create or change a datastore; tell whether it is new. An AzureBlob one gets a container on this server.

    A datastore that becomes the default takes that from the one before. Raises InvalidName, InvalidRequest.
    """
    check_job_name(name)
    return settled(lambda: _put(hub, principal, scope, name, body, request_id))


def _put(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, body: Json, request_id: str
) -> tuple[Document, bool]:
    found = home(hub, scope)
    access.require(hub, principal, WRITE, scope.key, request_id=request_id)
    properties = {key: value for key, value in (body.get("properties") or {}).items() if value is not None}
    existing = hub.documents.get(key_of(scope, name))
    _check_type(hub, scope, name, properties, existing)
    container = properties.get("containerName")
    if container and (existing is None or container != existing.body["properties"].get("containerName")):
        _claim(hub, scope, found.region, container, name)
    credentials, kept = _parted(hub, scope, name, properties)
    fresh = _body(hub, principal, scope, name, {**properties, "credentials": credentials})
    if existing is not None:
        stored = existing.body
        fresh["properties"] = {**stored["properties"], **fresh["properties"]}
        fresh["systemData"] = modified_by(stored["systemData"], principal, hub.clock.now())
    match = 0 if existing is None else existing.revision
    changes: list[Change] = [Put(key_of(scope, name), fresh, match=match), *kept]
    if fresh["properties"].get("isDefault"):
        changes += _demoted(hub, scope, name)
    record = audit.record(principal, WRITE, target=fresh["id"], now=hub.clock.now(), request_id=request_id)
    return hub.documents.commit([*changes, record])[0], existing is None


def delete(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> None:
    """Remove a datastore; its bytes stay. Raises NotFound, and StateConflict for the workspace's own two."""
    document = get(hub, principal, scope, name)
    access.require(hub, principal, DELETE, scope.key, request_id=request_id)
    if name in OWN:
        raise StateConflict(f"Datastore {name} belongs to the workspace and goes only with it")
    record = audit.record(principal, DELETE, target=document.body["id"], now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([Delete(document.key), Delete(_secrets_key(scope, name)), record])


def secrets(hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, *, request_id: str = "") -> Json:
    """Return the credentials that somebody gave for a datastore, in ARM's shape, or None; telling them is on record.

    Raises NotFound, AccessDenied.
    """
    target = get(hub, principal, scope, name).body["id"]
    access.require(hub, principal, SECRETS, scope.key, target=target, request_id=request_id)
    note = audit.record(principal, SECRETS, target=target, now=hub.clock.now(), request_id=request_id)
    hub.documents.commit([note])
    kept = hub.documents.get(_secrets_key(scope, name))
    return msgspec.json.decode(hub.sealer.open(kept.body["sealed"], at=kept.key)) if kept else None


def container_of(hub: Hub, scope: WorkspaceScope, name: str) -> str:
    """Return the container that a datastore names. Raises NotFound, InvalidRequest for stores elsewhere."""
    document = hub.documents.get(key_of(scope, name))
    if document is None:
        raise NotFound(f"There is no datastore {name!r} in {scope}", hint="az ml datastore list shows what there is")
    stamp = (document.sequence, document.revision)
    container: str | None = hub.memory.recall(document.key, stamp)
    if container is None:
        container = document.body["properties"].get("containerName") or ""
        hub.memory.remember(document.key, stamp, container)
    if not container:
        raise InvalidRequest(f"Datastore {name!r} in {scope} is not a blob store of this server")
    return container


def is_here(hub: Hub, scope: WorkspaceScope, name: str) -> bool:
    """Say whether a datastore's bytes are on this server."""
    document = hub.documents.get(key_of(scope, name))
    return document is not None and bool(document.body["properties"].get("containerName"))


def named_by(hub: Hub, scope: WorkspaceScope, url: str) -> DatastorePath | None:
    """Return the place in a datastore of this server that an address of Azure's storage names, None for others.

    Read are wasb(s)://container@account..., abfs(s)://filesystem@account... and https://account.blob.../container/...,
    for accounts and containers that a datastore of the workspace has.
    """
    found = _BY_CONTAINER.match(url) or _BY_ACCOUNT.match(url)
    if found is None:
        return None
    for document in hub.documents.list(f"{scope.key}/datastores", view=View.ALL, limit=1000).documents:
        properties = document.body["properties"]
        account = str(properties.get("accountName") or "").lower()
        if properties.get("containerName") == found["container"] and account == found["account"].lower():
            return DatastorePath(document.key.rpartition("/")[2], unquote(found["path"] or ""), scope)
    return None


def name_of_container(hub: Hub, scope: WorkspaceScope, container: str) -> str | None:
    """Return the datastore whose bytes are in this container, None when it is none of the workspace's."""
    for document in hub.documents.list(f"{scope.key}/datastores", view=View.ALL, limit=1000).documents:
        if document.body["properties"].get("containerName") == container:
            return document.key.rpartition("/")[2]
    return None


def artifact_root(run: str) -> str:
    """Return where the logs and artifacts of a job, or of a run of MLflow, are in workspaceartifactstore."""
    return f"ExperimentRun/dcid.{run}"


def uri(scope: WorkspaceScope, name: str, path: str) -> str:
    """Return the long form of a place in a datastore."""
    return (
        f"azureml://subscriptions/{scope.subscription}/resourcegroups/{scope.resource_group}/workspaces/{scope.name}"
        f"/datastores/{name}/paths/{path}"
    )


def default_name(hub: Hub, scope: WorkspaceScope) -> str:
    """Return the name of the workspace's default datastore."""
    for document in hub.documents.list(f"{scope.key}/datastores", view=View.ALL).documents:
        if document.body["properties"].get("isDefault"):
            return document.key.rpartition("/")[2]
    return BLOB_STORE


def _secrets_key(scope: WorkspaceScope, name: str) -> str:
    return f"{key_of(scope, name)}/credentials"


def _parted(
    hub: Hub, scope: WorkspaceScope, name: str, properties: dict[str, Json]
) -> tuple[dict[str, Json], list[Change]]:
    """Return what of the credentials may be shown, and the change that keeps the rest. Raises InvalidRequest."""
    given = properties.get("credentials") or {}
    told = given.get("secrets", properties.pop("secrets", None)) if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(told or {}, dict):
        raise InvalidRequest("A datastore's credentials, and the secrets in them, are objects", target="credentials")
    shown = {"credentialsType": "None", **{field: value for field, value in given.items() if field != "secrets"}}
    key = _secrets_key(scope, name)
    kept = {field: value for field, value in (told or {}).items() if value is not None}
    if set(kept) - {"secretsType"}:
        whole = {"secretsType": shown["credentialsType"], **kept}
        return shown, [Put(key, {"sealed": hub.sealer.seal(msgspec.json.encode(whole).decode(), at=key)})]
    before = hub.documents.get(key_of(scope, name))
    is_same = before and before.body["properties"]["credentials"]["credentialsType"] == shown["credentialsType"]
    return shown, [] if is_same else [Delete(key)]


def _check_type(
    hub: Hub, scope: WorkspaceScope, name: str, properties: dict[str, Json], existing: Document | None
) -> None:
    kind = properties.get("datastoreType")
    if not kind and existing is None:
        raise InvalidRequest("A datastore needs properties.datastoreType, such as AzureBlob", target="datastoreType")
    if name in OWN and existing is not None:
        before = existing.body["properties"]
        for field in ("datastoreType", "containerName"):
            if properties.get(field) and properties[field] != before.get(field):
                raise StateConflict(f"Datastore {name} belongs to the workspace: its {field} cannot change")


def _claim(hub: Hub, scope: WorkspaceScope, region: Region, container: str, name: str) -> None:
    known = hub.containers.describe(container)
    if known is not None and known.owner != scope.key:
        raise InvalidRequest(
            f"Container {container!r} belongs to another workspace, and this server has each name once, whatever the "
            "account: choose another containerName",
            target="containerName",
        )
    if known is None:
        hub.containers.create(container, region=region, owner=scope.key, purpose=name)


def _demoted(hub: Hub, scope: WorkspaceScope, name: str) -> list[Put]:
    changes = []
    for document in hub.documents.list(f"{scope.key}/datastores", view=View.ALL).documents:
        body = document.body
        if body["properties"].get("isDefault") and body["name"] != name:
            body["properties"]["isDefault"] = False
            changes.append(Put(document.key, body, match=document.revision))
    return changes


def _body(
    hub: Hub, principal: Principal, scope: WorkspaceScope, name: str, properties: dict[str, Json]
) -> dict[str, Json]:
    return {
        "id": f"{scope.arm_id}/datastores/{name}",
        "name": name,
        "type": f"{PROVIDER}/workspaces/datastores",
        "systemData": created_by(principal, hub.clock.now()),
        "properties": {"isDefault": False, **properties},
    }
