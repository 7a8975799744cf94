"""What `az ml` prints of models, environments, components and data assets. Imported by every `show`: keep it light."""

from __future__ import annotations

from entrepot.client.shapes.naming import creation_context, reference, resource, snake, snake_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Json = Any

OURS = ("provenance", "regions")  # shown as they are, under the same name


def view(plural: str, document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a version as `az ml <kind> show` prints it."""
    properties, ours = document.get("properties") or {}, document.get("entrepot") or {}
    name, version = name_and_version(document)
    shown = {**resource(document), "name": name, "version": version}
    shown |= {
        "tags": properties.get("tags") or {},
        "properties": properties.get("properties") or {},
        "creation_context": creation_context(document.get("systemData")),
    }
    if properties.get("description"):
        shown["description"] = properties["description"]
    if properties.get("isArchived"):
        shown["is_archived"] = True
    if properties.get("stage"):
        shown["stage"] = properties["stage"]
    shown |= {key: ours[key] for key in OURS if ours.get(key)}
    if ours.get("snapshot"):
        shown["digest"] = f"sha256:{ours['snapshot']}"
    return shown | VIEWS[plural](properties, ours)


def container_view(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a name with its newest version, as `az ml <kind> list` prints it."""
    properties = document.get("properties") or {}
    latest = properties.get("latestVersion")
    shown = {
        **resource(document),
        "latest_version": latest,
        "version": latest,
        "tags": properties.get("tags") or {},
        "creation_context": creation_context(document.get("systemData")),
    }
    if properties.get("description"):
        shown["description"] = properties["description"]
    if properties.get("isArchived"):
        shown["is_archived"] = True
    return shown


def name_and_version(document: Mapping[str, Json]) -> tuple[str, str]:
    """Return the asset's name and version, which only its id tells together."""
    parts = str(document.get("id") or "").split("/")
    return (parts[-3], parts[-1]) if len(parts) > 3 and parts[-2] == "versions" else ("", str(document.get("name")))


def _model(properties: Mapping[str, Json], _: Mapping[str, Json]) -> dict[str, Json]:
    shown = {
        "type": properties.get("modelType") or "custom_model",
        "path": properties.get("modelUri"),
        "flavors": {
            name: flavor.get("data", flavor) if isinstance(flavor, dict) else flavor
            for name, flavor in (properties.get("flavors") or {}).items()
        },
    }
    if properties.get("jobName"):
        shown["job_name"] = properties["jobName"]
    if properties.get("defaultDeploymentTemplate"):
        shown["default_deployment_template"] = snake_fields(properties["defaultDeploymentTemplate"])
    if properties.get("allowedDeploymentTemplates"):
        listed = properties["allowedDeploymentTemplates"]
        shown["allowed_deployment_templates"] = [snake_fields(item) for item in listed]
    return shown


def _data(properties: Mapping[str, Json], _: Mapping[str, Json]) -> dict[str, Json]:
    return {"type": properties.get("dataType"), "path": properties.get("dataUri")}


def _code(properties: Mapping[str, Json], _: Mapping[str, Json]) -> dict[str, Json]:
    return {"path": properties.get("codeUri")}


def _environment(properties: Mapping[str, Json], ours: Mapping[str, Json]) -> dict[str, Json]:
    shown: dict[str, Json] = {}
    if properties.get("image"):
        shown["image"] = properties["image"]
    if properties.get("condaFile"):
        shown["conda_file"] = _conda(properties["condaFile"])
    if properties.get("osType"):
        shown["os_type"] = str(properties["osType"]).lower()
    if properties.get("inferenceConfig"):
        routes = properties["inferenceConfig"]
        shown["inference_config"] = {snake(name): route for name, route in routes.items() if route}
    context = properties.get("build") or {}
    build = dict(ours.get("build") or {})
    if context:
        build |= {"path": context.get("contextUri"), "dockerfile_path": context.get("dockerfilePath")}
    if build:
        shown["build"] = build  # the context, as Azure tells it, and the state and log of the build, as we do
    return shown


def _conda(text: Json) -> Json:
    if not isinstance(text, str):
        return text
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader


def _component(properties: Mapping[str, Json], _: Mapping[str, Json]) -> dict[str, Json]:
    spec = properties.get("componentSpec") or {}
    shown = {name: item for name, item in spec.items() if not name.startswith("_") and item is not None}
    shown.pop("sourceJobId", None)
    for name in ("code", "environment"):
        if name in shown:
            shown[name] = reference(shown[name])
    if "jobs" in shown:
        shown["jobs"] = {name: node_view(node) for name, node in shown["jobs"].items()}
    for name in ("name", "version", "tags", "description"):
        shown.pop(name, None)
    return {"inputs": {}, "outputs": {}, **shown}


def node_view(node: Mapping[str, Json]) -> dict[str, Json]:
    """Return a pipeline's step as its YAML would say it."""
    shown = {name: item for name, item in node.items() if not name.startswith("_") and item is not None}
    shown.pop("name", None)
    for sent, written in (("componentId", "component"), ("computeId", "compute"), ("environmentId", "environment")):
        if sent in shown:
            shown[written] = reference(shown.pop(sent))
    if isinstance(shown.get("trial"), dict) and "componentId" in shown["trial"]:
        shown["trial"] = reference(shown["trial"]["componentId"])
    if isinstance(shown.get("compute"), str):
        shown["compute"] = "azureml:" + shown["compute"].rsplit("/", 1)[-1].removeprefix("azureml:")
    shown["inputs"] = {name: port_view(port) for name, port in (shown.get("inputs") or {}).items()}
    shown["outputs"] = {name: port_view(port) for name, port in (shown.get("outputs") or {}).items()}
    return shown


MODES = {"readonlymount": "ro_mount", "readwritemount": "rw_mount", "evalmount": "eval_mount",
         "evaldownload": "eval_download"}  # fmt: skip


def port_view(port: Json) -> Json:
    """Return an input's or output's value as YAML says it; REST writes it in camelCase or in snake_case."""
    if not isinstance(port, dict):
        return port
    fields = snake_fields(port)
    kind = fields.pop("job_input_type", None) or fields.pop("job_output_type", None) or fields.get("type")
    if kind == "literal" and "value" in fields:
        return fields["value"]
    shown: dict[str, Json] = {"type": kind} if kind else {}
    if fields.get("uri"):
        shown["path"] = reference(fields["uri"])
    if fields.get("mode"):
        mode = str(fields["mode"])
        shown["mode"] = MODES.get(mode.lower().replace("_", ""), mode.lower())
    renamed = {"asset_name": "name", "asset_version": "version"}
    shown |= {
        renamed.get(name, name): item for name, item in fields.items() if name not in ("type", "uri", "mode", "value")
    }
    return shown


_NOT_SHOWN = ("description", "tags", "properties", "stage", "isArchived", "isAnonymous", "provisioningState")


def _deployment_template(properties: Mapping[str, Json], _: Mapping[str, Json]) -> dict[str, Json]:
    from entrepot.client.shapes.online_views import settings

    shown = snake_fields({name: item for name, item in properties.items() if name not in _NOT_SHOWN})
    stage = "Archived" if properties.get("isArchived") else properties.get("stage") or "Development"
    shown |= {"environment": shown.pop("environment_id", None), "stage": stage, **settings(properties)}
    shown["allowed_instance_types"] = shown.pop("allowed_instance_type", [])
    if shown.get("accelerator_maps"):
        shown["accelerator_maps"] = [snake_fields(item) for item in shown["accelerator_maps"]]
    return shown


VIEWS: dict[str, Callable[[Mapping[str, Json], Mapping[str, Json]], dict[str, Json]]] = {
    "models": _model,
    "environments": _environment,
    "components": _component,
    "data": _data,
    "codes": _code,
    "deploymenttemplates": _deployment_template,
}
