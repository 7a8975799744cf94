"""Small texts that stand for much: refused in words, in time that is linear in their length."""

import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.client import files
from entrepot.client.failures import FileFailure
from entrepot.core.errors import InvalidRequest
from entrepot.domain import yaml_text
from entrepot.domain.assets import environment
from entrepot.domain.deployments.language.functions import PURE
from entrepot.wire.json_text import decode_json, decode_jsonc


def _levels(first: str, each: str, count: int) -> str:
    """Return lines each of which names the one before nine times."""
    return first + "".join(each.format(n=n, before=",".join([f"*a{n - 1}"] * 9)) for n in range(1, count))


BOMBS = {
    "aliases": _levels("a0: &a0 [x,x,x,x,x,x,x,x,x]\n", "a{n}: &a{n} [{before}]\n", 12),
    "merges": _levels("a0: &a0 {k: 1}\n", "a{n}: &a{n} {{<<: [{before}]}}\n", 12),
    "itself": "a: &a [*a]\n",
    "flow": "[" * 1_000_000,
    "closed flow": "a: " + "[" * 5000 + "]" * 5000,
    "block": "- " * 100_000,
    "keys": "? " * 100_000,
    "chain": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 5000)),
    "decimal": "a: " + "9" * 1_000_000,
    "hexadecimal": "a: 0x" + "f" * 1_000_000,
    "sexagesimal": "a: 1" + ":59" * 200_000,
    "month": "a: 2001-99-99",
    "empty number": "a: !!int ''",
    "not a truth value": "a: !!bool maybe",
    "not a time": "a: !!timestamp soon",
    "program": "a: !!python/object/apply:os.system [id]",
    "NUL": "a: \0",
}


@pytest.mark.parametrize("bomb", BOMBS, ids=list(BOMBS))
def test_yaml_that_explodes_is_refused_by_the_command_line_and_by_the_server(bomb: str, tmp_path: Path) -> None:
    file = tmp_path / "job.yml"
    file.write_text(BOMBS[bomb])
    with pytest.raises(FileFailure, match=r"job\.yml.*not YAML"):
        files.load(file)
    with pytest.raises(InvalidRequest, match="The conda file is not YAML"):
        environment.conda_of({"condaFile": BOMBS[bomb]})


def test_a_nested_file_does_not_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "deep.yml").write_text("{a: " * 100_000)
    program = "import sys; from entrepot.client import files; files.load(sys.argv[1])"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "deep.yml")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1 and "nested too deeply" in ended.stderr


def test_yaml_of_many_megabytes_is_refused_by_the_server() -> None:
    with pytest.raises(InvalidRequest, match="at most 4,194,304"):
        yaml_text.read("a: '" + "x" * (5 << 20) + "'", "It")


def test_anchors_that_people_write_are_read(tmp_path: Path) -> None:
    file = tmp_path / "job.yml"
    file.write_text("base: &base {cpu: 1, limits: [1, 2]}\n" + "".join(f"j{n}: {{<<: *base}}\n" for n in range(1000)))
    data = files.load(file).data
    assert data["j999"] == {"cpu": 1, "limits": [1, 2]}


@pytest.mark.parametrize("read", [decode_json, decode_jsonc])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 200_000, b"9" * 1_000_000, b"9" * 4000,
        b'{"a":[1,' + b"9" * 25 + b"]}", b"-" + b"9" * 25, b'{"a":NaN}', b"[Infinity]", b"1e999",
        b'"\\ud800"', b'"\xff"', b"", b'"',
    ],
)  # fmt: skip
def test_json_that_explodes_or_cannot_be_written_again_is_refused(read: object, body: bytes) -> None:
    assert callable(read)
    with pytest.raises(InvalidRequest, match="The body"):
        read(body)


@pytest.mark.parametrize(
    "unit", [b",/*", b",/**/", b",//\n", b"/* ", b'"\\', b'a\\"', b", ", b"template ", b"//", b",/", b'"a\\"', b"\\"]
)
def test_odd_json_with_comments_is_read_in_linear_time(unit: bytes) -> None:
    body = unit * (2_000_000 // len(unit))  # in quadratic time, each takes hours
    for text in (body, b'"' + body, b"{" + body, b"[1," + body):
        with pytest.raises(InvalidRequest, match="The body"):
            decode_jsonc(text)


def test_a_field_that_stands_twice_in_a_template_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'type' stands twice"):
        decode_jsonc(b'{"properties": {template: {"resources": [{"type": "a", "type": "b"}]}}}')


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mul", ("x" * 1000, 10**9)), ("mul", (1 << 40, 1 << 40)), ("padLeft", ("x", 10**10)), ("add", ("a", "b")),
        ("replace", ("x" * 100_000, "x", "y" * 100_000)), ("replace", ("abc", "", "x")), ("range", (0, 10**9)),
        ("format", ("{0}" * 10_000, "x" * 10_000)), ("join", (["x"] * 10_000, "y" * 10_000)),
        ("concat", ("x" * 600_000, "x" * 600_000)),
    ],
)  # fmt: skip
def test_a_function_of_a_template_makes_nothing_huge(name: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        PURE[name](*arguments)
