"""Provenance: what an asset tells of the job, workspace, code, environment and data that it came from.

It is kept in the version's body (`entrepot.provenance`), so that a promoted copy proves it without the workspace,
and as lineage edges, so that it can be walked.
"""

from collections.abc import Mapping
from typing import Any

from entrepot.core.clock import to_iso
from entrepot.core.ids import JobOutput, parse_reference
from entrepot.domain import lineage
from entrepot.domain.assets.stock import Origin
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.scopes import home
from entrepot.store.documents import Document, Link, View

Json = Any

_JOBS_WALKED = 1000
"""How many jobs upstream are looked at for the data at the start."""


def of_job(hub: Hub, principal: Principal, origin: Origin) -> dict[str, Json]:
    """Return the provenance of an asset made from a job's output.

    A pipeline's output was made by one of its nodes; that node's code, environment and data are told, and the pipeline
    as `rootJob`.
    """
    maker = _maker(hub, origin)
    ours = maker.body["entrepot"]
    given: Mapping[str, Json] = ours.get("inputs") or {}
    inputs = [data.get("id") or data.get("uri") for data in given.values() if isinstance(data, dict)]
    found = {
        "job": maker.id,
        "jobName": maker.name,
        "jobOutput": origin.output,
        "workspace": origin.scope.arm_id,
        "workspaceId": home(hub, origin.scope).guid,
        "registeredBy": principal.name or principal.id,
        "registeredAt": to_iso(hub.clock.now()),
        "code": ours.get("codeId"),
        "environment": ours.get("environmentId"),
        "component": ours.get("componentId"),
        "inputs": [name for name in inputs if name],
        "data": _sources(hub, maker),
    }
    root = ours.get("root") or (origin.name if maker.name != origin.name else None)
    if root and root != maker.name:
        found["rootJob"] = f"{origin.scope.arm_id}/jobs/{root}"
    return {name: value for name, value in found.items() if value is not None}


def of_asset(hub: Hub, principal: Principal, source: Document) -> dict[str, Json]:
    """Return the provenance of an asset made from another one: all that the other knows, and that it was the source."""
    body = source.body
    ours = body["entrepot"]
    known: dict[str, Json] = dict(ours.get("provenance") or {})
    if "registeredBy" not in known:
        known |= {
            "registeredBy": body["systemData"].get("createdBy"),
            "registeredAt": body["systemData"].get("createdAt"),
        }
    known["sourceAsset"] = body["id"]
    if ours.get("snapshot"):
        known["sourceDigest"] = ours["snapshot"]
    return known


def links(asset_id: str, provenance: Mapping[str, Json]) -> tuple[Link, ...]:
    """Return the edges from the job to an asset that was registered from its output."""
    job = provenance.get("job")
    if not job:
        return ()
    by = {"by": provenance.get("registeredBy"), "output": provenance.get("jobOutput")}
    return (lineage.produced(job, asset_id, {"output": by["output"]}), lineage.registered(job, asset_id, by))


def _sources(hub: Hub, maker: Origin) -> list[dict[str, Json]]:
    """Return the data at the start of all: what no job of the workspace made, each with its digest where known."""
    found: dict[str, dict[str, Json]] = {}
    seen, waiting = {maker.name}, [maker.body]
    while waiting and len(seen) <= _JOBS_WALKED:
        for data in (waiting.pop(0)["entrepot"].get("inputs") or {}).values():
            name = (data.get("id") or data.get("uri")) if isinstance(data, dict) else None
            if not name:
                continue
            reference = parse_reference(name)
            job = reference.job if isinstance(reference, JobOutput) else None
            document = hub.documents.get(f"{maker.scope.key}/jobs/{job}") if job and job not in seen else None
            if document is not None and job is not None:
                seen.add(job)
                waiting.append(document.body)
            elif job not in seen:
                found[name] = {key: data[key] for key in ("id", "uri", "digest") if data.get(key)}
    return list(found.values())


def _maker(hub: Hub, origin: Origin) -> Origin:
    """Return the node that made a pipeline's output: the one whose own output is the same snapshot."""
    for _ in range(8):  # pipelines nest; a graph that deep is none of ours
        made = (origin.body["entrepot"].get("outputs") or {}).get(origin.output) or {}
        node = _node_with(hub, origin, made.get("snapshot"))
        if node is None:
            return origin
        origin = node
    return origin


def _node_with(hub: Hub, origin: Origin, snapshot: str | None) -> Origin | None:
    if not snapshot:
        return None
    after: str | None = None
    while True:
        page = hub.documents.find(f"{origin.scope.key}/jobs", "parent", origin.name, view=View.ALL, after=after)
        for document in page.documents:
            body = document.body
            for output, made in (body.get("entrepot", {}).get("outputs") or {}).items():
                if made.get("snapshot") == snapshot:
                    return Origin(origin.scope, body["name"], output, body)
        if (after := page.next) is None:
            return None
