"""Control flow that really runs: conditions, loops until one holds no more, loops over items, and bad ones refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from entrepot.core.errors import InvalidPipeline, Unsupported
from entrepot.domain.jobs import records, submission
from entrepot.testing.hub import OWNER
from tests.jobs.conftest import House

Json = Any
COUNT = """
n=$((${{inputs.n}} + 1))
echo $n > ${{outputs.next}}
[ $n -lt 3 ] && echo True > ${{outputs.more}} || echo False > ${{outputs.more}}
cp ${{inputs.data}}/* ${{outputs.grown}}/; echo $n > ${{outputs.grown}}/$n.txt
"""
COUNT_PORTS: Json = {
    "inputs": {"n": {"type": "integer"}, "data": {"type": "uri_folder"}},
    "outputs": {
        "next": {"type": "integer"}, "more": {"type": "boolean", "is_control": True}, "grown": {"type": "uri_folder"},
    },
}  # fmt: skip
FEED = {"${{parent.jobs.body.outputs.next}}": ["n"], "grown": ["${{parent.jobs.body.inputs.data}}"]}


def bound(text: str) -> Json:
    return {"job_input_type": "literal", "value": f"${{{{parent.{text}}}}}"}


def literal(value: object) -> Json:
    return {"job_input_type": "literal", "value": str(value)}


def condition(house: House, told: str) -> Json:
    """A node with the control output `ok`."""
    component = house.component("decide", f"{told} > ${{{{outputs.ok}}}}", outputs={"ok": {"type": "boolean"}})
    return {"type": "command", "componentId": component}


def writer(house: House, **more: Json) -> Json:
    component = house.component(
        "write", "echo ${{inputs.t}} > ${{outputs.o}}/f", inputs={"t": {"type": "string"}},
        outputs={"o": {"type": "uri_folder"}},
    )  # fmt: skip
    return {"type": "command", "componentId": component, "inputs": {"t": literal("hi")}, **more}


def states(house: House, name: str) -> dict[str, str]:
    return {node: body["properties"]["status"] for node, body in house.nodes(name).items()}


@pytest.mark.parametrize(("told", "ran", "skipped"), [("echo True", "yes", "no"), ("echo false", "no", "yes")])
def test_one_block_of_a_condition_runs(house: House, told: str, ran: str, skipped: str) -> None:
    out = {"o": {"type": "literal", "value": "${{parent.outputs.o}}"}}
    behind = {**writer(house), "inputs": {"t": literal("x")}}
    jobs = {
        "decide": condition(house, told),
        "yes": writer(house, inputs={"t": literal("yes")}, outputs=out),
        "no": writer(house, inputs={"t": literal("no")}, outputs=out),
        "branch": {
            "type": "if_else", "condition": "${{parent.jobs.decide.outputs.ok}}",
            "true_block": "${{parent.jobs.yes}}", "false_block": ["${{parent.jobs.no}}"],
        },
        "always": behind,
    }  # fmt: skip
    house.pipeline("p", jobs, outputs={"o": {"jobOutputType": "uri_folder"}})
    ended = house.finish("p")
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    assert states(house, "p") == {"decide": "Completed", ran: "Completed", skipped: "Skipped", "always": "Completed"}
    assert house.output("p", "o") == {"f": f"{ran}\n".encode()}
    assert "its condition is" in house.nodes("p")[skipped]["entrepot"]["statusMessage"]


def test_what_needs_a_skipped_node_is_skipped_too(house: House) -> None:
    reader = house.component("read", "cat ${{inputs.d}}/f", inputs={"d": {"type": "uri_folder"}})
    jobs = {
        "yes": writer(house),
        "branch": {"type": "if_else", "condition": "${{parent.inputs.flag}}", "true_block": "${{parent.jobs.yes}}"},
        "read": {"type": "command", "componentId": reader, "inputs": {"d": bound("jobs.yes.outputs.o")}},
    }
    house.pipeline("p", jobs, inputs={"flag": {"jobInputType": "literal", "value": "False"}})
    assert house.finish("p")["properties"]["status"] == "Completed"
    assert states(house, "p") == {"yes": "Skipped", "read": "Skipped"}


def test_a_control_output_is_an_input_of_another_step(house: House) -> None:
    number = house.component("number", "printf 42 > ${{outputs.n}}", outputs={"n": {"type": "integer"}})
    shown = house.component("show", "echo got ${{inputs.n}}", inputs={"n": {"type": "integer"}})
    jobs = {
        "a": {"type": "command", "componentId": number},
        "b": {"type": "command", "componentId": shown, "inputs": {"n": bound("jobs.a.outputs.n")}},
    }
    house.pipeline("p", jobs)
    house.finish("p")
    assert "got 42" in house.log(house.nodes("p")["b"]["name"])


def test_a_control_output_without_a_value_fails_its_step(house: House) -> None:
    silent = house.component("silent", "true", outputs={"ok": {"type": "boolean"}})
    house.pipeline("p", {"a": {"type": "command", "componentId": silent}})
    ended = house.finish("p")
    assert ended["properties"]["status"] == "Failed"
    assert "its output ok (boolean) has no value" in ended["properties"]["error"]["message"]


def loop(house: House, body: Json, **more: Json) -> Json:
    node = {
        "type": "do_while", "body": "${{parent.jobs.body}}", "condition": "more", "mapping": FEED,
        "limits": {"max_iteration_count": 5}, **more,
    }  # fmt: skip
    inputs = {"n": literal(0), "data": {"job_input_type": "uri_folder", "uri": house.upload("in", {"0.txt": b"0"})}}
    result = {"grown": {"type": "literal", "value": "${{parent.outputs.o}}"}}
    return {"body": {**body, "inputs": inputs, "outputs": result}, "again": node}


@pytest.mark.parametrize("kind", ["command", "pipeline"])
def test_a_loop_goes_on_until_its_condition_is_false(house: House, kind: str) -> None:
    component = house.component("count", COUNT, **COUNT_PORTS)
    if kind == "pipeline":
        node = {
            "type": "command", "componentId": component, "inputs": {n: bound(f"inputs.{n}") for n in ("n", "data")},
            "outputs": {o: f"${{{{parent.outputs.{o}}}}}" for o in COUNT_PORTS["outputs"]},
        }  # fmt: skip
        component = house.component("counts", "", type="pipeline", jobs={"c": node}, **COUNT_PORTS)
    jobs = loop(house, {"type": kind, "componentId": component})
    house.pipeline("p", jobs, outputs={"o": {"jobOutputType": "uri_folder"}})
    ended = house.finish("p")
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    assert house.output("p", "o") == {"0.txt": b"0", "1.txt": b"1\n", "2.txt": b"2\n", "3.txt": b"3\n"}
    body = house.nodes("p")["body"]
    assert body["entrepot"]["kind"] == "do_while"
    iterations = house.nodes(body["name"])
    assert list(iterations) == ["iteration_0", "iteration_1", "iteration_2"]
    assert [it["entrepot"]["outputs"]["next"]["value"] for it in iterations.values()] == ["1", "2", "3"]
    second = iterations["iteration_1"]
    used = {link.target for link in house.hub.documents.links(second["id"])}
    if kind == "command":
        assert f"azureml://jobs/{iterations['iteration_0']['name']}/outputs/grown" in used
    else:
        assert [node["properties"]["status"] for node in house.nodes(second["name"]).values()] == ["Completed"]


def test_a_loop_ends_at_its_limit(house: House) -> None:
    component = house.component("count", COUNT, **COUNT_PORTS)
    jobs = loop(house, {"type": "command", "componentId": component}, limits={"max_iteration_count": 2})
    house.pipeline("p", jobs, outputs={"o": {"jobOutputType": "uri_folder"}})
    assert house.finish("p")["properties"]["status"] == "Completed"
    assert sorted(house.output("p", "o")) == ["0.txt", "1.txt", "2.txt"]


def test_a_failing_iteration_fails_the_loop(house: House) -> None:
    command = COUNT + "\n[ $n -lt 2 ] || { echo enough; exit 3; }"
    component = house.component("count", command, **COUNT_PORTS)
    house.pipeline("p", loop(house, {"type": "command", "componentId": component}), outputs={"o": {}})
    ended = house.finish("p")
    assert ended["properties"]["status"] == "Failed"
    assert "Iteration 1 failed" in ended["properties"]["error"]["message"]


def test_a_canceled_loop_ends_its_iteration(house: House) -> None:
    component = house.component("count", "sleep 600", **COUNT_PORTS)
    house.pipeline("p", loop(house, {"type": "command", "componentId": component}), outputs={"o": {}})
    house.until(lambda: house.nodes(house.nodes("p")["body"]["name"]), what="the first iteration")
    submission.cancel(house.hub, OWNER, house.scope, "p")
    assert house.finish("p")["properties"]["status"] == "Canceled"
    (iteration,) = house.nodes(house.nodes("p")["body"]["name"]).values()
    assert iteration["properties"]["status"] == "Canceled"


def test_a_loop_goes_on_after_a_restart(idle: House) -> None:
    component = idle.component("count", COUNT + "\nsleep 0.3", **COUNT_PORTS)
    idle.pipeline(
        "p", loop(idle, {"type": "command", "componentId": component}), outputs={"o": {"jobOutputType": "uri_folder"}}
    )
    idle.start()
    idle.until(lambda: len(idle.nodes(idle.nodes("p")["body"]["name"])) == 2, what="the second iteration")
    idle.stop()
    idle.start()
    assert idle.finish("p")["properties"]["status"] == "Completed"
    assert len(idle.output("p", "o")) == 4


def each(house: House, items: Json, **more: Json) -> Json:
    command = (
        "echo ${{inputs.n}}${{inputs.suffix}} > ${{outputs.o}}/f; printf ${{inputs.n}} > ${{outputs.v}}; sleep 0.2"
    )
    component = house.component(
        "item", command, inputs={"n": {"type": "integer"}, "suffix": {"type": "string"}},
        outputs={"o": {"type": "uri_folder"}, "v": {"type": "integer"}},
    )  # fmt: skip
    collect = house.component(
        "collect", "cat ${{inputs.d}}/*/f; cat ${{inputs.d}}/MLTable; echo values ${{inputs.v}}",
        inputs={"d": {"type": "mltable"}, "v": {"type": "string"}},
    )  # fmt: skip
    return {
        "body": {"type": "command", "componentId": component, "inputs": {"suffix": literal("!")}},
        "all": {"type": "parallel_for", "body": "${{parent.jobs.body}}", "items": items, **more},
        "collect": {
            "type": "command", "componentId": collect,
            "inputs": {"d": bound("jobs.all.outputs.o"), "v": bound("jobs.all.outputs.v")},
        },
    }  # fmt: skip


def test_a_loop_over_items_collects_what_they_left(house: House) -> None:
    house.pipeline("p", each(house, '[{"n": 1}, {"n": 2}]'))
    ended = house.finish("p")
    assert ended["properties"]["status"] == "Completed", ended["properties"].get("error")
    nodes = house.nodes("p")
    assert sorted(nodes) == ["all", "collect"]
    assert nodes["all"]["entrepot"]["kind"] == "parallel_for"
    assert sorted(house.nodes(nodes["all"]["name"])) == ["iteration_0", "iteration_1"]
    log = house.log(nodes["collect"]["name"])
    assert "1!\n2!\ntype: mltable\npaths:\n  - folder: ./iteration_0" in log
    assert "values [1, 2]" in log.replace('"', "")


def test_items_are_bounded_and_may_come_from_an_input(house: House) -> None:
    jobs = each(house, "${{parent.inputs.items}}", max_concurrency=1)
    given = {"items": {"jobInputType": "literal", "value": '{"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}}'}}
    house.pipeline("p", jobs, inputs=given)
    most = 0
    while house.status("p") not in records.TERMINAL:
        running = [s for s in states(house, house.nodes("p")["all"]["name"]).values() if s in ("Running", "Queued")]
        most = max(most, len(running))
    assert (house.status("p"), most) == ("Completed", 1)
    assert sorted(house.nodes(house.nodes("p")["all"]["name"])) == ["iteration_a", "iteration_b", "iteration_c"]


@pytest.mark.parametrize(
    ("node", "error", "told"),
    [
        ({"type": "if_else", "true_block": "${{parent.jobs.a}}"}, InvalidPipeline, "has no condition"),
        ({"type": "if_else", "condition": True, "true_block": "b"}, InvalidPipeline, "names no node: there are a"),
        ({"type": "if_else", "condition": True}, InvalidPipeline, "neither a true_block nor a false_block"),
        ({"type": "do_while", "body": "${{parent.jobs.a}}", "mapping": {}}, InvalidPipeline, "max_iteration_count"),
        (
            {"type": "do_while", "body": "a", "mapping": {"o": "n"}, "limits": {"max_iteration_count": 2}},
            InvalidPipeline, "feeds o to n: its body has the outputs o and the inputs t",
        ),
        (
            {"type": "do_while", "body": "a", "condition": "o", "limits": {"max_iteration_count": 2}},
            InvalidPipeline, "is a uri_folder: it must be a boolean output",
        ),
        ({"type": "parallel_for", "body": "a", "items": "[]"}, InvalidPipeline, "must be a list of objects"),
        ({"type": "parallel_for", "body": "a", "items": '[{"z": 1}]'}, InvalidPipeline, "has z: the inputs"),
        (
            {"type": "parallel_for", "body": "a", "items": "${{parent.jobs.x.outputs.o}}"},
            Unsupported, "known only when the pipeline runs",
        ),
    ],
)  # fmt: skip
def test_bad_control_flow_is_refused_at_submission(
    idle: House, node: Mapping[str, Json], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        idle.pipeline("p", {"a": writer(idle), "x": node})
