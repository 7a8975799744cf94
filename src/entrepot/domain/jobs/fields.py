"""How single fields of job bodies are read: either spelling of a name, durations, modes, literals."""

import re
from collections.abc import Mapping
from typing import Any

from entrepot.core.errors import InvalidRequest
from entrepot.core.ids import check_port_name

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z")
_MODES = {
    "readonlymount": "ro_mount",
    "readwritemount": "rw_mount",
    "evaldownload": "eval_download",
    "evalmount": "eval_mount",
}


def get(mapping: Mapping[str, Any], name: str) -> Any:
    """Return a field by its snake_case name, whichever of the two spellings it has; None when absent."""
    if name in mapping:
        return mapping[name]
    head, *rest = name.split("_")
    return mapping.get(head + "".join(part.capitalize() for part in rest))


def literal_text(value: Any) -> str:
    """Return a literal as azure-ai-ml writes it: True, 0.5, text."""
    return value if isinstance(value, str) else str(value)


def read_mode(mode: Any) -> str:
    """Return a mode's YAML spelling: `ReadOnlyMount` is ro_mount. Empty when not told."""
    text = str(mode or "").lower()
    return _MODES.get(text, text)


def read_duration(text: Any) -> float | None:
    """Return the seconds of an ISO 8601 duration such as PT1H; a bare number is seconds. Raises InvalidRequest."""
    if text is None:
        return None
    if isinstance(text, int | float):
        return float(text)
    match = _DURATION.match(str(text))
    if not match or not any(match.groups()):
        raise InvalidRequest(f"{text!r} is not a duration: write it as ISO 8601, such as PT1H or PT90S")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is a mapping, {} when absent. Raises InvalidRequest."""
    value = get(body, name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"`{name}` is {value!r}: write a mapping of names to values")
    return value


def ports(body: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    """Return a body's `inputs` or `outputs`, whose names become folders. Raises InvalidRequest, InvalidName."""
    found = mapping(body, side)
    for name in found:
        check_port_name(name, side=side)
    return found


def variables(body: Mapping[str, Any]) -> dict[str, str]:
    """Return environment variables as texts."""
    return {str(k): literal_text(v) for k, v in mapping(body, "environment_variables").items() if v is not None}


def reference(value: Any) -> str | None:
    """Return a reference as text, None when empty."""
    return str(value) if value else None


def boolean(value: Any) -> bool:
    """Read a boolean, which clients may write as text."""
    return value if isinstance(value, bool) else str(value).lower() in ("true", "1", "yes")


def number(value: Any) -> float | None:
    """Read a number, None when absent. Raises InvalidRequest."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidRequest(f"{value!r} is not a number") from None
