"""Ticks of pipelines: take in what happened to nodes, start those that are ready, roll states up.

Nothing is polled: a node's last commit enqueues its pipeline's tick. One tick of a pipeline runs at a time, since
the queue holds one item per pipeline; it reads only the events since the last one. Sweeps tick as well: `sweeping`.
"""

from typing import Any

from entrepot.core.ids import WorkspaceScope
from entrepot.domain.concurrency.retries import settled
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import control, outputs, records
from entrepot.domain.jobs.control_flow import iterations
from entrepot.domain.jobs.control_flow.settings import is_true
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.sweeping import trials
from entrepot.store.documents import Change, Finish, Put, Work

Json = Any

_EVENTS_PER_TICK = 10_000


def tick(hub: Hub, work: Work) -> None:
    """Handle one item of the queue `pipeline`."""
    scope, name = records.named_by(work.payload)
    settled(lambda: _tick(hub, work, scope, name))


def _tick(hub: Hub, work: Work, scope: WorkspaceScope, name: str) -> None:
    record = records.find(hub, scope, name)
    document = hub.documents.get(records.graph_key(scope, name))
    if record is None or document is None or record.is_terminal:
        return
    graph = document.body
    is_changed = _take_events(hub, scope, name, graph)
    advance = trials.advanced if "sweep" in graph else iterations.advanced if "loop" in graph else _advanced
    changes = advance(hub, record, graph)
    if changes or is_changed:
        hub.documents.commit([*changes, Put(document.key, graph, match=document.revision, facets=None), Finish(work)])


def _advanced(hub: Hub, record: Record, graph: Json) -> list[Change]:
    changes: list[Change] = []
    if record.status == records.CANCEL_REQUESTED or _is_to_stop(graph):
        reason = record.ours.get("statusMessage") or "an earlier step of the pipeline failed"
        changes += _stop(hub, record.scope, graph, reason=reason)
    else:
        changes += _start_ready(hub, record.scope, graph)
    return [*changes, *_rolled_up(hub, record, graph)]


def _take_events(hub: Hub, scope: WorkspaceScope, name: str, graph: Json) -> bool:
    """Bring the graph up to date; say whether there was anything new. More than a page comes with the next tick."""
    entries = hub.documents.read(records.events_of(scope, name), after=graph["position"], limit=_EVENTS_PER_TICK)
    for entry in entries:
        graph["position"] = entry.position
        node = graph["nodes"].get(entry.body.get("node"))
        if node is not None and node["status"] not in records.TERMINAL:
            node["status"] = entry.body["status"]
    return bool(entries)


def _is_to_stop(graph: Json) -> bool:
    return not graph["continueOnStepFailure"] and any(n["status"] == records.FAILED for n in graph["nodes"].values())


def _start_ready(hub: Hub, scope: WorkspaceScope, graph: Json) -> list[Change]:
    """Start nodes whose predecessors completed, cancel those behind one that did not; repeat for chains of those."""
    changes: list[Change] = []
    nodes = graph["nodes"]
    for name, node in nodes.items():  # in an order in which predecessors come first
        if node["status"] != records.NOT_STARTED or _is_full(graph):
            continue
        states = {other: nodes[other]["status"] for other in node["after"]}
        lost = [other for other, state in states.items() if state in (records.FAILED, records.CANCELED)]
        if lost:
            reason = f"step {lost[0]}, whose output step {name} needs, {_became(states[lost[0]])}"
            changes += _end(hub, scope, node, reason=reason)
        elif records.SKIPPED in states.values():
            other = next(other for other, state in states.items() if state == records.SKIPPED)
            changes += _end(hub, scope, node, reason=f"step {other}, whose output it needs, was skipped", skips=True)
        elif all(state == records.COMPLETED for state in states.values()):
            unmet = _unmet(hub, scope, node)
            changes += _end(hub, scope, node, reason=unmet, skips=True) if unmet else _begin(hub, scope, node)
    return changes


def _is_full(graph: Json) -> bool:
    """Say whether as many nodes run as may: a `parallel_for` can bound them."""
    most = graph.get("mostAtOnce")
    waiting = (records.NOT_STARTED, *records.TERMINAL)
    return most is not None and sum(n["status"] not in waiting for n in graph["nodes"].values()) >= most


def _unmet(hub: Hub, scope: WorkspaceScope, node: Json) -> str:
    """Return why a node's conditions keep it from running, '' when they don't."""
    for condition in node.get("when", ()):
        value = condition.get("value")
        if value is None:
            entry = records.load(hub, scope, condition["job"]).ours["outputs"].get(condition["output"]) or {}
            value = entry.get("value", "")
        if is_true(value) != condition["wanted"]:
            return f"its condition is {str(not condition['wanted']).lower()}"
    return ""


def _begin(hub: Hub, scope: WorkspaceScope, node: Json) -> list[Change]:
    record = records.load(hub, scope, node["job"])
    if record.status != records.NOT_STARTED:  # canceled by itself before it began: its event is on the way
        return []
    if record.is_parent:
        node["status"] = records.RUNNING
        return [
            *records.moved(record, records.RUNNING, now=hub.clock.now()),
            _work(records.PIPELINE_QUEUE, scope, node),
        ]
    node["status"] = records.QUEUED
    return [*records.moved(record, records.QUEUED, now=hub.clock.now()), _work(records.NODE_QUEUE, scope, node)]


def _work(queue: str, scope: WorkspaceScope, node: Json) -> Change:
    return records.enqueue(queue, scope, node["job"])


def _end(hub: Hub, scope: WorkspaceScope, node: Json, *, reason: str, skips: bool = False) -> list[Change]:
    """End a node that has not begun, and all below it; its event, which comes later, changes nothing any more."""
    record = records.load(hub, scope, node["job"])
    state = records.SKIPPED if skips else records.CANCELED
    node["status"] = state
    if record.is_terminal:
        return []
    changes = records.moved(record, state, now=hub.clock.now(), reason=reason)
    if record.is_parent:
        document = hub.documents.get(records.graph_key(scope, node["job"]))
        assert document is not None
        graph = document.body
        for child in graph["nodes"].values():
            changes += _end(hub, scope, child, reason=reason, skips=skips)
        changes.append(Put(document.key, graph, match=document.revision, facets=None))
    return changes


def _stop(hub: Hub, scope: WorkspaceScope, graph: Json, *, reason: str) -> list[Change]:
    changes: list[Change] = []
    for node in graph["nodes"].values():
        if node["status"] == records.NOT_STARTED:
            changes += _end(hub, scope, node, reason=reason)
        elif node["status"] not in records.TERMINAL:
            record = records.load(hub, scope, node["job"])
            changes += control.canceling(record, now=hub.clock.now(), reason=reason)
    return changes


def _rolled_up(hub: Hub, record: Record, graph: Json) -> list[Change]:
    """Return the changes that move the pipeline itself: to Running at first, to its end when all nodes have ended."""
    nodes = graph["nodes"]
    states = {name: node["status"] for name, node in nodes.items()}
    now = hub.clock.now()
    if not all(state in records.TERMINAL for state in states.values()):
        is_known = record.status in (records.RUNNING, records.CANCEL_REQUESTED)
        return [] if is_known else records.moved(record, records.RUNNING, now=now)
    failed = [name for name, state in states.items() if state == records.FAILED]
    if record.status == records.CANCEL_REQUESTED:
        return records.moved(record, records.CANCELED, now=now, reason=record.ours.get("statusMessage", ""))
    if failed:
        return records.moved(record, records.FAILED, now=now, error=_failure(hub, record, graph, failed))
    if records.CANCELED in states.values():
        canceled = [name for name, state in states.items() if state == records.CANCELED]
        return records.moved(record, records.CANCELED, now=now, reason=f"step {canceled[0]} was canceled")
    return outputs.completed(hub, record, graph["exports"], lambda: outputs.exported(hub, record, graph))


def _failure(hub: Hub, record: Record, graph: Json, failed: list[str]) -> Json:
    first = records.load(hub, record.scope, graph["nodes"][failed[0]]["job"])
    error = first.properties.get("error") or {"code": "UserError", "message": "no reason is known"}
    others = f" (and {', '.join(failed[1:])})" if failed[1:] else ""
    return {"code": error["code"], "message": f"Step {failed[0]}{others} failed: {error['message']}"}


def _became(state: str) -> str:
    return "failed" if state == records.FAILED else "was canceled"
