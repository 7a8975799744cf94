"""Components: their specification with code, environment and steps as ids; named ones and anonymous ones."""

from collections.abc import Mapping
from typing import Any

from entrepot.client import files
from entrepot.client.files import Document, Place
from entrepot.client.publishing.assets import anonymous_environment
from entrepot.client.publishing.content import Publisher, create_code, create_numbered, expand, is_local, require_name
from entrepot.client.schemas import jobs as job_schemas
from entrepot.client.schemas.assets import COMMAND_COMPONENT
from entrepot.client.schemas.checks import Check, check
from entrepot.client.schemas.flows import PARALLEL_COMPONENT, PARALLEL_FIELDS
from entrepot.client.shapes import asset_bodies, job_bodies
from entrepot.core.digests import digest_json

Json = Any

ANONYMOUS_COMPONENT = "azureml_anonymous"  # azure-ai-ml's name, by which servers know it


def schema_of(document: Document) -> Check:
    """Return the schema that a component's file has to follow. Raises FileFailure for types not served."""
    kind = document.data.get("type") or ("pipeline" if "jobs" in document.data else "command")
    schemas = {
        "command": COMMAND_COMPONENT, "pipeline": job_schemas.PIPELINE_COMPONENT, "parallel": PARALLEL_COMPONENT,
    }  # fmt: skip
    if kind not in schemas:
        raise document.wrong(("type",), f"components of type {kind!r} are not run here; {', '.join(schemas)} are")
    return schemas[kind]


def create_component(publisher: Publisher, document: Document, data: dict[str, Json]) -> Json:
    """Create a component's version with all that it needs, and return what the server answers."""
    name = require_name(document, data, "component")
    spec = finished_spec(publisher, document, data, ())

    def make(version: str) -> Json:
        return asset_bodies.component({**spec, "name": name, "version": version}, is_anonymous=False)

    return create_numbered(publisher, "components", name, data.get("version"), make)


def finished_spec(publisher: Publisher, document: Document, data: dict[str, Json], place: Place) -> dict[str, Json]:
    """Return a component's specification after uploading and creating what it refers to."""
    spec = asset_bodies.component_spec(data)
    if data.get("jobs"):
        from entrepot.client.publishing.nodes import nodes_body

        ports = {"inputs": data.get("inputs") or {}, "outputs": data.get("outputs") or {}}
        spec["type"] = "pipeline"
        spec["jobs"] = nodes_body(publisher, document, data["jobs"], (*place, "jobs"), ports=ports)
        spec["sourceJobId"] = None
        return spec
    if spec["type"] == "parallel":
        kept = {name: data[name] for name in PARALLEL_FIELDS if data.get(name) is not None}
        return spec | kept | {"task": _task(publisher, document, data["task"], (*place, "task"))}
    if data.get("code"):
        spec["code"] = in_spec(code_id(publisher, document, data["code"], (*place, "code")))
    spec["environment"] = in_spec(environment_id(publisher, document, data["environment"], (*place, "environment")))
    return spec


def _task(publisher: Publisher, document: Document, task: Mapping[str, Json], place: Place) -> dict[str, Json]:
    sent = {"type": "run_function", **task}
    if sent.get("code"):
        sent["code"] = in_spec(code_id(publisher, document, sent["code"], (*place, "code")))
    sent["environment"] = in_spec(environment_id(publisher, document, sent["environment"], (*place, "environment")))
    return sent


def anonymous_component(publisher: Publisher, document: Document, data: dict[str, Json], place: Place) -> str:
    """Create the component that a step holds or that a local file describes, named by its content; return its id."""
    spec = finished_spec(publisher, document, data, place)
    version = digest_json({name: item for name, item in spec.items() if name not in ("name", "version", "_source")})
    spec = {**spec, "name": ANONYMOUS_COMPONENT, "version": version}
    body = asset_bodies.component(spec, is_anonymous=True)
    publisher.session.put(publisher.target.version("components", ANONYMOUS_COMPONENT, version), body)
    return publisher.target.asset_id("components", ANONYMOUS_COMPONENT, version)


def loaded_component(
    publisher: Publisher, document: Document, text: str, place: Place
) -> tuple[Document, dict[str, Json]]:
    """Return (document, checked values) of the component file that a step names. Raises FileFailure."""
    path = document.resolve(text, place)
    if path.is_dir():
        raise document.wrong(place, f"{text!r} is a folder: name a component's YAML file")
    inner = files.load(path)
    data, warnings = check(inner, schema_of(inner))
    publisher.warnings.extend(warnings)
    return inner, data


def code_id(publisher: Publisher, document: Document, text: str, place: Place) -> str:
    """Return the id of code: as referred to, or of what is uploaded."""
    if text.startswith(("azureml:", "/subscriptions/")):
        return expand(publisher, "codes", text, document=document, place=place)
    if not is_local(text):
        raise document.wrong(place, f"code cannot be fetched from {text!r}: give a local folder such as ./src")
    path = document.resolve(text, place)
    if not path.is_dir():
        raise document.wrong(place, f"{text!r} is a file, and code is a folder: write the folder that holds it")
    return create_code(publisher, path)


def environment_id(publisher: Publisher, document: Document, value: Json, place: Place) -> str:
    """Return the id of an environment: as referred to, or of what stands in the file."""
    if isinstance(value, Mapping):
        return anonymous_environment(publisher, document, dict(value), place)
    return expand(publisher, "environments", str(value), document=document, place=place)


def in_spec(identity: str) -> str:
    """Return an id as specifications hold it: ARM ids begin with `azureml:`."""
    return f"azureml:{identity}" if identity.startswith("/subscriptions/") else identity


def inline_spec(data: Mapping[str, Json], ports: Mapping[str, Json]) -> dict[str, Json]:
    """Return the component that a step with a command of its own is: its values tell the types of its ports."""
    inputs = {name: _port_of(value, ports) for name, value in (data.get("inputs") or {}).items()}
    outputs = {name: _output_port_of(value, ports) for name, value in (data.get("outputs") or {}).items()}
    if data.get("task"):
        spec = {name: data[name] for name in (*PARALLEL_FIELDS, "is_deterministic") if data.get(name) is not None}
        return {"type": "parallel", "inputs": inputs, "outputs": outputs, **spec}
    kept = ("command", "code", "environment", "environment_variables", "distribution", "is_deterministic")
    spec = {name: data[name] for name in kept if data.get(name) is not None}
    return {"type": "command", "inputs": inputs, "outputs": outputs, **spec}


def _port_of(value: Json, ports: Mapping[str, Json]) -> dict[str, Json]:
    path = value.get("path") if isinstance(value, dict) else value
    if isinstance(path, str) and path.startswith("${{"):
        return {"type": _bound_type(path, ports)}
    if isinstance(value, dict):
        return {"type": value.get("type") or "uri_folder"}
    return {"type": literal_type(value)}


def _output_port_of(value: Json, ports: Mapping[str, Json]) -> dict[str, Json]:
    if isinstance(value, dict):
        return {"type": value.get("type") or "uri_folder"}
    if isinstance(value, str):
        return {"type": _bound_type(value, ports)}
    return {"type": "uri_folder"}


def _bound_type(expression: str, ports: Mapping[str, Json]) -> str:
    words = expression.strip().removeprefix("${{").removesuffix("}}").strip().split(".")
    if words[0] == "parent" and len(words) == 3:
        given = (ports.get(words[1]) or {}).get(words[2])
        if isinstance(given, dict):
            return str(given.get("type") or "uri_folder")
        return "uri_folder" if words[1] == "outputs" or given is None else literal_type(given)
    if words[:2] == ["parent", "jobs"] and len(words) == 5:
        return str(((ports.get("jobs") or {}).get(words[2]) or {}).get(words[4]) or "uri_folder")
    return "string"


def literal_type(value: Json) -> str:
    """Return the type of a literal that is given without one."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, float) else "string"


def node_settings(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a step says beside its component: resources, limits, distribution, variables."""
    sent: dict[str, Json] = {}
    if data.get("resources"):
        sent["resources"] = dict(data["resources"])
    if data.get("limits"):
        sent["limits"] = job_bodies.limits(data["limits"], is_node=True)
    if data.get("distribution"):
        sent["distribution"] = job_bodies.distribution(data["distribution"], is_node=True)
    if data.get("environment_variables"):
        sent["environment_variables"] = job_bodies.environment_variables(data["environment_variables"])
    for name in PARALLEL_FIELDS:
        if data.get(name) is not None and name not in ("task", *sent):
            sent[name] = data[name]
    return sent
