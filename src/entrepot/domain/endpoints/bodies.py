"""The documents of online endpoints and deployments: what a client sent, checked, with every default filled in. Pure.

What this server does not act on is kept as it came. Defaults and limits are the documented ones of Azure ML.
"""

import re
from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.endpoints import data_collector
from entrepot.domain.endpoints.places import SCORE_ORIGIN
from entrepot.domain.jobs.fields import read_duration

Json = Any

CREATING, UPDATING, SUCCEEDED, FAILED, DELETING = "Creating", "Updating", "Succeeded", "Failed", "Deleting"

AUTH_MODES = {"key": "Key", "amltoken": "AMLToken", "aml_token": "AMLToken", "aadtoken": "AADToken",
              "aad_token": "AADToken"}  # fmt: skip
_COMPUTE_TYPES = {"managed": "Managed", "kubernetes": "Kubernetes"}
_LONGEST_REQUEST_S = 180.0
_MOST_INSTANCES = 50
_OURS = ("cors", "sticky")
"""Fields of ours: a client that does not know them sends an endpoint back without them, and means no change."""
_DROPPED = ("provisioningState", "scoringUri", "swaggerUri", "keys")
_PROBE = {"initialDelay": "PT10S", "period": "PT10S", "timeout": "PT2S", "successThreshold": 1, "failureThreshold": 30}
_PROBE_DURATIONS = ("initialDelay", "period", "timeout")
_ROUTE = re.compile(r"/[A-Za-z0-9._~/-]{0,255}")
_CORS_LISTS = ("allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders")


def endpoint_properties(given: Mapping[str, Json], before: Mapping[str, Json], slug: str) -> dict[str, Json]:
    """Return an endpoint's properties but for its traffic. `before`: those it has. Raises InvalidRequest."""
    kept = {name: value for name, value in given.items() if value is not None and name not in _DROPPED}
    for name in _OURS:
        if name not in given and before.get(name) is not None:
            kept[name] = before[name]
    mode = AUTH_MODES.get(str(given.get("authMode") or before.get("authMode") or "Key").lower())
    if mode is None:
        raise InvalidRequest(
            f"authMode is {given['authMode']!r}: it must be Key, AMLToken or AADToken", target="authMode"
        )
    if kept.get("cors") is not None:
        kept["cors"] = _cors(kept["cors"])
    if kept.get("sticky") is not None:
        kept["sticky"] = _sticky(kept["sticky"])
    return kept | {
        "authMode": mode,
        "scoringUri": f"{SCORE_ORIGIN}/{slug}/score",
        "swaggerUri": f"{SCORE_ORIGIN}/{slug}/swagger.json",
        "publicNetworkAccess": _access(kept.get("publicNetworkAccess") or "Enabled"),
        "properties": kept.get("properties") or {},
        "provisioningState": SUCCEEDED,
    }


def _access(given: Json) -> str:
    if str(given).lower() not in ("enabled", "disabled"):
        raise InvalidRequest(
            f"publicNetworkAccess is {given!r}: it must be Enabled or Disabled", target="publicNetworkAccess"
        )
    return str(given).capitalize()


def deployment_properties(given: Mapping[str, Json]) -> dict[str, Json]:
    """Return a deployment's properties with defaults; references stay as they came. Raises InvalidRequest."""
    kept = {name: value for name, value in given.items() if value is not None and name not in _DROPPED}
    kind = _COMPUTE_TYPES.get(str(kept.get("endpointComputeType") or "Managed").lower())
    if kind is None:
        raise InvalidRequest(
            f"endpointComputeType is {kept['endpointComputeType']!r}: it must be Managed or Kubernetes",
            target="endpointComputeType",
        )
    variables = kept.get("environmentVariables") or {}
    if not isinstance(variables, Mapping) or not all(isinstance(value, str) for value in variables.values()):
        raise InvalidRequest("environmentVariables must be an object with texts", target="environmentVariables")
    check_scoring_path(kept.get("scoringPath"))
    if kept.get("dataCollector"):
        kept["dataCollector"] = data_collector.checked(kept["dataCollector"])
    return kept | {
        "endpointComputeType": kind,
        "environmentVariables": dict(variables),
        "requestSettings": request_settings(kept.get("requestSettings") or {}),
        "livenessProbe": probe(kept.get("livenessProbe") or {}, "livenessProbe"),
        "readinessProbe": probe(kept.get("readinessProbe") or {}, "readinessProbe"),
        "scaleSettings": _scale_settings(kept.get("scaleSettings") or {}),
        "appInsightsEnabled": bool(kept.get("appInsightsEnabled")),
        "properties": kept.get("properties") or {},
    }


def check_scoring_path(path: Json) -> None:
    """Raise InvalidRequest for what cannot be a path below an endpoint's address; None is no path."""
    if path is not None and not (isinstance(path, str) and _ROUTE.fullmatch(path)):
        raise InvalidRequest(
            f"scoringPath is {path!r}: it must be a path such as /score, of letters, digits and - . _ ~ /",
            target="scoringPath",
        )


def sku_of(given: Json, before: Json) -> dict[str, Json]:
    """Return a deployment's sku, whose capacity is its number of instances. Raises InvalidRequest."""
    sku = {"name": "Default", **(before or {"capacity": 1})}
    sku |= {name: value for name, value in (given or {}).items() if value is not None}
    capacity = sku.get("capacity")
    if isinstance(capacity, bool) or not isinstance(capacity, int) or not 1 <= capacity <= _MOST_INSTANCES:
        raise InvalidRequest(
            f"sku.capacity (instance_count) must be a number from 1 to {_MOST_INSTANCES}: got {capacity!r}",
            target="sku.capacity",
        )
    return sku


def timeout_s(properties: Mapping[str, Json]) -> float:
    """Return how long a scoring request may take."""
    found = read_duration(properties["requestSettings"]["requestTimeout"])
    assert found is not None
    return found


def request_settings(given: Json) -> dict[str, Json]:
    """Return request settings with their defaults. Raises InvalidRequest."""
    settings = {"requestTimeout": "PT5S", "maxConcurrentRequestsPerInstance": 1, "maxQueueWait": "PT0.5S"}
    settings |= {name: value for name, value in given.items() if value is not None}
    timeout = read_duration(settings["requestTimeout"]) or 0
    if not 0 < timeout <= _LONGEST_REQUEST_S:
        raise InvalidRequest(
            f"requestSettings.requestTimeout must be from 1 ms to {_LONGEST_REQUEST_S:g} s: got {timeout:g} s",
            target="requestSettings.requestTimeout",
        )
    concurrency = settings["maxConcurrentRequestsPerInstance"]
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidRequest(
            f"requestSettings.maxConcurrentRequestsPerInstance must be a number from 1: got {concurrency!r}",
            target="requestSettings.maxConcurrentRequestsPerInstance",
        )
    _require_time(settings["maxQueueWait"], "requestSettings.maxQueueWait", least=0)
    return settings


def probe(given: Json, field: str) -> dict[str, Json]:
    """Return a probe with its defaults. Raises InvalidRequest that names the field."""
    probe = _PROBE | {name: value for name, value in given.items() if value is not None}
    for name in _PROBE_DURATIONS:
        _require_time(probe[name], f"{field}.{name}", least=0 if name == "initialDelay" else 0.001)
    for name in ("successThreshold", "failureThreshold"):
        if isinstance(probe[name], bool) or not isinstance(probe[name], int) or probe[name] < 1:
            raise InvalidRequest(f"{field}.{name} must be a number from 1: got {probe[name]!r}", target=field)
    return probe


def _require_time(value: Json, field: str, *, least: float) -> None:
    """Raise InvalidRequest that names the field for what is no time of so many seconds at least."""
    try:
        seconds = read_duration(value)
    except InvalidRequest as error:
        raise InvalidRequest(f"{field}: {error.message}", target=field) from error
    if seconds is None or isinstance(value, bool) or not least <= seconds < float("inf"):
        raise InvalidRequest(f"{field} must be a time from {least:g} s on: got {value!r}", target=field)


def _scale_settings(given: Json) -> dict[str, Json]:
    kind = str(given.get("scaleType") or "Default").lower().replace("_", "")
    if kind == "default":
        return {"scaleType": "Default"}
    if kind != "targetutilization":
        raise Unsupported(
            f"scaleSettings.scaleType {given['scaleType']!r}", instead="Default and TargetUtilization are."
        )
    settings = {"minInstances": 1, "maxInstances": 1, "targetUtilizationPercentage": 70, "pollingInterval": "PT1S"}
    settings |= {name: value for name, value in given.items() if value is not None}
    low, high = settings["minInstances"], settings["maxInstances"]
    if not isinstance(low, int) or not isinstance(high, int) or not 0 <= low <= high or high < 1:
        raise InvalidRequest(
            f"scaleSettings needs 0 <= minInstances <= maxInstances and maxInstances >= 1: got {low!r} and {high!r}",
            target="scaleSettings",
        )
    _require_time(settings["pollingInterval"], "scaleSettings.pollingInterval", least=0.001)
    return settings | {"scaleType": "TargetUtilization"}


def _cors(given: Json) -> dict[str, Json]:
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"cors must be an object with allowOrigins: got {given!r}", target="cors")
    for name in _CORS_LISTS:
        value = given.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise InvalidRequest(f"cors.{name} must be a list of texts: got {value!r}", target=f"cors.{name}")
    origins = given.get("allowOrigins")
    if not origins:
        raise InvalidRequest(
            "cors needs allowOrigins, such as ['https://app.example.com'] or ['*']", target="cors.allowOrigins"
        )
    if given.get("allowCredentials") and "*" in origins:
        raise InvalidRequest("cors.allowCredentials needs origins by name, not '*'", target="cors.allowCredentials")
    return {name: value for name, value in given.items() if value is not None}


def _sticky(given: Json) -> dict[str, Json]:
    header = given.get("header") if isinstance(given, Mapping) else None
    if not isinstance(header, str) or not header or not all(c.isalnum() or c in "-_" for c in header):
        raise InvalidRequest(
            f"sticky needs the name of a request header, such as {{'header': 'x-user-id'}}: got {given!r}",
            target="sticky",
        )
    return {"header": header.lower()}
