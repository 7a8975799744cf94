"""What control-flow nodes say, read once: `if_else`, `do_while`, `parallel_for`. Nothing is looked up here.

They are nodes without a component, which name others. azure-ai-ml 1.35 writes names as `${{parent.jobs.x}}`, and ports
of a loop's body by their bare names; YAML may write either.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.errors import InvalidPipeline
from entrepot.domain.jobs import expressions
from entrepot.domain.jobs.fields import boolean, get, mapping, ports

Json = Any

IF_ELSE, DO_WHILE, PARALLEL_FOR = "if_else", "do_while", "parallel_for"
TYPES = (IF_ELSE, DO_WHILE, PARALLEL_FOR)
MOST_ITERATIONS = 1000  # azure-ai-ml 1.35


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a node to run: `binding`, an expression or a constant, must be `wanted`."""

    binding: str | bool
    wanted: bool


@dataclass(frozen=True, slots=True)
class DoWhile:
    """A node that runs again while an output of it is true; `feeds`: {input: output of the run before}."""

    condition: str | None
    feeds: Mapping[str, str]
    most: int

    @property
    def told(self) -> dict[str, Json]:
        """The settings as job documents keep them."""
        return {"condition": self.condition, "mapping": dict(self.feeds), "maxIterationCount": self.most}


@dataclass(frozen=True, slots=True)
class ForEach:
    """A node that runs once for each item, all at once unless `most_at_once` bounds it.

    `items`: ((name, {input: value}), ...), or an expression that will name them.
    """

    items: tuple[tuple[str, Mapping[str, Json]], ...] | str
    most_at_once: int | None


@dataclass(frozen=True, slots=True)
class Controls:
    """What the control-flow nodes of one pipeline say of its other nodes."""

    conditions: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)
    loops: Mapping[str, DoWhile] = field(default_factory=dict)
    each: Mapping[str, tuple[str, ForEach, Mapping[str, Json]]] = field(default_factory=dict)
    """{name: (the node that is its body, what for, its outputs)}"""


def is_control(body: Json) -> bool:
    """Say whether a node is one of control flow."""
    return isinstance(body, Mapping) and str(get(body, "type") or "").lower() in TYPES


def read_controls(bodies: Mapping[str, Json]) -> Controls:
    """Read the control-flow nodes among a pipeline's nodes. Raises InvalidPipeline that names the node."""
    controls = {name: body for name, body in bodies.items() if is_control(body)}
    plain = [name for name in bodies if name not in controls]
    conditions: dict[str, tuple[Condition, ...]] = {}
    loops: dict[str, DoWhile] = {}
    each: dict[str, tuple[str, ForEach, Mapping[str, Json]]] = {}
    for name, body in controls.items():
        kind = str(get(body, "type")).lower()
        if kind == IF_ELSE:
            for node, condition in _if_else(name, body, plain).items():
                conditions[node] = (*conditions.get(node, ()), condition)
            continue
        inner = _body(name, body, plain)
        if inner in loops or inner in [taken for taken, _, _ in each.values()]:
            raise InvalidPipeline(f"Node {inner} is the body of two loops: give each a node of its own")
        if kind == DO_WHILE:
            loops[inner] = _do_while(name, body)
        else:
            each[name] = (inner, _for_each(name, body), ports(body, "outputs"))
    return Controls(conditions, loops, each)


def read_items(text: Json, *, where: str) -> tuple[tuple[str, Mapping[str, Json]], ...]:
    """Read the items of a loop: a list of objects, or an object of them, perhaps as JSON text."""
    value = text
    if isinstance(text, str):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise InvalidPipeline(f"The items of {where} are not JSON: {error}") from error
    found = (
        list(value.items()) if isinstance(value, Mapping) else list(enumerate(value if isinstance(value, list) else ()))
    )
    if not found or not all(isinstance(item, Mapping) for _, item in found):
        raise InvalidPipeline(f'The items of {where} must be a list of objects such as [{{"input": 1}}]: got {text!r}')
    return tuple((str(key), item) for key, item in found)


def is_true(text: str) -> bool:
    """Say whether the value of a control output is true."""
    return boolean(text.strip().strip('"'))


def _if_else(name: str, body: Mapping[str, Json], plain: list[str]) -> dict[str, Condition]:
    binding = get(body, "condition")
    if not isinstance(binding, str | bool) or binding == "":
        raise InvalidPipeline(f"Node {name} has no condition: bind it, as ${{{{parent.jobs.<step>.outputs.<output>}}}}")
    found: dict[str, Condition] = {}
    for field_name, wanted in (("true_block", True), ("false_block", False)):
        blocks = get(body, field_name)
        for block in blocks if isinstance(blocks, list) else [blocks] if blocks else []:
            node = _node_named(name, block, plain, field_name)
            if node in found:
                raise InvalidPipeline(f"Node {node} stands twice in node {name}: put it into one block")
            found[node] = Condition(binding, wanted)
    if not found:
        raise InvalidPipeline(f"Node {name} has neither a true_block nor a false_block: name at least one node")
    return found


def _do_while(name: str, body: Mapping[str, Json]) -> DoWhile:
    most = get(mapping(body, "limits"), "max_iteration_count")
    try:
        count = int(str(most))
    except ValueError:
        raise InvalidPipeline(
            f"Node {name} needs limits.max_iteration_count, a number up to {MOST_ITERATIONS}: got {most!r}"
        ) from None
    if not 1 <= count <= MOST_ITERATIONS:
        raise InvalidPipeline(f"max_iteration_count of node {name} is {count}: it must be from 1 to {MOST_ITERATIONS}")
    feeds: dict[str, str] = {}
    for output, inputs in mapping(body, "mapping").items():
        for item in inputs if isinstance(inputs, list) else [inputs]:
            port = _port(item)
            if port in feeds:
                raise InvalidPipeline(f"Input {port} of node {name}'s body is fed by two outputs: map one to it")
            feeds[port] = _port(output)
    condition = get(body, "condition")
    return DoWhile(_port(condition) if condition else None, feeds, count)


def _for_each(name: str, body: Mapping[str, Json]) -> ForEach:
    items, most = get(body, "items"), get(body, "max_concurrency")
    if most is not None and (not str(most).isdigit() or int(most) < 1):
        raise InvalidPipeline(f"max_concurrency of node {name} is {most!r}: give a number from 1 on")
    bound = items if isinstance(items, str) and expressions.has_expression(items) and expressions.whole(items) else None
    return ForEach(bound or read_items(items, where=f"node {name}"), int(most) if most else None)


def _body(name: str, body: Mapping[str, Json], plain: list[str]) -> str:
    text = get(body, "body")
    if not text:
        raise InvalidPipeline(f"Node {name} has no body: write ${{{{parent.jobs.<step>}}}}")
    return _node_named(name, text, plain, "body")


def _node_named(name: str, text: Json, plain: list[str], what: str) -> str:
    path = expressions.whole(text) or (str(text),)
    node = path[-1]
    if (len(path) > 1 and path[:2] != ("parent", "jobs")) or node not in plain:
        known = ", ".join(sorted(plain)) or "none"
        raise InvalidPipeline(f"{what} of node {name} is {text!r}, which names no node: there are {known}")
    return node


def _port(text: Json) -> str:
    """Return the name of a port, bare or at the end of an expression."""
    path = expressions.whole(text)
    return path[-1] if path else str(text)
