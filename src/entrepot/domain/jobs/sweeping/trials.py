"""Ticks of sweeps: score trials that ended, end hopeless ones, start new ones, record the best, roll states up.

A trial is an ordinary job, a child of the sweep's, written when it is its turn in the same commit as the sweep's
graph. While trials have to be watched, for early termination or a timeout, a timer ticks the sweep as well.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from entrepot.core.clock import from_iso
from entrepot.core.digests import Digest
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import control, outputs, records
from entrepot.domain.jobs.fields import literal_text
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.sweeping import termination
from entrepot.domain.jobs.sweeping.sampling import Point, Tried, next_point
from entrepot.domain.jobs.sweeping.settings import SweepSettings, read_sweep
from entrepot.domain.jobs.tracking import history
from entrepot.store.documents import ABSENT, Change, Enqueue, Link, Put

Json = Any

_GLANCE_S = 1.0  # how often the metrics of running trials are looked at
_FIRST_FAILURES = 3  # when that many trials fail and none has completed, no more are started: as Azure ML


def advanced(hub: Hub, record: Record, graph: Json) -> list[Change]:
    """Return the changes of one tick. The graph's nodes, which hold the trials' states by now, are changed in place."""
    settings = read_sweep(graph["sweep"])
    if record.status == records.FINALIZING:  # all has been tried: its outputs are becoming assets
        return outputs.completed(hub, record, graph["exports"], list)
    _take_scores(hub, record, graph, settings)
    reason = _reason_to_stop(hub, record, graph, settings)
    if reason:
        graph["stopped"] = reason
        changes = _cancel(hub, record, graph, dict.fromkeys(_running(graph), reason))
    else:
        changes = _cancel(hub, record, graph, _doomed(hub, record, graph, settings))
        changes += _started(hub, record, graph, settings)
    changes += _rolled_up(hub, record, graph, settings)
    return changes + _timer(hub, record, graph, settings)


def _running(graph: Json) -> list[str]:
    return [name for name, node in graph["nodes"].items() if node["status"] not in records.TERMINAL]


def _take_scores(hub: Hub, record: Record, graph: Json, settings: SweepSettings) -> None:
    """Note the best value that each completed trial logged of the primary metric."""
    best = max if settings.is_maximized else min
    for node in graph["nodes"].values():
        if node["status"] == records.COMPLETED and "score" not in node:
            values = history.values_of(hub, record.scope, node["job"], settings.metric)
            node["score"] = best(values) if values else None


def _reason_to_stop(hub: Hub, record: Record, graph: Json, settings: SweepSettings) -> str:
    if record.status == records.CANCEL_REQUESTED:
        return str(record.ours.get("statusMessage") or "the sweep was canceled")
    if graph.get("stopped"):
        return str(graph["stopped"])
    end = _end_of(record, settings)
    if end is not None and hub.clock.now() >= end:
        return f"the sweep's timeout of {settings.timeout_s:g} s ran out"
    states = [node["status"] for node in graph["nodes"].values()]
    if records.COMPLETED not in states and states.count(records.FAILED) >= _FIRST_FAILURES:
        return f"the first {_FIRST_FAILURES} trials that ended had failed"
    return ""


def _end_of(record: Record, settings: SweepSettings) -> float | None:
    started = record.ours.get("startTime")
    return from_iso(started) + settings.timeout_s if started and settings.timeout_s else None


def _doomed(hub: Hub, record: Record, graph: Json, settings: SweepSettings) -> Mapping[str, str]:
    if settings.policy is None:
        return {}
    nodes = graph["nodes"]
    running = [name for name in _running(graph) if nodes[name]["status"] == records.RUNNING]
    if not running:
        return {}
    values = {name: history.values_of(hub, record.scope, node["job"], settings.metric) for name, node in nodes.items()}
    return termination.to_end(settings, values, running)


def _cancel(hub: Hub, record: Record, graph: Json, reasons: Mapping[str, str]) -> list[Change]:
    changes: list[Change] = []
    for name, reason in reasons.items():
        trial = records.load(hub, record.scope, graph["nodes"][name]["job"])
        changes += control.canceling(trial, now=hub.clock.now(), reason=reason)
    return changes


def _started(hub: Hub, record: Record, graph: Json, settings: SweepSettings) -> list[Change]:
    changes: list[Change] = []
    nodes = graph["nodes"]
    while len(nodes) < settings.most_trials and len(_running(graph)) < settings.most_at_once:
        tried = [Tried(tuple(node["point"]), node.get("score"), is_lost=_is_lost(node)) for node in nodes.values()]
        point = next_point(settings, tried, seed=graph["seed"])
        if point is None:
            graph["isExhausted"] = True
            break
        changes += _begun(hub, record, graph, settings, point)
    return changes


def _is_lost(node: Json) -> bool:
    return node["status"] in records.TERMINAL and node.get("score") is None


def _begun(hub: Hub, record: Record, graph: Json, settings: SweepSettings, point: Point) -> list[Change]:
    """Return the changes that write a trial, ready to run."""
    scope, number = record.scope, len(graph["nodes"])
    job, node = _name_of(hub, record, graph, number), f"trial_{number}"
    found = {p.name: p.value(unit) for p, unit in zip(settings.space, point, strict=True)}
    values = {name: literal_text(value) for name, value in found.items()}
    text = msgspec.json.encode(graph["pattern"]).replace(graph["pattern"]["name"].encode(), job.encode())
    body = msgspec.json.decode(text)
    properties = body["properties"]
    properties["status"] = records.QUEUED
    properties["displayName"] = f"{record.properties['displayName']}_{number}"
    properties["inputs"] |= {n: {"jobInputType": "literal", "value": value} for n, value in values.items()}
    properties["environmentVariables"] |= {f"AZUREML_SWEEP_{name}": value for name, value in values.items()}
    properties["tags"] = {"hyperparameters": msgspec.json.encode(found).decode()}
    body["entrepot"]["node"] = node
    graph["nodes"][node] = {
        "job": job, "type": records.COMMAND, "after": [], "status": records.QUEUED, "point": list(point),
        "values": found,
    }  # fmt: skip
    links = [Link(body["id"], "used", target, {"role": role}) for role, target in graph["used"]]
    put = Put(records.key_of(scope, job), body, match=ABSENT, facets=records.facets(scope, body))
    return [put, *links, records.enqueue(records.NODE_QUEUE, scope, job)]


def _name_of(hub: Hub, record: Record, graph: Json, number: int) -> str:
    """Return a trial's name: `<sweep>_0` as in Azure ML, unless a job of another origin has it."""
    wanted = f"{record.name}_{number}"
    if records.find(hub, record.scope, wanted) is None:
        return wanted
    return f"{graph['pattern']['name']}_{number}"


def _best(graph: Json, settings: SweepSettings) -> Json | None:
    scored = [node for node in graph["nodes"].values() if node.get("score") is not None]
    if not scored:
        return None
    return (max if settings.is_maximized else min)(scored, key=lambda node: node["score"])


def _rolled_up(hub: Hub, record: Record, graph: Json, settings: SweepSettings) -> list[Change]:
    """Return the changes of the sweep itself: its best trial so far, its state, its outputs when it completes."""
    nodes, now = graph["nodes"], hub.clock.now()
    best = _best(graph, settings)
    is_news = best is not None and record.properties["properties"].get("best_child_run_id") != best["job"]
    if best is not None:
        told = {"best_child_run_id": best["job"], "score": f"{best['score']:g}", "primary_metric": settings.metric}
        record.properties["properties"] |= told
    is_full = len(nodes) >= settings.most_trials or graph.get("isExhausted") or graph.get("stopped")
    if _running(graph) or not is_full:
        if record.status not in (records.RUNNING, records.CANCEL_REQUESTED):
            return records.moved(record, records.RUNNING, now=now)
        return [record.put()] if is_news else []
    states = [node["status"] for node in nodes.values()]
    completed = [node for node in nodes.values() if node["status"] == records.COMPLETED]
    if completed and not _was_cut(graph, settings):
        kept = best or completed[0]
        return outputs.completed(hub, record, graph["exports"], lambda: _kept(hub, record, graph, kept))
    if records.FAILED in states and record.status != records.CANCEL_REQUESTED and not completed:
        return records.moved(record, records.FAILED, now=now, error=_failure(hub, record, graph))
    reason = graph.get("stopped") or "all trials were canceled"
    return records.moved(record, records.CANCELED, now=now, reason=reason)


def _was_cut(graph: Json, settings: SweepSettings) -> bool:
    """Say whether the sweep was stopped before it had tried all it was to try."""
    is_whole = len(graph["nodes"]) >= settings.most_trials or graph.get("isExhausted")
    states = {node["status"] for node in graph["nodes"].values()}
    return bool(graph.get("stopped")) and not (is_whole and states == {records.COMPLETED})


def _kept(hub: Hub, record: Record, graph: Json, best: Json) -> list[Change]:
    """Make the best trial's outputs and artifacts the sweep's own."""
    trial = records.load(hub, record.scope, best["job"])
    changes: list[Change] = []
    for name, place in graph["exports"].items():
        entry = trial.ours["outputs"].get(name)
        if entry is not None:
            changes += outputs.placed(hub, record, name, place, Digest(entry["snapshot"]))
    if trial.ours.get("artifacts"):
        record.ours["artifacts"] = trial.ours["artifacts"]
    return changes


def _failure(hub: Hub, record: Record, graph: Json) -> Json:
    failed = [node["job"] for node in graph["nodes"].values() if node["status"] == records.FAILED]
    first = records.load(hub, record.scope, failed[0])
    error = first.properties.get("error") or {"code": "UserError", "message": "no reason is known"}
    count = "The trial" if len(graph["nodes"]) == 1 else f"{len(failed)} of {len(graph['nodes'])} trials"
    return {"code": error["code"], "message": f"{count} failed, none completed. {first.name}: {error['message']}"}


def _timer(hub: Hub, record: Record, graph: Json, settings: SweepSettings) -> list[Change]:
    """Return the change that ticks the sweep when time has passed, under a key of its own: events come beside it."""
    if record.is_terminal or not _running(graph) or graph.get("stopped"):
        return []
    end = _end_of(record, settings)
    due = min(hub.clock.now() + _GLANCE_S if settings.policy else math.inf, math.inf if end is None else end)
    if due == math.inf:
        return []
    key = f"{records.key_of(record.scope, record.name)}/timer"
    return [Enqueue(records.PIPELINE_QUEUE, key, records.payload(record.scope, record.name), due=due)]
