"""The steps of a pipeline: each names a component, which may be a local file or the step's own command."""

import json
from collections.abc import Mapping
from typing import Any

from entrepot.client.files import Document, Place
from entrepot.client.publishing.components import (
    anonymous_component,
    inline_spec,
    loaded_component,
    node_settings,
    schema_of,
)
from entrepot.client.publishing.content import Publisher, expand, is_local
from entrepot.client.publishing.inputs import located
from entrepot.client.schemas.checks import check
from entrepot.client.schemas.flows import CONTROLS
from entrepot.client.schemas.searches import SEARCH_FIELDS
from entrepot.client.shapes import job_bodies

Json = Any


def nodes_body(
    publisher: Publisher, document: Document, steps: Mapping[str, Json], place: Place, *, ports: Mapping[str, Json]
) -> dict[str, Json]:
    """Return the steps as they are sent. `ports`: {"inputs", "outputs"} of the pipeline, for the types of bindings."""
    known: dict[str, Json] = {**ports, "jobs": {}}
    sent = {}
    for name, step in steps.items():
        field = _field_of(step)
        if isinstance(step.get(field), str) and is_local(step[field]):
            step["loaded"] = loaded_component(publisher, document, step[field], (*place, name, field))
        known["jobs"][name] = _output_types(step)
    for name, step in steps.items():
        sent[name] = _node(publisher, document, name, step, (*place, name), known)
    return sent


def _output_types(step: Mapping[str, Json]) -> dict[str, str]:
    component = step["loaded"][1] if "loaded" in step else step.get(_field_of(step))
    outputs = component.get("outputs") if isinstance(component, dict) else step.get("outputs")
    return {
        name: str(value.get("type") or "uri_folder") if isinstance(value, dict) else "uri_folder"
        for name, value in (outputs or {}).items()
    }


def _node(
    publisher: Publisher, document: Document, name: str, step: dict[str, Json], place: Place, ports: Mapping[str, Json]
) -> dict[str, Json]:
    if step.get("type") in CONTROLS:
        return _control(step)
    identity, source, kind = _component(publisher, document, step, place, ports)
    node: dict[str, Json] = {"name": name, "type": step.get("type") or kind, "_source": source}
    is_sweep = node["type"] == "sweep"
    node |= {"trial": {"componentId": identity}, **_search(step)} if is_sweep else {"componentId": identity}
    if step.get("compute"):
        node["computeId"] = compute_id(publisher, step["compute"])
    inputs = {
        key: located(publisher, document, value, (*place, "inputs", key))
        for key, value in (step.get("inputs") or {}).items()
    }
    node["inputs"] = {key: job_bodies.node_input(value) for key, value in inputs.items() if value is not None}
    node["outputs"] = {key: job_bodies.node_output(value) for key, value in (step.get("outputs") or {}).items()}
    for field in ("display_name", "description", "tags", "properties", "identity"):
        if step.get(field):
            node[field] = step[field]
    return node | node_settings({name: value for name, value in step.items() if not is_sweep or name != "limits"})


def _field_of(step: Mapping[str, Json]) -> str:
    """Return where a step names its component: a sweep's is that of its trials."""
    return "trial" if step.get("type") == "sweep" else "component"


def _search(step: Mapping[str, Json]) -> dict[str, Json]:
    return {name: step[name] for name in (*SEARCH_FIELDS, "queue_settings") if step.get(name) is not None}


def _control(step: Mapping[str, Json]) -> dict[str, Json]:
    """Return a condition or loop as it is sent: items as JSON text, as azure-ai-ml sends them."""
    sent = {name: value for name, value in step.items() if value is not None}
    if isinstance(sent.get("items"), list | dict):
        sent["items"] = json.dumps(sent["items"])
    return {**sent, "_source": "YAML.JOB"}


def _component(
    publisher: Publisher, document: Document, step: dict[str, Json], place: Place, ports: Mapping[str, Json]
) -> tuple[str, str, str]:
    """Return (component id, where it came from, its type)."""
    component = step.get(_field_of(step))
    where = (*place, _field_of(step))
    if "loaded" in step:
        inner, data = step.pop("loaded")
        return anonymous_component(publisher, inner, data, ()), "YAML.COMPONENT", _type_of(data)
    if isinstance(component, str):
        identity = expand(publisher, "components", component, document=document, place=where)
        source = "REMOTE.REGISTRY" if identity.startswith("azureml://") else "REMOTE.WORKSPACE.COMPONENT"
        return identity, source, str(step.get("type") or "command")
    if isinstance(component, dict):
        inner = Document(component, path=document.path, lines={}, texts={})
        data, warnings = check(inner, schema_of(inner))
        publisher.warnings.extend(warnings)
        return anonymous_component(publisher, inner, data, where), "YAML.COMPONENT", _type_of(data)
    spec = inline_spec(step, ports)
    return anonymous_component(publisher, document, spec, place), "YAML.JOB", spec["type"]


def _type_of(component: Mapping[str, Json]) -> str:
    return "pipeline" if component.get("jobs") else str(component.get("type") or "command")


def compute_id(publisher: Publisher, text: str) -> str:
    """Return a compute target's id; what is no name of this workspace stays as it is."""
    name = text.removeprefix("azureml:")
    if name.startswith("/") or name in ("serverless", "local") or publisher.target.is_registry:
        return name
    return f"{publisher.target.base}/computes/{name}"
