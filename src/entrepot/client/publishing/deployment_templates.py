"""Deployment templates: from checked YAML to a version in a registry."""

from typing import Any

from entrepot.client.files import Document
from entrepot.client.publishing.components import environment_id
from entrepot.client.publishing.content import Publisher, create_numbered, require_name
from entrepot.client.publishing.online import settings
from entrepot.client.shapes.naming import camel_fields

Json = Any

PLURAL = "deploymenttemplates"
_PLAIN = ("display_name", "description", "stage", "tags", "properties", "environment_variables", "instance_count",
          "model_mount_path", "scoring_path", "scoring_port", "default_instance_type",
          "allowed_environment_variable_overrides")  # fmt: skip


def create_template(publisher: Publisher, document: Document, data: dict[str, Json]) -> Json:
    """Create a template's version and return what the server answers. Raises FileFailure, ServiceFailure."""
    name = require_name(document, data, "deployment template")
    properties = camel_fields({name: data[name] for name in _PLAIN if data.get(name) is not None}) | settings(data)
    properties["environmentId"] = environment_id(publisher, document, data["environment"], ("environment",))
    properties["deploymentTemplateType"] = "Managed"
    if data.get("allowed_instance_types"):
        properties["allowedInstanceType"] = data["allowed_instance_types"]
    if data.get("accelerator_maps"):
        properties["acceleratorMaps"] = [camel_fields(item) for item in data["accelerator_maps"]]
    return create_numbered(publisher, PLURAL, name, data.get("version"), lambda _: {"properties": properties})
