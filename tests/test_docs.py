"""What the documents show is what happens: every ```shell block of the README and the tutorial runs, in one shell each.

A ```text block behind a shell block is what it prints: its lines occur in the output in this order; a line `...` stands
for anything. Other blocks are not run.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrepot.core.ids import parse_reference
from entrepot.core.nouns import KINDS
from tests.journey.console import COMMAND, clean_environment

TOP = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT_S = 1200
"""For a whole document; the first build of its environment may download."""


@dataclass(frozen=True, slots=True)
class Step:
    """A shell block and the lines that its output must hold in order."""

    line: int
    commands: str
    expected: tuple[str, ...]


def steps(document: Path) -> list[Step]:
    """Read the shell blocks of a document, each with the text block that follows it."""
    text = document.read_text()
    found: list[Step] = []
    for block in BLOCK.finditer(text):
        line = text[: block.start()].count("\n") + 1
        if block[1] == "shell":
            found.append(Step(line, block[2], ()))
        elif block[1] == "text" and found:
            last = found.pop()
            lines = tuple(part.strip() for part in block[2].splitlines() if part.strip() not in ("", "..."))
            found.append(Step(last.line, last.commands, (*last.expected, *lines)))
    return found


def script(parts: list[Step]) -> str:
    """Return one bash script that marks where each step's output begins."""
    head = "set -euo pipefail\nshopt -s expand_aliases\nexec 2>&1 </dev/null\n"
    return head + "".join(f"printf '\\n@@ {number}\\n'\n{part.commands}" for number, part in enumerate(parts))


def outputs(text: str) -> Iterator[str]:
    """Split what the script printed at its marks."""
    return iter(re.split(r"^@@ \d+\n", text, flags=re.MULTILINE)[1:])


def missing(expected: tuple[str, ...], output: str) -> str | None:
    """Return the first expected line that does not occur after the ones before it."""
    place = 0
    for line in expected:
        found = output.find(line, place)
        if found < 0:
            return line
        place = found + len(line)
    return None


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_what_the_document_shows_is_what_happens(name: str, tmp_path: Path) -> None:
    parts = steps(TOP / name)
    assert len(parts) >= 1, f"{name} shows nothing to type"
    environment = clean_environment(tmp_path / "home")
    try:
        done = subprocess.run(
            ["bash", "-c", script(parts)],
            cwd=TOP,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
        )
    finally:
        subprocess.run([str(COMMAND), "down"], env=environment, capture_output=True, timeout=60, check=False)
    printed = list(outputs(done.stdout))
    last = parts[len(printed) - 1]
    assert done.returncode == 0, f"{name}:{last.line}: exit {done.returncode}\n{last.commands}\n{printed[-1]}"
    assert len(printed) == len(parts)
    for part, output in zip(parts, printed, strict=True):
        line = missing(part.expected, output)
        assert line is None, f"{name}:{part.line}: the output lacks {line!r}\n{part.commands}\n{output}"


def test_a_step_that_prints_something_else_is_found_out() -> None:
    assert missing(("one", "two"), "two\none\n") == "two"
    assert missing(("one", "two"), "one and two\n") is None


def documents() -> list[Path]:
    """Return every Markdown document of ours."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=TOP, capture_output=True)
    return [TOP / name for name in listed.stdout.decode().split()]


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{document.relative_to(TOP)}: {target}"
        for document in documents()
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_every_test_that_the_documents_name_is_there() -> None:
    named = {name for document in documents() for name in re.findall(r"`(tests/[\w/]+\.py)`", document.read_text())}
    assert len(named) > 20 and [name for name in sorted(named) if not (TOP / name).is_file()] == []


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    lines = (TOP / "README.md").read_text().splitlines()
    assert len(lines) < 100
    first_screen = "\n".join(lines[:24])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_the_glossary_names_every_asset_kind() -> None:
    glossary = (TOP / "docs" / "glossary.md").read_text()
    assert [kind.noun for kind in KINDS if kind.noun not in glossary.lower()] == []


def test_every_reference_that_the_concepts_name_is_read_by_the_grammar() -> None:
    table = re.findall(r"`((?:azureml:|runs:)[^`]+)`", (TOP / "docs" / "concepts.md").read_text())
    filled = [re.sub(r"<kind>", "models", re.sub(r"\[|\]", "", text)) for text in table]
    concrete = [re.sub(r"<(\w+)>", r"\1", text) for text in filled if "..." not in text]
    assert len(concrete) >= 8
    assert [text for text in concrete if parse_reference(text, KINDS[0]) is None] == []
