"""The expression language of ARM templates: `[concat(parameters('a'), '-x')]`, parsed and evaluated.

Pure. The functions are in `functions.py`; `parameters`, `variables` and the like come from the caller.
Source: Microsoft's documented template syntax; a text that begins `[[` is a literal `[`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.domain.deployments.language.budget import CALL, NODE, Budget

Json = Any
Function = Callable[..., Json]

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[(),.\[\]]))")
_DEPTH_LIMIT = 64
_LONGEST = 24_576  # characters of an expression: ARM's own bound
_TOLD = 300  # characters of a reason
_WRITING = 4  # what a character costs that will be written, beside one that is looked at
LAZY = frozenset({"if", "and", "or", "coalesce", "lambda"})
"""Functions whose arguments arrive as callables, so that the branch not taken is not evaluated."""
ANY_LIST = "list*"
"""Under this name a table has the function that listKeys() and all of its kind call, with their own name first."""


_SHALLOW = LAZY | {
    "array", "copyindex", "createarray", "createobject", "empty", "filter", "first", "flatten", "items", "last",
    "lambdavariables", "length", "map", "mapvalues", "not", "objectkeys", "parameters", "range", "shallowmerge",
    "skip", "take", "tryget", "variables",
}  # fmt: skip
"""Functions that look at the outermost items of their arguments only; all others pay for whatever is in them."""


class Evaluator:
    """Evaluates every expression inside a JSON value with one table of functions and within one budget."""

    def __init__(self, functions: Mapping[str, Function], budget: Budget | None = None) -> None:
        self._functions = {name.lower(): function for name, function in functions.items()}
        self.budget = budget or Budget()

    def also(self, more: Mapping[str, Function]) -> "Evaluator":
        """Return one that knows more functions, or others by the same names, and spends from the same budget."""
        self.budget.spend(CALL)
        known = {**self._functions, **{name.lower(): function for name, function in more.items()}}
        return Evaluator(known, self.budget)

    def value(self, template: Json, *, where: str) -> Json:
        """Return the JSON value with its expressions evaluated, keys too. Raises InvalidRequest naming `where`."""
        self.budget.spend(NODE)
        if isinstance(template, str):
            return self.text(template, where=where)
        if isinstance(template, list):
            return [self.value(item, where=f"{where}[{index}]") for index, item in enumerate(template)]
        if isinstance(template, dict):
            return {
                self.text(key, where=where): self.value(item, where=f"{where}.{key}") for key, item in template.items()
            }
        return template

    def text(self, text: str, *, where: str) -> Json:
        """Return what a string stands for: itself, or the value of its `[expression]`."""
        if text.startswith("[["):
            return text[1:]
        if not (text.startswith("[") and text.endswith("]")):
            self.budget.spend(_WRITING * len(text))
            return text
        if len(text) > _LONGEST:
            raise InvalidRequest(f"{where}: an expression has at most {_LONGEST:,} characters", target=where)
        self.budget.spend(CALL + _WRITING * len(text))
        parser = _Parser(text[1:-1], self._functions, self.budget, where=where)
        value = parser.whole()()
        self.budget.spend(_WRITING * parser.weight(value))
        return value


class _Parser:
    """Recursive descent; every rule returns a callable that yields the value."""

    def __init__(self, text: str, functions: Mapping[str, Function], budget: Budget, *, where: str) -> None:
        self._text = text
        self._functions = functions
        self._budget = budget
        self._where = where
        self._tokens = self._split()
        self._at = 0
        self._depth = 0

    def whole(self) -> Callable[[], Json]:
        value = self._operand()
        if self._peek():
            raise self._wrong(f"{self._peek()!r} is not expected there")
        return value

    def weight(self, value: Json) -> int:
        """Return a value's weight. Raises InvalidRequest when it is too large or too deep."""
        try:
            return self._budget.weigh(value)
        except ValueError as error:
            raise self._wrong(str(error)) from error

    def _split(self) -> list[str]:
        tokens, at = [], 0
        stripped = self._text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if not match:
                raise self._wrong(f"{stripped[at:].strip()[:20]!r} is not understood")
            tokens.append(match.group().strip())
            at = match.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, expected: str = "") -> str:
        token = self._peek()
        if not token or (expected and token != expected):
            raise self._wrong(f"{expected or 'a value'!r} is expected, not {token or 'the end'!r}")
        self._at += 1
        return token

    def _operand(self) -> Callable[[], Json]:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise self._wrong(f"it nests deeper than {_DEPTH_LIMIT} levels")
        token = self._take()
        if token.startswith("'"):
            literal = token[1:-1].replace("''", "'")
            value: Callable[[], Json] = lambda: literal  # noqa: E731
        elif token.lstrip("-").isdigit():
            value = lambda: int(token)  # noqa: E731
        elif token[0].isalpha() or token[0] == "_":
            value = self._call(token)
        else:
            raise self._wrong(f"{token!r} is not expected there")
        while self._peek() in (".", "["):
            value = self._member(value)
        self._depth -= 1
        return value

    def _call(self, name: str) -> Callable[[], Json]:
        while self._peek() == ".":  # a function that the template defines: namespace.name()
            self._take()
            name += f".{self._take()}"
        function = self._functions.get(name.lower())
        if function is None and name.lower().startswith("list") and ANY_LIST in self._functions:
            function = partial(self._functions[ANY_LIST], name)
        if function is None:
            raise self._wrong(f"there is no function {name}(); known are {', '.join(sorted(self._functions))}")
        arguments: list[Callable[[], Json]] = []
        self._take("(")
        while self._peek() != ")":
            arguments.append(self._operand())
            if self._peek() != ")":
                self._take(",")
        self._take(")")
        is_lazy = name.lower() in LAZY
        return lambda: self._run(name, function, arguments if is_lazy else [argument() for argument in arguments])

    def _run(self, name: str, function: Function, arguments: Sequence[Json]) -> Json:
        self._budget.spend(CALL)
        try:
            for argument in arguments:
                self._budget.pass_over(argument, wholly=name.lower() not in _SHALLOW)
            value = function(*arguments)
            self._budget.weigh(value)
            return value
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
            raise self._wrong(f"{name}() cannot be called with these arguments: {error}") from error

    def _member(self, owner: Callable[[], Json]) -> Callable[[], Json]:
        if self._take() == ".":
            name = self._take()
            return lambda: self._pick(owner(), name)
        index = self._operand()
        self._take("]")
        return lambda: self._pick(owner(), index())

    def _pick(self, owner: Json, key: Json) -> Json:
        if isinstance(owner, dict):
            for name, value in owner.items():
                if name.lower() == str(key).lower():
                    return value
            raise self._wrong(f"there is no property {key!r}; there are {', '.join(owner) or 'none'}")
        if isinstance(owner, list) and isinstance(key, int) and 0 <= key < len(owner):
            return owner[key]
        raise self._wrong(f"{str(key)[:40]!r} cannot be taken out of {type(owner).__name__}")

    def _wrong(self, why: str) -> InvalidRequest:
        told = why if len(why) <= _TOLD else f"{why[:_TOLD]}..."
        return InvalidRequest(
            f"{self._where}: the expression [{self._text[:200]}] is wrong: {told}", target=self._where
        )
