"""What `${{ }}` and `$[[ ]]` stand for in a step's command."""

import pytest

from entrepot.core.errors import InvalidExpression
from entrepot.domain.jobs import expressions
from entrepot.domain.jobs.expressions import Names

NAMES = Names({"lr": "0.1", "data": "/in/data", "x": None, "group.a": "7"}, {"model": "/out/model"})


def render(command: str) -> str:
    return expressions.render_command(command, NAMES, where="the command of node train")


def test_inputs_and_outputs_are_put_in_verbatim() -> None:
    assert (
        render("t.py --lr ${{inputs.lr}} -d '${{ inputs.data }}' ${{outputs.model}}")
        == "t.py --lr 0.1 -d '/in/data' /out/model"
    )


def test_a_name_with_dots_is_a_member_of_an_input_group() -> None:
    assert render("${{inputs.group.a}}") == "7"


def test_an_optional_group_is_dropped_whole_without_a_value() -> None:
    assert render("t.py $[[--x ${{inputs.x}} --lr ${{inputs.lr}}]] end") == "t.py  end"


def test_an_optional_group_is_kept_with_a_value() -> None:
    assert render("t.py $[[--lr ${{inputs.lr}}]]") == "t.py --lr 0.1"


def test_a_missing_value_outside_a_group_says_how_to_write_it() -> None:
    with pytest.raises(
        InvalidExpression, match=r"\$\{\{inputs\.x\}\} in the command of node train has no value.*\$\[\["
    ):
        render("t.py --x ${{inputs.x}}")


def test_an_unknown_name_is_told_with_the_place_and_what_is_there() -> None:
    with pytest.raises(InvalidExpression) as caught:
        render("t.py ${{inputs.lrr}}")
    assert "${{inputs.lrr}}" in caught.value.message
    assert "node train" in caught.value.message
    assert "inputs data, group.a, lr, x; outputs model" in caught.value.message


def test_a_binding_of_the_parent_is_unknown_in_a_command() -> None:
    with pytest.raises(InvalidExpression, match=r"parent\.inputs\.lr"):
        render("t.py ${{parent.inputs.lr}}")


@pytest.mark.parametrize(
    "command",
    ["t.py ${{inputs.lr}", "t.py ${{inputs.lr", "t.py $[[--x ${{inputs.x}}", "t.py ${{}}", "t.py ${{in puts}}"],
)
def test_a_malformed_expression_is_refused(command: str) -> None:
    with pytest.raises(InvalidExpression):
        render(command)


def test_shell_syntax_is_left_alone() -> None:
    command = "for i in 1 2; do echo $i ${HOME} $((1+2)) [[ -f x ]]; done"
    assert render(command) == command


def test_whole_tells_a_lone_expression_from_text_around_one() -> None:
    assert expressions.whole(" ${{parent.jobs.a.outputs.o}} ") == ("parent", "jobs", "a", "outputs", "o")
    assert expressions.whole("x-${{parent.inputs.a}}") is None
    assert expressions.whole("${{parent.inputs.a}}${{parent.inputs.b}}") is None
    assert expressions.whole(5) is None
