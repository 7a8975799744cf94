"""Jobs and run history on the wire: patches, run data, log windows, signed log addresses. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest, NotFound

Json = Any


def job_choice(query: Mapping[str, str]) -> dict[str, Json]:
    """Return which jobs a list asks for: ARM's `jobType`, `tag`, `scheduleId` (a schedule's name), `scheduled`."""
    scheduled = query.get("scheduled")
    return {
        "type": query.get("jobType") or None,
        "tag": query.get("tag") or None,
        "schedule": (query.get("scheduleId") or "").rpartition("/")[2] or None,
        "is_scheduled": None if not scheduled else scheduled.lower() == "true",
    }


def log_window(text: str, offset: int, status: str) -> dict[str, Json]:
    """Return a part of a log: `offset` is where to read on."""
    return {"text": text, "offset": offset, "status": status}


def run_patch(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a PATCH of a run changes: display name, description, tags, properties, `isArchived` (as `hidden`).

    Raises InvalidRequest when a field has the wrong type.
    """
    shapes: dict[str, tuple[type, str]] = {
        "displayName": (str, "text"),
        "description": (str, "text"),
        "tags": (dict, "an object"),
        "properties": (dict, "an object"),
        "hidden": (bool, "true or false"),
    }
    changes: dict[str, Json] = {}
    for name, (shape, words) in shapes.items():
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, shape):
            raise InvalidRequest(f"{name} must be {words}: got {value!r}", target=name)
        changes["isArchived" if name == "hidden" else name] = value
    return changes


def run_data(run: Mapping[str, Json]) -> dict[str, Json]:
    """Return the answer to `rundata`, asked before a download; clients find outputs in datastores."""
    return {"runMetadata": {**run, "outputs": run.get("outputs") or {}, "inputs": run.get("inputs") or {}}}


def with_log_addresses(details: Mapping[str, Json], address: Callable[[str], str]) -> dict[str, Json]:
    """Return a run's details with an address for every log file that they name."""
    names = details.get("logFiles") or {}
    return {**details, "logFiles": {name: address(name) for name in names}}


def output_place(body: Mapping[str, Json], output: str) -> tuple[str, str]:
    """Return the container and path where a job's output is: a named one, `artifacts`, or `logs`.

    Raises NotFound that lists what there is.
    """
    ours = body["entrepot"]
    artifacts, named = ours.get("artifacts"), ours.get("outputs") or {}
    found = artifacts if output in ("artifacts", "logs") and output not in named else named.get(output)
    if not found:
        there = ", ".join([*named, *(["artifacts", "logs"] if artifacts else [])]) or "none yet"
        raise NotFound(f"Job {body['name']} has no output {output!r}; it has {there}", target="output")
    path = str(found.get("path") or "")
    return found["container"], f"{path}/user_logs" if found is artifacts and output == "logs" else path
