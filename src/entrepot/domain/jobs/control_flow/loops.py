"""Loops as they are planned: the ports of a looped node, and what its iterations get for inputs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entrepot.core.errors import InvalidPipeline, Unsupported
from entrepot.domain.jobs import expressions, graph
from entrepot.domain.jobs.control_flow.settings import DoWhile, ForEach, read_items
from entrepot.domain.jobs.graph import Literal, NodePath, Result, Source
from entrepot.domain.jobs.spec import (
    LITERAL,
    LITERAL_TYPES,
    GivenOutput,
    InputPort,
    Loop,
    Node,
    OutputPort,
    Pipeline,
    Step,
    read_given,
)

if TYPE_CHECKING:
    from entrepot.domain.jobs.planning import Component

Json = Any

PREVIOUS = "previous"
"""The name that stands for the iteration before in the pattern of an iteration."""


def looped(component: "Component", node: Node, *, where: str) -> "Component":
    """Return a component that is run in a loop, with the ports that the loop shows. Raises InvalidPipeline."""
    body = component.content
    if not isinstance(body, Step | Pipeline) or node.sweep is not None:
        raise InvalidPipeline(f"The body of {where} must be a command or a pipeline")
    rule = node.loop or node.each
    assert rule is not None
    if isinstance(rule, DoWhile):
        return replace(component, content=Loop(body, _checked(rule, body, where=where), body.inputs, body.outputs))
    given = {name for _, item in _static_items(rule) for name in item}
    if strange := sorted(given - set(body.inputs)):
        known = ", ".join(sorted(body.inputs)) or "none"
        raise InvalidPipeline(f"An item of {where} has {strange[0]}: the inputs of its body are {known}")
    inputs = {
        name: replace(port, is_optional=True) if _may_be_given(rule, given, name) else port
        for name, port in body.inputs.items()
    }
    outputs = {name: OutputPort(name, _aggregated(port.type)) for name, port in body.outputs.items()}
    return replace(component, content=Loop(body, rule, inputs, outputs))


def kept(outputs: Mapping[str, GivenOutput]) -> dict[str, GivenOutput]:
    """Return what iterations are told of their outputs: places and names of assets are for the loop's own."""
    return {name: GivenOutput(mode=given.mode) for name, given in outputs.items()}


def fed(path: NodePath, loop: Loop, inputs: Mapping[str, Source | None]) -> dict[str, Source | None]:
    """Return the inputs of an iteration that is not the first: those that are fed are outputs of the one before."""
    assert isinstance(loop.rule, DoWhile)
    found = dict(inputs)
    for name, output in loop.rule.feeds.items():
        found[name] = Result((*path, PREVIOUS), output, loop.body.outputs[output].type)
    return found


def items(loop: Loop, inputs: Mapping[str, Source | None], *, where: str) -> dict[str, dict[str, Source | None]]:
    """Return {name of the iteration: the inputs that its item gives}. Raises InvalidPipeline, Unsupported."""
    assert isinstance(loop.rule, ForEach)
    if isinstance(loop.rule.items, str):
        raise Unsupported(
            f"Items that are known only when the pipeline runs ({loop.rule.items} of {where})",
            instead="Write the items themselves, or bind them to an input of the pipeline.",
        )
    found: dict[str, dict[str, Source | None]] = {}
    for key, item in loop.rule.items:
        given = {name: _source(loop.body.inputs, name, value, where=where) for name, value in item.items()}
        for name, port in loop.body.inputs.items():
            source = given.get(name, inputs.get(name))
            if source is None and not port.is_optional and port.default is None:
                raise InvalidPipeline(f"Input {name} of {where} is required ({port.type}): give it in every item")
        found[f"iteration_{key}"] = given
    return found


def _source(ports: Mapping[str, InputPort], name: str, value: Json, *, where: str) -> Source | None:
    if name not in ports:
        known = ", ".join(sorted(ports)) or "none"
        raise InvalidPipeline(f"An item of {where} has {name}: the inputs of its body are {known}")
    given = read_given(value, where=f"item {name} of {where}")
    source = graph.given_source(given, ports[name])
    if source is not None:
        graph.check_type(source, ports[name], owner=where)
    return source


def _checked(rule: DoWhile, body: Step | Pipeline, *, where: str) -> DoWhile:
    for name, output in rule.feeds.items():
        if name not in body.inputs or output not in body.outputs:
            raise InvalidPipeline(
                f"The mapping of {where} feeds {output} to {name}: its body has the outputs "
                f"{', '.join(sorted(body.outputs)) or 'none'} and the inputs {', '.join(sorted(body.inputs)) or 'none'}"
            )
        graph.check_type(Result((where,), output, body.outputs[output].type), body.inputs[name], owner=where)
    if rule.condition is not None:
        port = body.outputs.get(rule.condition)
        if port is None or port.type not in LITERAL_TYPES:
            kind = f"a {port.type}" if port else "no output of its body"
            raise InvalidPipeline(f"The condition of {where}, {rule.condition}, is {kind}: it must be a boolean output")
    return rule


def _static_items(rule: ForEach) -> tuple[tuple[str, Mapping[str, Json]], ...]:
    return () if isinstance(rule.items, str) else rule.items


def _may_be_given(rule: ForEach, given: set[str], name: str) -> bool:
    return isinstance(rule.items, str) or name in given


def _aggregated(kind: str) -> str:
    """Return the type of what all iterations left: azure-ai-ml 1.35 says mltable for data, and string for literals."""
    return "string" if kind in (*LITERAL_TYPES, LITERAL) else "mltable"


def resolved(node: Node, inputs: Mapping[str, Source | None], *, where: str) -> Node:
    """Return a node whose items were bound to an input of its pipeline with what that says. Raises InvalidPipeline."""
    if node.each is None or not isinstance(node.each.items, str):
        return node
    path = expressions.whole(node.each.items) or ()
    source = inputs.get(".".join(path[2:])) if path[:2] == ("parent", "inputs") else None
    if not isinstance(source, Literal):
        return node
    return replace(node, each=replace(node.each, items=read_items(source.text, where=where)))
