"""Times as templates write them: .NET formats, ISO 8601 durations. Pure."""

import calendar
import re
from datetime import datetime, timedelta

from entrepot.core.clock import UTC

_DURATION = re.compile(
    r"(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_NET = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "dddd": "%A", "ddd": "%a", "dd": "%d", "HH": "%H",
    "hh": "%I", "mm": "%M", "ss": "%S", "tt": "%p", "fffffff": "%f0", "ffffff": "%f",
}  # fmt: skip
_WORD = re.compile("|".join(sorted(_NET, key=len, reverse=True)) + r"|'[^']*'|fff|d|M")
_ROUND_TRIP = "yyyy-MM-ddTHH:mm:ss.fffffffZ"
_STANDARD = {
    "o": _ROUND_TRIP,
    "O": _ROUND_TRIP,
    "u": "yyyy-MM-dd HH:mm:ssZ",
    "s": "yyyy-MM-ddTHH:mm:ss",
    "d": "MM/dd/yyyy",
}


def formatted(epoch_s: float, form: str) -> str:
    """Return a time in a .NET format, by default of the day as templates use it."""
    return _formatted(datetime.fromtimestamp(epoch_s, UTC), form)


def _formatted(moment: datetime, form: str) -> str:
    def word(match: re.Match[str]) -> str:
        text = match[0]
        if text.startswith("'"):
            return text[1:-1]
        if text == "fff":
            return f"{moment.microsecond // 1000:03d}"
        if text in ("d", "M"):
            return str(moment.day if text == "d" else moment.month)
        return moment.strftime(_NET[text])

    return _WORD.sub(word, _STANDARD.get(form, form))


def read(text: str) -> datetime:
    """Return the time that a text tells; one without a zone is in UTC."""
    compact = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z?", text)
    if compact:
        text = "{}-{}-{}T{}:{}:{}Z".format(*compact.groups())
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def added(base: str, duration: str, form: str = "yyyy-MM-ddTHH:mm:ssZ") -> str:
    """Return a time moved by an ISO 8601 duration, which may be negative."""
    match = _DURATION.fullmatch(duration)
    if not match or duration.rstrip("-PT") == "":
        raise ValueError(f"{duration!r} is no ISO 8601 duration such as P1DT12H")
    sign = -1 if match[1] else 1
    years, months, weeks, days, hours, minutes = (int(part or 0) * sign for part in match.groups()[1:7])
    moment = read(base)
    month = moment.year * 12 + moment.month - 1 + years * 12 + months
    year, month = divmod(month, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    moved = moment.replace(year=year, month=month + 1, day=day)
    seconds = float(match[8] or 0) * sign
    return _formatted(moved + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds), form)


def to_epoch(text: str) -> int:
    """Return a time as whole seconds since the epoch."""
    return int(read(text).timestamp())


def from_epoch(seconds: int) -> str:
    """Return whole seconds since the epoch as ISO 8601."""
    return formatted(seconds, "yyyy-MM-ddTHH:mm:ssZ")
