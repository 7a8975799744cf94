"""What clients write about jobs, read once: ARM job bodies, nodes of pipelines and stored component specs.

Genuine clients write job bodies in camelCase and nodes in snake_case; both are read everywhere. Only what this
server acts on is modelled; the stored body keeps the rest. Nothing is looked up here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.errors import InvalidRequest, Unsupported
from entrepot.domain.jobs import expressions

LITERAL_TYPES = ("string", "number", "integer", "boolean")
MODEL_TYPES = ("mlflow_model", "custom_model", "triton_model")
LITERAL = "literal"  # a value whose type the client did not tell

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z")
_MODES = {
    "readonlymount": "ro_mount",
    "readwritemount": "rw_mount",
    "evaldownload": "eval_download",
    "evalmount": "eval_mount",
}


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
    """A command with what it needs: the content of a command component or of a command job."""

    command: str
    code: str | None
    environment: str | None
    inputs: Mapping[str, InputPort]
    outputs: Mapping[str, OutputPort]
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    is_deterministic: bool = True
    timeout_s: float | None = None
    instance_count: int = 1


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
class Job:
    """A job body as written: its type, its own values, and its content (None when a component is named instead)."""

    type: str  # Command | Pipeline
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


def read_job(properties: Mapping[str, Any]) -> Job:
    """Read the `properties` of a job body. Raises InvalidRequest, and Unsupported naming a job type not run here."""
    kind = str(get(properties, "job_type") or "")
    if kind.lower() not in ("command", "pipeline"):
        raise _unsupported(kind)
    inputs = {n: read_given(v, where=f"input {n}") for n, v in _mapping(properties, "inputs").items()}
    outputs = {n: read_output(v, where=f"output {n}") for n, v in _mapping(properties, "outputs").items()}
    component = get(properties, "component_id") or None
    content: Step | Pipeline | None = None
    if kind.lower() == "pipeline":
        content = None if component else _job_pipeline(properties, inputs, outputs)
    elif not component:
        content = _job_step(properties, inputs, outputs)
    return Job(
        type=kind.capitalize(),
        content=content,
        component=component,
        inputs=inputs,
        outputs=outputs,
        compute=_reference(get(properties, "compute_id")),
        environment_variables=_variables(properties),
        timeout_s=_timeout(properties),
        experiment=str(get(properties, "experiment_name") or "Default"),
        display_name=get(properties, "display_name"),
        tags={str(k): str(v) for k, v in _mapping(properties, "tags").items() if v is not None},
    )


def read_component(spec: Mapping[str, Any], *, where: str) -> Step | Pipeline:
    """Read a stored `componentSpec`. Raises Unsupported for component types that are not run here."""
    kind = str(get(spec, "type") or "command").lower()
    if kind == "pipeline":
        nodes = _nodes(_mapping(spec, "jobs"), where=where)
        return Pipeline(nodes, _input_ports(spec), _output_ports(spec), _settings(_mapping(spec, "settings")))
    if kind != "command":
        raise _unsupported(kind)
    deterministic = get(spec, "is_deterministic")
    return Step(
        command=_command(spec, where=where),
        code=_reference(get(spec, "code")),
        environment=_reference(get(spec, "environment")),
        inputs=_input_ports(spec),
        outputs=_output_ports(spec),
        environment_variables=_variables(spec),
        is_deterministic=True if deterministic is None else _boolean(deterministic),
        timeout_s=_timeout(spec),
        instance_count=_instances(spec),
    )


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


def get(mapping: Mapping[str, Any], name: str) -> Any:
    """Return a field by its snake_case name, whichever of the two spellings it has; None when absent."""
    if name in mapping:
        return mapping[name]
    head, *rest = name.split("_")
    return mapping.get(head + "".join(part.capitalize() for part in rest))


def literal_text(value: Any) -> str:
    """Return a literal as azure-ai-ml writes it: True, 0.5, text."""
    return value if isinstance(value, str) else str(value)


def read_mode(mode: Any) -> str:
    """Return a mode's YAML spelling: `ReadOnlyMount` is ro_mount. Empty when not told."""
    text = str(mode or "").lower()
    return _MODES.get(text, text)


def read_duration(text: Any) -> float | None:
    """Return the seconds of an ISO 8601 duration such as PT1H; a bare number is seconds. Raises InvalidRequest."""
    if text is None:
        return None
    if isinstance(text, int | float):
        return float(text)
    match = _DURATION.match(str(text))
    if not match or not any(match.groups()):
        raise InvalidRequest(f"{text!r} is not a duration: write it as ISO 8601, such as PT1H or PT90S")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def _job_step(properties: Mapping[str, Any], inputs: Mapping[str, Given], outputs: Mapping[str, GivenOutput]) -> Step:
    return Step(
        command=_command(properties, where="the job"),
        code=_reference(get(properties, "code_id")),
        environment=_reference(get(properties, "environment_id")),
        inputs={n: InputPort(n, g.type, is_optional=g.is_empty) for n, g in inputs.items()},
        outputs={n: OutputPort(n, g.type or "uri_folder") for n, g in outputs.items()},
        is_deterministic=False,  # Azure ML reuses only what runs inside pipelines
        instance_count=_instances(properties),
    )


def _job_pipeline(
    properties: Mapping[str, Any], inputs: Mapping[str, Given], outputs: Mapping[str, GivenOutput]
) -> Pipeline:
    nodes = _nodes(_mapping(properties, "jobs"), where="the pipeline")
    return Pipeline(
        nodes,
        {n: InputPort(n, g.type, is_optional=g.is_empty) for n, g in inputs.items()},
        {n: OutputPort(n, g.type or "uri_folder") for n, g in outputs.items()},
        _settings(_mapping(properties, "settings")),
    )


def _nodes(bodies: Mapping[str, Any], *, where: str) -> dict[str, Node]:
    if not bodies:
        raise InvalidRequest(f"{where.capitalize()} has no jobs: give at least one under `jobs`")
    return {name: _node(name, body) for name, body in bodies.items()}


def _node(name: str, body: Any) -> Node:
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"Node {name} is {body!r}: write an object with a type and a component")
    kind = str(get(body, "type") or get(body, "job_type") or "command").lower()
    if kind not in ("command", "pipeline"):
        raise _unsupported(kind, node=name)
    component = get(body, "component_id") or get(body, "component")
    if not isinstance(component, str) or not component:
        raise InvalidRequest(
            f"Node {name} names no component: give `component`, such as "
            "azureml://registries/<registry>/components/<name>/versions/<version>"
        )
    return Node(
        name=name,
        component=component,
        inputs={n: read_given(v, where=f"input {n} of node {name}") for n, v in _mapping(body, "inputs").items()},
        outputs={n: read_output(v, where=f"output {n} of node {name}") for n, v in _mapping(body, "outputs").items()},
        compute=_reference(get(body, "compute_id") or get(body, "compute")),
        environment=_reference(get(body, "environment_id") or get(body, "environment")),
        environment_variables=_variables(body),
        timeout_s=_timeout(body),
        display_name=get(body, "display_name"),
        body=body,
    )


def _input_ports(spec: Mapping[str, Any]) -> dict[str, InputPort]:
    return {name: _input_port(name, port) for name, port in _mapping(spec, "inputs").items()}


def _input_port(name: str, port: Any) -> InputPort:
    if not isinstance(port, Mapping):
        raise InvalidRequest(f"Input {name} of the component is {port!r}: write an object with a type")
    default = get(port, "default")
    return InputPort(
        name=name,
        type=str(get(port, "type") or "string").lower(),
        is_optional=_boolean(get(port, "optional") or False),
        default=None if default is None else literal_text(default),
        minimum=_number(get(port, "min")),
        maximum=_number(get(port, "max")),
        choices=tuple(literal_text(choice) for choice in get(port, "enum") or ()),
        mode=read_mode(get(port, "mode")),
    )


def _output_ports(spec: Mapping[str, Any]) -> dict[str, OutputPort]:
    ports = _mapping(spec, "outputs")
    return {n: OutputPort(n, str(get(p or {}, "type") or "uri_folder").lower()) for n, p in ports.items()}


def _settings(body: Mapping[str, Any]) -> Settings:
    proceed = get(body, "continue_on_step_failure")
    return Settings(
        default_compute=_reference(get(body, "default_compute")),
        default_datastore=_reference(get(body, "default_datastore")),
        continue_on_step_failure=True if proceed is None else _boolean(proceed),
        force_rerun=_boolean(get(body, "force_rerun") or False),
    )


def _command(body: Mapping[str, Any], *, where: str) -> str:
    command = get(body, "command")
    if not isinstance(command, str) or not command.strip():
        raise InvalidRequest(f"{where.capitalize()} has no command: give `command`, such as python train.py")
    return command


def _timeout(body: Mapping[str, Any]) -> float | None:
    return read_duration(get(_mapping(body, "limits"), "timeout"))


def _instances(body: Mapping[str, Any]) -> int:
    return int(get(_mapping(body, "resources"), "instance_count") or 1)


def _variables(body: Mapping[str, Any]) -> dict[str, str]:
    return {str(k): literal_text(v) for k, v in _mapping(body, "environment_variables").items() if v is not None}


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = get(body, name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"`{name}` is {value!r}: write a mapping of names to values")
    return value


def _reference(value: Any) -> str | None:
    return str(value) if value else None


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() in ("true", "1", "yes")


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _unsupported(kind: str, *, node: str = "") -> Unsupported:
    what = f"Job type {kind!r}" + (f" of node {node}" if node else "")
    return Unsupported(what, instead="Supported are command and pipeline.")
