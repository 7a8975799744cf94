"""The expression language of jobs: `${{ inputs.x }}` and optional groups `$[[ ... ]]`.

Text in, text out: what an expression names is told by the caller's lookup. Bindings (`parent. ...`) are resolved
in the parent by `graph.py`, commands in the step by `execution.py`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from entrepot.core.errors import InvalidExpression

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_GROUP = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\Z")

Path = tuple[str, ...]
Lookup = Callable[[Path], str | None]
"""The value that a path stands for; None: it is optional and has none. Raises InvalidExpression for unknown ones."""


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may name at one place, for lookups and for the words of an error."""

    inputs: Mapping[str, str | None]
    outputs: Mapping[str, str | None]

    def describe(self) -> str:
        """Return `inputs a, b; outputs c` for people."""
        return f"inputs {_listed(self.inputs)}; outputs {_listed(self.outputs)}"


def whole(text: object) -> Path | None:
    """Return the path when the text is exactly one expression, else None."""
    if not isinstance(text, str):
        return None
    match = _EXPRESSION.fullmatch(text.strip())
    return _path(match, where="") if match and "${{" not in match[1] else None


def has_expression(text: object) -> bool:
    """Say whether the text holds an expression."""
    return isinstance(text, str) and "${{" in text


def paths(text: str, *, where: str) -> tuple[Path, ...]:
    """Return the paths of all expressions, in order. Raises InvalidExpression for a malformed one."""
    _check_closed(text, where=where)
    return tuple(_path(match, where=where) for match in _EXPRESSION.finditer(text))


def substitute(text: str, lookup: Lookup, *, where: str) -> str:
    """Put values in place of expressions, verbatim, and drop optional groups in which one has no value.

    `where` names the place for errors: `the command of node train`. Raises InvalidExpression.
    """
    _check_closed(text, where=where)
    return _fill(_GROUP.sub(lambda match: _group(match[1], lookup, where=where), text), lookup, where=where)


def render_command(command: str, names: Names, *, where: str) -> str:
    """Fill a step's command from its inputs' and outputs' values. Raises InvalidExpression."""
    return substitute(command, lambda path: _own(path, names, where=where), where=where)


def renamed(text: str, side: str, names: Iterable[str], other: str) -> str:
    """Write the expressions that name one of `names` on a side, as `${{search_space.lr}}`, with another side."""
    known = set(names)

    def rewrite(match: re.Match[str]) -> str:
        head, _, name = match[1].partition(".")
        return f"${{{{{other}.{name}}}}}" if head == side and name in known else match[0]

    return _EXPRESSION.sub(rewrite, text)


def check_command(command: str, names: Names, *, where: str) -> None:
    """Raise InvalidExpression unless every expression of a command names an input or output of its step."""
    for path in paths(command, where=where):
        _own(path, names, where=where)


def optional_inputs(command: str) -> tuple[str, ...]:
    """Return the names of the inputs that stand in optional groups of a command."""
    texts = " ".join(match[1] for match in _GROUP.finditer(command))
    found = (match[1].partition(".") for match in _EXPRESSION.finditer(texts))
    return tuple(name for side, _, name in found if side == "inputs")


def unknown(path: Iterable[str], *, where: str, available: str) -> InvalidExpression:
    """Return the error for an expression that names nothing here."""
    return InvalidExpression(f"${{{{{'.'.join(path)}}}}} in {where} names nothing there: available are {available}")


def _own(path: Path, names: Names, *, where: str) -> str | None:
    side, name = path[0], ".".join(path[1:])
    values = {"inputs": names.inputs, "outputs": names.outputs}.get(side, {})
    if name not in values:
        raise unknown(path, where=where, available=names.describe())
    return values[name]


def _group(text: str, lookup: Lookup, *, where: str) -> str:
    found = [lookup(_path(match, where=where)) for match in _EXPRESSION.finditer(text)]
    return "" if any(value is None for value in found) else text


def _fill(text: str, lookup: Lookup, *, where: str) -> str:
    def value(match: re.Match[str]) -> str:
        path = _path(match, where=where)
        found = lookup(path)
        if found is None:
            raise InvalidExpression(
                f"{match[0]} in {where} has no value: give the optional input one, or write it in an optional "
                f"group as $[[... {match[0]}]]"
            )
        return found

    return _EXPRESSION.sub(value, text)


def _path(match: re.Match[str], *, where: str) -> Path:
    if not _PATH.match(match[1]):
        place = f" in {where}" if where else ""
        raise InvalidExpression(
            f"{match[0]!r}{place} is not an expression: write ${{{{inputs.<name>}}}}, ${{{{outputs.<name>}}}}, "
            "${{parent.inputs.<name>}} or ${{parent.jobs.<step>.outputs.<name>}}"
        )
    return tuple(match[1].split("."))


def _check_closed(text: str, *, where: str) -> None:
    for opening, pattern, closing in (("${{", _EXPRESSION, "}}"), ("$[[", _GROUP, "]]")):
        if opening in pattern.sub("", text):
            start = text.rfind(opening)
            raise InvalidExpression(f"{text[start : start + 40]!r} in {where} is not closed: it lacks {closing!r}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "(none)"
