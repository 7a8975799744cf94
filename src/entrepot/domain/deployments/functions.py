"""The functions of ARM templates that need nothing but their arguments."""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

Json = Any
Lazy = Callable[[], Json]

_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")  # ARM's own for guid()


def unique_string(*seeds: str) -> str:
    """Return 13 characters that depend on the seeds only (not those that Azure would give)."""
    digest = hashlib.sha256("|".join(map(str, seeds)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:13]


def _format(text: str, *values: Json) -> str:
    for index, value in enumerate(values):
        text = text.replace("{" + str(index) + "}", _string(value))
    return text


def _string(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    return str(value) if isinstance(value, int) else json.dumps(value, separators=(",", ":"))


def _concat(*parts: Json) -> Json:
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
    if isinstance(parts[0], dict):
        return {key: value for part in parts for key, value in part.items()}
    return list(dict.fromkeys(item for part in parts for item in part))


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
    "add": lambda a, b: a + b,
    "and": lambda *values: all(value() for value in values),
    "array": lambda value: value if isinstance(value, list) else [value],
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "bool": _bool,
    "coalesce": _coalesce,
    "concat": _concat,
    "contains": _contains,
    "createArray": lambda *items: list(items),
    "createObject": _object,
    "div": lambda a, b: a // b,
    "empty": lambda value: not value,
    "endsWith": lambda text, tail: text.lower().endswith(tail.lower()),
    "equals": _equals,
    "false": lambda: False,
    "first": lambda value: value[0] if value else None,
    "format": _format,
    "greater": lambda a, b: a > b,
    "greaterOrEquals": lambda a, b: a >= b,
    "guid": lambda *seeds: str(uuid.uuid5(_NAMESPACE, "-".join(seeds))),
    "if": _if,
    "int": int,
    "join": lambda items, mark: mark.join(map(_string, items)),
    "json": json.loads,
    "last": lambda value: value[-1] if value else None,
    "length": len,
    "less": lambda a, b: a < b,
    "lessOrEquals": lambda a, b: a <= b,
    "max": lambda *values: max(values[0] if len(values) == 1 else values),
    "min": lambda *values: min(values[0] if len(values) == 1 else values),
    "mod": lambda a, b: a % b,
    "mul": lambda a, b: a * b,
    "not": lambda value: not value,
    "null": lambda: None,
    "or": lambda *values: any(value() for value in values),
    "replace": lambda text, old, new: text.replace(old, new),
    "skip": lambda value, count: value[count:],
    "split": lambda text, mark: text.split(mark),
    "startsWith": lambda text, head: text.lower().startswith(head.lower()),
    "string": _string,
    "sub": lambda a, b: a - b,
    "substring": _substring,
    "take": lambda value, count: value[:count],
    "toLower": str.lower,
    "toUpper": str.upper,
    "trim": str.strip,
    "true": lambda: True,
    "union": _union,
    "uniqueString": unique_string,
}
