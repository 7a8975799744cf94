"""What `az ml online-endpoint` and `az ml online-deployment` print."""

from __future__ import annotations

from entrepot.client.shapes.naming import creation_context, reference, resource, snake_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = Any

_AUTH_MODES = {"Key": "key", "AMLToken": "aml_token", "AADToken": "aad_token"}
_SCALES = {"Default": "default", "TargetUtilization": "target_utilization"}
_STATUS = ("state", "percent", "reason", "events")
_PLAIN = ("description", "instance_type", "model_mount_path", "app_insights_enabled", "egress_public_network_access",
          "environment_variables", "scoring_path", "scoring_port")  # fmt: skip


def endpoint_view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return an endpoint as `az ml online-endpoint show` prints it; its keys are nowhere in it."""
    properties = document.get("properties") or {}
    shown = resource(document) | {
        "auth_mode": _AUTH_MODES.get(str(properties.get("authMode")), "key"),
        "description": properties.get("description"),
        "identity": document.get("identity"),
        "kind": document.get("kind"),
        "location": document.get("location"),
        "mirror_traffic": properties.get("mirrorTraffic") or {},
        "openapi_uri": properties.get("swaggerUri"),
        "properties": properties.get("properties") or {},
        "provisioning_state": properties.get("provisioningState"),
        "public_network_access": str(properties.get("publicNetworkAccess") or "Enabled").lower(),
        "scoring_uri": properties.get("scoringUri"),
        "tags": document.get("tags") or {},
        "traffic": properties.get("traffic") or {},
        "creation_context": creation_context(document.get("systemData")),
    }
    for name in ("cors", "sticky"):
        if properties.get(name):
            shown[name] = snake_fields(properties[name])
    return {name: item for name, item in shown.items() if item is not None}


def deployment_view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a deployment as `az ml online-deployment show` prints it."""
    properties = document.get("properties") or {}
    ours = document.get("entrepot") or {}
    fields = snake_fields(properties)
    extras = dict(properties.get("properties") or {})
    shown = resource(document) | {
        "endpoint_name": str(document.get("id")).split("/")[-3],
        "type": str(properties.get("endpointComputeType") or "Managed").lower(),
        **{name: fields.get(name) for name in _PLAIN},
        "model": reference(properties.get("model")),
        "environment": reference(properties.get("environmentId")),
        "instance_count": (document.get("sku") or {}).get("capacity"),
        "inference_server": extras.pop("inference_server", None),
        "location": document.get("location"),
        "properties": extras,
        "provisioning_state": properties.get("provisioningState"),
        "error": ours.get("error"),
        "progress": ours.get("progress"),
        "tags": document.get("tags") or {},
        **settings(properties),
        "creation_context": creation_context(document.get("systemData")),
    }
    if code := properties.get("codeConfiguration"):
        shown["code_configuration"] = {
            "code": reference(code.get("codeId")),
            "scoring_script": code.get("scoringScript"),
        }
    if properties.get("dataCollector"):
        shown["data_collector"] = _collector(properties["dataCollector"])
    if properties.get("rollout"):
        rollout = snake_fields(properties["rollout"])
        rollout["bake_time"] = _whole(seconds(rollout.get("bake_time")))
        shown["rollout"] = rollout
        status = ours.get("rollout") or {}
        shown["rollout_status"] = {name: status[name] for name in _STATUS if name in status} or None
    return {name: item for name, item in shown.items() if item is not None}


def settings(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return request settings, probes and scaling as YAML says them, those that there are."""
    shown: dict[str, Json] = {}
    if requests := properties.get("requestSettings"):
        found = {
            "request_timeout_ms": _milliseconds(requests.get("requestTimeout")),
            "max_concurrent_requests_per_instance": requests.get("maxConcurrentRequestsPerInstance"),
            "max_queue_wait_ms": _milliseconds(requests.get("maxQueueWait")),
        }
        shown["request_settings"] = {name: item for name, item in found.items() if item is not None}
    for name, sent_as in (("liveness_probe", "livenessProbe"), ("readiness_probe", "readinessProbe")):
        if properties.get(sent_as):
            shown[name] = _with_seconds(properties[sent_as])
            if "http_method" in shown[name]:
                shown[name]["method"] = shown[name].pop("http_method")
    if properties.get("scaleSettings"):
        scale = _with_seconds(properties["scaleSettings"])
        shown["scale_settings"] = {"type": _SCALES.get(str(scale.pop("scale_type", "")), "default"), **scale}
    return shown


def _collector(given: Mapping[str, Json]) -> dict[str, Json]:
    """Return `data_collector` as YAML has it; a rate that all collections share stands once."""
    known = given.get("collections") or {}
    rates = {one.get("samplingRate") for one in known.values()}
    collections = {
        name: {
            "enabled": "true" if one.get("dataCollectionMode") == "Enabled" else "false",
            "data": reference(one.get("dataId")),
            "client_id": one.get("clientId"),
            "sampling_rate": one.get("samplingRate") if len(rates) > 1 else None,
        }
        for name, one in known.items()
    }
    shown: dict[str, Json] = {
        "collections": {name: snake_fields(one) for name, one in collections.items()},
        "rolling_rate": str(given.get("rollingRate") or "Hour").lower(),
    }
    if len(rates) == 1:
        shown["sampling_rate"] = rates.pop()
    if headers := (given.get("requestLogging") or {}).get("captureHeaders"):
        shown["request_logging"] = {"capture_headers": headers}
    return shown


def _with_seconds(value: Mapping[str, Json]) -> dict[str, Json]:
    return {
        name: _whole(seconds(item)) if isinstance(item, str) and item.startswith("PT") else item
        for name, item in snake_fields(value).items()
    }


def _milliseconds(duration: str | None) -> int | None:
    found = seconds(duration)
    return None if found is None else round(found * 1000)


def _whole(value: float | None) -> float | None:
    return int(value) if value is not None and value == int(value) else value


def seconds(duration: str | None) -> float | None:
    """Return an ISO 8601 duration such as PT1M30.5S in seconds; None when there is none."""
    if not duration:
        return None
    total, digits = 0.0, ""
    units = {"D": 86400, "H": 3600, "M": 60, "S": 1}
    for letter in duration.upper().removeprefix("P").replace("T", ""):
        if letter in units:
            total += float(digits or 0) * units[letter]
            digits = ""
        else:
            digits += letter
    return total
