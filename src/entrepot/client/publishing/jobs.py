"""Jobs: from checked YAML to a submitted command or pipeline."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrepot.client.connection import quote
from entrepot.client.files import Document, Place
from entrepot.client.publishing.components import code_id, environment_id, in_spec
from entrepot.client.publishing.content import Publisher, expand
from entrepot.client.publishing.inputs import located
from entrepot.client.publishing.nodes import compute_id, nodes_body
from entrepot.client.schemas import jobs as schemas
from entrepot.client.schemas.checks import Check
from entrepot.client.schemas.sweeps import SWEEP_JOB
from entrepot.client.shapes import job_bodies, sweep_bodies

Json = Any

_FIRST = [
    "amber",
    "bold",
    "brave",
    "calm",
    "clever",
    "eager",
    "gentle",
    "golden",
    "happy",
    "jolly",
    "keen",
    "lucid",
    "nifty",
    "plucky",
    "quiet",
    "sharp",
]
_SECOND = [
    "anchor",
    "basket",
    "beacon",
    "bridge",
    "canyon",
    "comet",
    "forest",
    "garden",
    "harbor",
    "island",
    "lantern",
    "maple",
    "orchid",
    "river",
    "stone",
]
_LETTERS = "bcdfghjklmnpqrstvwxyz0123456789"


def schema_of(document: Document) -> Check:
    """Return the schema that a job's file has to follow. Raises FileFailure for types that are not run here."""
    kind = document.data.get("type") or ("pipeline" if "jobs" in document.data else "command")
    known = {"command": schemas.COMMAND_JOB, "pipeline": schemas.PIPELINE_JOB, "sweep": SWEEP_JOB}
    if kind not in known:
        raise document.wrong(("type",), f"jobs of type {kind!r} are not run here; command, pipeline and sweep are")
    return known[kind]


def create_job(publisher: Publisher, document: Document, data: dict[str, Json]) -> Json:
    """Submit a job with all that it needs, and return what the server answers."""
    name = data.get("name") or new_name()
    body = {"properties": job_properties(publisher, document, data)}
    return publisher.session.put(f"{publisher.target.base}/jobs/{quote(name)}", body)


def job_properties(publisher: Publisher, document: Document, data: dict[str, Json]) -> dict[str, Json]:
    """Return a job's properties as they are sent, after uploading and creating what it refers to."""
    kind = data.get("type") or ("pipeline" if data.get("jobs") else "command")
    sent = job_bodies.outline(data, kind=kind.capitalize())
    sent.setdefault("experimentName", Path.cwd().name or "Default")
    inputs = {
        name: located(publisher, document, value, ("inputs", name))
        for name, value in (data.get("inputs") or {}).items()
    }
    sent["inputs"] = {name: job_bodies.job_input(value) for name, value in inputs.items() if value is not None}
    sent["outputs"] = {name: job_bodies.job_output(value) for name, value in (data.get("outputs") or {}).items()}
    if data.get("compute"):
        sent["computeId"] = compute_id(publisher, data["compute"])
    fill = {"pipeline": _pipeline, "sweep": _sweep}.get(kind, _command)
    return sent | fill(publisher, document, data)


def _command(
    publisher: Publisher, document: Document, data: Mapping[str, Json], *, place: Place = ()
) -> dict[str, Json]:
    sent: dict[str, Json] = {"command": data["command"]}
    sent["environmentId"] = environment_id(publisher, document, data["environment"], (*place, "environment"))
    if data.get("code"):
        sent["codeId"] = code_id(publisher, document, data["code"], (*place, "code"))
    if data.get("environment_variables"):
        sent["environmentVariables"] = job_bodies.environment_variables(data["environment_variables"])
    for name, shape in (
        ("resources", job_bodies.resources),
        ("limits", job_bodies.limits),
        ("distribution", job_bodies.distribution),
    ):
        if data.get(name):
            sent[name] = shape(data[name])
    return sent


def _sweep(publisher: Publisher, document: Document, data: Mapping[str, Json]) -> dict[str, Json]:
    trial = _command(publisher, document, data["trial"], place=("trial",))
    return {"trial": trial, **sweep_bodies.sweep(data)}


def _pipeline(publisher: Publisher, document: Document, data: Mapping[str, Json]) -> dict[str, Json]:
    settings = dict(data.get("settings") or {})
    if settings.get("default_compute"):
        settings["default_compute"] = compute_id(publisher, settings["default_compute"])
    if settings.get("default_datastore"):
        store = settings["default_datastore"].removeprefix("azureml:")
        settings["default_datastore"] = store if "/" in store else f"{publisher.target.base}/datastores/{store}"
    if "continue_run_on_step_failure" in settings:
        settings.setdefault("continue_on_step_failure", settings.pop("continue_run_on_step_failure"))
    sent: dict[str, Json] = {"settings": {**settings, "_source": "YAML.JOB"}}
    if data.get("component"):
        sent["componentId"] = in_spec(
            expand(publisher, "components", data["component"], document=document, place=("component",))
        )
    ports = {"inputs": data.get("inputs") or {}, "outputs": data.get("outputs") or {}}
    sent["jobs"] = nodes_body(publisher, document, data.get("jobs") or {}, ("jobs",), ports=ports)
    return sent


def new_name() -> str:
    """Return a name for a job that nobody has used: two words and ten random characters."""
    tail = "".join(secrets.choice(_LETTERS) for _ in range(10))
    return f"{secrets.choice(_FIRST)}_{secrets.choice(_SECOND)}_{tail}"
