"""JSON text in: strict for all requests but ARM deployments, whose templates are JSON with comments.

`az deployment` splices a template's raw text into its request, so the key `template` arrives unquoted, comments
and trailing commas arrive, and so do raw line breaks inside strings. Nothing here knows what the JSON means.
"""

import json
import re
from typing import Any

import msgspec

from entrepot.core.errors import InvalidRequest

Json = Any

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # a string, line breaks included
    r"|//[^\n]*"
    r"|/\*.*?\*/"
    r"|,(?=(?:\s|//[^\n]*\n|/\*.*?\*/)*[}\]])"  # a comma before a closing bracket
    r"|(?<=[{,\s])template(?=\s*:)",
    re.DOTALL,
)


def decode_json(body: bytes) -> Json:
    """Decode strict JSON. Raises InvalidRequest that tells line and column."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(_explain(body, error)) from error


def decode_jsonc(body: bytes) -> Json:
    """Decode the JSON with comments of an ARM deployment. Raises InvalidRequest that tells line and column."""
    text = body.decode("utf-8-sig", "replace")
    try:
        return json.loads(_TOKEN.sub(_replace, text), strict=False)
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise InvalidRequest("The body is not JSON: it is nested too deeply") from error


def _replace(match: re.Match[str]) -> str:
    token = match[0]
    if token.startswith('"'):
        return token
    if token == "template":  # noqa: S105 - a word of JSON, not a secret
        return '"template"'
    if token == ",":  # noqa: S105
        return ""
    return "\n" * token.count("\n")  # a comment: keep the lines, so that positions stay true


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
