"""Results as text: json, jsonc, yaml, yamlc, table, tsv and none, by the rules of `az`; and `--query`.

Plain dictionaries are shown in the order of their keys' names; what `--query` shaped (an OrderedDict) keeps the
order of the query.
"""

from __future__ import annotations

import json

from entrepot.client.failures import Failure, UsageFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = Any

HIDDEN_COLUMNS = ("id", "type", "etag")  # as az hides them, in query results too, unless they are renamed
TITLE_ROOM = 2  # spaces that a title keeps at least to the next one
COLOURS = {"key": "\x1b[34m", "text": "\x1b[32m", "number": "\x1b[36m", "word": "\x1b[35m", "end": "\x1b[0m"}


class Query:
    """A compiled JMESPath expression. Raises UsageFailure when it is not one."""

    def __init__(self, expression: str) -> None:
        names = expression.split(".")
        self._names = names if all(name.isidentifier() and name.isascii() for name in names) else None
        self._compiled: Any = None
        if self._names is None:  # what scripts ask for most, `id` or `tags.stage`, needs no library (22 ms)
            self._compiled = _compiled(expression)

    def apply(self, value: Json) -> Json:
        """Return what the expression selects; objects that it makes keep the order of the query."""
        if self._names is not None:
            for name in self._names:
                value = value.get(name) if isinstance(value, dict) else None
            return value
        from collections import OrderedDict

        import jmespath
        from jmespath.exceptions import JMESPathError

        try:
            return self._compiled.search(value, jmespath.Options(dict_cls=OrderedDict))
        except JMESPathError as error:
            raise Failure(f"--query cannot be applied to this result: {error}") from error


def _compiled(expression: str) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        problem = str(error).splitlines()[0] if str(error) else "it cannot be read"
        raise UsageFailure(
            f"argument --query: {expression!r} is not a JMESPath expression: {problem}",
            hint="see https://jmespath.org; quote the expression for your shell",
        ) from error


def render(value: Json, *, form: str, is_colourful: bool = False) -> str:
    """Return the result as the text for stdout, its last newline included; empty when there is nothing to print."""
    if value is None or form == "none":
        return ""
    return RENDERERS[form](value, is_colourful)


def _json(value: Json, _: bool) -> str:
    return json.dumps(_sorted(value), indent=2, ensure_ascii=False, default=str) + "\n"


def _sorted(value: Json) -> Json:
    """Sort keys, except of what the query put in an order."""
    if isinstance(value, dict):
        names = value if type(value) is not dict else sorted(value, key=str)
        return {name: _sorted(value[name]) for name in names}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value


def _jsonc(value: Json, is_colourful: bool) -> str:
    text = _json(value, False)
    if not is_colourful:
        return text
    import re

    token = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b')

    def paint(match: re.Match[str]) -> str:
        quoted, colon, number, word = match.groups()
        if quoted:
            return COLOURS["key" if colon else "text"] + quoted + COLOURS["end"] + (colon or "")
        return COLOURS["number" if number else "word"] + (number or word) + COLOURS["end"]

    return token.sub(paint, text)


def _yaml(value: Json, _: bool) -> str:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(_sorted(value), Dumper=dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    return text.removesuffix("...\n")


def _yamlc(value: Json, is_colourful: bool) -> str:
    text = _yaml(value, False)
    if not is_colourful:
        return text
    import re

    return re.sub(
        r"^(\s*(?:- )*)([^\s:][^:\n]*)(:)", rf"\1{COLOURS['key']}\2{COLOURS['end']}\3", text, flags=re.MULTILINE
    )


def _tsv(value: Json, _: bool) -> str:
    rows = value if isinstance(value, list) else [value]
    return "".join(_tsv_row(row) + "\n" for row in rows)


def _tsv_row(row: Json) -> str:
    if isinstance(row, dict):
        names = row if type(row) is not dict else sorted(row, key=str)
        return "\t".join(_tsv_cell(row[name]) for name in names)
    if isinstance(row, list):
        return "\t".join(_tsv_cell(item) for item in row)
    if isinstance(row, bool):
        return str(row).lower()
    return str(row)


def _tsv_cell(cell: Json) -> str:
    if isinstance(cell, list):
        return str(len(cell))
    if isinstance(cell, dict):
        return ""
    return str(cell)


def _table(value: Json, _: bool) -> str:
    """Lay out rows as tabulate's `simple` does, without its 50 ms of imports (a test compares the two)."""
    rows = [_table_row(item) for item in (value if isinstance(value, list) else [value])]
    titles = list(dict.fromkeys(title for row in rows for title in row))
    if not titles:
        return ""
    cells = [[_table_cell(row.get(title)) for title in titles] for row in rows]
    height = {index: max(cell.count("\n") + 1 for cell in row) for index, row in enumerate(cells)}
    lines = [[*titles]]
    for index, row in enumerate(cells):
        parts = [cell.split("\n") for cell in row]
        lines += [[part[n] if n < len(part) else "" for part in parts] for n in range(height[index])]
    widths = [
        max(_width(title) + TITLE_ROOM, *(_width(line[column]) for line in lines))
        for column, title in enumerate(titles)
    ]
    lines[1:1] = [["-" * width for width in widths]]
    return "".join(
        "  ".join(text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _table_cell(value: Json) -> str:
    return "" if value is None else str(value).replace("\r\n", "\n").strip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _table_row(item: Json) -> dict[str, Json]:
    if isinstance(item, dict):
        names = item if type(item) is not dict else sorted(item, key=str)
        return {
            name[:1].upper() + name[1:]: item[name]
            for name in names
            if name not in HIDDEN_COLUMNS and item[name] is not None and not isinstance(item[name], dict | list)
        }
    if isinstance(item, list):
        return {f"Column{number}": cell for number, cell in enumerate(item, 1)}
    return {"Result": item}


RENDERERS: dict[str, Callable[[Json, bool], str]] = {
    "json": _json,
    "jsonc": _jsonc,
    "yaml": _yaml,
    "yamlc": _yamlc,
    "table": _table,
    "tsv": _tsv,
}
