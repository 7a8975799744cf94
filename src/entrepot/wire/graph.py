"""Microsoft Graph on the wire: filters, collections and references, as far as `az` and Azure's SDKs use them. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

_TEXT = r"'((?:[^']|'')*)'"
_EQUALS = re.compile(rf"\(?\s*(\w+)\s+eq\s+(?:{_TEXT}|(true|false|null))\s*\)?", re.IGNORECASE)
_STARTS = re.compile(rf"startswith\(\s*(\w+)\s*,\s*{_TEXT}\s*\)", re.IGNORECASE)
_ANY = re.compile(rf"(\w+)/any\(\s*(\w+)\s*:\s*\2\s+eq\s+{_TEXT}\s*\)", re.IGNORECASE)
_IN = re.compile(rf"(\w+)\s+in\s+\(\s*({_TEXT}(?:\s*,\s*{_TEXT})*)\s*\)", re.IGNORECASE)
_JOIN = re.compile(r"\s+(and|or)\s+(?=(?:[^']*'[^']*')*[^']*$)", re.IGNORECASE)
_MOST_CONDITIONS = 30


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a filter: the field equals (or begins with) one of the values, whatever their case."""

    field: str
    values: tuple[str, ...]
    is_prefix: bool = False

    def holds(self, body: Mapping[str, Json]) -> bool:
        """Say whether it holds for an object."""
        names = {name.lower(): name for name in body}
        value = body.get(names.get(self.field.lower(), ""))
        found = [str(item).lower() for item in (value if isinstance(value, list) else [value])]
        wanted = [value.lower() for value in self.values]
        if self.is_prefix:
            return any(text.startswith(word) for text in found for word in wanted)
        return any(text in wanted for text in found)


@dataclass(frozen=True, slots=True)
class Filter:
    """A `$filter`: conditions of which all must hold, or any."""

    conditions: tuple[Condition, ...] = ()
    is_any: bool = False

    def admits(self, body: Mapping[str, Json]) -> bool:
        """Say whether an object passes."""
        held = (condition.holds(body) for condition in self.conditions)
        return (any(held) if self.is_any else all(held)) if self.conditions else True

    def exact(self, *fields: str) -> str | None:
        """Return the one value that a filter of one comparison wants of one of these fields."""
        if len(self.conditions) != 1:
            return None
        condition = self.conditions[0]
        is_named = condition.field.lower() in {field.lower() for field in fields}
        return condition.values[0] if is_named and not condition.is_prefix and len(condition.values) == 1 else None


def read_filter(text: str) -> Filter:
    """Read a `$filter`. Raises InvalidRequest for what is not understood."""
    if not text.strip():
        return Filter()
    parts = _JOIN.split(text.strip())
    joins = {word.lower() for word in parts[1::2]}
    if len(joins) > 1 or len(parts) > 2 * _MOST_CONDITIONS:
        raise InvalidRequest(f"$filter {text[:200]!r}: join up to {_MOST_CONDITIONS} comparisons by 'and' or by 'or'")
    return Filter(tuple(_condition(part) for part in parts[::2]), is_any=joins == {"or"})


def _condition(text: str) -> Condition:
    text = text.strip()
    if found := _EQUALS.fullmatch(text):
        return Condition(found[1], (_plain(found[2]) if found[2] is not None else found[3],))
    if found := _STARTS.fullmatch(text):
        return Condition(found[1], (_plain(found[2]),), is_prefix=True)
    if found := _ANY.fullmatch(text):
        return Condition(found[1], (_plain(found[3]),))
    if found := _IN.fullmatch(text):
        return Condition(found[1], tuple(_plain(word) for word in re.findall(_TEXT, found[2])))
    raise InvalidRequest(
        f"$filter {text[:200]!r} is not understood: write field eq 'value', startswith(field,'value'), "
        "field in ('a','b') or field/any(x:x eq 'value')"
    )


def _plain(text: str) -> str:
    return text.replace("''", "'")


_EMPTY: Mapping[str, Mapping[str, Json]] = {
    "user": dict.fromkeys(
        ("givenName", "jobTitle", "mobilePhone", "officeLocation", "preferredLanguage", "surname", "mailNickname")
    ),
    "application": {"appRoles": [], "requiredResourceAccess": [], "tags": []},
    "servicePrincipal": {"appRoles": [], "tags": []},
}


def typed(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return an object as collections of one type show it: without its type, with what it does not have as empty."""
    kind = str(body["@odata.type"]).rpartition(".")[2]
    shown = {**_EMPTY.get(kind, {}), **body}
    del shown["@odata.type"]
    return shown


def collection(values: Sequence[Json], *, next_link: str | None = None) -> dict[str, Json]:
    """Return a collection's body."""
    body: dict[str, Json] = {"value": list(values)}
    if next_link:
        body["@odata.nextLink"] = next_link
    return body


def reference(body: Mapping[str, Json]) -> str:
    """Return the id of the object that a `$ref` body points at. Raises InvalidRequest."""
    address = body.get("@odata.id")
    if not isinstance(address, str) or not address.strip("/"):
        raise InvalidRequest("The body must have '@odata.id', the address of a directory object", target="@odata.id")
    return address.rstrip("/").rpartition("/")[2]


def texts(body: Mapping[str, Json], field: str) -> list[str]:
    """Return a list of texts of a body. Raises InvalidRequest."""
    value = body.get(field)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value) or len(value) > 1000:
        raise InvalidRequest(f"{field} must be a list of up to 1000 texts", target=field)
    return value
