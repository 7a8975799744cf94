"""The expression language of ARM templates: `[concat(parameters('a'), '-x')]`, parsed and evaluated.

Pure. The functions are in `functions.py`; `parameters`, `variables` and the like come from the caller.
Source: Microsoft's documented template syntax; a text that begins `[[` is a literal `[`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any
Function = Callable[..., Json]

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[(),.\[\]]))")
_DEPTH_LIMIT = 64
LAZY = frozenset({"if", "and", "or", "coalesce", "lambda"})
"""Functions whose arguments arrive as callables, so that the branch not taken is not evaluated."""
ANY_LIST = "list*"
"""Under this name a table has the function that listKeys() and all of its kind call, with their own name first."""


class Evaluator:
    """Evaluates every expression inside a JSON value with one table of functions."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = {name.lower(): function for name, function in functions.items()}

    def also(self, more: Mapping[str, Function]) -> "Evaluator":
        """Return one that knows more functions, or others by the same names."""
        return Evaluator({**self._functions, **{name.lower(): function for name, function in more.items()}})

    def value(self, template: Json, *, where: str) -> Json:
        """Return the JSON value with its expressions evaluated, keys too. Raises InvalidRequest naming `where`."""
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
            return text
        parser = _Parser(text[1:-1], self._functions, where=where)
        return parser.whole()()


class _Parser:
    """Recursive descent; every rule returns a callable that yields the value."""

    def __init__(self, text: str, functions: Mapping[str, Function], *, where: str) -> None:
        self._text = text
        self._functions = functions
        self._where = where
        self._tokens = self._split()
        self._at = 0
        self._depth = 0

    def whole(self) -> Callable[[], Json]:
        value = self._operand()
        if self._peek():
            raise self._wrong(f"{self._peek()!r} is not expected there")
        return value

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
        try:
            return function(*arguments)
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
        raise self._wrong(f"{key!r} cannot be taken out of {type(owner).__name__} {str(owner)[:40]!r}")

    def _wrong(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"{self._where}: the expression [{self._text[:200]}] is wrong: {why}", target=self._where)
