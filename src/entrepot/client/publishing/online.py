"""Online endpoints: from checked YAML to the bodies that are sent, after creating what a deployment refers to."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.files import Document
from entrepot.client.publishing.collections import collector_body
from entrepot.client.publishing.components import environment_id
from entrepot.client.publishing.content import Publisher
from entrepot.client.publishing.scoring import code_configuration, model_id
from entrepot.client.shapes.naming import camel_fields

Json = Any

_AUTH_MODES = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken"}
_SCALES = {"default": "Default", "target_utilization": "TargetUtilization"}
_MILLISECONDS = {"request_timeout_ms": "requestTimeout", "max_queue_wait_ms": "maxQueueWait"}
_SECONDS = ("initial_delay", "period", "timeout", "polling_interval")
_PLAIN = ("description", "instance_type", "model_mount_path", "app_insights_enabled", "egress_public_network_access",
          "scoring_path", "scoring_port")  # fmt: skip
SERVER = "inference_server"


def endpoint_body(data: Mapping[str, Json], *, location: str) -> dict[str, Json]:
    """Return an endpoint as it is sent. What the file leaves out of traffic and mirrors stays as it is."""
    properties: dict[str, Json] = {"properties": dict(data.get("properties") or {})}
    if data.get("description"):
        properties["description"] = data["description"]
    if data.get("auth_mode"):
        properties["authMode"] = _AUTH_MODES[data["auth_mode"]]
    if data.get("public_network_access"):
        properties["publicNetworkAccess"] = str(data["public_network_access"]).capitalize()
    for written, name in (("traffic", "traffic"), ("mirror_traffic", "mirrorTraffic")):
        if data.get(written) is not None:
            properties[name] = dict(data[written])
    for name in ("cors", "sticky"):
        if name in data:
            properties[name] = camel_fields(data[name]) if data[name] else None
    body: dict[str, Json] = {"location": location, "tags": dict(data.get("tags") or {}), "properties": properties}
    return body | ({"identity": data["identity"]} if data.get("identity") else {})


def deployment_body(
    publisher: Publisher, document: Document, data: Mapping[str, Json], *, location: str
) -> dict[str, Json]:
    """Return a deployment as it is sent, with local code, models and environments created. Raises FileFailure."""
    properties = camel_fields({name: data[name] for name in _PLAIN if data.get(name) is not None})
    extras = dict(data.get("properties") or {})
    if data.get(SERVER):
        extras[SERVER] = data[SERVER]
    properties |= {"endpointComputeType": str(data.get("type") or "managed").capitalize(), "properties": extras}
    if data.get("model"):
        properties["model"] = model_id(publisher, document, data["model"], ("model",))
    if data.get("environment"):
        properties["environmentId"] = environment_id(publisher, document, data["environment"], ("environment",))
    if data.get("code_configuration"):
        place = ("code_configuration",)
        properties["codeConfiguration"] = code_configuration(publisher, document, data["code_configuration"], place)
    if data.get("environment_variables"):
        properties["environmentVariables"] = dict(data["environment_variables"])
    if data.get("data_collector"):
        properties["dataCollector"] = collector_body(publisher, document, data["data_collector"])
    properties |= settings(data)
    sent: dict[str, Json] = {"location": location, "tags": dict(data.get("tags") or {}), "properties": properties}
    return sent | {"sku": {"name": "Default", "capacity": data.get("instance_count")}}


def settings(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return request settings, probes, scaling and rollout as they are sent, those that there are."""
    sent: dict[str, Json] = {}
    if data.get("request_settings"):
        given = data["request_settings"]
        sent["requestSettings"] = {
            _MILLISECONDS[name]: f"PT{value / 1000:g}S" for name, value in given.items() if name in _MILLISECONDS
        } | camel_fields({name: value for name, value in given.items() if name not in _MILLISECONDS})
    for name, sent_as in (("liveness_probe", "livenessProbe"), ("readiness_probe", "readinessProbe")):
        if data.get(name):
            sent[sent_as] = _with_durations(data[name])
            if "method" in sent[sent_as]:
                sent[sent_as]["httpMethod"] = sent[sent_as].pop("method")
    if data.get("scale_settings"):
        scale = dict(data["scale_settings"])
        kind = _SCALES[scale.pop("type", "default")]
        sent["scaleSettings"] = {"scaleType": kind, **_with_durations(scale)}
    if data.get("rollout"):
        sent["rollout"] = _with_durations(data["rollout"]) | {"bakeTime": f"PT{data['rollout'].get('bake_time', 60)}S"}
    return sent


def _with_durations(given: Mapping[str, Json]) -> dict[str, Json]:
    return camel_fields({name: f"PT{value}S" if name in _SECONDS else value for name, value in given.items()})
