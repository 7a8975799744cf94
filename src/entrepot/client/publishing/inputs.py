"""Inputs of jobs: local files go to the workspace's default datastore, short names become ids."""

from pathlib import Path
from typing import Any

from entrepot.client.connection import quote
from entrepot.client.files import Document, Place
from entrepot.client.publishing.assets import checked_type
from entrepot.client.publishing.content import Publisher, base_name, expand, is_local, transfer
from entrepot.client.schemas.assets import MODEL_TYPES
from entrepot.client.scopes import PROVIDER
from entrepot.client.transfers.hashes import snapshot_digest

Json = Any

DATASTORE = "workspaceblobstore"


def located(publisher: Publisher, document: Document, value: Json, place: Place) -> Json:
    """Return an input whose path is a URI: uploaded, looked up, or as it was written."""
    if not isinstance(value, dict) or not isinstance(value.get("path"), str):
        return value
    path = value["path"]
    where = (*place, "path")
    if path.startswith("${{"):
        return value
    if is_local(path):
        local = document.resolve(path, where)
        kind = checked_type(document, where, local, value.get("type"))
        return {**value, "type": kind, "path": _upload(publisher, local)}
    kind = value.get("type") or "uri_folder"
    if path.startswith("azureml:") and not path.startswith("azureml://"):
        plural = "models" if kind in MODEL_TYPES else "data"
        return {**value, "type": kind, "path": expand(publisher, plural, path, document=document, place=where)}
    return {**value, "type": kind}


def _upload(publisher: Publisher, path: Path) -> str:
    """Upload to `LocalUpload/<digest>/<name>` of the default datastore and return the URI there.

    A file gets a folder of its own name there: a folder that holds only this file has the same digest.
    """
    session, target = publisher.session, publisher.target
    store = f"{target.base}/datastores/{DATASTORE}"
    container = session.get(store)["properties"]["containerName"]
    secrets = session.post(f"{store}/listSecrets", {"expirableSecret": True, "expireAfterHours": 24})
    address = f"{session.blob_url}/{quote(container)}?{secrets['sasToken'].lstrip('?')}"
    base = base_name(path)
    place = f"LocalUpload/{snapshot_digest(path)}/{base}" + (f"/{base}" if path.is_file() else "")
    transfer(publisher, path, address, at=place)
    return f"azureml:/{target.base.replace(PROVIDER, '').replace('//', '/')}/datastores/{DATASTORE}/paths/{place}"
