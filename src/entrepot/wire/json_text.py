"""JSON text in: strict for all requests but ARM deployments, whose templates are JSON with comments.

`az deployment` splices a template's raw text into its request, so the key `template` arrives unquoted, comments
and trailing commas arrive, and so do raw line breaks inside strings. Nothing here knows what the JSON means.
"""

import json
import math
import re
from typing import Any

import msgspec

from entrepot.core.errors import InvalidRequest

Json = Any

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'  # a string, line breaks included; one without an end goes to the text's end
    r"|//[^\n]*"
    r"|/\*.*?(?:\*/|\Z)"
    r"|[,}\]]"
    r"|(?<=[{,\s])template(?=\s*:)",
    re.DOTALL,
)
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_SMALLEST, _LARGEST = -(1 << 63), (1 << 64) - 1  # what can be written again


def decode_json(body: bytes) -> Json:
    """Decode strict JSON. Raises InvalidRequest that tells line and column."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(_explain(body, error)) from error
    if _LONG_NUMBER.search(body):
        _check_numbers(value)
    return value


def decode_jsonc(body: bytes) -> Json:
    """Decode the JSON with comments of an ARM deployment. Raises InvalidRequest that tells line and column."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: byte {error.start} cannot be read") from error
    try:
        value = json.loads(_plain(text), strict=False, parse_constant=_no_number, object_pairs_hook=_object)
        _check_numbers(value)
        msgspec.json.encode(value)  # what cannot be written again: half surrogates
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise InvalidRequest("The body is not JSON: it is nested too deeply") from error
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"The body is not JSON: {error}") from error
    return value


def _plain(text: str) -> str:
    """Return the text as JSON, with every line where it was; in time that is linear in its length."""
    pieces: list[str] = []
    end, comma = 0, -1  # where in `pieces` the comma stands behind which nothing came yet
    for match in _TOKEN.finditer(text):
        between, word, end = text[end : match.start()], match[0], match.end()
        pieces.append(between)
        is_comment = word.startswith("/")
        if between.strip() or not (is_comment or word in "}]"):
            comma = -1
        if is_comment:
            word = "\n" * word.count("\n")
        elif word == ",":
            comma = len(pieces)
        elif word in "}]" and comma >= 0:
            pieces[comma], comma = "", -1
        elif word == "template":
            word = '"template"'
        pieces.append(word)
    return "".join((*pieces, text[end:]))


def _no_number(word: str) -> Json:
    raise ValueError(f"{word} is no number of JSON")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the field {twice!r} stands twice in one object")
    return found


def _check_numbers(value: Json) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, int | float) and not _SMALLEST <= item <= _LARGEST and not _is_real(item):
            raise InvalidRequest("The body has a number that does not fit 64 bits: send it as text, in quotes")


def _is_real(number: float) -> bool:
    return isinstance(number, float) and math.isfinite(number)


def _explain(body: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The body is not JSON: it is nested too deeply"
    if not body.strip():
        return "The body is empty: a JSON object was expected"
    try:
        json.loads(body)
    except json.JSONDecodeError as found:
        return f"The body is not JSON: {found.msg} at line {found.lineno}, column {found.colno}"
    except UnicodeDecodeError as found:
        return f"The body is not UTF-8: byte {found.start} cannot be read"
    except (RecursionError, ValueError):
        pass
    return f"The body is not JSON: {error}"
