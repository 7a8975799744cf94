"""What is sent to create jobs, shaped as azure-ai-ml 1.35 sends it: camelCase outside, snake_case in pipeline steps."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.shapes.asset_bodies import literal
from entrepot.client.shapes.naming import camel_fields

Json = Any

MODES = {
    "ro_mount": "ReadOnlyMount", "rw_mount": "ReadWriteMount", "mount": "ReadWriteMount", "download": "Download",
    "upload": "Upload", "direct": "Direct", "eval_mount": "EvalMount", "eval_download": "EvalDownload",
}  # fmt: skip
DISTRIBUTIONS = {"pytorch": "PyTorch", "mpi": "Mpi", "tensorflow": "TensorFlow", "ray": "Ray"}
PLAIN_FIELDS = (("description", "description"), ("display_name", "displayName"), ("experiment_name", "experimentName"))


def outline(data: Mapping[str, Json], *, kind: str) -> dict[str, Json]:
    """Return what all jobs' properties have: type, texts, tags."""
    sent: dict[str, Json] = {"jobType": kind, "isArchived": False}
    sent |= {"tags": dict(data.get("tags") or {}), "properties": dict(data.get("properties") or {})}
    sent |= {name: data[written] for written, name in PLAIN_FIELDS if data.get(written)}
    if data.get("identity"):
        sent["identity"] = data["identity"]
    if data.get("services"):
        sent["services"] = {
            name: {("jobServiceType" if key == "type" else key): item for key, item in service.items()}
            for name, service in data["services"].items()
        }
    return sent


def job_input(value: Mapping[str, Json] | Json) -> dict[str, Json]:
    """Return a job's input: a literal, or `{type, uri, mode}`; paths have become URIs before."""
    if not isinstance(value, dict):
        return {"jobInputType": "literal", "value": literal(value)}
    sent = {"jobInputType": value.get("type") or "uri_folder"}
    if "path" in value:
        sent["uri"] = value["path"]
    elif "default" in value:
        return {"jobInputType": "literal", "value": literal(value["default"])}
    return _with_mode(sent, value)


def job_output(value: Mapping[str, Json] | None) -> dict[str, Json]:
    """Return a job's output."""
    value = value or {}
    sent: dict[str, Json] = {"jobOutputType": value.get("type") or "uri_folder"}
    if value.get("path"):
        sent["uri"] = value["path"]
    for written, name in (("name", "assetName"), ("version", "assetVersion"), ("description", "description")):
        if value.get(written):
            sent[name] = value[written]
    return _with_mode(sent, value)


def node_input(value: Json) -> dict[str, Json]:
    """Return a step's input: literals and bindings are both sent as literals."""
    sent = job_input(value)
    if str(sent.get("uri") or "").startswith("${{"):
        sent = {"jobInputType": "literal", "value": sent["uri"], "mode": sent.get("mode")}
    return {"job_input_type" if name == "jobInputType" else name: item for name, item in sent.items() if item}


def node_output(value: Json) -> dict[str, Json]:
    """Return a step's output: a binding to the pipeline's output, or what it is."""
    if isinstance(value, str):
        return {"type": "literal", "value": value}
    path = str((value or {}).get("path") or "")
    if path.startswith("${{"):
        return {"type": "literal", "value": path}
    renamed = {"jobOutputType": "job_output_type", "assetName": "asset_name", "assetVersion": "asset_version"}
    return {renamed.get(name, name): item for name, item in job_output(value).items()}


def resources(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return a job's resources."""
    return camel_fields(value)


def limits(value: Mapping[str, Json], *, is_node: bool = False) -> dict[str, Json]:
    """Return a job's limits; the timeout is a number of seconds in YAML, an ISO 8601 duration in REST."""
    sent = {"job_limits_type" if is_node else "jobLimitsType": "Command"}
    if value.get("timeout") is not None:
        sent["timeout"] = f"PT{value['timeout']}S"
    return sent


def distribution(value: Mapping[str, Json], *, is_node: bool = False) -> dict[str, Json]:
    """Return how a job is spread over processes."""
    sent = {name: item for name, item in value.items() if name != "type"}
    kind = DISTRIBUTIONS.get(str(value.get("type")).lower(), value.get("type"))
    return {**sent, "distribution_type": kind} if is_node else {**camel_fields(sent), "distributionType": kind}


def environment_variables(value: Mapping[str, Json]) -> dict[str, str]:
    """Return environment variables, all as text."""
    return {name: literal(item) for name, item in value.items()}


def _with_mode(sent: dict[str, Json], value: Mapping[str, Json]) -> dict[str, Json]:
    if value.get("mode"):
        sent["mode"] = MODES.get(value["mode"], value["mode"])
    if value.get("description"):
        sent["description"] = value["description"]
    return sent
