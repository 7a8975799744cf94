"""Batch endpoints: from checked YAML to the bodies that are sent, after creating what a deployment refers to."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.files import Document
from entrepot.client.publishing.components import anonymous_component, environment_id, loaded_component
from entrepot.client.publishing.content import Publisher, expand, is_local
from entrepot.client.publishing.inputs import located
from entrepot.client.publishing.nodes import compute_id
from entrepot.client.publishing.scoring import code_configuration, model_id
from entrepot.client.schemas.batch import SETTINGS
from entrepot.client.shapes import job_bodies
from entrepot.client.shapes.naming import camel_fields

Json = Any

_ACTIONS = {"append_row": "AppendRow", "summary_only": "SummaryOnly"}
_SENT = ("description", "properties")


def endpoint_body(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return an endpoint as it is sent."""
    properties: dict[str, Json] = {name: data[name] for name in _SENT if data.get(name)}
    properties |= {"authMode": "AADToken", "defaults": camel_fields(data.get("defaults") or {})}
    return {"location": data.get("location"), "tags": dict(data.get("tags") or {}), "properties": properties}


def deployment_body(publisher: Publisher, document: Document, data: Mapping[str, Json]) -> dict[str, Json]:
    """Return a deployment as it is sent. Raises FileFailure."""
    properties: dict[str, Json] = {name: data[name] for name in _SENT if data.get(name)}
    fill = _pipeline if data.get("component") else _model
    return {"tags": dict(data.get("tags") or {}), "properties": properties | fill(publisher, document, data)}


def _model(publisher: Publisher, document: Document, data: Mapping[str, Json]) -> dict[str, Json]:
    settings = {name: data[name] for name in SETTINGS if data.get(name) is not None}
    settings |= {name: value for name, value in (data.get("settings") or {}).items() if value is not None}
    sent: dict[str, Json] = {
        "model": {"referenceType": "Id", "assetId": model_id(publisher, document, data["model"], ("model",))}
    }
    if data.get("environment"):
        sent["environmentId"] = environment_id(publisher, document, data["environment"], ("environment",))
    if data.get("code_configuration"):
        place = ("code_configuration",)
        sent["codeConfiguration"] = code_configuration(publisher, document, data["code_configuration"], place)
    if data.get("compute"):
        sent["compute"] = compute_id(publisher, data["compute"])
    return sent | settings_body(settings, resources=data.get("resources") or {})


def settings_body(settings: Mapping[str, Json], *, resources: Mapping[str, Json]) -> dict[str, Json]:
    """Return a model deployment's settings as they are sent."""
    sent = camel_fields({name: value for name, value in settings.items() if name != "instance_count"})
    if "outputAction" in sent:
        sent["outputAction"] = _ACTIONS[sent["outputAction"]]
    if "loggingLevel" in sent:
        sent["loggingLevel"] = str(sent["loggingLevel"]).capitalize()
    if "retrySettings" in sent:
        sent["retrySettings"] = _retries(sent["retrySettings"])
    count = settings.get("instance_count", resources.get("instance_count"))
    sent["resources"] = {**camel_fields(resources), **({"instanceCount": count} if count is not None else {})}
    return sent


def invocation_body(publisher: Publisher, document: Document, data: Mapping[str, Json]) -> dict[str, Json]:
    """Return an invocation as it is sent, with local inputs uploaded. Raises FileFailure."""
    inputs = {
        name: located(publisher, document, value, ("inputs", name))
        for name, value in (data.get("inputs") or {}).items()
    }
    settings = {name: data[name] for name in SETTINGS if data.get(name) is not None}
    sent: dict[str, Json] = {
        "inputData": {name: job_bodies.job_input(value) for name, value in inputs.items() if value is not None},
        "outputData": {name: job_bodies.job_output(value) for name, value in (data.get("outputs") or {}).items()},
        "properties": dict(data.get("properties") or {}),
        "tags": dict(data.get("tags") or {}),
        **settings_body(settings, resources={}),
    }
    for written, name in (("job_name", "name"), ("display_name", "displayName"), ("experiment_name", "experimentName")):
        if data.get(written):
            sent[name] = data[written]
    return {"properties": sent}


def _retries(value: Mapping[str, Json]) -> dict[str, Json]:
    sent = camel_fields(value)
    if isinstance(sent.get("timeout"), int):
        sent["timeout"] = f"PT{sent['timeout']}S"
    return sent


def _pipeline(publisher: Publisher, document: Document, data: Mapping[str, Json]) -> dict[str, Json]:
    value, place = data["component"], ("component",)
    if isinstance(value, str) and is_local(value):
        inner, checked = loaded_component(publisher, document, value, place)
        identity = anonymous_component(publisher, inner, checked, ())
    elif isinstance(value, str):
        identity = expand(publisher, "components", value, document=document, place=place)
    else:
        raise document.wrong(place, "name a pipeline component, or the YAML file of one")
    settings = dict(data.get("settings") or {})
    if settings.get("default_compute"):
        settings["default_compute"] = compute_id(publisher, settings["default_compute"])
    configuration = {
        "deploymentConfigurationType": "PipelineComponent",
        "componentId": {"referenceType": "Id", "assetId": identity},
        "settings": settings,
    }
    return {"deploymentConfiguration": configuration}
