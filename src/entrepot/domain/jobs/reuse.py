"""Reuse of deterministic steps: an earlier run of the same command on the same content stands for this one.

Content counts, not names: code, inputs and environments by digest, so that changed bytes behind an unchanged path
are noticed and the same bytes behind another path are not in the way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.digests import digest_json
from entrepot.domain.hub import Hub
from entrepot.domain.jobs import records
from entrepot.domain.jobs.records import Record
from entrepot.domain.jobs.staging import Input
from entrepot.store import snapshots
from entrepot.store.documents import Document, View

Json = Any

_WORDS = {"command": "its command", "component": "its component", "environment": "its environment", "code": "its code",
          "variables": "its environment variables", "outputs": "its outputs",
          "parallel": "its mini-batches", "distribution": "its distribution"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to reuse: the job whose outputs to take, or None; and what the job's document tells of it."""

    of: Record | None
    told: Mapping[str, Json]


def decide(
    hub: Hub, record: Record, inputs: Mapping[str, Input], *, environment: Document, code: Document | None
) -> Decision:
    """Find an earlier result for a step, and say in words why it is reused or not."""
    order = record.ours["order"]
    if not record.parent:
        return Decision(None, _told("only steps of pipelines are reused"))
    if not order["isDeterministic"]:
        return Decision(None, _told("its component is not deterministic (is_deterministic: false)"))
    parts = _parts(record, inputs, environment=environment, code=code)
    key = digest_json(parts)
    family = order["component"]
    facts = {"key": key, "component": family, "parts": parts}
    if order["forceRerun"]:
        return Decision(None, _told("force_rerun is set", **facts))
    space = records.space_of(record.scope)
    for document in hub.documents.find(space, "reuse", key, view=View.ALL, limit=8).documents:
        earlier = records.record_of(document)
        if _is_there(hub, earlier):
            reason = f"the same step ran before as job {earlier.name}, with the same code, environment and inputs"
            return Decision(earlier, _told(reason, reused=True, of=earlier.name, key=key, component=family))
    kin = {"component": (family, "its component"), "step": (records.step_of(record.body), "a step of its name")}
    for facet, (value, of) in kin.items():  # an inline component that was edited is known by its step alone
        newest = hub.documents.find(space, facet, value, view=View.ALL, limit=1).documents
        if newest:
            return Decision(None, _told(_difference(parts, records.record_of(newest[0]), of=of), **facts))
    return Decision(None, _told("no earlier run of its component has completed", **facts))


def _told(reason: str, *, reused: bool = False, **facts: Json) -> dict[str, Json]:
    return {"reused": reused, "reason": reason, **facts}


def _parts(
    record: Record, inputs: Mapping[str, Input], *, environment: Document, code: Document | None
) -> dict[str, Json]:
    order = record.ours["order"]
    code_ours = code.body["entrepot"] if code else {}
    special = {part: order[part] for part in ("parallel", "distribution") if order.get(part)}
    return {
        **special,
        "command": record.properties["command"],
        "component": order["content"],
        "environment": environment.body["entrepot"]["build"]["digest"],
        "code": code_ours.get("snapshot") or record.ours.get("codeId"),
        "variables": digest_json(record.properties.get("environmentVariables") or {}),
        "inputs": {name: given.digest for name, given in sorted(inputs.items())},
        "outputs": {name: place["type"] for name, place in sorted(order["outputs"].items())},
    }


def _is_there(hub: Hub, earlier: Record) -> bool:
    """Say whether all that the earlier run produced is still in the store."""
    entries = earlier.ours["outputs"].values()
    if set(earlier.ours["order"]["outputs"]) != set(earlier.ours["outputs"]):
        return False
    return all(snapshots.exists(hub.containers.store(entry["container"]), entry["snapshot"]) for entry in entries)


def _difference(parts: Mapping[str, Json], other: Record, *, of: str) -> str:
    """Return in which part a step differs from the newest earlier run `of` what they have in common."""
    before = (other.ours.get("reuse") or {}).get("parts")
    if not before:
        return f"the newest run of {of}, job {other.name}, cannot be compared"
    differing = [words for part, words in _WORDS.items() if before.get(part) != parts.get(part)]
    if "its command" in differing or "its code" in differing or "its environment" in differing:
        differing = [words for words in differing if words != "its component"]  # it only sums the others up
    names = {*before["inputs"], *parts["inputs"]}
    changed = sorted(name for name in names if before["inputs"].get(name) != parts["inputs"].get(name))
    differing += [f"input {name}" for name in changed]
    what = ", ".join(differing) or "nothing that can be named"
    return f"compared to job {other.name}, the newest run of {of}, it differs in {what}"
