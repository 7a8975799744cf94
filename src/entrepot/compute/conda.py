"""conda.yml as PyPI requirements: names, version syntax and the pip section. Pure; no index is asked.

What has no counterpart on PyPI is refused by name, or left out with a note where leaving it out changes nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from entrepot.compute.conda_names import LEFT_OUT, NOT_ON_PYPI, PUBLIC_CHANNELS, PYPI_NAMES
from entrepot.core.errors import BuildFailed

_KNOWN_KEYS = ("name", "channels", "dependencies", "prefix", "variables", "platforms")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_CLAUSE = re.compile(r"(===|==|!=|>=|<=|~=|=|>|<)?\s*v?([0-9][A-Za-z0-9.!+_-]*?|\*)(\.?\*)?$")
_PIP_OPTIONS = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--pre", "--no-binary", "--only-binary")


@dataclass(frozen=True, slots=True)
class CondaPlan:
    """What a conda.yml asks for: clauses on Python such as `==3.7.*`, requirement lines, and what was left out."""

    python: str
    requirements: tuple[str, ...]
    substitutions: tuple[str, ...]


def read_conda(document: Mapping[str, object]) -> CondaPlan:
    """Translate a parsed conda.yml. Raises BuildFailed naming every entry that can't be had from PyPI."""
    python, requirements, pip, impossible = "", list[str](), list[str](), list[str]()
    notes = ["conda 'variables' are not set: put them into the job's environment_variables"] * bool(
        document.get("variables")
    )
    for entry in _dependencies(document):
        if isinstance(entry, Mapping):
            pip += _pip_section(entry)
            continue
        name, version, build = _split(entry)
        if name == "python":
            python = _version(entry, version, build, notes)
        elif name in NOT_ON_PYPI:
            impossible.append(f"{entry!r} ({NOT_ON_PYPI[name]})")
        elif name in LEFT_OUT:
            notes.append(f"conda package {entry!r} left out: {LEFT_OUT[name]}")
        else:
            requirements.append(PYPI_NAMES.get(name, name) + _version(entry, version, build, notes))
    if impossible:
        what = "; ".join(impossible)
        raise BuildFailed(
            f"These conda packages are not Python packages and the local backend can't install them: {what}. "
            "Remove them, or use a backend that runs containers"
        )
    notes += _channels(document) if requirements else []
    return CondaPlan(python, (*requirements, *pip), tuple(notes))


def _channels(document: Mapping[str, object]) -> list[str]:
    """Say that packages come from PyPI; refuse private channels, whose names someone else may hold on PyPI."""
    entries = document.get("channels") or []
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise BuildFailed(f"conda file: 'channels' must be a list of names, got {_kind(entries)}")
    private = [entry for entry in entries if entry.rstrip("/").rpartition("/")[2].lower() not in PUBLIC_CHANNELS]
    if private:
        raise BuildFailed(
            f"conda file: channel {', '.join(private)} can't be used by the local backend, which takes packages from "
            "PyPI. List its packages under 'pip:', or use a backend that runs containers"
        )
    names = ", ".join(entries) or "defaults"
    return [f"conda packages come from PyPI instead of the channels {names}"]


def _dependencies(document: Mapping[str, object]) -> Iterator[str | Mapping[str, object]]:
    for key in document:
        if key not in _KNOWN_KEYS:
            raise BuildFailed(f"conda file: unknown key {key!r}; known are {', '.join(_KNOWN_KEYS)}")
    entries = document.get("dependencies")
    if entries is None:
        raise BuildFailed("conda file: there is no 'dependencies' list")
    if not isinstance(entries, list):
        raise BuildFailed(f"conda file: 'dependencies' must be a list, got {_kind(entries)}")
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, str) and entry.strip():
            yield entry.strip()
        elif isinstance(entry, Mapping):
            yield entry
        else:
            raise BuildFailed(
                f"conda file: entry {number} of 'dependencies' must be a text such as 'numpy=1.26' or a 'pip:' list, "
                f"got {_kind(entry)} ({entry!r})"
            )


def _pip_section(entry: Mapping[str, object]) -> list[str]:
    if list(entry) != ["pip"]:
        raise BuildFailed(
            f"conda file: only 'pip:' may hold a list inside 'dependencies', got {', '.join(map(str, entry))}"
        )
    lines = entry["pip"]
    if lines is None:
        return []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise BuildFailed(f"conda file: 'pip:' must be a list of requirements, got {_kind(lines)} ({lines!r})")
    return [checked_requirement(line, where="conda file, 'pip:'") for line in lines if line.strip()]


def checked_requirement(line: str, *, where: str) -> str:
    """Return one line for pip if it stands by itself; lines that read other files or folders are refused."""
    line = line.strip()
    option = re.split(r"[\s=]", line, maxsplit=1)[0]
    if not line.isprintable():
        raise BuildFailed(f"{where}: {line!r} is more than one line; give each requirement its own entry")
    if line.startswith("-") and option not in _PIP_OPTIONS:
        raise BuildFailed(f"{where}: {line!r} is not supported; name the packages themselves")
    if re.match(r"(\.{0,2}/|file:|\.$)", line) or re.search(r"@\s*(file:|\.{0,2}/)", line):
        raise BuildFailed(f"{where}: {line!r} is a local path, and only the environment's definition is at hand")
    return line


def _split(entry: str) -> tuple[str, str, str]:
    """Return (name, version part, build string) of `channel::name[version='..']`, `name=1=py37_0` or `name >=1,<2`."""
    text = entry.rpartition("::")[2].strip()
    match = _NAME.match(text)
    if match is None:
        raise BuildFailed(f"conda file: {entry!r} is not a package specification such as 'numpy=1.26'")
    name, rest = match[0].lower(), text[match.end() :].strip()
    build = ""
    if rest.startswith("["):
        pairs = dict(re.findall(r"(\w+)\s*=\s*['\"]?([^'\"\],]+(?:,[<>!=][^'\"\]]*)*)['\"]?", rest))
        unknown = sorted(set(pairs) - {"version", "build", "channel"})
        if unknown or not rest.endswith("]"):
            raise BuildFailed(f"conda file: {entry!r} has brackets that are not understood; use 'name=version'")
        return name, pairs.get("version", ""), pairs.get("build", "")
    if (parts := re.match(r"(={1,2}\s*[^=<>!~,|\s]+)(?:=|\s+)([A-Za-z0-9_.*]+)$", rest)) is not None:
        rest, build = "=" + parts[1].lstrip("= "), parts[2]
        rest = "=" + rest if build != "*" else rest  # with a build string, conda takes the version as exact
    elif (spaced := re.match(r"([0-9][^=<>!~,|\s]*)\s+([A-Za-z0-9_.*]+)$", rest)) is not None:
        rest, build = "==" + spaced[1], spaced[2]
    return name, rest, "" if build == "*" else build


def _version(entry: str, version: str, build: str, notes: list[str]) -> str:
    if build:
        notes.append(f"conda package {entry!r}: the build string {build!r} was ignored, PyPI has none")
    alternatives = version.split("|")
    if len(alternatives) > 1:  # PEP 440 has no "or"
        notes.append(f"conda package {entry!r}: of the alternatives, only {alternatives[-1]!r} was tried")
    return ",".join(filter(None, (_clause(entry, part.strip()) for part in alternatives[-1].split(","))))


def _clause(entry: str, clause: str) -> str:
    if clause in ("", "*", "=*", "==*"):
        return ""
    match = _CLAUSE.match(clause)
    if match is None:
        raise BuildFailed(f"conda file: {entry!r}: {clause!r} is not a version such as 1.26, =1.26, >=1.26 or 1.26.*")
    operator, number, star = match[1] or "==", match[2].replace("_", "."), bool(match[3])
    if operator in ("=", "==") and star:
        return f"=={number}.*"
    if operator == "=":  # conda's `=1.2` is 1.2 and all below it
        plain = "".join(takewhile(lambda c: c in "0123456789.", number)) == number
        return f"=={number}.*" if plain else f"=={number}"
    if star and operator == "!=":
        return f"!={number}.*"
    return f"{operator}{number}"


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing", bool: "true or false"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
