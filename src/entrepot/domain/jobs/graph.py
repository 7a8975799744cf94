"""Binding of a pipeline's nodes at one level: what each input stands for, who waits for whom, which types fit.

Pure: components are handed in as their content. Nested pipelines are bound level by level by `planning.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from entrepot.core.errors import InvalidPipeline
from entrepot.domain.jobs import expressions
from entrepot.domain.jobs.spec import (
    LITERAL,
    LITERAL_TYPES,
    Content,
    Given,
    GivenOutput,
    InputPort,
    Node,
    OutputPort,
    Pipeline,
)

NodePath = tuple[str, ...]
"""The names of the nodes from the root pipeline down: ("train",), or ("evaluate", "score") in a nested one."""

_ACCEPTS = {
    "uri_file": {"uri_file", "custom_model"},
    "uri_folder": {"uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"},
    "mltable": {"mltable", "uri_folder"},
    "mlflow_model": {"mlflow_model", "uri_folder", "custom_model"},
    "triton_model": {"triton_model", "uri_folder", "custom_model"},
}


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is put into the command verbatim."""

    text: str


@dataclass(frozen=True, slots=True)
class Located:
    """Bytes somewhere, as the client names them."""

    uri: str
    type: str
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """An output of another node, known when that node has completed."""

    node: NodePath
    output: str
    type: str
    mode: str = ""


Source = Literal | Located | Result


@dataclass(frozen=True, slots=True)
class BoundNode:
    """A node whose every input is known: `after` are the siblings it waits for."""

    node: Node
    inputs: Mapping[str, Source | None]
    outputs: Mapping[str, GivenOutput]
    after: tuple[str, ...]
    conditions: tuple[tuple["Source | None", bool], ...] = ()  # each with the value that it must have


@dataclass(frozen=True, slots=True)
class BoundPipeline:
    """The nodes in an order that respects `after`, and which node's output each of the pipeline's outputs is.

    Of several, only one will have run: they stand in different blocks of a condition.
    """

    nodes: tuple[BoundNode, ...]
    outputs: Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class _Level:
    pipeline: Pipeline
    contents: Mapping[str, Content]
    inputs: Mapping[str, Source | None]
    prefix: NodePath
    resolving: set[tuple[str, str]] = field(default_factory=set)


def bind(
    pipeline: Pipeline,
    contents: Mapping[str, Content],
    *,
    inputs: Mapping[str, Source | None],
    prefix: NodePath = (),
) -> BoundPipeline:
    """Bind every node of one level. Raises InvalidPipeline and InvalidExpression, naming the node and the input."""
    level = _Level(pipeline, contents, inputs, prefix)
    bound = {}
    for name, node in pipeline.nodes.items():
        sources = _node_inputs(level, node)
        conditions = tuple((_condition(level, name, c.binding), c.wanted) for c in node.conditions)
        siblings = _siblings(level, (*sources.values(), *(source for source, _ in conditions)))
        outputs = named_outputs(contents[name].outputs, node.outputs, owner=f"node {name}")
        bound[name] = BoundNode(node, sources, outputs, siblings, conditions)
    order = _order({name: entry.after for name, entry in bound.items()})
    return BoundPipeline(tuple(bound[name] for name in order), _pipeline_outputs(level))


def bind_inputs(
    ports: Mapping[str, InputPort],
    given: Mapping[str, Given],
    *,
    owner: str,
    resolve: Callable[[Given, InputPort], Source | None],
) -> dict[str, Source | None]:
    """Bind what is given to the ports of `owner` (`node train`), with defaults filled in and types checked."""
    for name in given:
        if name not in ports:
            known = ", ".join(sorted(ports)) or "none"
            raise InvalidPipeline(f"{owner.capitalize()} has no input {name}: its inputs are {known}")
    return {name: _bound(port, given.get(name, Given()), owner=owner, resolve=resolve) for name, port in ports.items()}


def named_outputs(
    ports: Mapping[str, OutputPort], given: Mapping[str, GivenOutput], *, owner: str
) -> dict[str, GivenOutput]:
    """Return what is said of each output of `owner`. Raises InvalidPipeline for one that it does not have."""
    for name in given:
        if name not in ports:
            known = ", ".join(sorted(ports)) or "none"
            raise InvalidPipeline(f"{owner.capitalize()} has no output {name}: its outputs are {known}")
    return {name: given.get(name, GivenOutput()) for name in ports}


def given_source(given: Given, port: InputPort) -> Source | None:
    """Return what a value without expressions stands for."""
    if given.uri is not None:
        kind = port.type if given.type == LITERAL else given.type
        return Located(given.uri, kind, given.mode or port.mode)
    return None if given.value is None else Literal(given.value)


def _bound(
    port: InputPort, given: Given, *, owner: str, resolve: Callable[[Given, InputPort], Source | None]
) -> Source | None:
    source = None if given.is_empty else resolve(given, port)
    if source is None and port.default is not None:
        is_path = port.type not in (*LITERAL_TYPES, LITERAL)
        source = Located(port.default, port.type, given.mode or port.mode) if is_path else Literal(port.default)
    if source is None and not port.is_optional:
        raise InvalidPipeline(f"Input {port.name} of {owner} is required ({port.type}) and has no value: bind it")
    if source is not None:
        check_type(source, port, owner=owner)
    return source


def check_type(source: Source, port: InputPort, *, owner: str) -> None:
    """Raise InvalidPipeline unless the source may be connected to the port."""
    place = f"Input {port.name} of {owner}"
    if isinstance(source, Literal):
        if port.type not in (*LITERAL_TYPES, LITERAL):
            raise InvalidPipeline(f"{place} is a {port.type}, not a literal: got {source.text!r}; bind it to data")
        _check_literal(source.text, port, place=place)
        return
    what = source.uri if isinstance(source, Located) else f"output {source.output} of node {source.node[-1]}"
    if isinstance(source, Result) and source.type in LITERAL_TYPES:
        if port.type in LITERAL_TYPES:
            return  # a control output: its value is known when its node has run
        raise InvalidPipeline(f"{place} is a {port.type}: it cannot be bound to {what}, which is a {source.type}")
    if port.type in LITERAL_TYPES:
        raise InvalidPipeline(f"{place} is a {port.type}: it cannot be bound to {what}, which is a {source.type}")
    accepted = _ACCEPTS.get(port.type)
    if accepted is not None and source.type not in accepted and source.type in (*_ACCEPTS, "custom_model"):
        raise InvalidPipeline(
            f"{place} is a {port.type}: it cannot be bound to {what}, which is a {source.type}; "
            f"it takes {', '.join(sorted(accepted))}"
        )


def _check_literal(text: str, port: InputPort, *, place: str) -> None:
    if port.type in ("number", "integer"):
        try:
            number = int(text) if port.type == "integer" else float(text)
        except ValueError:
            raise InvalidPipeline(f"{place} must be {_article(port.type)}: got {text!r}") from None
        if port.minimum is not None and number < port.minimum:
            raise InvalidPipeline(f"{place} must be at least {port.minimum:g}: got {text}")
        if port.maximum is not None and number > port.maximum:
            raise InvalidPipeline(f"{place} must be at most {port.maximum:g}: got {text}")
    if port.type == "boolean" and text.lower() not in ("true", "false"):
        raise InvalidPipeline(f"{place} must be true or false: got {text!r}")
    if port.choices and text not in port.choices:
        raise InvalidPipeline(f"{place} must be one of {', '.join(port.choices)}: got {text!r}")


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "integer" else f"a {kind}"


def _node_inputs(level: _Level, node: Node) -> dict[str, Source | None]:
    owner = f"node {node.name}"

    def resolve(given: Given, port: InputPort) -> Source | None:
        return _resolve(level, given, port, where=f"input {port.name} of {owner}")

    return bind_inputs(level.contents[node.name].inputs, node.inputs, owner=owner, resolve=resolve)


def _resolve(level: _Level, given: Given, port: InputPort, *, where: str) -> Source | None:
    text = given.text
    path = expressions.whole(text)
    if path is not None:
        return _with_mode(_named(level, path, where=where), given.mode or port.mode)
    if expressions.has_expression(text) and text is not None:
        filled = expressions.substitute(text, lambda path: _literal(level, path, where=where), where=where)
        given = (
            Given(value=filled, type=given.type)
            if given.value is not None
            else Given(None, filled, given.type, given.mode)
        )
    return given_source(given, port)


def _with_mode(source: Source | None, mode: str) -> Source | None:
    match source:
        case Located(uri, kind, _) if mode:
            return Located(uri, kind, mode)
        case Result(node, output, kind, _) if mode:
            return Result(node, output, kind, mode)
    return source


def _literal(level: _Level, path: expressions.Path, *, where: str) -> str | None:
    source = _named(level, path, where=where)
    if source is not None and not isinstance(source, Literal):
        raise InvalidPipeline(f"${{{{{'.'.join(path)}}}}} in {where} is data: only literals can stand inside a text")
    return source.text if source else None


def _named(level: _Level, path: expressions.Path, *, where: str) -> Source | None:
    match path:
        case ("parent", "inputs", *rest) if (name := ".".join(rest)) in level.inputs:
            return level.inputs[name]
        case ("parent", "jobs", job, "outputs", *rest) if job in level.contents:
            return _output(level, job, ".".join(rest), path, where=where)
        case ("parent", "jobs", job, "inputs", *rest) if job in level.contents:
            return _sibling_input(level, job, ".".join(rest), path, where=where)
    raise expressions.unknown(path, where=where, available=_available(level))


def _available(level: _Level) -> str:
    inputs = [f"parent.inputs.{name}" for name in sorted(level.inputs)]
    outputs = [f"parent.jobs.{job}.outputs.{o}" for job, c in level.contents.items() for o in sorted(c.outputs)]
    return ", ".join(inputs + outputs) or "nothing"


def _output(level: _Level, job: str, name: str, path: expressions.Path, *, where: str) -> Result:
    ports: Mapping[str, OutputPort] = level.contents[job].outputs
    if name not in ports:
        raise expressions.unknown(path, where=where, available=_available(level))
    return Result(
        (*level.prefix, job), name, level.pipeline.nodes[job].outputs.get(name, GivenOutput()).type or ports[name].type
    )


def _sibling_input(level: _Level, job: str, name: str, path: expressions.Path, *, where: str) -> Source | None:
    ports = level.contents[job].inputs
    if name not in ports:
        raise expressions.unknown(path, where=where, available=_available(level))
    if (job, name) in level.resolving:
        raise InvalidPipeline(f"Input {name} of node {job} is bound to itself: give it a value")
    level.resolving.add((job, name))
    try:
        given = level.pipeline.nodes[job].inputs.get(name, Given())
        source = None if given.is_empty else _resolve(level, given, ports[name], where=f"input {name} of node {job}")
        default = ports[name].default
        return Literal(default) if source is None and default is not None else source
    finally:
        level.resolving.discard((job, name))


def _condition(level: _Level, name: str, binding: str | bool) -> Source | None:
    """Return what a condition stands for: a literal, or a control output of a node that runs before."""
    if isinstance(binding, bool) or not expressions.has_expression(binding):
        return Literal(str(binding))
    where = f"the condition of node {name}"
    path = expressions.whole(binding)
    source = _named(level, path, where=where) if path else None
    if path is None or (isinstance(source, Located | Result) and source.type not in LITERAL_TYPES):
        raise InvalidPipeline(f"{binding!r}, {where}, is no boolean: bind an output of type boolean, or an input")
    return source


def _siblings(level: _Level, sources: Iterable[Source | None]) -> tuple[str, ...]:
    depth = len(level.prefix)
    results = [s for s in sources if isinstance(s, Result) and s.node[:depth] == level.prefix]
    return tuple(dict.fromkeys(result.node[depth] for result in results))


def _pipeline_outputs(level: _Level) -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for node in level.pipeline.nodes.values():
        for name, output in node.outputs.items():
            if output.binding is None:
                continue
            where = f"output {name} of node {node.name}"
            target = _parent_output(level, output.binding, where=where)
            for other in found.get(target, ()):
                if not _exclude(level, other[0], node.name):
                    raise InvalidPipeline(
                        f"Output {target} of the pipeline is bound twice: by {'.'.join(other)} and {node.name}.{name}"
                    )
            found[target] = (*found.get(target, ()), (node.name, name))
    return found


def _exclude(level: _Level, one: str, other: str) -> bool:
    """Say whether of two nodes only one can run: they wait for the same condition to be different."""
    conditions = {c.binding: c.wanted for c in level.pipeline.nodes[one].conditions}
    return any(conditions.get(c.binding, c.wanted) != c.wanted for c in level.pipeline.nodes[other].conditions)


def _parent_output(level: _Level, text: str, *, where: str) -> str:
    path = expressions.whole(text)
    if (
        path is not None
        and path[:2] == ("parent", "outputs")
        and (name := ".".join(path[2:])) in level.pipeline.outputs
    ):
        return name
    available = ", ".join(f"parent.outputs.{name}" for name in sorted(level.pipeline.outputs)) or "nothing"
    raise expressions.unknown(path or (text,), where=where, available=available)


def _order(after: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names so that each follows those it waits for, else in the order written."""
    done: dict[str, None] = {}
    for start in after:
        stack = [start]
        while stack:
            waiting = [name for name in after[stack[-1]] if name not in done]
            if not waiting:
                done.setdefault(stack.pop())
            elif waiting[0] in stack:
                cycle = [*stack[stack.index(waiting[0]) :], waiting[0]]
                raise InvalidPipeline(f"The pipeline's steps wait for each other in a circle: {' -> '.join(cycle)}")
            else:
                stack.append(waiting[0])
    return list(done)
