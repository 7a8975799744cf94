"""`data_collector` of an online deployment: from checked YAML to the body that is sent, its data assets created."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.failures import ServiceFailure
from entrepot.client.files import Document
from entrepot.client.publishing.content import Publisher, expand

Json = Any


def collector_body(publisher: Publisher, document: Document, given: Mapping[str, Json]) -> dict[str, Json]:
    """Return `dataCollector` as it is sent. Raises FileFailure."""
    collections = {}
    for name, one in given["collections"].items():
        rate = one.get("sampling_rate", given.get("sampling_rate"))
        collections[name] = {
            "dataCollectionMode": "Enabled" if one["enabled"] == "true" else "Disabled",
            "samplingRate": 1.0 if rate is None else rate,
            **({"clientId": one["client_id"]} if one.get("client_id") else {}),
            **({"dataId": _data_id(publisher, document, name, one["data"])} if one.get("data") else {}),
        }
    roll = str(given.get("rolling_rate") or "hour").title()
    body: dict[str, Json] = {"collections": collections, "rollingRate": roll}
    if headers := (given.get("request_logging") or {}).get("capture_headers"):
        body["requestLogging"] = {"captureHeaders": headers}
    return body


def _data_id(publisher: Publisher, document: Document, collection: str, given: Json) -> str:
    place = ("data_collector", "collections", collection, "data")
    if isinstance(given, str):
        return expand(publisher, "data", given, document=document, place=place)
    if given.get("data_id"):
        return expand(publisher, "data", str(given["data_id"]), document=document, place=place)
    if not given.get("name") or not given.get("path"):
        raise document.wrong(place, "needs name and path, or a reference such as azureml:taxi-inputs:1")
    address = publisher.target.version("data", str(given["name"]), str(given.get("version") or "1"))
    body = {"properties": {"dataUri": str(given["path"]), "dataType": "uri_folder"}}
    try:
        return str(publisher.session.get(address)["id"])
    except ServiceFailure as failure:
        if failure.status != 404:
            raise
    return str(publisher.session.put(address, body)["id"])
