"""What is sent to create models, environments, components and data assets, shaped as azure-ai-ml 1.35 sends it."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.shapes.naming import camel_fields

Json = Any
SPEC_FIELDS = (
    "$schema", "name", "version", "display_name", "description", "tags", "type", "is_deterministic", "command",
    "environment_variables", "resources", "distribution", "properties", "settings",
)  # fmt: skip


def model(data: Mapping[str, Json], *, uri: str) -> dict[str, Json]:
    """Return the body of a model version; `uri` is where its bytes are."""
    properties = _properties(data) | {"modelType": data.get("type") or "custom_model", "modelUri": uri}
    if data.get("stage"):
        properties["stage"] = data["stage"]
    if data.get("flavors"):
        properties["flavors"] = {name: {"data": flavor} for name, flavor in data["flavors"].items()}
    if data.get("job_name"):
        properties["jobName"] = data["job_name"]
    if data.get("default_deployment_template"):
        properties["defaultDeploymentTemplate"] = camel_fields(data["default_deployment_template"])
    if data.get("allowed_deployment_templates"):
        properties["allowedDeploymentTemplates"] = [camel_fields(item) for item in data["allowed_deployment_templates"]]
    return {"properties": properties}


def data_asset(data: Mapping[str, Json], *, uri: str) -> dict[str, Json]:
    """Return the body of a data asset's version; `uri` is where its bytes are."""
    return {"properties": _properties(data) | {"dataType": data.get("type") or "uri_folder", "dataUri": uri}}


def code(*, uri: str, digest: str) -> dict[str, Json]:
    """Return the body of code; `digest` is that of its files."""
    properties = {"hash_sha256": digest, "hash_version": "entrepot-snapshot-1"}
    return {"properties": {"codeUri": uri, "isAnonymous": True, "properties": properties}}


def environment(
    data: Mapping[str, Json], *, conda: str | None, context_uri: str | None, is_anonymous: bool
) -> dict[str, Json]:
    """Return the body of an environment's version; `conda` is the text of its conda specification."""
    properties = _properties(data) | {"isAnonymous": is_anonymous}
    if data.get("image"):
        properties["image"] = data["image"]
    if conda is not None:
        properties["condaFile"] = conda
    if context_uri is not None:
        properties["build"] = {"contextUri": context_uri}
        if data["build"].get("dockerfile_path"):
            properties["build"]["dockerfilePath"] = data["build"]["dockerfile_path"]
    if data.get("os_type"):
        properties["osType"] = data["os_type"]
    if data.get("inference_config"):
        properties["inferenceConfig"] = camel_fields(data["inference_config"])
    return {"properties": properties}


def component(spec: Mapping[str, Json], *, is_anonymous: bool) -> dict[str, Json]:
    """Return the body of a component's version, of its finished specification."""
    properties = _properties(spec) | {"isAnonymous": is_anonymous, "componentSpec": dict(spec)}
    return {"properties": properties}


def component_spec(data: Mapping[str, Json], *, source: str = "YAML.COMPONENT") -> dict[str, Json]:
    """Return the specification of a component without code, environment and steps; literals become text."""
    spec: dict[str, Json] = {name: data[name] for name in SPEC_FIELDS if data.get(name) is not None}
    spec["type"] = data.get("type") or "command"
    for side in ("inputs", "outputs"):
        if data.get(side) is not None:
            spec[side] = {name: port(value) for name, value in data[side].items()}
    return spec | {"_source": source}


def port(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return an input or output of a component: default, min and max are sent as text."""
    sent = {name: item for name, item in value.items() if item is not None}
    for name in ("default", "min", "max"):
        if name in sent:
            sent[name] = literal(sent[name])
    if "enum" in sent:
        sent["enum"] = [literal(item) for item in sent["enum"]]
    return sent


def literal(value: Json) -> str:
    """Return a literal as text, a truth value as Python writes it, as azure-ai-ml does."""
    return str(value)


def _properties(data: Mapping[str, Json]) -> dict[str, Json]:
    properties: dict[str, Json] = {
        "tags": dict(data.get("tags") or {}),
        "properties": dict(data.get("properties") or {}),
        "isAnonymous": False,
        "isArchived": False,
    }
    if data.get("description") is not None:
        properties["description"] = data["description"]
    return properties
