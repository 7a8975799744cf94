"""The functions of ARM templates that need nothing but their arguments."""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urljoin

from entrepot.domain.deployments.language import dates

Json = Any
Lazy = Callable[[], Json]

_RANGE_LIMIT = 10_000
_LONGEST = 1 << 20  # characters or items that a call may make: a dozen nested calls could ask for terabytes
_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")  # ARM's own for guid()


def unique_string(*seeds: str) -> str:
    """Return 13 characters that depend on the seeds only (not those that Azure would give)."""
    digest = hashlib.sha256("|".join(map(str, seeds)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:13]


def _sized(size: int) -> None:
    if size > _LONGEST:
        raise ValueError(f"the result would have {size:,} characters or items: at most {_LONGEST:,} are made")


def _number(value: Json) -> Json:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is needed, not {str(value)[:40]!r}")
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError("the number does not fit 64 bits")
    return value


def _reckoned(work: Callable[[Json, Json], Json]) -> Callable[[Json, Json], Json]:
    return lambda one, other: _number(work(_number(one), _number(other)))


def _replaced(text: str, old: str, new: str) -> str:
    if not old:
        raise ValueError("what is to be replaced is empty")
    _sized(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def _padded(value: Json, width: int, fill: str = " ") -> str:
    _sized(width)
    return _string(value).rjust(width, fill)


def _joined(items: list[Json], mark: str) -> str:
    parts = [_string(item) for item in items]
    _sized(sum(map(len, parts)) + len(parts) * len(mark))
    return mark.join(parts)


def _format(text: str, *values: Json) -> str:
    for index, value in enumerate(values):
        text = _replaced(text, "{" + str(index) + "}", _string(value))
    return text


def _string(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    return str(value) if isinstance(value, int) else json.dumps(value, separators=(",", ":"))


def _concat(*parts: Json) -> Json:
    _sized(sum(len(part) for part in parts if isinstance(part, list | str)))
    if parts and all(isinstance(part, list) for part in parts):
        return [item for part in parts for item in part]
    return "".join(_string(part) for part in parts)


def _equals(one: Json, other: Json) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return bool(one == other)


def _contains(whole: Json, part: Json) -> bool:
    if isinstance(whole, dict):
        return str(part).lower() in {name.lower() for name in whole}
    return part.lower() in whole.lower() if isinstance(whole, str) else part in whole


def _union(*parts: Json) -> Json:
    if not isinstance(parts[0], dict):
        return _distinct([item for part in parts for item in part])
    made: dict[str, Json] = {}
    for part in parts:
        for key, value in part.items():
            is_table = isinstance(value, dict) and isinstance(made.get(key), dict)
            made[key] = _union(made[key], value) if is_table else value
    return made


def _intersection(*parts: Json) -> Json:
    first, *others = parts
    if isinstance(first, dict):
        return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    known = [{_spelled(item) for item in other} for other in others]
    return _distinct([item for item in first if all(_spelled(item) in items for items in known)])


def _distinct(items: list[Json]) -> list[Json]:
    found: dict[str, Json] = {}
    for item in items:
        found.setdefault(_spelled(item), item)
    return list(found.values())


def _spelled(item: Json) -> str:
    """Return what is the same text for the same value: lists of thousands are not compared each with each."""
    return json.dumps(item, sort_keys=True)


def _flatten(items: list[Json]) -> list[Json]:
    return [inner for item in items for inner in (item if isinstance(item, list) else [item])]


def _items(table: dict[str, Json]) -> list[Json]:
    return [{"key": key, "value": table[key]} for key in sorted(table)]


def _index_of(text: Json, part: Json) -> int:
    if isinstance(text, list):
        return text.index(part) if part in text else -1
    return int(text.lower().find(part.lower()))


def _last_index_of(text: Json, part: Json) -> int:
    if isinstance(text, list):
        return len(text) - 1 - text[::-1].index(part) if part in text else -1
    return int(text.lower().rfind(part.lower()))


def _split(text: str, marks: Json) -> list[str]:
    first, *others = [marks] if isinstance(marks, str) else marks
    for other in others:
        text = text.replace(other, first)
    return text.split(first)


def _try_get(value: Json, *path: Json) -> Json:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _range(start: int, count: int) -> list[int]:
    if not 0 <= count <= _RANGE_LIMIT:
        raise ValueError(f"the count must be from 0 to {_RANGE_LIMIT}: got {count}")
    return list(range(start, start + count))


def _data_uri(text: str) -> str:
    return f"data:text/plain;charset=utf8;base64,{_encoded(text)}"


def _data_of(uri: str) -> str:
    head, _, data = uri.partition(",")
    return _decoded(data) if head.endswith(";base64") else unquote(data)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


def _div(one: int, other: int) -> int:
    if other == 0:
        raise ValueError("a number cannot be divided by 0")
    quotient = abs(one) // abs(other)  # towards zero, as in .NET
    return quotient if (one < 0) == (other < 0) else -quotient


def _bool(value: Json) -> bool:
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _substring(text: str, start: int, length: int | None = None) -> str:
    if start > len(text):
        raise ValueError(f"{start} is behind the end of {text!r}")
    return text[start:] if length is None else text[start : start + length]


def _object(*pairs: Json) -> dict[str, Json]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _if(condition: Lazy, yes: Lazy, no: Lazy) -> Json:
    return yes() if condition() else no()


def _coalesce(*values: Lazy) -> Json:
    return next((found for value in values if (found := value()) is not None), None)


PURE: Mapping[str, Callable[..., Json]] = {
    "add": _reckoned(lambda a, b: a + b),
    "and": lambda *values: all(value() for value in values),
    "array": lambda value: value if isinstance(value, list) else [value],
    "base64": _encoded,
    "base64ToJson": lambda text: json.loads(_decoded(text)),
    "base64ToString": _decoded,
    "bool": _bool,
    "coalesce": _coalesce,
    "concat": _concat,
    "contains": _contains,
    "createArray": lambda *items: list(items),
    "createObject": _object,
    "dataUri": _data_uri,
    "dataUriToString": _data_of,
    "dateTimeAdd": dates.added,
    "dateTimeFromEpoch": dates.from_epoch,
    "dateTimeToEpoch": dates.to_epoch,
    "div": _reckoned(_div),
    "empty": lambda value: not value,
    "endsWith": lambda text, tail: text.lower().endswith(tail.lower()),
    "equals": _equals,
    "false": lambda: False,
    "first": lambda value: value[0] if value else None,
    "flatten": _flatten,
    "float": float,
    "format": _format,
    "greater": lambda a, b: a > b,
    "greaterOrEquals": lambda a, b: a >= b,
    "guid": lambda *seeds: str(uuid.uuid5(_NAMESPACE, "-".join(seeds))),
    "if": _if,
    "indexOf": _index_of,
    "int": int,
    "intersection": _intersection,
    "items": _items,
    "join": _joined,
    "json": json.loads,
    "last": lambda value: value[-1] if value else None,
    "lastIndexOf": _last_index_of,
    "length": len,
    "less": lambda a, b: a < b,
    "lessOrEquals": lambda a, b: a <= b,
    "max": lambda *values: max(values[0] if len(values) == 1 else values),
    "min": lambda *values: min(values[0] if len(values) == 1 else values),
    "mod": _reckoned(lambda a, b: a - b * _div(a, b)),
    "mul": _reckoned(lambda a, b: a * b),
    "not": lambda value: not value,
    "null": lambda: None,
    "objectKeys": lambda table: sorted(table),
    "or": lambda *values: any(value() for value in values),
    "padLeft": _padded,
    "range": _range,
    "replace": _replaced,
    "skip": lambda value, count: value[count:],
    "shallowMerge": lambda parts: {key: value for part in parts for key, value in part.items()},
    "split": _split,
    "startsWith": lambda text, head: text.lower().startswith(head.lower()),
    "string": _string,
    "sub": _reckoned(lambda a, b: a - b),
    "substring": _substring,
    "take": lambda value, count: value[:count],
    "toLower": str.lower,
    "toUpper": str.upper,
    "trim": str.strip,
    "true": lambda: True,
    "tryGet": _try_get,
    "union": _union,
    "uniqueString": unique_string,
    "uri": lambda base, relative: urljoin(base, relative),
    "uriComponent": lambda text: quote(text, safe=""),
    "uriComponentToString": unquote,
}
