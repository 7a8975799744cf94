"""Build contexts without a container engine: the few Dockerfiles that say no more than "this Python, these packages".

Everything else is refused by line, so that an environment never lacks silently what its Dockerfile put into it.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from entrepot.compute.conda import checked_requirement
from entrepot.core.errors import BuildFailed

_HARMLESS = ("LABEL", "MAINTAINER", "EXPOSE", "WORKDIR")
_PLAIN_FLAGS = ("--no-cache-dir", "--no-cache", "--upgrade", "-U", "--quiet", "-q", "--disable-pip-version-check",
                "--no-input", "--system", "--user", "--root-user-action=ignore", "--prefer-binary")  # fmt: skip
_VALUE_FLAGS = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f")
_DOTTED_END = re.compile(r"\\\s*$")


@dataclass(frozen=True, slots=True)
class DockerPlan:
    """The image that a Dockerfile starts from and the requirement lines that it installs."""

    image: str
    requirements: tuple[str, ...]


def read_dockerfile(context: Path, dockerfile: str) -> DockerPlan:
    """Read a Dockerfile of the supported subset. Raises BuildFailed naming the first line outside of it."""
    if "\0" in dockerfile:
        raise BuildFailed(f"{dockerfile!r} is no name of a file")
    path = (context / dockerfile).resolve()
    if not path.is_relative_to(context.resolve()) or not path.is_file():
        raise BuildFailed(f"The build context has no file {dockerfile}")
    image, folder, copied = "", "/", dict[str, Path]()
    requirements: list[str] = []
    for number, line in _lines(path.read_text(errors="replace").replace("\0", "\ufffd")):
        word, _, rest = line.partition(" ")
        where = f"{dockerfile}, line {number}"
        instruction, rest = word.upper(), rest.strip()
        if instruction == "FROM" and not image:
            image = _from(rest, where=where)
        elif instruction == "WORKDIR":
            folder = posixpath.join(folder, rest)
        elif instruction in ("COPY", "ADD"):
            copied |= _copy(rest, context=context, folder=folder, where=where)
        elif instruction == "RUN":
            requirements += _run(rest, copied=copied, folder=folder, where=where)
        elif instruction not in _HARMLESS:
            raise _refuse(line, where)
    if not image:
        raise BuildFailed(f"{dockerfile} has no FROM line")
    return DockerPlan(image, tuple(requirements))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, instruction) with continuations joined and comments dropped."""
    start, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or parts):
            continue
        start = start if parts else number
        parts.append(_DOTTED_END.sub("", line).strip())
        if not _DOTTED_END.search(line):
            yield start, " ".join(part for part in parts if part)
            parts = []
    if parts:
        yield start, " ".join(parts)


def _from(rest: str, *, where: str) -> str:
    words = [word for word in rest.split() if not word.startswith("--platform")]
    if not words or "$" in words[0]:
        raise _refuse(f"FROM {rest}", where)
    return words[0]


def _copy(rest: str, *, context: Path, folder: str, where: str) -> dict[str, Path]:
    """Return {path in the image: file of the context} of a COPY of requirements files."""
    words = [word for word in rest.split() if not word.startswith("--ch")]
    if len(words) < 2 or words[0].startswith(("--", "[")):
        raise _refuse(f"COPY {rest}", where)
    *sources, target = words
    target = posixpath.join(folder, target)
    found: dict[str, Path] = {}
    for source in sources:
        file = (context / source.lstrip("/")).resolve()
        if not file.is_relative_to(context.resolve()) or not file.is_file() or file.suffix not in (".txt", ".in"):
            raise _refuse(f"COPY {rest}", where)
        is_folder = target.endswith(("/", "/.")) or len(sources) > 1 or words[-1] == "."
        place = posixpath.join(target, file.name) if is_folder else target
        found[posixpath.normpath(place)] = file
    return found


def _run(rest: str, *, copied: dict[str, Path], folder: str, where: str) -> list[str]:
    try:
        lexer = shlex.shlex(rest, posix=True, punctuation_chars="&|;()<>")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError as error:
        raise _refuse(f"RUN {rest}", where) from error
    commands: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";"):
            commands.append([])
        else:
            commands[-1].append(word)
    found: list[str] = []
    for command in commands:
        arguments = _pip_arguments(command)
        if arguments is None or any(set(word) <= set("&|;()<>") or "$" in word or "`" in word for word in arguments):
            raise _refuse(f"RUN {rest}", where)
        found += _requirements(arguments, copied=copied, folder=folder, where=where)
    return found


def _pip_arguments(command: list[str]) -> list[str] | None:
    for prefix in (["pip"], ["pip3"], ["python", "-m", "pip"], ["python3", "-m", "pip"], ["uv", "pip"]):
        if command[: len(prefix) + 1] == [*prefix, "install"]:
            return command[len(prefix) + 1 :]
    return None


def _requirements(arguments: list[str], *, copied: dict[str, Path], folder: str, where: str) -> list[str]:
    found: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word in _PLAIN_FLAGS:
            continue
        if word in ("-r", "--requirement") or word.startswith("--requirement="):
            name = word.partition("=")[2] or next(rest, "")
            file = copied.get(posixpath.normpath(posixpath.join(folder, name)))
            if file is None:
                raise BuildFailed(f"{where}: {name or word} was not copied from the build context before")
            found += _requirement_lines(file)
        elif word in _VALUE_FLAGS:
            found.append(f"{word} {next(rest, '')}")
        elif word.split("=")[0] in _VALUE_FLAGS:
            found.append(word)
        elif word not in ("pip", "setuptools", "wheel", "uv"):
            found.append(checked_requirement(word, where=where))
    return found


def _requirement_lines(file: Path) -> list[str]:
    lines = re.sub(r"\\\n", " ", file.read_text(errors="replace")).splitlines()
    wanted = (re.split(r"(?:^|\s)#", line)[0].strip() for line in lines)
    return [checked_requirement(line, where=file.name) for line in wanted if line]


def _refuse(line: str, where: str) -> BuildFailed:
    return BuildFailed(
        f"{where}: {line!r} needs a backend that runs containers; the local backend reads FROM a python image, "
        "COPY of requirements files and RUN pip install"
    )
