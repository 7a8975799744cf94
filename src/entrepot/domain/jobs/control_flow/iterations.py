"""Ticks of `do_while` loops: begin the first iteration, and after each one the next or the end.

An iteration is an ordinary job, perhaps a whole pipeline, written when it is its turn in the same commit as the loop's
graph. Its documents come from a pattern in which GUIDs stand for job names.
"""

import uuid
from typing import Any

import msgspec

from entrepot.core.digests import Digest
from entrepot.core.ids import WorkspaceScope
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import control, outputs, records
from entrepot.domain.jobs.control_flow.settings import is_true
from entrepot.domain.jobs.records import Record
from entrepot.store.documents import ABSENT, Change, Link, Put

Json = Any


def advanced(hub: Hub, record: Record, graph: Json) -> list[Change]:
    """Return the changes of one tick. The graph's nodes, which hold the iterations' states by now, are changed."""
    nodes, now = graph["nodes"], hub.clock.now()
    last = next(reversed(nodes.values()), None)
    if record.status == records.CANCEL_REQUESTED:
        return _canceled(hub, record, last)
    if last is None:
        begun = _begun(hub, record, graph)
        return [*begun, *records.moved(record, records.RUNNING, now=now)]
    if last["status"] not in records.TERMINAL:
        return []
    ended = records.load(hub, record.scope, last["job"])
    if last["status"] == records.FAILED:
        error = ended.properties.get("error") or {"code": "UserError", "message": "no reason is known"}
        told = {"code": error["code"], "message": f"Iteration {len(nodes) - 1} failed: {error['message']}"}
        return records.moved(record, records.FAILED, now=now, error=told)
    if last["status"] != records.COMPLETED:
        return records.moved(record, records.CANCELED, now=now, reason=f"iteration {len(nodes) - 1} was canceled")
    if _goes_on(graph, ended):
        return _begun(hub, record, graph)
    return outputs.completed(hub, record, graph["exports"], lambda: _exported(hub, record, graph, ended))


def _exported(hub: Hub, record: Record, graph: Json, ended: Record) -> list[Change]:
    """Make the last iteration's outputs the loop's own."""
    changes: list[Change] = []
    for name, place in graph["exports"].items():
        entry = ended.ours["outputs"].get(name)
        if entry is not None:
            changes += outputs.placed(hub, record, name, place, Digest(entry["snapshot"]))
    return changes


def _goes_on(graph: Json, ended: Record) -> bool:
    rule = graph["loop"]
    if len(graph["nodes"]) >= rule["maxIterationCount"]:
        return False
    if rule["condition"] is None:
        return True
    entry = ended.ours["outputs"].get(rule["condition"])
    return entry is not None and is_true(entry["value"])


def _canceled(hub: Hub, record: Record, last: Json | None) -> list[Change]:
    reason, now = str(record.ours.get("statusMessage") or "the loop was canceled"), hub.clock.now()
    if last is None or last["status"] in records.TERMINAL:
        return records.moved(record, records.CANCELED, now=now, reason=reason)
    return control.canceling(records.load(hub, record.scope, last["job"]), now=now, reason=reason)


def _begun(hub: Hub, record: Record, graph: Json) -> list[Change]:
    """Return the changes that write an iteration, all its jobs, ready to run."""
    nodes, scope = graph["nodes"], record.scope
    number = len(nodes)
    pattern = graph["next"] if number else graph["first"]
    name = f"iteration_{number}"
    names = {entry["name"]: _name_of(record, entry["name"], number) for entry in pattern}
    if number:
        names[graph["previous"]] = next(reversed(nodes.values()))["job"]
    text = msgspec.json.encode(pattern).decode()
    for old, new in names.items():
        text = text.replace(old, new)
    entries = msgspec.json.decode(text)
    root = entries[0]["body"]
    is_parent = entries[0]["graph"] is not None
    root["properties"]["status"] = records.RUNNING if is_parent else records.QUEUED
    root["properties"]["displayName"] = f"{record.properties['displayName']}_{number}"
    root["entrepot"]["node"] = name
    nodes[name] = {
        "job": root["name"], "type": root["properties"]["jobType"], "after": [],
        "status": root["properties"]["status"],
    }  # fmt: skip
    changes = [change for entry in entries for change in _written(scope, entry)]
    queue = records.PIPELINE_QUEUE if is_parent else records.NODE_QUEUE
    return [*changes, records.enqueue(queue, scope, root["name"])]


def _name_of(record: Record, old: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{record.id}/{number}/{old}"))


def _written(scope: WorkspaceScope, entry: Json) -> list[Change]:
    body = entry["body"]
    changes: list[Change] = [
        Put(records.key_of(scope, body["name"]), body, match=ABSENT, facets=records.facets(scope, body))
    ]
    if entry["graph"] is not None:
        changes.append(Put(records.graph_key(scope, body["name"]), entry["graph"], match=ABSENT))
    return [*changes, *(Link(body["id"], "used", target, {"role": role}) for role, target in entry["used"])]
