"""How nodes of a pipeline are bound, ordered and checked."""

from collections.abc import Mapping
from typing import Any

import pytest

from entrepot.core.errors import InvalidExpression, InvalidPipeline
from entrepot.domain.jobs import graph, spec
from entrepot.domain.jobs.graph import BoundPipeline, Literal, Located, Result, Source
from entrepot.domain.jobs.spec import Pipeline

CONTENT = spec.read_component(
    {
        "command": "run",
        "inputs": {
            "d": {"type": "uri_folder", "optional": True},
            "lr": {"type": "number", "default": "0.5", "min": "0", "max": "1"},
            "n": {"type": "integer", "optional": True},
            "flag": {"type": "boolean", "optional": True},
            "kind": {"type": "string", "enum": ["a", "b"], "optional": True},
            "m": {"type": "mlflow_model", "optional": True},
        },
        "outputs": {"o": {"type": "uri_folder"}, "f": {"type": "uri_file"}},
    },
    where="component c",
)


def bind(
    jobs: Mapping[str, Any], *, outputs: Mapping[str, Any] | None = None, **inputs: Source | None
) -> BoundPipeline:
    nodes = {name: {"component": "azureml:c:1", **body} for name, body in jobs.items()}
    pipeline = spec.read_component({"type": "pipeline", "jobs": nodes, "outputs": outputs or {}}, where="the pipeline")
    assert isinstance(pipeline, Pipeline)
    return graph.bind(pipeline, dict.fromkeys(nodes, CONTENT), inputs=inputs)


def one(value: Any, name: str = "lr", **inputs: Any) -> Source | None:
    return bind({"a": {"inputs": {name: value}}}, **inputs).nodes[0].inputs[name]


def refused(jobs: Mapping[str, Any], **inputs: Any) -> str:
    with pytest.raises((InvalidPipeline, InvalidExpression)) as caught:
        bind(jobs, **inputs)
    return caught.value.message


def test_literals_defaults_and_absent_optionals_are_bound() -> None:
    node = bind({"a": {"inputs": {"n": 3}}}).nodes[0]
    assert node.inputs["n"] == Literal("3")
    assert node.inputs["lr"] == Literal("0.5")
    assert node.inputs["d"] is None


def test_a_parent_input_is_passed_on_with_the_mode_of_the_node() -> None:
    given = {"value": "${{parent.inputs.x}}", "job_input_type": "literal", "mode": "Download"}
    assert one(given, "d", x=Located("azureml:d:1", "uri_folder", "ro_mount")) == Located(
        "azureml:d:1", "uri_folder", "download"
    )


def test_literals_may_be_put_together_from_text_and_inputs() -> None:
    assert one("0.${{parent.inputs.digit}}", digit=Literal("7")) == Literal("0.7")


def test_an_output_of_another_node_orders_the_two() -> None:
    bound = bind({"b": {"inputs": {"d": "${{parent.jobs.a.outputs.o}}"}}, "a": {}})
    assert [entry.node.name for entry in bound.nodes] == ["a", "b"]
    assert bound.nodes[1].after == ("a",)
    assert bound.nodes[1].inputs["d"] == Result(("a",), "o", "uri_folder")


def test_an_input_of_another_node_is_the_same_value() -> None:
    jobs = {"a": {"inputs": {"lr": 0.25}}, "b": {"inputs": {"lr": "${{parent.jobs.a.inputs.lr}}"}}}
    assert bind(jobs).nodes[1].inputs["lr"] == Literal("0.25")


def test_outputs_of_the_pipeline_are_those_of_nodes() -> None:
    bound = bind(
        {"a": {"outputs": {"o": {"type": "literal", "value": "${{parent.outputs.final}}"}}}},
        outputs={"final": {"type": "uri_folder"}},
    )
    assert bound.outputs == {"final": (("a", "o"),)}


def test_a_circle_is_named_from_node_to_node() -> None:
    jobs = {
        "a": {"inputs": {"d": "${{parent.jobs.c.outputs.o}}"}},
        "b": {"inputs": {"d": "${{parent.jobs.a.outputs.o}}"}},
        "c": {"inputs": {"d": "${{parent.jobs.b.outputs.o}}"}},
    }
    assert "a -> c -> b -> a" in refused(jobs)


def test_a_node_that_waits_for_itself_is_a_circle() -> None:
    assert "a -> a" in refused({"a": {"inputs": {"d": "${{parent.jobs.a.outputs.o}}"}}})


def test_inputs_bound_to_each_other_are_refused() -> None:
    jobs = {
        "a": {"inputs": {"lr": "${{parent.jobs.b.inputs.lr}}"}},
        "b": {"inputs": {"lr": "${{parent.jobs.a.inputs.lr}}"}},
    }
    assert "bound to itself" in refused(jobs)


def test_an_unknown_input_is_told_with_the_known_ones() -> None:
    message = refused({"a": {"inputs": {"rate": 1}}})
    assert "Node a has no input rate" in message
    assert "d, flag, kind, lr, m, n" in message


@pytest.mark.parametrize(
    "expression",
    ["${{parent.inputs.y}}", "${{parent.jobs.z.outputs.o}}", "${{parent.jobs.a.outputs.zz}}", "${{inputs.x}}"],
)
def test_a_binding_that_names_nothing_is_told_with_what_there_is(expression: str) -> None:
    message = refused({"b": {"inputs": {"d": expression}}, "a": {}}, x=Literal("1"))
    assert expression in message
    assert "input d of node b" in message
    assert "parent.inputs.x" in message
    assert "parent.jobs.a.outputs.o" in message


def test_a_required_input_without_a_value_is_named() -> None:
    content = spec.read_component({"command": "x", "inputs": {"data": {"type": "uri_folder"}}}, where="c")
    pipeline = spec.read_component({"type": "pipeline", "jobs": {"prep": {"component": "azureml:c:1"}}}, where="p")
    assert isinstance(pipeline, Pipeline)
    with pytest.raises(InvalidPipeline, match=r"Input data of node prep is required \(uri_folder\)"):
        graph.bind(pipeline, {"prep": content}, inputs={})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("lr", "fast", "must be a number: got 'fast'"),
        ("lr", 1.5, "at most 1: got 1.5"),
        ("lr", -1, "at least 0"),
        ("n", "1.5", "must be an integer"),
        ("flag", "maybe", "true or false"),
        ("kind", "c", "one of a, b"),
        ("d", "5", "uri_folder, not a literal"),
        ("lr", {"uri": "azureml:d:1", "type": "uri_file"}, "number: it cannot be bound to azureml:d:1"),
        ("m", {"uri": "azureml:d:1", "type": "uri_file"}, "it takes custom_model, mlflow_model, uri_folder"),
        ("d", "${{parent.jobs.z.outputs.f}}", "which is a uri_file"),
    ],
)
def test_a_wrong_type_is_told_with_node_and_input(name: str, value: Any, words: str) -> None:
    message = refused({"a": {"inputs": {name: value}}, "z": {}})
    assert f"Input {name} of node a" in message
    assert words in message


def test_python_words_for_booleans_are_booleans() -> None:
    assert one(False, "flag") == Literal("False")


def test_two_nodes_cannot_be_the_same_output() -> None:
    binding = {"outputs": {"o": {"type": "literal", "value": "${{parent.outputs.final}}"}}}
    with pytest.raises(InvalidPipeline, match="bound twice"):
        bind({"a": binding, "b": binding}, outputs={"final": {}})
