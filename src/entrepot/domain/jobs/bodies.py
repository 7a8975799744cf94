"""The documents that a plan becomes: the job, its nodes, their graphs, and the lineage edges of what they use."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.digests import digest_json, digest_of
from entrepot.core.errors import InvalidReference
from entrepot.core.ids import DatastorePath, WorkspaceScope, parse_reference
from entrepot.domain import datastores
from entrepot.domain.authorization import delegation
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import expressions, records
from entrepot.domain.jobs.control_flow.loops import PREVIOUS
from entrepot.domain.jobs.control_flow.settings import DoWhile, ForEach
from entrepot.domain.jobs.graph import Literal, Located, NodePath, Result, Source
from entrepot.domain.jobs.planning import Plan
from entrepot.domain.jobs.spec import LITERAL_TYPES, GivenOutput, Job, Loop, OutputPort, Step, Sweep
from entrepot.domain.scopes import API_ORIGIN, created_by
from entrepot.store.documents import ABSENT, Change, Link, Put

Json = Any

_ARM_MODES = {
    "ro_mount": "ReadOnlyMount", "rw_mount": "ReadWriteMount", "download": "Download", "upload": "Upload",
    "direct": "Direct", "eval_mount": "EvalMount", "eval_download": "EvalDownload",
}  # fmt: skip

_ADJECTIVES = (
    "amber", "bold", "brave", "bright", "calm", "clever", "cool", "crisp", "eager", "frosty", "gentle", "golden",
    "happy", "icy", "jolly", "keen", "lively", "loving", "lucid", "mighty", "nifty", "olive", "patient", "plucky",
    "polite", "quiet", "rosy", "sharp", "silver", "sincere", "tidy", "witty",
)  # fmt: skip
_NOUNS = (
    "apple", "arch", "atlas", "bean", "bear", "bridge", "brook", "camera", "carrot", "cloud", "comet", "curtain",
    "drum", "fig", "forest", "garden", "guitar", "hill", "island", "kettle", "lamp", "leaf", "lemon", "maple",
    "mango", "octopus", "panda", "pear", "plum", "river", "spoon", "tower",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Submission:
    """What all documents of one submission share."""

    hub: Hub
    principal: Principal
    scope: WorkspaceScope
    name: str
    job: Job
    sent: Mapping[str, Json]
    now: float
    waiting: tuple[str, ...]
    invoked: Mapping[str, str] = field(default_factory=dict)

    def name_of(self, path: NodePath) -> str:
        """Return the job name of a node: a GUID that is the same whenever it is asked for."""
        if not path:
            return self.name
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.scope.key}/jobs/{self.name}/{'/'.join(path)}"))


def changes_of(submission: Submission, plan: Plan) -> list[Change]:
    """Return the changes that write a plan: the root's document first, then all below it."""
    body = _root_body(submission, plan)
    changes: list[Change] = list(_written(submission, plan, body))
    for child in plan.children:
        changes += _descend(submission, child)
    return changes


def type_of(plan: Plan) -> str:
    """Return ARM's word for what a plan runs."""
    if isinstance(plan.content, Sweep):
        return records.SWEEP
    return records.COMMAND if isinstance(plan.content, Step) else records.PIPELINE


def kind_of(plan: Plan) -> str | None:
    """Return our word for what a plan runs, where ARM's does not tell all of it."""
    if isinstance(plan.content, Step):
        return records.PARALLEL if plan.content.parallel else None
    if isinstance(plan.content, Loop):
        return records.DO_WHILE if isinstance(plan.content.rule, DoWhile) else records.PARALLEL_FOR
    return None


def fingerprints(sent: Mapping[str, Json]) -> dict[str, str]:
    """Return a short digest of each property as sent, by which a second submission is compared."""
    return {key: digest_json(value)[:16] for key, value in sent.items() if value is not None}


def display_name(name: str) -> str:
    """Return an adjective-noun name, the same for the same job."""
    number = int(digest_of(name.encode())[:8], 16)
    tail = number % 97
    return f"{_ADJECTIVES[number % len(_ADJECTIVES)]}_{_NOUNS[number // 64 % len(_NOUNS)]}_{tail:02d}"


def _descend(submission: Submission, plan: Plan) -> Iterator[Change]:
    yield from _written(submission, plan, _child_body(submission, plan))
    for child in plan.children:
        yield from _descend(submission, child)


def _written(submission: Submission, plan: Plan, body: dict[str, Json]) -> Iterator[Change]:
    scope, name = submission.scope, submission.name_of(plan.path)
    body["entrepot"] |= _ours(submission, plan)
    yield Put(records.key_of(scope, name), body, match=ABSENT, facets=records.facets(scope, body))
    if not isinstance(plan.content, Step):
        yield Put(records.graph_key(scope, name), _graph_of(submission, plan), match=ABSENT)
    job_id = records.arm_id(scope, name)
    if submission.invoked and not plan.path:
        yield Link(job_id, "used", submission.invoked["id"], {"role": "deployment"})
        if "model" in submission.invoked:  # which is known of the job when its deployment is gone too
            yield Link(job_id, "used", submission.invoked["model"], {"role": "model"})
    for role, target in sorted(set(_used(submission, plan))):
        yield Link(job_id, "used", target, {"role": role})


def _used(submission: Submission, plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.component:
        yield "component", plan.component.ref.id
    if plan.environment:
        yield "environment", plan.environment.id
    if plan.code:
        yield "code", plan.code.id
    if not isinstance(plan.content, Step):
        return
    for name, source in plan.inputs.items():
        if isinstance(source, Located):
            yield f"input:{name}", source.uri
        if isinstance(source, Result):
            yield f"input:{name}", output_uri(submission.name_of(source.node), source.output)


def output_uri(job: str, output: str) -> str:
    """Return the name of a job's output, as clients write it and lineage keeps it."""
    return f"azureml://jobs/{job}/outputs/{output}"


def _root_body(submission: Submission, plan: Plan) -> dict[str, Json]:
    scope, name, job = submission.scope, submission.name, submission.job
    properties = {key: value for key, value in submission.sent.items() if value is not None}
    properties |= {
        "jobType": job.type,
        "displayName": job.display_name or display_name(name),
        "experimentName": job.experiment,
        "isArchived": bool(submission.sent.get("isArchived")),
        "tags": dict(job.tags),
        "properties": dict(submission.sent.get("properties") or {}),
        "services": services(scope, name),
        "inputs": _inputs(submission, plan),
        "outputs": {o: output_body(given, port) for o, (given, port) in _root_outputs(plan).items()},
    }
    if job.type == records.COMMAND:
        properties |= _step_properties(submission, plan)
    return _body(submission, plan, properties)


def _child_body(submission: Submission, plan: Plan) -> dict[str, Json]:
    scope, name, job = submission.scope, submission.name_of(plan.path), submission.job
    properties: dict[str, Json] = {
        "jobType": type_of(plan),
        "displayName": plan.display_name or plan.path[-1],
        "experimentName": job.experiment,
        "isArchived": False,
        "tags": {},
        "properties": {},
        "services": services(scope, name),
        "inputs": _inputs(submission, plan),
        "outputs": {o: output_body(plan.outputs.get(o), p) for o, p in plan.content.outputs.items()},
    }
    if plan.component:
        properties["componentId"] = plan.component.ref.id
    if isinstance(plan.content, Step):
        properties |= {**_step_properties(submission, plan), **plan.content.distribution.shown}
    if isinstance(plan.content, Sweep):
        properties |= plan.content.settings.told
    return _body(submission, plan, properties)


def _body(submission: Submission, plan: Plan, properties: dict[str, Json]) -> dict[str, Json]:
    scope, name = submission.scope, submission.name_of(plan.path)
    return {
        "id": records.arm_id(scope, name),
        "name": name,
        "type": records.JOB_TYPE,
        "systemData": created_by(submission.principal, submission.now),
        "properties": {**properties, "status": records.NOT_STARTED},
        "entrepot": {},
    }


def _step_properties(submission: Submission, plan: Plan) -> dict[str, Json]:
    assert isinstance(plan.content, Step)
    compute = plan.compute if plan.compute == "serverless" else f"{submission.scope.arm_id}/computes/{plan.compute}"
    found: dict[str, Json] = {
        "command": plan.content.command,
        "computeId": compute,
        "environmentId": plan.environment.id if plan.environment else None,
        "environmentVariables": dict(plan.environment_variables),
    }
    if plan.code and isinstance(plan.code.scope, WorkspaceScope):
        found["codeId"] = plan.code.id  # a registry's is in `entrepot` alone: azure-ai-ml refuses to read such a job
    return found


def _ours(submission: Submission, plan: Plan) -> dict[str, Json]:
    ours: dict[str, Json] = {
        "root": submission.name,
        "submittedBy": delegation.remembered(submission.hub, submission.principal),
        "componentId": plan.component.ref.id if plan.component else None,
        "outputs": {},
        "inputs": {},
        "attempt": 0,
    }
    if plan.path:
        ours |= {"parent": submission.name_of(plan.path[:-1]), "node": plan.path[-1]}
    else:
        ours["sent"] = fingerprints(submission.sent)
        if submission.invoked:
            ours["invoked"] = dict(submission.invoked)
    if kind := kind_of(plan):
        ours["kind"] = kind
    if submission.waiting:
        ours["waitsFor"] = list(submission.waiting)
    if isinstance(plan.content, Step):
        ours |= {"environmentId": plan.environment.id if plan.environment else None}
        ours |= {"codeId": plan.code.id if plan.code else None, "order": _order(submission, plan, plan.content)}
    return ours


def _order(submission: Submission, plan: Plan, step: Step) -> dict[str, Json]:
    """Return what `execution.py` needs to run a step and `reuse.py` to compare it, beside the ARM properties."""
    component = plan.component
    return {
        "compute": plan.compute,
        "timeoutSeconds": plan.timeout_s,
        "isDeterministic": step.is_deterministic and bool(plan.path),
        "forceRerun": plan.settings.force_rerun,
        "component": component.family if component else None,
        "content": component.digest if component else None,
        "outputs": {name: _destination(submission, plan, name) for name in _output_names(plan)},
        **({"parallel": step.parallel.told} if step.parallel else {}),
        **({"distribution": step.distribution.told} if step.distribution.told else {}),
    }


def _output_names(plan: Plan) -> list[str]:
    return sorted({**plan.content.outputs, **plan.outputs})


def _destination(submission: Submission, plan: Plan, output: str) -> dict[str, Json]:
    """Return where an output will be: `{"type", "datastore", "path"}` and the asset that it becomes, if any."""
    given = plan.outputs.get(output, GivenOutput())
    port = plan.content.outputs.get(output, OutputPort(output))
    store = (plan.settings.default_datastore or "").removeprefix("azureml:").rpartition("/")[2]
    store = store or datastores.default_name(submission.hub, submission.scope)
    job = submission.name_of(plan.path)
    place: dict[str, Json] = {"type": given.type or port.type, "datastore": store, "path": f"azureml/{job}/{output}"}
    if given.uri:
        where = f"output {output} of job {job}"
        values = {"default_datastore": store, "name": job, "output_name": output}
        text = expressions.substitute(given.uri, lambda path: _server_value(values, path, where), where=where)
        reference = parse_reference(text)
        if not isinstance(reference, DatastorePath) or not reference.path.strip("/"):
            raise InvalidReference(
                f"{given.uri!r} is no place for {where}: write azureml://datastores/<datastore>/paths/<path>"
            )
        datastores.container_of(submission.hub, submission.scope, reference.datastore)
        place |= {"datastore": reference.datastore, "path": reference.path.strip("/")}
        if place["type"] == "uri_file":
            place["isFile"] = True
    if given.asset_name:
        place |= {"assetName": given.asset_name, "assetVersion": given.asset_version}
    return place


def _server_value(values: Mapping[str, str], path: expressions.Path, where: str) -> str:
    if len(path) == 1 and path[0] in values:
        return values[path[0]]
    raise expressions.unknown(path, where=where, available=", ".join(sorted(values)))


def _graph_of(submission: Submission, plan: Plan) -> dict[str, Json]:
    if isinstance(plan.content, Sweep):
        return _sweep_graph(submission, plan)
    if plan.following is not None:
        return _loop_graph(submission, plan, plan.following)
    return _graph(submission, plan)


def _graph(submission: Submission, plan: Plan) -> dict[str, Json]:
    nodes = {}
    for child in plan.children:
        node: dict[str, Json] = {
            "job": submission.name_of(child.path),
            "type": type_of(child),
            "after": list(child.after),
            "status": records.NOT_STARTED,
        }
        if child.conditions:
            node["when"] = [_when(submission, source, wanted) for source, wanted in child.conditions]
        nodes[child.path[-1]] = node
    exports = {}
    for name, places in plan.exports.items():
        node_name, output = places[0]
        exports[name] = {"node": node_name, "output": output, **_destination(submission, plan, name)}
        if len(places) > 1:
            exports[name]["places"] = [list(place) for place in places]
    proceeds = plan.settings.continue_on_step_failure
    graph: dict[str, Json] = {"position": 0, "continueOnStepFailure": proceeds, "nodes": nodes, "exports": exports}
    if isinstance(plan.content, Loop) and isinstance(plan.content.rule, ForEach):
        graph |= {"each": True, "mostAtOnce": plan.content.rule.most_at_once}
    return graph


def _when(submission: Submission, source: Source | None, wanted: bool) -> dict[str, Json]:
    """Return a condition as graphs keep it: a value that is known, or the job and output that will tell it."""
    if isinstance(source, Result):
        return {"job": submission.name_of(source.node), "output": source.output, "wanted": wanted}
    return {"value": source.text if isinstance(source, Literal) else "", "wanted": wanted}


def _loop_graph(submission: Submission, plan: Plan, following: Plan) -> dict[str, Json]:
    """Return a graph without nodes yet, and the patterns of its iterations, in which GUIDs stand for job names."""
    assert isinstance(plan.content, Loop) and isinstance(plan.content.rule, DoWhile) and plan.trial is not None
    return {
        "position": 0,
        "nodes": {},
        "exports": {name: _destination(submission, plan, name) for name in _output_names(plan)},
        "loop": plan.content.rule.told,
        "first": _pattern(submission, plan.trial),
        "next": _pattern(submission, following),
        "previous": submission.name_of((*plan.path, PREVIOUS)),
    }


def _pattern(submission: Submission, plan: Plan) -> list[dict[str, Json]]:
    """Return what is written of an iteration, its root first: {"name", "body", "graph", "used"} of each job."""
    body = _child_body(submission, plan)
    body["entrepot"] |= _ours(submission, plan)
    entry = {
        "name": body["name"], "body": body, "used": [list(pair) for pair in sorted(set(_used(submission, plan)))],
        "graph": None if isinstance(plan.content, Step) else _graph_of(submission, plan),
    }  # fmt: skip
    found = [entry]
    for child in plan.children:
        found += _pattern(submission, child)
    return found


def _sweep_graph(submission: Submission, plan: Plan) -> dict[str, Json]:
    """Return a graph without nodes yet. The pattern of its trials bears a GUID wherever a trial has its name."""
    assert isinstance(plan.content, Sweep) and plan.trial is not None
    pattern = _child_body(submission, plan.trial)
    pattern["entrepot"] |= _ours(submission, plan.trial)
    return {
        "position": 0,
        "nodes": {},
        "exports": {name: _destination(submission, plan, name) for name in _output_names(plan)},
        "sweep": dict(plan.content.settings.told),
        "seed": int(digest_of(submission.name_of(plan.path).encode())[:8], 16),
        "pattern": pattern,
        "used": [list(pair) for pair in sorted(set(_used(submission, plan.trial)))],
    }


def _inputs(submission: Submission, plan: Plan) -> dict[str, Json]:
    return {n: _input(submission, source) for n, source in plan.inputs.items() if source is not None}


def _input(submission: Submission, source: Source) -> dict[str, Json]:
    if isinstance(source, Literal):
        return {"jobInputType": "literal", "value": source.text}
    uri = source.uri if isinstance(source, Located) else output_uri(submission.name_of(source.node), source.output)
    if source.type in LITERAL_TYPES:  # the value of a control output, known when its job has run
        return {"jobInputType": "literal", "value": uri, "uri": uri, "valueType": source.type}
    body = {"jobInputType": source.type, "uri": uri}
    return body | ({"mode": _ARM_MODES.get(source.mode, source.mode)} if source.mode else {})


def _root_outputs(plan: Plan) -> dict[str, tuple[GivenOutput | None, OutputPort]]:
    ports = {**{name: OutputPort(name) for name in plan.outputs}, **plan.content.outputs}
    return {name: (plan.outputs.get(name), port) for name, port in ports.items()}


def output_body(given: GivenOutput | None, port: OutputPort) -> dict[str, Json]:
    """Return an output as ARM shows it."""
    given = given or GivenOutput()
    kind = given.type or port.type
    kind = "uri_file" if kind in LITERAL_TYPES else kind  # azure-ai-ml reads no control outputs of jobs
    body: dict[str, Json] = {"jobOutputType": kind, "mode": _ARM_MODES.get(given.mode or "rw_mount")}
    if given.uri:
        body["uri"] = given.uri
    if given.asset_name:
        body |= {"assetName": given.asset_name, "assetVersion": given.asset_version}
    return body


def services(scope: WorkspaceScope, name: str) -> dict[str, Json]:
    """Return the links of a job; azure-ai-ml appends to Studio's query, so there has to be one."""
    return {
        "Studio": {"jobServiceType": "Studio", "endpoint": f"{API_ORIGIN}/runs/{name}?wsid={scope.arm_id}"},
        "Tracking": {"jobServiceType": "Tracking", "endpoint": f"{API_ORIGIN}/mlflow/v2.0{scope.arm_id}"},
    }
