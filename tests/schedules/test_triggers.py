"""When triggers fire: cron and recurrences, time zones, clock changes, starts and ends."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from entrepot.core.errors import InvalidRequest
from entrepot.domain.schedules.triggers import next_time, read_trigger


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def times(body: dict[str, Any], after: str, count: int = 3, *, created: str = "2026-01-01T00:00:00") -> list[str]:
    trigger, now, found = read_trigger(body), at(after), []
    for _ in range(count):
        moment = next_time(trigger, after=now, created=at(created))
        if moment is None:
            break
        assert moment > now
        found.append(datetime.fromtimestamp(moment, UTC).strftime("%m-%d %H:%M"))
        now = moment
    return found


def cron(expression: str, **more: Any) -> dict[str, Any]:
    return {"triggerType": "Cron", "expression": expression, **more}


def recurrence(frequency: str, interval: int = 1, **more: Any) -> dict[str, Any]:
    return {"triggerType": "Recurrence", "frequency": frequency, "interval": interval, **more}


def test_cron_fires_in_its_time_zone() -> None:
    assert times(cron("30 8 * * 1-5"), "2026-11-20T09:00:00") == ["11-23 08:30", "11-24 08:30", "11-25 08:30"]
    berlin = cron("30 8 * * *", timeZone="Europe/Berlin")
    assert times(berlin, "2026-10-23T12:00:00") == ["10-24 06:30", "10-25 07:30", "10-26 07:30"]
    assert times(cron("0 8 * * *", timeZone="Pacific Standard Time"), "2026-01-02T00:00:00", 1) == ["01-02 16:00"]


def test_cron_heeds_start_and_end() -> None:
    body = cron("0 * * * *", startTime="2026-03-01T12:00:00", endTime="2026-03-01T13:30:00")
    assert times(body, "2026-01-01T00:00:00") == ["03-01 12:00", "03-01 13:00"]


def test_short_recurrences_count_from_their_start() -> None:
    body = recurrence("Minute", 20, startTime="2026-01-01T00:05:00")
    assert times(body, "2026-01-01T00:30:00") == ["01-01 00:45", "01-01 01:05", "01-01 01:25"]
    assert times(recurrence("Hour", 5), "2025-12-31T23:59:59", 2) == ["01-01 00:00", "01-01 05:00"]


@given(created=some.floats(min_value=1.7e9, max_value=1.9e9))
def test_a_recurrence_made_at_any_fraction_of_a_second_fires_first_when_it_is_made(created: float) -> None:
    for frequency in ("Minute", "Hour", "Day", "Week", "Month"):
        first = next_time(read_trigger(recurrence(frequency)), after=created - 1e-3, created=created)
        assert first is not None and abs(first - created) < 1e-3


def test_days_fire_at_the_hours_and_minutes_of_the_pattern() -> None:
    body = recurrence("Day", 2, schedule={"hours": [4, 20], "minutes": [0, 30]}, startTime="2026-01-01T05:00:00")
    assert times(body, "2025-01-01T00:00:00", 4) == ["01-01 20:00", "01-01 20:30", "01-03 04:00", "01-03 04:30"]


def test_weeks_fire_on_their_days() -> None:
    pattern = {"hours": [10], "minutes": [15], "weekDays": ["Friday", "Monday"]}
    body = recurrence("Week", 2, schedule=pattern, startTime="2026-01-01T00:00:00")  # a Thursday
    assert times(body, "2026-01-01T00:00:00") == ["01-02 10:15", "01-12 10:15", "01-16 10:15"]


def test_months_leave_out_days_that_they_do_not_have() -> None:
    body = recurrence("Month", 1, schedule={"hours": [1], "minutes": [0], "monthDays": [31]})
    assert times(body, "2026-01-01T00:00:00") == ["01-31 01:00", "03-31 01:00", "05-31 01:00"]


def test_without_a_pattern_the_time_of_the_start_is_kept() -> None:
    body = recurrence(
        "Day", 1, schedule={"hours": [], "minutes": []}, startTime="2026-03-28T08:30:00", timeZone="Europe/Berlin"
    )
    assert times(body, "2026-03-01T00:00:00") == ["03-28 07:30", "03-29 06:30", "03-30 06:30"]


@given(
    some.sampled_from(["minute", "hour", "day", "week", "month"]), some.integers(1, 40),
    some.lists(some.integers(0, 23), max_size=3), some.lists(some.integers(0, 59), max_size=3),
    some.floats(0, 4e8), some.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
)  # fmt: skip
def test_the_next_time_is_the_first_of_all(
    frequency: str, interval: int, hours: list[int], minutes: list[int], later: float, zone: str
) -> None:
    body = recurrence(frequency, interval, schedule={"hours": hours, "minutes": minutes}, timeZone=zone)
    trigger, created = read_trigger(body), at("2026-01-01T00:00:00")
    first = next_time(trigger, after=created + later, created=created)
    assert first is not None and first > created + later
    between = next_time(trigger, after=(created + later + first) / 2, created=created)
    assert between == first


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"triggerType": "Tide"}, "Cron or Recurrence"),
        (cron("* * * *"), "five fields"),
        (cron("61 * * * *"), "is not a cron expression"),
        (cron("0 0 30 2 *"), "day-of-month"),
        (cron("0 0 * * *", timeZone="Mars/Base"), "no time zone"),
        (cron("0 0 * * *", startTime="soon"), "startTime"),
        (cron("0 0 * * *", startTime="2026-01-02T00:00:00", endTime="2026-01-01T00:00:00"), "after its startTime"),
        (recurrence("Year"), "frequency"),
        (recurrence("Day", 0), "interval"),
        (recurrence("Day", schedule={"hours": [24]}), "hours"),
        (recurrence("Week", schedule={"weekDays": ["Funday"]}), "weekDays"),
    ],
)
def test_what_is_wrong_with_a_trigger_is_told(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_trigger(body)
