"""Small templates that stand for much: refused in words, in time that their length accounts for."""

import itertools
from typing import Any

import pytest

from entrepot.core.errors import InvalidRequest
from entrepot.domain.deployments import deployments
from entrepot.domain.deployments.language import budget
from entrepot.domain.deployments.places import Place as Here
from entrepot.domain.deployments.template import Template
from entrepot.testing.hub import OWNER
from tests.deployments.conftest import Place, body
from tests.deployments.test_templates import TARGET, outputs, workspace

Json = Any
HERE = Here("s1", "rg1", "eastus", "t", "made", 0.0)
MANY = "range(0, 10000)"
HUGE = "written out|too much to evaluate"


def chained(first: Json, each: str, count: int = 60) -> Json:
    """Return parameters each of which is made of the one before."""
    made = {"p0": {"type": "string", "defaultValue": first}}
    made |= {
        f"p{n}": {"type": "string", "defaultValue": each.replace("@", f"parameters('p{n - 1}')")}
        for n in range(1, count)
    }
    for spec in made.values():
        spec["type"] = "array" if each.startswith("[createArray") else "object" if "createObject" in each else "string"
    return made


def looping(depth: int) -> Json:
    """Return a property of loops within loops."""
    inner: Json = "[copyIndex()]"
    for level in range(depth):
        inner = {"copy": [{"name": f"l{level}", "count": 800, "input": inner}]}
    return inner


def read(template: Json) -> Template:
    return Template({"resources": [], **template}, {}, HERE)


def outputs_of(value: Json, **template: Json) -> Json:
    made = read({"outputs": {"x": {"type": "object", "value": value}}, **template})
    return made.outputs({})["x"]["value"]


@pytest.mark.parametrize(
    ("first", "each"),
    [
        (["[string(1)]"], "[createArray(@, @)]"), ({}, "[createObject('a', @, 'b', @)]"), ("xx", "[concat(@, @)]"),
        ("xx", "[format('{0}{0}', @)]"), ("xx", "[join(createArray(@, @), @)]"), ("xx", "[replace(@, 'x', @)]"),
        ("x" * 1000, "[base64(base64(base64(@)))]"), ("xx", "[uriComponent(concat(@, '%', @))]"),
        ("xx", "[string(createArray(@, @, @))]"), ("xx", "[padLeft(@, add(length(@), 1000000))]"),
    ],
)  # fmt: skip
def test_values_that_double_are_refused(first: Json, each: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{HUGE}|are made"):
        read({"parameters": chained(first, each)})


def test_values_that_double_are_refused_as_variables_outputs_and_lambdas_too() -> None:
    doubled = {f"v{n}": f"[createArray(variables('v{n - 1}'), variables('v{n - 1}'))]" for n in range(1, 60)}
    with pytest.raises(InvalidRequest, match=HUGE):
        outputs_of("[variables('v59')]", variables={"v0": "x", **doubled})
    twice = "createArray(lambdaVariables('all'), lambdaVariables('all'))"
    more = f"[reduce(range(0, 60), createArray('x'), lambda('all', 'i', {twice}))]"
    with pytest.raises(InvalidRequest, match=HUGE):
        outputs_of(more)


@pytest.mark.parametrize(
    "value",
    [
        f"[reduce({MANY}, createArray(), lambda('all', 'i', concat(lambdaVariables('all'), createArray('x'))))]",
        "[map(range(0, 10000), lambda('i', map(range(0, 10000), lambda('j', 'x'))))]",
        "[sort(range(0, 10000), lambda('a', 'b', contains(range(0, 10000), lambdaVariables('a'))))]",
        "[length(map(range(0, 10000), lambda('i', string(range(0, 10000)))))]",
        looping(3),
    ],
)
def test_work_without_end_is_refused(value: Json) -> None:
    with pytest.raises(InvalidRequest, match="too much to evaluate"):
        outputs_of(value)


def test_values_that_nest_without_end_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=f"nests deeper than {budget.DEEPEST}"):
        read({"parameters": chained([], "[createArray(@)]", 200)})
    brackets = [f"join(map({MANY}, lambda('i', '{bracket}')), '')" for bracket in "[]"]
    deep = f"[json(concat({', '.join(brackets)}))]"
    with pytest.raises(InvalidRequest, match=r"nests deeper|recursion"):
        outputs_of(deep)


def test_a_chain_of_variables_however_long_is_read_or_refused() -> None:
    chain = {f"v{n}": f"[variables('v{n - 1}')]" for n in range(1, 256)}
    try:
        assert outputs_of("[variables('v255')]", variables={"v0": "x", **chain}) == "x"
    except InvalidRequest as error:
        assert "recursion" in error.message


def test_a_template_has_no_more_parts_than_azures() -> None:
    many = {f"p{n}": {"type": "string", "defaultValue": ""} for n in range(257)}
    with pytest.raises(InvalidRequest, match="at most 256 parameters: this one has 257"):
        read({"parameters": many})
    loop = {"name": "l", "count": 29}
    inner = workspace("b", copy={"name": "m", "count": 29})
    with pytest.raises(InvalidRequest, match="more than 800 resources"):
        Template({"resources": [workspace("a", copy=loop, resources=[inner])]}, {}, HERE)
    with pytest.raises(InvalidRequest, match="an expression has at most 24,576"):
        outputs_of("[concat('" + "x" * 25_000 + "')]")


def test_an_error_of_a_large_value_is_short() -> None:
    with pytest.raises(InvalidRequest) as caught:
        outputs_of("[int(padLeft('x', 1000000))]")
    assert len(caught.value.message) < 1000


def test_a_long_chain_of_resources_is_made_in_order(place: Place) -> None:
    names = [f"w{n}" for n in range(40)]
    waiting = [
        workspace(name, tags={"after": f"[reference('{before}').workspaceId]"})
        for before, name in itertools.pairwise(names)
    ]
    ended = place.deploy({"resources": [*reversed(waiting), workspace("w0")]})
    assert ended["provisioningState"] == "Succeeded", ended


def test_eight_hundred_resources_that_depend_on_each_other_are_put_in_order(place: Place) -> None:
    chain = [workspace(f"w{n}", dependsOn=[f"w{n + 1}"] if n < 799 else []) for n in range(800)]
    deployments.validate(place.hub, OWNER, TARGET, body({"resources": chain}), place.maker)
    chain[-1]["dependsOn"] = ["w0"]
    with pytest.raises(InvalidRequest, match="in a circle"):
        deployments.validate(place.hub, OWNER, TARGET, body({"resources": chain}), place.maker)


def test_what_people_write_is_well_within_the_bounds(place: Place) -> None:
    names = {"copy": [{"name": "names", "count": 800, "input": "[format('item-{0}', copyIndex('names'))]"}]}
    told = outputs(place, {
        "variables": names,
        "outputs": {
            "count": {"type": "int", "value": "[length(union(variables('names'), variables('names')))]"},
            "joined": {"type": "string", "value": "[join(variables('names'), ',')]"},
        },
    })  # fmt: skip
    assert told["count"] == 800 and told["joined"].endswith("item-799")
