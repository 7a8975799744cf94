"""Deployment templates as an asset kind: settings of online deployments, and nothing but settings.

What a deployment would be refused for, a template is refused for when it is made. Applying one to a deployment is in
`domain/endpoints/templating.py`.
"""

import re
from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import AssetRef
from entrepot.domain.assets.kind import MUTABLE, SERVER_FILLED, Properties, Rules, is_empty, require_text
from entrepot.domain.endpoints import bodies
from entrepot.domain.jobs.fields import literal_text, read_duration

Json = Any

ARCHIVED, DEVELOPMENT = "Archived", "Development"
_MANAGED = "Managed"
_HIGHEST_PORT = 65535
_PROBES = ("livenessProbe", "readinessProbe")
_DURATIONS = ("requestTimeout", "initialDelay", "period", "timeout")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _normalise(ref: AssetRef, properties: Properties) -> None:
    require_text(properties, "environmentId")
    kind = str(properties.get("deploymentTemplateType") or _MANAGED)
    if kind.lower() != _MANAGED.lower():
        raise _wrong(ref, "deploymentTemplateType", kind, f"{_MANAGED} is the only type there is")
    properties["deploymentTemplateType"] = _MANAGED
    _read_instances(ref, properties)
    _read_variables(ref, properties)
    for name in _PROBES:
        _read_probe(ref, properties, name)
    if "requestSettings" in properties:
        bodies.request_settings(_mapping(ref, properties, "requestSettings"))
    bodies.check_scoring_path(properties.get("scoringPath"))
    mount = properties.get("modelMountPath")
    if mount is not None and not (isinstance(mount, str) and mount.startswith("/")):
        raise _wrong(ref, "modelMountPath", mount, "an absolute path such as /var/models is needed")
    _read_port(ref, properties, properties.get("scoringPort"), "scoringPort")
    if "stage" in properties:
        properties["isArchived"] = _is_archiving(properties["stage"])
        if properties["isArchived"]:
            del properties["stage"]  # the one before is what a restored template has again


def _read_instances(ref: AssetRef, properties: Properties) -> None:
    listed = properties.pop("allowedInstanceTypes", None)  # azure-ai-ml 1.35 sends both spellings
    allowed = properties.setdefault("allowedInstanceType", listed or [])
    _require_texts(ref, "allowedInstanceType", allowed)
    default = properties.get("defaultInstanceType")
    if default is not None and allowed and str(default).lower() not in {name.lower() for name in allowed}:
        raise _wrong(ref, "defaultInstanceType", default, f"it must be one of those allowed: {', '.join(allowed)}")
    if properties.get("instanceCount") is not None:
        bodies.sku_of({"capacity": properties["instanceCount"]}, None)


def _read_variables(ref: AssetRef, properties: Properties) -> None:
    variables = _mapping(ref, properties, "environmentVariables")
    properties["environmentVariables"] = {name: literal_text(value) for name, value in variables.items()}
    _require_texts(
        ref, "allowedEnvironmentVariableOverrides", properties.get("allowedEnvironmentVariableOverrides") or []
    )


def _read_probe(ref: AssetRef, properties: Properties, name: str) -> None:
    if name not in properties:
        return
    probe = _mapping(ref, properties, name)
    bodies.probe(probe, name)
    _read_port(ref, properties, probe.get("port"), f"{name}.port")


def _read_port(ref: AssetRef, properties: Properties, port: Json, name: str) -> None:
    is_port = isinstance(port, int) and not isinstance(port, bool) and 0 < port <= _HIGHEST_PORT
    if port is not None and not is_port:
        raise _wrong(ref, name, port, f"a number from 1 to {_HIGHEST_PORT} is needed")


def _mapping(ref: AssetRef, properties: Properties, name: str) -> dict[str, Json]:
    value = properties.get(name) or {}
    if not isinstance(value, dict):
        raise _wrong(ref, name, value, "an object is needed")
    return value


def _require_texts(ref: AssetRef, name: str, value: Json) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(ref, name, value, "a list of texts is needed")


def _wrong(ref: AssetRef, name: str, value: Json, right: str) -> InvalidRequest:
    return InvalidRequest(f"{name} of {ref.name}:{ref.version} is {value!r}: {right}", target=name)


def _is_archiving(stage: Json) -> bool:
    """Say whether a stage is the one by which Azure's clients archive."""
    return str(stage).lower() == ARCHIVED.lower()


def _contents(properties: Properties, ours: Mapping[str, Json]) -> dict[str, Json]:
    return {
        _WORD.sub("_", name).lower(): _plain(value)
        for name, value in properties.items()
        if name not in MUTABLE and name not in SERVER_FILLED and not is_empty(value)
    }


def _plain(value: Json) -> Json:
    """Return a value in which equal durations are equal: clients write PT90S and PT1M30S."""
    if not isinstance(value, dict):
        return value
    return {
        name: read_duration(item) if name in _DURATIONS else item for name, item in value.items() if item is not None
    }


def _restated(stored: Mapping[str, Json], sent: Mapping[str, Json], changed: Mapping[str, Json]) -> Properties:
    if "stage" not in changed:
        return {}
    is_archived = _is_archiving(changed["stage"])
    return {"isArchived": is_archived} | ({"stage": stored.get("stage") or DEVELOPMENT} if is_archived else {})


RULES = Rules(address=(), normalise=_normalise, contents=_contents, needs_bytes=False, restated=_restated)
