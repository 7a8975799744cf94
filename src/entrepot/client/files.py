"""YAML files as commands read them: the values, and the line on which each stands.

What a file must say is not decided here but in `schemas/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from entrepot.client.failures import FileFailure
from entrepot.core import yaml_bounds

Json = Any
Place = tuple[str | int, ...]
"""Where in a document: ("jobs", "train", "inputs", 0)."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SetText(str):
    """A value given by `--set`: text that is read as what its place in the document asks for."""

    __slots__ = ()


class Document:
    """A loaded file: `data`, and for messages the line of each place and the text of each scalar."""

    __slots__ = ("_texts", "data", "folder", "lines", "name", "path")

    def __init__(
        self, data: dict[str, Json], *, path: Path | None, lines: dict[Place, int], texts: dict[Place, str]
    ) -> None:
        self.data = data
        self.path = path
        self.name = str(path) if path else "the command line"
        self.folder = path.parent if path else Path()
        self.lines = lines
        self._texts = texts

    def at(self, place: Place) -> str:
        """Return where a place is, for the beginning of a message: `train.yml, line 7, jobs.train.inputs`."""
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known)
        parts = [self.name, f"line {line}" if line else "", f"field {dotted(place)!r}" if place else ""]
        return ", ".join(part for part in parts if part)

    def wrong(self, place: Place, problem: str, *, hint: str = "") -> FileFailure:
        """Return the failure that says what is wrong at a place."""
        return FileFailure(f"{self.at(place)}: {problem}", hint=hint)

    def as_written(self, place: Place) -> str | None:
        """Return a scalar as it stands in the file, so that version 1.10 is not 1.1; None when it is not there."""
        return self._texts.get(place)

    def forget(self, place: Place) -> None:
        """Forget how a place was written, because it was set since."""
        for known in [known for known in self._texts if known[: len(place)] == place]:
            del self._texts[known]

    def resolve(self, text: str, place: Place = ()) -> Path:
        """Return a path of the file as a path of this process. Raises FileFailure when nothing is there."""
        plain = text.removeprefix("file:")
        if plain.startswith("//"):
            plain = plain[2:]
        path = Path(plain).expanduser()
        path = path if path.is_absolute() else self.folder / path
        if not path.exists():
            if scheme := scheme_of(plain):
                raise self.wrong(
                    place, f"{scheme} is no address to read from: {text!r}",
                    hint="give a local path, azureml://datastores/<name>/paths/<path>, or http(s)://",
                )  # fmt: skip
            raise self.wrong(
                place, f"there is no file or folder {text!r}", hint=f"paths start at {self.folder.absolute()}"
            )
        return path


def scheme_of(text: str) -> str:
    """Return what an address begins with, such as `s3://`; empty for a path."""
    found = _SCHEME.match(text)
    return found[0] if found else ""


def load(path: str | Path, *, place: str = "") -> Document:
    """Read a YAML file whose top is a mapping. Raises FileFailure; `place` says who named the file."""
    path = Path(path)
    prefix = f"{place}: " if place else ""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise FileFailure(f"{prefix}There is no file {str(path)!r}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FileFailure(f"{prefix}{path} cannot be read: {error}") from error
    data, lines, texts = _parsed(text, str(path))
    if data is None:
        raise FileFailure(f"{path} is empty: write at least one field, such as `name: ...`.")
    if not isinstance(data, dict):
        raise FileFailure(f"{path}, line 1: the file must hold fields such as `name: ...`, not {type_text(data)}.")
    return Document(data, path=path, lines=lines, texts=texts)


def blank() -> Document:
    """Return an empty document, for commands that are given options only."""
    return Document({}, path=None, lines={}, texts={})


def load_data(path: Path) -> Json:
    """Return the values of a YAML or JSON file, whatever they are. Raises FileFailure."""
    try:
        return _parsed(path.read_text(encoding="utf-8-sig"), str(path))[0]
    except (OSError, UnicodeDecodeError) as error:
        raise FileFailure(f"{path} cannot be read: {error}") from error


def dump(value: Json) -> str:
    """Write YAML with sorted keys, as Azure's SDK writes conda specifications."""
    return str(yaml.dump(value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), default_flow_style=False))


def scalar(text: str) -> Json:
    """Read a word as YAML does: `3` is a number, `true` a truth value, anything else text."""
    try:
        value, _, _ = _parsed(str(text), "")
    except FileFailure:
        return text
    return value if isinstance(value, int | float | bool) else text


def _parsed(text: str, name: str) -> tuple[Json, dict[Place, int], dict[Place, str]]:
    lines: dict[Place, int] = {}
    texts: dict[Place, str] = {}
    loader: Any = None
    try:
        yaml_bounds.check_depth(yaml.parse(text, Loader=_LOADER))
        loader = _LOADER(text)
        node = loader.get_single_node()
        if node is None:
            return None, lines, texts
        yaml_bounds.check_nodes(node)
        for place, line, written in _walk(node):
            lines.setdefault(place, line)
            if written is not None:
                texts[place] = written
        return loader.construct_document(node), lines, texts
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "it cannot be read"
        raise FileFailure(
            f"{name}{where}: this is not YAML: {problem}",
            hint="check the indentation, the quotes and the space after each colon",
        ) from error
    except (yaml.YAMLError, *yaml_bounds.BROKEN) as error:
        raise FileFailure(f"{name}: this is not YAML that can be read: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _walk(root: yaml.Node) -> Iterator[tuple[Place, int, str | None]]:
    """Yield (place, line, how a scalar is written) for all places; the line of a field is that of its key."""
    pending: list[tuple[Place, yaml.Node]] = [((), root)]
    seen: set[int] = set()
    while pending:
        here, node = pending.pop()
        if isinstance(node, yaml.ScalarNode):
            yield here, node.start_mark.line + 1, node.value
            continue
        if id(node) in seen:
            continue  # an alias of what was walked already
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                if name in names:
                    raise yaml.MarkedYAMLError(problem=f"the field {name!r} stands twice", problem_mark=key.start_mark)
                names.add(name)
                yield (*here, name), key.start_mark.line + 1, None
                pending.append(((*here, name), value))
        elif isinstance(node, yaml.SequenceNode):
            pending += [((*here, index), value) for index, value in enumerate(node.value)]


def dotted(place: Place) -> str:
    """Render a place as it is written after --set: `jobs.train.inputs[0]`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def type_text(value: Json) -> str:
    """Name a value's type for people, with the value when it is short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else "a text"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping of fields"
    return f"a {type(value).__name__}"
