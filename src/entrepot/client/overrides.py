"""`--set`, `--add` and `--remove`: changes to a document that stand on the command line.

`create` lays --set over a YAML file, where values are text that the schema reads; `update` changes what is there,
where values are JSON when they can be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from entrepot.client.failures import UsageFailure
from entrepot.client.files import Document, Place, SetText

Json = Any
Change = tuple[str, list[str]]
"""(set | add | remove, the words after the option)."""

_TOKEN = re.compile(r"((?:\\.|[^.\[\]\\])+)|\[([^\]]*)\]|(\.)")


def lay_over(document: Document, pairs: Iterable[str]) -> None:
    """Apply the `path=value` words of `create --set` to a loaded file. Raises UsageFailure."""
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not path:
            raise UsageFailure(f"argument --set: {pair!r} is not path=value, such as --set version=3")
        place = parse_path(path)
        parent = _parent(document.data, place, path, creates=True)
        _assign(parent, place[-1], SetText(text), path)
        document.forget(place)


def apply(entity: dict[str, Json], changes: Iterable[Change], *, keeps_strings: bool = False) -> None:
    """Apply the changes of `update` in the order given, in place. Raises UsageFailure."""
    for verb, words in changes:
        if verb == "set":
            for word in words:
                _set(entity, word, keeps_strings)
        elif verb == "add":
            _add(entity, words)
        else:
            _remove(entity, words)


def parse_path(path: str) -> Place:
    """Read `jobs.train.inputs[0].path` as its parts; `\\.` is a dot in a name, `[name=x]` a filter (kept as text)."""
    place: list[str | int] = []
    position = 0
    for match in _TOKEN.finditer(path):
        if match.start() != position:
            break
        position = match.end()
        name, index, _ = match.groups()
        if name is not None:
            place.append(re.sub(r"\\(.)", r"\1", name))
        elif index is not None:
            place.append(int(index) if re.fullmatch(r"-?\d+", index) else f"[{index}]")
    if position != len(path) or not place:
        raise UsageFailure(f"{path!r} is not a path: write names with dots and indexes, such as inputs.data[0].path")
    return tuple(place)


def _set(entity: Json, word: str, keeps_strings: bool) -> None:
    path, equals, text = word.partition("=")
    if "[" in path and "]" not in path:  # the = of a filter such as items[name=x].value=1
        head, bracket, tail = word.partition("]")
        inner, equals, text = tail.partition("=")
        path = head + bracket + inner
    if not equals:
        raise UsageFailure(f"argument --set: {word!r} is not path=value, such as --set tags.stage=Prod")
    place = parse_path(path)
    parent = _parent(entity, place, path, creates=True)
    _assign(parent, place[-1], text if keeps_strings else _value(text), path)


def _add(entity: Json, words: Sequence[str]) -> None:
    if len(words) < 2:
        raise UsageFailure("argument --add: write the path of a list and what to add: --add path.to.list key=value")
    path, items = words[0], words[1:]
    place = parse_path(path)
    parent = _parent(entity, place, path, creates=True)
    found = _step(parent, place[-1])
    if found is None:
        found = []
        _assign(parent, place[-1], found, path)
    if not isinstance(found, list):
        raise UsageFailure(f"argument --add: {path} is not a list")
    pairs: dict[str, Json] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if equals and not item.startswith(("{", "[", '"')):
            pairs[name] = _value(text)
        else:
            found.append(_value(item))
    if pairs:
        found.append(pairs)


def _remove(entity: Json, words: Sequence[str]) -> None:
    if not words or len(words) > 2:
        raise UsageFailure("argument --remove: write a path, or the path of a list and an index")
    path = words[0] if len(words) == 1 else f"{words[0]}[{words[1]}]"
    place = parse_path(path)
    parent = _parent(entity, place, path, creates=False)
    key = place[-1]
    position = _position(parent, key) if isinstance(parent, list) else None
    if isinstance(parent, dict) and key in parent:
        del parent[key]
    elif isinstance(parent, list) and position is not None:
        del parent[position]
    else:
        raise UsageFailure(f"argument --remove: there is nothing at {path}")


def _value(text: str) -> Json:
    """Read JSON, also as a shell leaves it (`{'a': 1}`, `True`); other text stays text."""
    for candidate in (text, text.replace("'", '"') if text[:1] in "{[" else text.lower()):
        if candidate != text and candidate not in ("true", "false", "null") and text[:1] not in "{[":
            continue
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    return text


def _parent(root: Json, place: Place, path: str, *, creates: bool) -> Json:
    here = root
    for depth, key in enumerate(place[:-1]):
        found = _step(here, key)
        if found is None:
            if not creates:
                raise UsageFailure(f"there is nothing at {path}")
            found = [] if isinstance(place[depth + 1], int) else {}
            _assign(here, key, found, path)
        if isinstance(found, str):
            raise UsageFailure(
                f"Cannot use '--set' on properties defined by reference strings: {path} goes through {found!r}"
            )
        if not isinstance(found, dict | list):
            raise UsageFailure(f"{path} goes through the value {found!r}, which holds nothing")
        here = found
    return here


def _step(here: Json, key: str | int) -> Json:
    if isinstance(here, dict):
        return here.get(str(key) if isinstance(key, int) else key)
    position = _position(here, key)
    return None if position is None else here[position]


def _position(items: list[Json], key: str | int) -> int | None:
    """Return the index that `[2]` or `[name=x]` picks from a list; None when there is none."""
    if isinstance(key, int):
        return key if -len(items) <= key < len(items) else None
    name, _, wanted = key.strip("[]").partition("=")
    for index, item in enumerate(items):
        if isinstance(item, dict) and str(item.get(name)) == wanted:
            return index
    return None


def _assign(parent: Json, key: str | int, value: Json, path: str) -> None:
    if isinstance(parent, dict):
        parent[str(key) if isinstance(key, int) else key] = value
        return
    position = _position(parent, key)
    if position is not None:
        parent[position] = value
    elif key == len(parent):
        parent.append(value)
    else:
        raise UsageFailure(f"{path}: the list has {len(parent)} items, so there is no place {key}")
