"""When a schedule fires next: cron expressions and recurrences in a time zone, read from ARM's `trigger`. Pure.

Local times that a clock change leaves out or repeats fire once. Of NCronTab's spellings the five fields are read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from entrepot.core.errors import InvalidRequest

Json = Any

_WEEK_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FREQUENCIES = ("minute", "hour", "day", "week", "month")
_SECONDS = {"minute": 60, "hour": 3600}
_MOST_PERIODS = 1200  # empty ones in a row, such as months without a day 31, after which nothing is to come
_LARGEST_INTERVAL = 1000


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger, read. Times are epoch seconds; `expression` for cron, the rest for recurrences."""

    zone: tzinfo
    start: float | None
    end: float | None
    expression: str = ""
    frequency: str = ""
    interval: int = 1
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    week_days: tuple[int, ...] = ()  # Monday is 0
    month_days: tuple[int, ...] = ()


def read_trigger(body: Mapping[str, Json]) -> Trigger:
    """Read a trigger. Raises InvalidRequest that says what would be right."""
    kind = str(body.get("triggerType") or "").lower()
    if kind not in ("cron", "recurrence"):
        raise InvalidRequest(f"triggerType must be Cron or Recurrence: got {body.get('triggerType')!r}")
    zone = _zone(str(body.get("timeZone") or "UTC"))
    start, end = _moment(body.get("startTime"), zone, "startTime"), _moment(body.get("endTime"), zone, "endTime")
    if start is not None and end is not None and end <= start:
        raise InvalidRequest("A trigger's endTime has to be after its startTime")
    if kind == "cron":
        trigger = Trigger(zone, start, end, expression=str(body.get("expression") or ""))
        _check_expression(trigger)
        return trigger
    frequency, interval = str(body.get("frequency") or "").lower(), body.get("interval", 1)
    if frequency not in _FREQUENCIES:
        raise InvalidRequest(f"frequency must be one of {', '.join(_FREQUENCIES)}: got {body.get('frequency')!r}")
    if not isinstance(interval, int) or isinstance(interval, bool) or not 1 <= interval <= _LARGEST_INTERVAL:
        raise InvalidRequest(f"interval must be a whole number from 1 to {_LARGEST_INTERVAL}: got {interval!r}")
    pattern = body.get("schedule") or {}
    return Trigger(
        zone, start, end, frequency=frequency, interval=interval,
        hours=_numbers(pattern, "hours", 0, 23), minutes=_numbers(pattern, "minutes", 0, 59),
        week_days=_days(pattern), month_days=_numbers(pattern, "monthDays", 1, 31),
    )  # fmt: skip


def next_time(trigger: Trigger, *, after: float, created: float) -> float | None:
    """Return the first time later than `after` at which the trigger fires; None when there is none any more.

    `created` stands in for a start time that was not given.
    """
    start = created if trigger.start is None else trigger.start
    if trigger.expression:
        after = max(after, start - 1) if trigger.start is not None else after
        found = _next_cron(trigger, after)
    elif trigger.frequency in _SECONDS:
        step = trigger.interval * _SECONDS[trigger.frequency]
        found = start + max(0, (after - start) // step + 1) * step
    else:
        found = _next_recurrence(trigger, after, start)
    return None if found is None or (trigger.end is not None and found > trigger.end) else found


def _next_cron(trigger: Trigger, after: float) -> float | None:
    from cronsim import CronSim  # commands and servers without schedules need not know it

    found = next(CronSim(trigger.expression, datetime.fromtimestamp(after, trigger.zone)), None)
    return found.timestamp() if found else None  # it looks 50 years ahead


def _check_expression(trigger: Trigger) -> None:
    from cronsim import CronSimError

    example = "write minute, hour, day, month and day of the week, such as 0 8 * * 1-5"
    if len(trigger.expression.split()) != 5:
        raise InvalidRequest(f"{trigger.expression!r} is not a cron expression of five fields: {example}")
    try:
        _next_cron(trigger, 0)
    except CronSimError as error:
        raise InvalidRequest(f"{trigger.expression!r} is not a cron expression ({error}): {example}") from error


def _next_recurrence(trigger: Trigger, after: float, start: float) -> float | None:
    first = datetime.fromtimestamp(start, trigger.zone)
    start = first.timestamp()  # in the calendar's whole microseconds: a finer start is later than its own first time
    clock = [time(hour, minute) for hour in trigger.hours or (first.hour,) for minute in _minutes(trigger, first)]
    exact = first.time() if not (trigger.hours or trigger.minutes) else None
    times = sorted(clock) if exact is None else [exact]
    current = datetime.fromtimestamp(max(after, start), trigger.zone).date()
    period = max(0, _periods_between(trigger, first.date(), current) // trigger.interval - 1)
    for _ in range(_MOST_PERIODS):
        for day in _days_of_period(trigger, first.date(), period):
            for moment in times:
                found = datetime.combine(day, moment, trigger.zone).timestamp()
                if found > after and found >= start:
                    return found
        period += 1
    return None


def _minutes(trigger: Trigger, first: datetime) -> tuple[int, ...]:
    return trigger.minutes or ((0,) if trigger.hours else (first.minute,))


def _periods_between(trigger: Trigger, first: date, current: date) -> int:
    if trigger.frequency == "month":
        return (current.year - first.year) * 12 + current.month - first.month
    days = (current - first).days
    return days // 7 if trigger.frequency == "week" else days


def _days_of_period(trigger: Trigger, first: date, period: int) -> Iterator[date]:
    """Yield the days of a period on which the trigger fires, in order."""
    offset = period * trigger.interval
    if trigger.frequency == "day":
        yield first + timedelta(days=offset)
    elif trigger.frequency == "week":
        monday = first - timedelta(days=first.weekday()) + timedelta(weeks=offset)
        for day in sorted(trigger.week_days or (first.weekday(),)):
            yield monday + timedelta(days=day)
    else:
        years, month = divmod(first.month - 1 + offset, 12)
        for day in sorted(trigger.month_days or (first.day,)):
            try:
                yield date(first.year + years, month + 1, day)
            except ValueError:
                continue  # a month that has no such day


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from tzlocal.windows_tz import win_tz  # Azure ML names time zones as Windows does

    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(win_tz.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"There is no time zone {name!r}: write UTC, Pacific Standard Time or Europe/Berlin, for example"
        ) from None


def _moment(text: Json, zone: tzinfo, name: str) -> float | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise InvalidRequest(f"{name} must be a time such as 2026-11-23T10:00:00: got {text!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()


def _numbers(pattern: Mapping[str, Json], name: str, low: int, high: int) -> tuple[int, ...]:
    values = pattern.get(name) or ()
    if any(not isinstance(value, int) or not low <= value <= high for value in values):
        raise InvalidRequest(f"{name} must be whole numbers from {low} to {high}: got {values!r}")
    return tuple(values)


def _days(pattern: Mapping[str, Json]) -> tuple[int, ...]:
    names = [str(day).lower() for day in pattern.get("weekDays") or ()]
    if strange := [name for name in names if name not in _WEEK_DAYS]:
        raise InvalidRequest(f"weekDays are {', '.join(_WEEK_DAYS)}: got {strange[0]!r}")
    return tuple(_WEEK_DAYS.index(name) for name in names)
