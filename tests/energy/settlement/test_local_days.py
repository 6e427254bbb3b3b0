"""Periods by local days and by the clock."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from energy.settlement.local_days import days_in, period_at, period_start_ms, until_midnight
from energy.settlement.slots import SLOT_MS, Period
from energy.units import DAY_MS, HOUR_MS, MINUTE_MS

ATHENS = ZoneInfo("Europe/Athens")


def ms(*moment: int, zone: ZoneInfo | None = None) -> int:
    return int(datetime(*moment, tzinfo=zone or UTC).timestamp()) * 1_000  # type: ignore[misc, arg-type] # year to minute


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        pytest.param((2026, 3, 29), 92, id="clocks go forward"),
        pytest.param((2026, 6, 1), 96, id="as most"),
        pytest.param((2026, 10, 25), 100, id="clocks go back"),
    ],
)
def test_a_day_is_that_of_the_community(day: tuple[int, int, int], slots: int) -> None:
    midnight_ms = ms(*day, zone=ATHENS)

    period = period_at(midnight_ms, DAY_MS, ATHENS)

    assert (period.start_ms, len(period.slots)) == (midnight_ms, slots)
    assert period_start_ms(period.end_ms - 1, DAY_MS, ATHENS) == midnight_ms
    assert period_start_ms(period.end_ms, DAY_MS, ATHENS) == period.end_ms


def test_several_days_follow_each_other_without_gaps() -> None:
    start_ms = period_start_ms(ms(2026, 3, 25, 11), 7 * DAY_MS, ATHENS)

    first = period_at(start_ms, 7 * DAY_MS, ATHENS)
    second = period_at(first.end_ms, 7 * DAY_MS, ATHENS)

    assert first.start_ms <= ms(2026, 3, 25, 11) < first.end_ms
    assert {len(first.slots), len(second.slots)} == {7 * 96, 7 * 96 - 4}


@pytest.mark.parametrize(
    ("period_ms", "slot_ms"),
    [(15 * MINUTE_MS, SLOT_MS), (HOUR_MS, SLOT_MS), (MINUTE_MS, MINUTE_MS), (40_000, 20_000)],
)
def test_shorter_periods_are_those_of_the_clock(period_ms: int, slot_ms: int) -> None:
    start_ms = period_start_ms(ms(2026, 3, 29, 1, 7), period_ms, ATHENS)

    period = period_at(start_ms, period_ms, ATHENS)

    assert start_ms % period_ms == 0
    assert period.end_ms - period.start_ms == period_ms
    assert period.slot_ms == slot_ms


def test_after_a_change_of_the_period_the_first_one_is_shorter() -> None:
    noon_ms = ms(2026, 6, 1, 12, zone=ATHENS)

    period = period_at(noon_ms, DAY_MS, ATHENS)

    assert (period.start_ms, period.end_ms) == (noon_ms, ms(2026, 6, 2, zone=ATHENS))


def test_a_long_period_is_cut_at_its_first_midnight() -> None:
    start_ms = ms(2026, 3, 28, 11, zone=ATHENS)
    week = Period(start_ms, ms(2026, 4, 3, zone=ATHENS))

    first = until_midnight(week, ATHENS)
    second = until_midnight(Period(first.end_ms, week.end_ms), ATHENS)

    assert (first.start_ms, first.end_ms) == (start_ms, ms(2026, 3, 29, zone=ATHENS))
    assert len(second.slots) == 92
    hour = period_at(start_ms, HOUR_MS, ATHENS)
    assert until_midnight(hour, ATHENS) == hour


def test_the_days_of_a_period_are_those_of_the_place() -> None:
    period = Period(ms(2026, 3, 28, 23, zone=ATHENS), ms(2026, 3, 30, 1, zone=ATHENS))

    days = days_in(period, ATHENS)

    march_28 = date(2026, 3, 28).toordinal() - date(1970, 1, 1).toordinal()
    assert days.first_day == march_28
    assert [days.day_of(at) - march_28 for at in period.slots] == [0] * 4 + [1] * 92 + [2] * 4
