"""MLflow's search language: `metrics.rmse < 1 and params.kind = 'linear'`, its orders and its pages.

Grammar: conditions joined by AND; `metrics|params|tags|attributes.<key> <comparison> <value>`, keys with odd
characters in quotes or backticks; a bare key is an attribute. LIKE, ILIKE, IN, NOT IN, IS [NOT] NULL as in SQL.
"""

import base64
import binascii
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from entrepot.core.errors import InvalidRequest

Json = Any
T = TypeVar("T")

_KEY = r"""(?P<key>(?:[A-Za-z_]+\.)?(?:"[^"]*"|`[^`]*`|[\w./@:-]+))"""
_VALUE = r"""(?P<value>'[^']*'|"[^"]*"|\([^)]*\)|-?[\w.+-]+)"""
_CONDITION = re.compile(
    rf"\s*{_KEY}\s*(?:(?P<null>IS\s+(?:NOT\s+)?NULL)|(?P<op>!=|<=|>=|=|<|>|NOT\s+IN|IN|ILIKE|LIKE)\s*{_VALUE})\s*",
    re.IGNORECASE,
)
_AND = re.compile(r"AND\b", re.IGNORECASE)
_ORDER = re.compile(rf"\s*{_KEY}(?:\s+(?P<way>ASC|DESC))?\s*\Z", re.IGNORECASE)
_KINDS = {
    "metric": "metrics", "metrics": "metrics", "param": "params", "params": "params", "parameter": "params",
    "parameters": "params", "tag": "tags", "tags": "tags", "attribute": "attributes", "attributes": "attributes",
    "attr": "attributes", "run": "attributes", "trace": "attributes", "metadata": "params",
    "request_metadata": "params",
}  # fmt: skip
_ALIASES = {"run_uuid": "run_id", "created": "start_time", "name": "run_name", "creation_timestamp": "creation_time"}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """What can be asked of one run, experiment or model."""

    attributes: Mapping[str, Json] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def value(self, kind: str, key: str) -> Json:
        """Return a value, or None."""
        if kind == "attributes" and key not in self.attributes:
            key = _ALIASES.get(key, key)
        found: Mapping[str, Json] = getattr(self, kind)
        return found.get(key)


Condition = Callable[[Subject], bool]


def parse(text: str) -> list[Condition]:
    """Read a filter. Raises InvalidRequest that shows where it stops making sense."""
    conditions: list[Condition] = []
    rest = text.strip()
    while rest:
        match = _CONDITION.match(rest)
        if not match:
            raise InvalidRequest(
                f"Invalid filter near {rest[:40]!r}: "
                "write conditions such as metrics.rmse < 1 AND params.kind = 'linear'"
            )
        conditions.append(_condition(match))
        rest = rest[match.end() :]
        if rest:
            joined = _AND.match(rest)
            if not joined:
                raise InvalidRequest(f"Invalid filter near {rest[:40]!r}: join conditions with AND")
            rest = rest[joined.end() :].strip()
            if not rest:
                raise InvalidRequest("Invalid filter: it ends with AND")
    return conditions


def select(
    subjects: Iterable[tuple[Subject, T]],
    body: Mapping[str, Json],
    *,
    default_order: Sequence[tuple[str, bool]],
    limit: int,
) -> tuple[list[T], dict[str, str]]:
    """Return a page of what matches a request's `filter` in its `order_by`, and the token of the next page.

    `default_order`: (attribute, ascending), applied when the request has none.
    """
    conditions = parse(str(body.get("filter") or ""))
    found = [(subject, item) for subject, item in subjects if all(condition(subject) for condition in conditions)]
    wished = body.get("order_by") or ()
    orders = [_order(entry) for entry in ([wished] if isinstance(wished, str) else wished)]
    for kind, key, ascending in reversed(
        orders or [("attributes", key, ascending) for key, ascending in default_order]
    ):
        found.sort(key=lambda entry: _sortable(entry[0].value(kind, key), ascending), reverse=not ascending)
    start = _decode(body.get("page_token"))
    token = {"next_page_token": _encode(start + limit)} if start + limit < len(found) else {}
    return [item for _, item in found[start : start + max(0, limit)]], token


def _condition(match: re.Match[str]) -> Condition:
    kind, key = _read_key(match["key"])
    if match["null"]:
        is_null = "NOT" not in match["null"].upper()
        return lambda subject: (subject.value(kind, key) is None) is is_null
    comparison = " ".join(match["op"].upper().split())
    value = match["value"]
    if comparison in ("IN", "NOT IN"):
        wanted = _read_list(value)
        is_in = comparison == "IN"
        return lambda subject: (v := subject.value(kind, key)) is not None and (str(v) in wanted) is is_in
    if comparison in ("LIKE", "ILIKE"):
        pattern = _like(_unquoted(value), ignores_case=comparison == "ILIKE")
        return lambda subject: (v := subject.value(kind, key)) is not None and bool(pattern.match(str(v)))
    return _comparison(kind, key, _COMPARE[comparison], value)


def _comparison(kind: str, key: str, compare: Callable[[Any, Any], bool], value: str) -> Condition:
    if kind == "metrics":
        try:
            number = float(_unquoted(value))
        except ValueError:
            raise InvalidRequest(f"metrics.{key} is compared to {value}: give a number") from None
        return lambda subject: (v := subject.value(kind, key)) is not None and compare(v, number)
    text = _unquoted(value)

    def holds(subject: Subject) -> bool:
        found = subject.value(kind, key)
        if found is None:
            return False
        if isinstance(found, int | float):
            try:
                return compare(found, float(text))
            except ValueError:
                return False
        return compare(str(found), text)

    return holds


def _read_key(text: str) -> tuple[str, str]:
    head, dot, rest = text.partition(".")
    kind = _KINDS.get(head.lower()) if dot else None
    if kind is None:
        return "attributes", text.strip('"`')
    return kind, rest.strip('"`')


def _order(text: Json) -> tuple[str, str, bool]:
    if isinstance(text, Mapping):  # logged models order by objects
        kind, key = _read_key(str(text.get("field_name", "")))
        return kind, key, bool(text.get("ascending", True))
    match = _ORDER.match(str(text))
    if not match:
        raise InvalidRequest(f"Invalid order_by {text!r}: write metrics.rmse DESC or start_time ASC")
    return (*_read_key(match["key"]), (match["way"] or "ASC").upper() == "ASC")


def _sortable(value: Json, ascending: bool) -> tuple[bool, bool, Json]:
    """Order numbers and texts apart, and put what has no value, or no number, last either way."""
    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
    last = is_missing is ascending
    return last, isinstance(value, str), 0 if is_missing else value


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _read_list(text: str) -> set[str]:
    if not text.startswith("("):
        raise InvalidRequest(f"IN takes a list: write IN ('a', 'b'), not {text}")
    return {_unquoted(part.strip()) for part in text[1:-1].split(",") if part.strip()}


def _like(text: str, *, ignores_case: bool) -> re.Pattern[str]:
    pattern = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in text)
    return re.compile(pattern + r"\Z", re.DOTALL | (re.IGNORECASE if ignores_case else 0))


def _encode(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode()


def _decode(token: Json) -> int:
    if not token:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(str(token))))
    except (ValueError, binascii.Error):
        raise InvalidRequest(f"Invalid page token {token!r}", target="page_token") from None
