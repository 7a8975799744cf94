"""What clients write about jobs, read once: ARM job bodies, nodes of pipelines and stored component specs.

Genuine clients write job bodies in camelCase and nodes in snake_case; both are read everywhere. Only what this
server acts on is modelled; the stored body keeps the rest. Nothing is looked up here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from entrepot.core.errors import InvalidPipeline, InvalidRequest, Unsupported
from entrepot.domain.jobs import expressions
from entrepot.domain.jobs.control_flow.settings import Condition, DoWhile, ForEach, is_control, read_controls
from entrepot.domain.jobs.distribution.settings import Distribution
from entrepot.domain.jobs.distribution.settings import read as read_distribution
from entrepot.domain.jobs.fields import (
    boolean,
    get,
    literal_text,
    mapping,
    number,
    ports,
    read_duration,
    read_mode,
    reference,
    variables,
)
from entrepot.domain.jobs.parallel.driver import COMMAND as PARALLEL_COMMAND
from entrepot.domain.jobs.parallel.settings import ParallelSettings, overridden, read_parallel
from entrepot.domain.jobs.sweeping.settings import SweepSettings, read_sweep

LITERAL_TYPES = ("string", "number", "integer", "boolean")
MODEL_TYPES = ("mlflow_model", "custom_model", "triton_model")
LITERAL = "literal"  # a value whose type the client did not tell


@dataclass(frozen=True, slots=True)
class InputPort:
    """An input that a component (or a pipeline job) declares."""

    name: str
    type: str
    is_optional: bool = False
    default: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    mode: str = ""


@dataclass(frozen=True, slots=True)
class OutputPort:
    """An output that a component (or a job) declares."""

    name: str
    type: str = "uri_folder"


@dataclass(frozen=True, slots=True)
class Given:
    """What a client gives for an input: a literal's text (or an expression), or a URI of a type. Empty: nothing."""

    value: str | None = None
    uri: str | None = None
    type: str = LITERAL
    mode: str = ""

    @property
    def text(self) -> str | None:
        """The text in which an expression may stand."""
        return self.value if self.value is not None else self.uri

    @property
    def is_empty(self) -> bool:
        """True when no value was given at all."""
        return self.text is None


@dataclass(frozen=True, slots=True)
class GivenOutput:
    """What a client says of an output: a binding to the parent's, a place, a name to register it under."""

    binding: str | None = None  # ${{parent.outputs.x}}
    uri: str | None = None
    type: str = ""
    mode: str = ""
    asset_name: str | None = None
    asset_version: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A command with what it needs: the content of a command component or of a command job.

    With `parallel`, the command starts the driver that has the files of an input worked on in mini-batches.
    """

    command: str
    code: str | None
    environment: str | None
    inputs: Mapping[str, InputPort]
    outputs: Mapping[str, OutputPort]
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    is_deterministic: bool = True
    timeout_s: float | None = None
    parallel: ParallelSettings | None = None
    distribution: Distribution = field(default_factory=Distribution)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A step tried with many values: what is left to be bound, and the step, whose parameters are optional inputs."""

    trial: Step
    settings: SweepSettings
    inputs: Mapping[str, InputPort]
    outputs: Mapping[str, OutputPort]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a pipeline as written: which component, bound to what, with what overridden."""

    name: str
    component: str
    inputs: Mapping[str, Given]
    outputs: Mapping[str, GivenOutput]
    compute: str | None = None
    environment: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    display_name: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    work: Mapping[str, Any] = field(default_factory=dict)  # of a sweep, its trial's body
    sweep: SweepSettings | None = None
    conditions: tuple[Condition, ...] = ()
    loop: DoWhile | None = None
    each: ForEach | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """A pipeline's settings, with the defaults of Azure ML."""

    default_compute: str | None = None
    default_datastore: str | None = None
    continue_on_step_failure: bool = True
    force_rerun: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A graph of nodes: the content of a pipeline component or of a pipeline job."""

    nodes: Mapping[str, Node]
    inputs: Mapping[str, InputPort]
    outputs: Mapping[str, OutputPort]
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class Loop:
    """A content run again and again (`rule` DoWhile) or for each of some items; ports are as seen from outside."""

    body: Step | Pipeline
    rule: DoWhile | ForEach
    inputs: Mapping[str, InputPort]
    outputs: Mapping[str, OutputPort]


Content = Step | Pipeline | Sweep | Loop
"""What a job or node runs."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job body as written: its type, its own values, and its content (None when a component is named instead)."""

    type: str  # Command | Pipeline | Sweep, whose content is a trial's
    content: Step | Pipeline | None
    component: str | None
    inputs: Mapping[str, Given]
    outputs: Mapping[str, GivenOutput]
    compute: str | None
    environment_variables: Mapping[str, str]
    timeout_s: float | None
    experiment: str
    display_name: str | None
    tags: Mapping[str, str]
    body: Mapping[str, Any] = field(default_factory=dict)  # of a sweep, its trial's body
    sweep: SweepSettings | None = None
    settings: Settings | None = None  # of a pipeline that is a component, what the job says beside it


def read_job(properties: Mapping[str, Any]) -> Job:
    """Read the `properties` of a job body. Raises InvalidRequest, and Unsupported naming a job type not run here."""
    kind = str(get(properties, "job_type") or "")
    if kind.lower() not in ("command", "pipeline", "sweep"):
        raise _unsupported(kind)
    is_sweep = kind.lower() == "sweep"
    work = _trial(properties) if is_sweep else properties
    inputs = {n: read_given(v, where=f"input {n}") for n, v in ports(properties, "inputs").items()}
    outputs = {n: read_output(v, where=f"output {n}") for n, v in ports(properties, "outputs").items()}
    component = get(work, "component_id") or None
    content: Step | Pipeline | None = None
    if kind.lower() == "pipeline":
        content = None if component else _job_pipeline(properties, inputs, outputs)
    elif not component:
        content = _job_step(work, inputs, outputs)
    return Job(
        type=kind.capitalize(),
        content=content,
        component=component,
        inputs=inputs,
        outputs=outputs,
        compute=reference(get(properties, "compute_id")),
        environment_variables=variables(work),
        timeout_s=None if is_sweep else _timeout(properties),
        experiment=str(get(properties, "experiment_name") or "Default"),
        display_name=get(properties, "display_name"),
        tags={str(k): str(v) for k, v in mapping(properties, "tags").items() if v is not None},
        body=work,
        sweep=read_sweep(properties) if is_sweep else None,
        settings=_settings(mapping(properties, "settings")) if component and kind.lower() == "pipeline" else None,
    )


def read_component(spec: Mapping[str, Any], *, where: str) -> Step | Pipeline:
    """Read a stored `componentSpec`. Raises Unsupported for component types that are not run here."""
    kind = str(get(spec, "type") or "command").lower()
    if kind == "pipeline":
        nodes = _nodes(mapping(spec, "jobs"), where=where)
        return Pipeline(nodes, _input_ports(spec), _output_ports(spec), _settings(mapping(spec, "settings")))
    if kind == "parallel":
        return _parallel_step(spec, where=where)
    if kind != "command":
        raise _unsupported(kind)
    deterministic = get(spec, "is_deterministic")
    return Step(
        command=_command(spec, where=where),
        code=reference(get(spec, "code")),
        environment=reference(get(spec, "environment")),
        inputs=_input_ports(spec),
        outputs=_output_ports(spec),
        environment_variables=variables(spec),
        is_deterministic=True if deterministic is None else boolean(deterministic),
        timeout_s=_timeout(spec),
        distribution=read_distribution(spec, where=where),
    )


def parallel_of(step: Step, body: Mapping[str, Any], *, where: str) -> Step:
    """Return a parallel step with what its node says of its own. Raises InvalidRequest."""
    assert step.parallel is not None
    arguments = get(mapping(body, "task"), "program_arguments")
    command = step.command if arguments is None else _parallel_command(str(arguments))
    return replace(step, command=command, parallel=overridden(step.parallel, body, where=where))


def distributed_of(step: Step, body: Mapping[str, Any], *, where: str) -> Step:
    """Return a step with what its node, or the job that names it, says of its distribution."""
    return replace(step, distribution=read_distribution(body, step.distribution, where=where))


def sweep_of(step: Step, settings: SweepSettings, *, where: str) -> Sweep:
    """Return the sweep of a step. `${{search_space.x}}` is input x of the trial. Raises InvalidPipeline."""
    names = settings.names
    for name in names:
        port = step.inputs.get(name)
        if port is not None and port.type not in (*LITERAL_TYPES, LITERAL):
            raise InvalidPipeline(f"Input {name} of {where} is a {port.type}: only literals can be swept over")
    ports = {name: InputPort(name, LITERAL, is_optional=True) for name in names}
    trial = replace(
        step,
        command=expressions.renamed(step.command, "search_space", names, "inputs"),
        inputs={**step.inputs, **ports},
        environment_variables={
            name: expressions.renamed(text, "search_space", names, "inputs")
            for name, text in step.environment_variables.items()
        },
        is_deterministic=False,
    )
    bound = {name: port for name, port in step.inputs.items() if name not in names}
    return Sweep(trial, settings, bound, step.outputs)


def read_given(value: Any, *, where: str) -> Given:
    """Read what is given for an input: a plain value or an object with `job_input_type`."""
    if value is None:
        return Given()
    if not isinstance(value, Mapping):
        return Given(value=literal_text(value))
    kind = str(get(value, "job_input_type") or get(value, "type") or LITERAL).lower()
    uri = get(value, "uri") or get(value, "path") or get(value, "asset_id")
    literal = get(value, "value")
    mode = read_mode(get(value, "mode"))
    if uri is not None:
        return Given(uri=str(uri), type=kind, mode=mode)
    if literal is None:
        return Given(type=kind, mode=mode)
    if isinstance(literal, list | Mapping):
        raise InvalidRequest(f"The value of {where} is a {type(literal).__name__}: give a string, number or boolean")
    return Given(value=literal_text(literal), type=kind, mode=mode)


def read_output(value: Any, *, where: str) -> GivenOutput:
    """Read what is said of an output: null, a binding, or an object with `job_output_type`."""
    if value is None:
        return GivenOutput()
    if isinstance(value, str):
        return GivenOutput(binding=value)
    if not isinstance(value, Mapping):
        raise InvalidRequest(
            f"{where.capitalize()} is {value!r}: write an object with a type, or ${{{{parent.outputs.<name>}}}}"
        )
    kind = str(get(value, "job_output_type") or get(value, "type") or "").lower()
    uri = get(value, "uri") or get(value, "path")
    binding = get(value, "value")
    if binding is None and expressions.whole(uri) and str(uri).strip().startswith("${{parent."):
        binding, uri = uri, None
    name, version = get(value, "asset_name") or get(value, "name"), get(value, "asset_version") or get(value, "version")
    return GivenOutput(
        binding=binding,
        uri=uri,
        type="" if kind == LITERAL else kind,
        mode=read_mode(get(value, "mode")),
        asset_name=str(name) if name else None,
        asset_version=str(version) if version else None,
    )


def _parallel_step(spec: Mapping[str, Any], *, where: str) -> Step:
    task, deterministic = mapping(spec, "task"), get(spec, "is_deterministic")
    settings, inputs, outputs = read_parallel(spec, where=where), _input_ports(spec), _output_ports(spec)
    for name, those in ((settings.data[0], inputs), (settings.model, inputs), (settings.append_to, outputs)):
        if name is not None and name not in those:
            known = ", ".join(sorted(those)) or "none"
            raise InvalidRequest(f"The task of {where} names {name}, which is not there: there are {known}")
    if inputs[settings.data[0]].type in (*LITERAL_TYPES, "mltable"):
        kind = inputs[settings.data[0]].type
        raise Unsupported(f"A parallel step over a {kind} ({where})", instead="Make input_data a uri_folder.")
    return Step(
        command=_parallel_command(str(get(task, "program_arguments") or "")),
        code=reference(get(task, "code")),
        environment=reference(get(task, "environment")),
        inputs=inputs,
        outputs=outputs,
        environment_variables=variables(spec),
        is_deterministic=True if deterministic is None else boolean(deterministic),
        timeout_s=_timeout(spec),
        parallel=settings,
    )


def _parallel_command(arguments: str) -> str:
    return f"{PARALLEL_COMMAND} {arguments}".strip()


def _job_step(properties: Mapping[str, Any], inputs: Mapping[str, Given], outputs: Mapping[str, GivenOutput]) -> Step:
    command = _command(properties, where="the job")
    # azure-ai-ml leaves out optional inputs without a value: only their places in the command tell of them
    left_out = {n: InputPort(n, LITERAL, is_optional=True) for n in expressions.optional_inputs(command)}
    return Step(
        command=command,
        code=reference(get(properties, "code_id")),
        environment=reference(get(properties, "environment_id")),
        inputs=left_out | {n: InputPort(n, g.type, is_optional=g.is_empty) for n, g in inputs.items()},
        outputs={n: OutputPort(n, g.type or "uri_folder") for n, g in outputs.items()},
        is_deterministic=False,  # Azure ML reuses only what runs inside pipelines
        distribution=read_distribution(properties, where="the job"),
    )


def _job_pipeline(
    properties: Mapping[str, Any], inputs: Mapping[str, Given], outputs: Mapping[str, GivenOutput]
) -> Pipeline:
    nodes = _nodes(mapping(properties, "jobs"), where="the pipeline")
    return Pipeline(
        nodes,
        {n: InputPort(n, g.type, is_optional=g.is_empty) for n, g in inputs.items()},
        {n: OutputPort(n, g.type or "uri_folder") for n, g in outputs.items()},
        _settings(mapping(properties, "settings")),
    )


def _nodes(bodies: Mapping[str, Any], *, where: str) -> dict[str, Node]:
    if not bodies:
        raise InvalidRequest(f"{where.capitalize()} has no jobs: give at least one under `jobs`")
    controls = read_controls(bodies)
    nodes = {name: _node(name, body) for name, body in bodies.items() if not is_control(body)}
    for name, conditions in controls.conditions.items():
        nodes[name] = replace(nodes[name], conditions=conditions)
    for name, loop in controls.loops.items():
        nodes[name] = replace(nodes[name], loop=loop)
    for name, (body, each, outputs) in controls.each.items():  # the body is run under the loop's name only
        given = {n: read_output(v, where=f"output {n} of node {name}") for n, v in outputs.items()}
        nodes[name] = replace(nodes.pop(body), name=name, each=each, outputs=given, display_name=None)
    return nodes


def _node(name: str, body: Any) -> Node:
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"Node {name} is {body!r}: write an object with a type and a component")
    kind = str(get(body, "type") or get(body, "job_type") or "command").lower()
    if kind not in ("command", "pipeline", "sweep", "parallel"):
        raise _unsupported(kind, node=name)
    is_sweep = kind == "sweep"
    work = _trial(body) if is_sweep else body
    component = get(work, "component_id") or get(work, "component")
    if not isinstance(component, str) or not component:
        raise InvalidRequest(
            f"Node {name} names no component: give `component`, such as "
            "azureml://registries/<registry>/components/<name>/versions/<version>"
        )
    return Node(
        name=name,
        component=component,
        inputs={n: read_given(v, where=f"input {n} of node {name}") for n, v in ports(body, "inputs").items()},
        outputs={n: read_output(v, where=f"output {n} of node {name}") for n, v in ports(body, "outputs").items()},
        compute=reference(get(body, "compute_id") or get(body, "compute")),
        environment=reference(get(body, "environment_id") or get(body, "environment")),
        environment_variables=variables(body),
        timeout_s=None if is_sweep else _timeout(body),
        display_name=get(body, "display_name"),
        body=body,
        work=work,
        sweep=read_sweep(body) if is_sweep else None,
    )


def _trial(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a sweep tries: a command with its environment, or `componentId`."""
    trial = get(body, "trial")
    if isinstance(trial, str) and trial:
        return {"componentId": trial}
    if not isinstance(trial, Mapping):
        raise InvalidRequest(f"A sweep needs a `trial`, a command or a component: got {trial!r}")
    return trial


def _input_ports(spec: Mapping[str, Any]) -> dict[str, InputPort]:
    return {name: _input_port(name, port) for name, port in ports(spec, "inputs").items()}


def _input_port(name: str, port: Any) -> InputPort:
    if not isinstance(port, Mapping):
        raise InvalidRequest(f"Input {name} of the component is {port!r}: write an object with a type")
    default = get(port, "default")
    return InputPort(
        name=name,
        type=str(get(port, "type") or "string").lower(),
        is_optional=boolean(get(port, "optional") or False),
        default=None if default is None else literal_text(default),
        minimum=number(get(port, "min")),
        maximum=number(get(port, "max")),
        choices=tuple(literal_text(choice) for choice in get(port, "enum") or ()),
        mode=read_mode(get(port, "mode")),
    )


def _output_ports(spec: Mapping[str, Any]) -> dict[str, OutputPort]:
    found = ports(spec, "outputs")
    return {n: OutputPort(n, str(get(p or {}, "type") or "uri_folder").lower()) for n, p in found.items()}


def _settings(body: Mapping[str, Any]) -> Settings:
    proceed = get(body, "continue_on_step_failure")
    return Settings(
        default_compute=reference(get(body, "default_compute")),
        default_datastore=reference(get(body, "default_datastore")),
        continue_on_step_failure=True if proceed is None else boolean(proceed),
        force_rerun=boolean(get(body, "force_rerun") or False),
    )


def _command(body: Mapping[str, Any], *, where: str) -> str:
    command = get(body, "command")
    if not isinstance(command, str) or not command.strip():
        raise InvalidRequest(f"{where.capitalize()} has no command: give `command`, such as python train.py")
    return command


def _timeout(body: Mapping[str, Any]) -> float | None:
    return read_duration(get(mapping(body, "limits"), "timeout"))


def _unsupported(kind: str, *, node: str = "") -> Unsupported:
    what = f"Job type {kind!r}" + (f" of node {node}" if node else "")
    return Unsupported(what, instead="Supported are command, pipeline, sweep and, as steps of pipelines, parallel.")
