"""From what an environment asks for to what this machine can give: interpreters, requirements, and what differs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from entrepot.compute.backend import EnvironmentSpec
from entrepot.compute.conda import read_conda
from entrepot.compute.dockerfiles import read_dockerfile
from entrepot.compute.images import read_image, refuse_curated, refuse_image
from entrepot.compute.interpreters import Interpreter, nearest
from entrepot.core.errors import BuildFailed

_CLAUSE = re.compile(r"(==|!=|>=|<=|~=|>|<)([0-9]+(?:\.[0-9]+)*)(\.\*)?")


@dataclass(frozen=True, slots=True)
class Plan:
    """An environment to build: interpreters to try, in order, and requirement lines. Notes take `{interpreter}`."""

    interpreters: tuple[Interpreter, ...]
    requirements: tuple[str, ...]
    notes: tuple[str, ...]

    def substitutions(self, interpreter: Interpreter) -> tuple[str, ...]:
        """Return what is not had exactly when this interpreter is taken."""
        return tuple(note.replace("{interpreter}", interpreter.title) for note in self.notes)


def plan(spec: EnvironmentSpec, interpreters: Sequence[Interpreter], *, policy: str) -> Plan:
    """Decide what to build. `policy`: `exact` minor Python or fail; `nearest` one, noted. Raises BuildFailed."""
    image, requirements, notes = spec.image, list[str](), list[str]()
    if spec.context is not None:
        docker = read_dockerfile(spec.context, spec.dockerfile)
        image, requirements = docker.image, list(docker.requirements)
    clauses = ""
    if image:
        read = read_image(image)
        if spec.conda is None and not read.is_mapped:
            raise refuse_image(image)
        if spec.conda is None and read.brings_packages:
            raise refuse_curated(image)
        clauses = read.clauses
        notes.append(f"image {image} runs as host interpreter {{interpreter}}")
    if spec.conda is not None:
        conda = read_conda(spec.conda)
        clauses = conda.python or clauses
        requirements += conda.requirements
        notes += conda.substitutions
    chosen, note = _choose(clauses, interpreters, policy=policy)
    return Plan(chosen, tuple(requirements), (*notes, *note))


def _choose(
    clauses: str, interpreters: Sequence[Interpreter], *, policy: str
) -> tuple[tuple[Interpreter, ...], tuple[str, ...]]:
    """Return the interpreters that meet the clauses, newest first, and a note when they do so only nearly."""
    newest_first = sorted(interpreters, reverse=True)
    exact = tuple(one for one in newest_first if satisfies(one.version, clauses))
    if exact:
        return exact, ()
    asked = f"python{clauses}".replace(".*", "").replace("==", "=")
    minor = _minor_of(clauses)
    same_minor = tuple(one for one in newest_first if one.minor == minor)
    if same_minor:  # another patch release of the asked minor version: wheels and language are the same
        return same_minor[:1], (f"{asked} runs as {{interpreter}}",)
    near = nearest(interpreters, minor) if minor and policy == "nearest" else None
    if near is not None:
        return (near,), (f"{asked} runs as {{interpreter}}, the nearest on this machine",)
    have = ", ".join(".".join(map(str, one.version)) for one in sorted(interpreters)) or "none"
    raise BuildFailed(
        f"{asked} is asked for and no such interpreter is on this machine (it has {have}). "
        "Install it, or set environment_python to 'nearest'"
    )


def satisfies(version: tuple[int, int, int], clauses: str) -> bool:
    """Say whether a version meets all clauses, such as `>=3.8,<3.12` or `==3.7.*`."""
    for clause in filter(None, clauses.split(",")):
        match = _CLAUSE.fullmatch(clause.strip())
        if match is None:
            raise BuildFailed(f"python{clauses} is not a version such as python=3.11 or python>=3.9,<3.12")
        number = tuple(int(part) for part in match[2].split("."))
        if not _meets(version, match[1], number, is_prefix=bool(match[3])):
            return False
    return True


def _meets(version: tuple[int, int, int], operator: str, number: tuple[int, ...], *, is_prefix: bool) -> bool:
    padded = (*number, 0, 0)[:3]
    if operator in ("==", "!="):
        is_equal = version[: len(number)] == number[:3] if is_prefix or len(number) < 3 else version == padded
        return is_equal == (operator == "==")
    if operator == "~=":
        return version >= padded and version[: len(number) - 1] == number[:-1]
    if operator == "<=" and len(number) < 3:  # conda and people mean all of 3.11 by <=3.11
        return version[: len(number)] <= number
    return {">=": version >= padded, "<=": version <= padded, ">": version > padded, "<": version < padded}[operator]


def _minor_of(clauses: str) -> tuple[int, int] | None:
    for clause in clauses.split(","):
        match = _CLAUSE.fullmatch(clause.strip())
        if match and match[1] in ("==", "~=", "<=", ">=") and "." in match[2]:
            major, minor = match[2].split(".")[:2]
            return int(major), int(minor)
    return None
