"""The budgets of taste and the promises of layout. The layers are import-linter's (pyproject.toml)."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from entrepot.core.settings import Settings

TOP = Path(__file__).resolve().parents[1]
SOURCE = TOP / "src" / "entrepot"

MODULE_LINES = 500
FUNCTION_LINES = 40
PROTOCOL_METHODS = 10
PACKAGE_MODULES = 16
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree_files() -> list[Path]:
    """Every file that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return [TOP / name for name in names if name and (TOP / name).is_file()]


def python_files(*roots: str) -> list[Path]:
    """The Python files below these folders of the repository."""
    return sorted(file for root in roots for file in (TOP / root).rglob("*.py"))


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def code_lines(function: Function) -> int:
    """Lines from `def` to the end, the docstring not counted."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def where(file: Path, node: ast.AST | None = None) -> str:
    line = f":{getattr(node, 'lineno', 0)}" if node is not None else ""
    return f"{file.relative_to(TOP)}{line}"


def absolute_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def test_no_module_is_over_500_lines() -> None:
    files = python_files("src", "tests", "bench", "examples")
    assert files
    long = {where(file): len(file.read_text().splitlines()) for file in files}
    assert {name: lines for name, lines in long.items() if lines > MODULE_LINES} == {}


def test_no_function_is_over_40_lines() -> None:
    long = [
        f"{where(file, function)} {function.name}: {code_lines(function)}"
        for file in python_files("src")
        for function in functions(parsed(file))
        if code_lines(function) > FUNCTION_LINES
    ]
    assert long == []


def test_no_protocol_has_more_than_ten_methods() -> None:
    protocols = {
        f"{where(file, node)} {node.name}": sum(isinstance(member, Function) for member in node.body)
        for file in python_files("src")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in node.bases)
    }
    assert protocols
    assert {name: count for name, count in protocols.items() if count > PROTOCOL_METHODS} == {}


def test_no_package_has_more_than_sixteen_modules() -> None:
    packages = {file.parent for file in python_files("src")}
    sizes = {where(package): sum(file.name != "__init__.py" for file in package.glob("*.py")) for package in packages}
    assert {name: size for name, size in sizes.items() if size > PACKAGE_MODULES} == {}


def test_every_module_name_holds_a_noun() -> None:
    named = [where(file) for file in python_files("src", "tests", "bench") if BANNED_NAMES & set(file.stem.split("_"))]
    folders = [where(file.parent) for file in python_files("src", "tests") if file.parent.name in BANNED_NAMES]
    assert named + folders == []


def test_every_module_and_public_function_says_what_it_is_for() -> None:
    silent = []
    for file in python_files("src"):
        tree = parsed(file)
        if tree.body and not ast.get_docstring(tree):
            silent.append(where(file))
        silent += [
            f"{where(file, node)} {node.name}"
            for node in tree.body
            if isinstance(node, Function) and not node.name.startswith("_") and not ast.get_docstring(node)
        ]
    assert silent == []


@pytest.mark.parametrize("layer", ["core", "runtime"])
def test_the_lowest_layers_import_only_the_standard_library(layer: str) -> None:
    allowed = sys.stdlib_module_names | ({"entrepot"} if layer == "core" else set())
    foreign = [
        f"{where(file)} imports {name}"
        for file in python_files(f"src/entrepot/{layer}")
        for name in absolute_imports(parsed(file))
        if name.partition(".")[0] not in allowed
    ]
    assert foreign == []


def test_the_runtime_speaks_the_oldest_python_that_jobs_may_ask_for() -> None:
    for file in python_files("src/entrepot/runtime"):
        ast.parse(file.read_text(), filename=str(file), feature_version=(3, 7))


def test_only_the_composition_root_picks_implementations() -> None:
    """`sql`, `local` and `cloud` are chosen in server/compose.py, and in testing for tests."""
    implementations = {
        "entrepot.store.sql",
        "entrepot.store.local",
        "entrepot.store.cloud",
        "entrepot.compute.local",
    }
    pickers = [
        f"{where(file)} imports {name}"
        for layer in ("domain", "wire", "server", "client", "cli")
        for file in python_files(f"src/entrepot/{layer}")
        if file.name not in ("compose.py", "process.py")
        for name in absolute_imports(parsed(file))
        if name in implementations
    ]
    assert pickers == []


def test_every_setting_has_a_heading_in_the_operators_manual() -> None:
    headings = set(re.findall(r"^### `(\w+)`$", (TOP / "docs" / "operations.md").read_text(), re.MULTILINE))
    assert headings == {setting.name for setting in fields(Settings)}


def test_nothing_in_the_tree_names_a_path_of_one_machine() -> None:
    here = {f"{TOP}/", f"{Path.home()}/"} - {"//", "/"}
    pattern = re.compile(r"(?<![\w.{}])/(?:[w]ork|[f]arm|[r]oot|[U]sers)/|" + "|".join(map(re.escape, here)))
    found = []
    for file in tree_files():
        if file.stat().st_size > 2_000_000:
            continue
        text = file.read_bytes()
        if b"\0" in text:
            continue
        found += [
            f"{where(file)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.decode(errors="replace").splitlines(), 1)
            if pattern.search(line)
        ]
    assert found == []


def test_nothing_in_the_source_is_left_for_later() -> None:
    later = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b")
    found = [
        f"{where(file)}:{number}"
        for file in python_files("src", "tests", "bench", "examples")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if later.search(line)
    ]
    assert found == []
