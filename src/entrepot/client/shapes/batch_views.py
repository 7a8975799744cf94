"""What `az ml batch-endpoint` and `az ml batch-deployment` print."""

from __future__ import annotations

from entrepot.client.shapes.naming import creation_context, reference, resource, snake, snake_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = Any

_PLAIN = ("description", "mini_batch_size", "max_concurrency_per_instance", "output_file_name", "error_threshold",
          "environment_variables")  # fmt: skip


def endpoint_view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return an endpoint as `az ml batch-endpoint show` prints it."""
    properties = document.get("properties") or {}
    shown = resource(document) | {
        "auth_mode": "aad_token",
        "defaults": snake_fields(properties.get("defaults") or {}),
        "description": properties.get("description"),
        "location": document.get("location"),
        "properties": properties.get("properties") or {},
        "provisioning_state": properties.get("provisioningState"),
        "scoring_uri": properties.get("scoringUri"),
        "tags": document.get("tags") or {},
        "creation_context": creation_context(document.get("systemData")),
    }
    return {name: item for name, item in shown.items() if item is not None}


def deployment_view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a deployment as `az ml batch-deployment show` prints it."""
    properties = document.get("properties") or {}
    shown: dict[str, Json] = resource(document) | {
        "endpoint_name": str(document.get("id")).split("/")[-3],
        "tags": document.get("tags") or {},
        "properties": properties.get("properties") or {},
        "provisioning_state": properties.get("provisioningState"),
        "creation_context": creation_context(document.get("systemData")),
    }
    configuration = properties.get("deploymentConfiguration")
    if configuration:
        component = (configuration.get("componentId") or {}).get("assetId")
        shown |= {
            "type": "pipeline",
            "component": reference(component),
            "settings": configuration.get("settings") or {},
        }
        return {name: item for name, item in shown.items() if item is not None}
    return {name: item for name, item in (shown | _model(properties)).items() if item is not None}


def _model(properties: Mapping[str, Json]) -> dict[str, Json]:
    fields = snake_fields(properties)
    shown: dict[str, Json] = {"type": "model", **{name: fields.get(name) for name in _PLAIN}}
    shown |= {
        "model": reference((fields.get("model") or {}).get("assetId")),
        "environment": reference(fields.get("environment_id")),
        "compute": _compute(fields.get("compute")),
        "resources": snake_fields(fields.get("resources") or {}),
        "output_action": snake(str(fields.get("output_action") or "AppendRow")),
        "logging_level": str(fields.get("logging_level") or "info").lower(),
        "retry_settings": _retries(fields.get("retry_settings") or {}),
    }
    code = fields.get("code_configuration")
    if code:
        shown["code_configuration"] = {
            "code": reference(code.get("codeId")),
            "scoring_script": code.get("scoringScript"),
        }
    return shown


def _compute(identity: Json) -> Json:
    return "azureml:" + str(identity).rsplit("/", 1)[-1].removeprefix("azureml:") if identity else None


def _retries(value: Mapping[str, Json]) -> dict[str, Json]:
    shown = snake_fields(value)
    timeout = str(shown.get("timeout") or "")
    if timeout.startswith("PT") and timeout.endswith("S") and timeout[2:-1].isdigit():
        shown["timeout"] = int(timeout[2:-1])
    return shown


def job_view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a job as lists of an endpoint's jobs show it."""
    properties = document.get("properties") or {}
    return {
        "id": document.get("id"),
        "name": document.get("name"),
        "status": properties.get("status"),
        "type": document.get("type"),
        "experiment_name": properties.get("experimentName"),
        "deployment_name": (properties.get("properties") or {}).get("azureml.batchDeployment"),
        "creation_context": creation_context(document.get("systemData")),
    }
