"""The checks that schemas are made of. A wrong value raises FileFailure with file, line, field and what would be
right; a field nobody knows is kept, with a warning when it looks like a typo of a known one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrepot.client.failures import FileFailure
from entrepot.client.files import Document, Place, SetText, scalar, type_text

Json = Any
REFERENCE = (
    "azureml:",
    "http://",
    "https://",
    "wasb://",
    "wasbs://",
    "abfs://",
    "abfss://",
    "adl://",
    "runs:/",
    "git+",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A document that is being checked, and the warnings so far."""

    document: Document
    warnings: list[str] = field(default_factory=list)


Check = Callable[[Reading, Place, Json], Json]


def check(document: Document, schema: Check) -> tuple[dict[str, Json], list[str]]:
    """Return (the document's values in the right types, warnings). Raises FileFailure."""
    reading = Reading(document)
    return schema(reading, (), document.data), reading.warnings


def is_reference(text: str) -> bool:
    """Say whether a text refers to something that is not a local path."""
    return text.startswith(REFERENCE)


def anything(_: Reading, __: Place, value: Json) -> Json:
    """Accept any value as it is."""
    return _plain(value)


def text(example: str = "") -> Check:
    """Accept text; numbers, dates and truth values count as they are written in the file."""

    def check_text(reading: Reading, place: Place, value: Json) -> Json:
        if value is None or isinstance(value, dict | list):
            raise reading.document.wrong(place, f"must be text{_such(example)}, not {type_text(value)}")
        return _written(reading, place, value)

    return check_text


def optional(inner: Check) -> Check:
    """Accept nothing, or what the inner check accepts."""
    return lambda reading, place, value: None if value is None else inner(reading, place, value)


def integer(reading: Reading, place: Place, value: Json) -> Json:
    """Accept a whole number."""
    value = scalar(value) if isinstance(value, SetText) else value
    if isinstance(value, bool) or not isinstance(value, int):
        raise reading.document.wrong(place, f"must be a whole number such as 3, not {type_text(value)}")
    return value


def number(reading: Reading, place: Place, value: Json) -> Json:
    """Accept a number."""
    value = scalar(value) if isinstance(value, SetText) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise reading.document.wrong(place, f"must be a number such as 0.5, not {type_text(value)}")
    return value


def boolean(reading: Reading, place: Place, value: Json) -> Json:
    """Accept true or false."""
    value = scalar(value.lower()) if isinstance(value, SetText) else value
    if not isinstance(value, bool):
        raise reading.document.wrong(place, f"must be true or false, not {type_text(value)}")
    return value


def literal(reading: Reading, place: Place, value: Json) -> Json:
    """Accept text, a number or a truth value, each kept in its type; --set gives what YAML would read."""
    if isinstance(value, SetText):
        return scalar(value)
    if isinstance(value, dict | list):
        raise reading.document.wrong(place, f"must be a plain value such as 3 or some text, not {type_text(value)}")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return _written(reading, place, value)


def one_of(*words: str) -> Check:
    """Accept one of the words, whatever their case."""

    def check_word(reading: Reading, place: Place, value: Json) -> Json:
        by_lower = {word.lower(): word for word in words}
        found = by_lower.get(str(value).lower().replace("-", "_")) or by_lower.get(str(value).lower())
        if isinstance(value, dict | list) or found is None:
            raise reading.document.wrong(place, f"must be one of {', '.join(words)}, not {type_text(value)}")
        return found

    return check_word


def items(inner: Check, *, example: str = "") -> Check:
    """Accept a list of what the inner check accepts."""

    def check_items(reading: Reading, place: Place, value: Json) -> Json:
        if not isinstance(value, list):
            raise reading.document.wrong(place, f"must be a list{_such(example)}, not {type_text(value)}")
        return [inner(reading, (*place, index), item) for index, item in enumerate(value)]

    return check_items


def table(inner: Check, *, example: str = "", name_rule: str = "") -> Check:
    """Accept a mapping with free names; `name_rule` is a pattern that the names must follow."""

    def check_table(reading: Reading, place: Place, value: Json) -> Json:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise reading.document.wrong(place, f"must be a mapping{_such(example)}, not {type_text(value)}")
        for name in value:
            if name_rule and not re.fullmatch(name_rule, str(name)):
                raise reading.document.wrong(
                    (*place, str(name)), f"{name!r} cannot be a name here: use letters, digits and '_', a letter first"
                )
        return {str(name): inner(reading, (*place, str(name)), item) for name, item in value.items()}

    return check_table


def fields(spec: Mapping[str, Check], *, required: Sequence[str] = (), what: str = "the file") -> Check:
    """Accept a mapping with known fields; others are kept, with a warning when one looks like a typo."""

    def check_fields(reading: Reading, place: Place, value: Json) -> Json:
        if not isinstance(value, dict):
            example = ", ".join(f"{name}: ..." for name in (required or list(spec)[:2]))
            raise reading.document.wrong(place, f"must be a mapping of fields ({example}), not {type_text(value)}")
        result: dict[str, Json] = {}
        for name, item in value.items():
            inner = spec.get(str(name))
            if inner is None:
                _suspect(reading, (*place, str(name)), str(name), spec)
            result[str(name)] = (inner or anything)(reading, (*place, str(name)), item)
        for name in required:
            if result.get(name) is None:
                raise _missing(reading, place, name, what, [word for word in result if word not in spec])
        return result

    return check_fields


def either(*, plain: Check, nested: Check) -> Check:
    """Accept a plain value by one check, a mapping by the other."""
    return lambda reading, place, value: (nested if isinstance(value, dict) else plain)(reading, place, value)


def reference_or_path(example: str) -> Check:
    """Accept a reference (azureml:..., https:...) as it is, or a local path, which must exist."""

    def check_path(reading: Reading, place: Place, value: Json) -> Json:
        plain = text(example)(reading, place, value)
        if not is_reference(plain):
            reading.document.resolve(plain, place)
        return plain

    return check_path


def tags() -> Check:
    """Accept names with texts."""
    return table(text("prod"), example="such as {team: taxi}")


def _such(example: str) -> str:
    return f" {example}" if example.startswith("such as") else f" such as {example}" if example else ""


def _written(reading: Reading, place: Place, value: Json) -> str:
    if isinstance(value, str):
        return str(value)
    return reading.document.as_written(place) or str(value)


def _missing(reading: Reading, place: Place, name: str, what: str, unknown: list[str]) -> FileFailure:
    import difflib

    meant = difflib.get_close_matches(name, unknown, n=1, cutoff=0.75)
    if meant:
        return reading.document.wrong(
            (*place, meant[0]), f"{what} needs the field {name!r}; is {meant[0]!r} a typo of it?"
        )
    return reading.document.wrong(place, f"{what} needs the field {name!r}: write `{name}: ...`")


def _plain(value: Json) -> Json:
    return scalar(value) if isinstance(value, SetText) else value


def _suspect(reading: Reading, place: Place, name: str, spec: Mapping[str, Check]) -> None:
    if name.startswith("$"):
        return
    import difflib

    close = difflib.get_close_matches(name, [known for known in spec if known != name], n=1, cutoff=0.75)
    if close:
        reading.warnings.append(f"{reading.document.at(place)}: nobody knows this field; did you mean {close[0]!r}?")
