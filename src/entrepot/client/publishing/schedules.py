"""Schedules: from checked YAML to the body that is sent, with the job's own file read and its assets created."""

from collections.abc import Mapping
from typing import Any

from entrepot.client import files
from entrepot.client.files import Document
from entrepot.client.publishing.content import Publisher, is_local
from entrepot.client.publishing.jobs import job_properties
from entrepot.client.publishing.jobs import schema_of as job_schema_of
from entrepot.client.schemas.checks import check
from entrepot.client.shapes.naming import camel_fields

Json = Any


def schedule_properties(publisher: Publisher, document: Document, data: Mapping[str, Json]) -> dict[str, Json]:
    """Return a schedule's properties as they are sent. Raises FileFailure."""
    sent: dict[str, Json] = {
        "tags": dict(data.get("tags") or {}),
        "properties": dict(data.get("properties") or {}),
        "isEnabled": data.get("is_enabled") is not False,
        "trigger": trigger(data["trigger"]),
        "action": {"actionType": "CreateJob", "jobDefinition": _definition(publisher, document, data["create_job"])},
    }
    for written, name in (("display_name", "displayName"), ("description", "description")):
        if data.get(written):
            sent[name] = data[written]
    return sent


def trigger(data: Mapping[str, Json]) -> dict[str, Json]:
    """Return a trigger as it is sent; of a pattern, single values are lists of one."""
    sent = camel_fields({name: item for name, item in data.items() if name != "type"})
    sent["triggerType"] = str(data["type"]).capitalize()
    if sent.get("frequency"):
        sent["frequency"] = str(sent["frequency"]).capitalize()
    if isinstance(sent.get("schedule"), dict):
        pattern = camel_fields(sent["schedule"])
        sent["schedule"] = {name: item if isinstance(item, list) else [item] for name, item in pattern.items()}
    return sent


def _definition(publisher: Publisher, document: Document, job: Json) -> dict[str, Json]:
    """Return the job to be made: of a file, of a job that ran, or written in place, perhaps over one of those."""
    if isinstance(job, str):
        if not is_local(job):
            name = job.removeprefix("azureml:")
            source = name if name.startswith("/") else f"{publisher.target.base}/jobs/{name}"
            return {"jobType": "Pipeline", "sourceJobId": source, "experimentName": "", "isArchived": False}
        inner = files.load(document.resolve(job, ("create_job",)))
    elif isinstance(job.get("job"), str):
        own = {name: item for name, item in job.items() if name not in ("job", "type")}
        if not is_local(job["job"]):
            raise document.wrong(("create_job", "job"), "name a file here, or write `create_job: azureml:<job>`")
        inner = files.load(document.resolve(job["job"], ("create_job", "job")))
        for name, item in own.items():
            both = isinstance(item, dict) and isinstance(inner.data.get(name), dict)
            inner.data[name] = {**inner.data[name], **item} if both else item
    else:
        inner = Document(dict(job), path=document.path, lines={}, texts={})
    data, warnings = check(inner, job_schema_of(inner))
    publisher.warnings.extend(warnings)
    return job_properties(publisher, inner, data)
