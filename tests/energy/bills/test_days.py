from datetime import timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from energy.bills.days import Stretch, day_starts, day_text, months, parse_day, stretch
from tangle.errors import InvalidError

QUARTER_MS = 15 * 60_000


@pytest.mark.parametrize(
    ("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100), ("2026-11-01", 96)]
)
def test_a_local_day_has_as_many_quarter_hours_as_its_clock_says(day: str, quarters: int) -> None:
    starts = day_starts(stretch(day, day), ZoneInfo("Europe/Athens"))

    assert starts[1] - starts[0] == quarters * QUARTER_MS


def test_days_follow_each_other_without_a_gap() -> None:
    whole = stretch("2026-01-01", "2026-12-31")

    starts = day_starts(whole, ZoneInfo("Europe/Athens"))

    assert len(starts) == 366
    assert starts == sorted(set(starts))
    assert starts[-1] - starts[0] == 365 * 96 * QUARTER_MS


def test_a_day_that_begins_with_a_jump_of_the_clock_begins_when_it_jumps() -> None:
    # Beirut puts its clocks forward at midnight: that day has no 00:00
    starts = day_starts(stretch("2025-03-29", "2025-03-31"), ZoneInfo("Asia/Beirut"))

    assert [(after - start) // QUARTER_MS for start, after in pairwise(starts)] == [
        96,
        92,
        96,
    ]


def test_days_of_a_fixed_offset_begin_at_its_midnight() -> None:
    zone = timezone(timedelta(hours=2))

    assert day_starts(stretch("1970-01-02", "1970-01-02"), zone)[0] == 22 * 3_600_000


def test_a_day_is_read_back_as_it_is_written() -> None:
    assert day_text(parse_day("2024-02-29")) == "2024-02-29"
    assert parse_day("1970-01-01") == 0


@pytest.mark.parametrize(
    "text", ["2026-02-30", "20261101", "2026-W45-1", "1969-12-31", "9999-12-31", "", "2026-11-1"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="must be YYYY-MM-DD"):
        parse_day(text)


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidError, match="ends before it begins"):
        stretch("2026-11-02", "2026-11-01")


def test_months_cut_a_stretch_at_their_ends() -> None:
    found = list(months(stretch("2024-01-31", "2024-03-02")))

    assert [(day_text(part.first_day), len(part.days), length) for part, length in found] == [
        ("2024-01-31", 1, 31),
        ("2024-02-01", 29, 29),
        ("2024-03-01", 2, 31),
    ]
    assert found[0][0] == Stretch(parse_day("2024-01-31"), parse_day("2024-02-01"))
