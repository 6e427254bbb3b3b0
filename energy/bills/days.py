"""Local days as numbers, and the moments at which they begin.

A day counts from 1970-01-01 on, as calendars do, so that a stretch of days is two numbers. A local
day has 92, 96 or 100 quarter-hours: it begins at a midnight, which the time zone tells.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from typing import Annotated, Final

import msgspec

from tangle.errors import InvalidError

MAX_DAY: Final = 2_932_895
"""The 30th of December 9999: a period may still end after it."""

Day = Annotated[int, msgspec.Meta(ge=0, le=MAX_DAY + 1)]
"""Days since 1970-01-01, in the calendar of the place."""

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days from the first on, up to and without the day after the last."""

    first_day: int
    after_day: int

    @property
    def days(self) -> range:
        """Every day of it."""
        return range(self.first_day, self.after_day)


def parse_day(text: str) -> int:
    """Return the day that `YYYY-MM-DD` names. Raises `InvalidError`."""
    rule = f"day {text[:40]!r}: must be YYYY-MM-DD, from 1970-01-01 to 9999-12-30"
    if not _DAY.fullmatch(text):
        raise InvalidError(rule)
    try:
        day = date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError as error:
        raise InvalidError(rule) from error
    if not 0 <= day <= MAX_DAY:
        raise InvalidError(rule)
    return day


def day_text(day: int) -> str:
    """Return a day as `YYYY-MM-DD`."""
    return _date(day).isoformat()


def stretch(first: str, last: str) -> Stretch:
    """Return the days from the one to the other, both included. Raises `InvalidError`."""
    found = Stretch(parse_day(first), parse_day(last) + 1)
    if not found.days:
        raise InvalidError(f"a period from {first} to {last}: it ends before it begins")
    return found


def month_stretch(text: str) -> Stretch:
    """Return the days of the month that `YYYY-MM` names. Raises `InvalidError`."""
    first = parse_day(f"{text}-01")
    at = _date(first)
    return Stretch(first, first + monthrange(at.year, at.month)[1])


def months(whole: Stretch) -> Iterator[tuple[Stretch, int]]:
    """Yield what of a stretch lies in each calendar month, and how many days that month has."""
    first = whole.first_day
    while first < whole.after_day:
        at = _date(first)
        length = monthrange(at.year, at.month)[1]
        after = min(first - at.day + 1 + length, whole.after_day)
        yield Stretch(first, after), length
        first = after


def day_starts(whole: Stretch, zone: tzinfo) -> list[int]:
    """Return when each day begins, ms since the Unix epoch, and last when the day after does.

    Where a clock is put forward at midnight, the day begins when it jumps.
    """
    return [_midnight_ms(day, zone) for day in range(whole.first_day, whole.after_day + 1)]


def _midnight_ms(day: int, zone: tzinfo) -> int:
    return int(datetime.combine(_date(day), time.min, zone).timestamp()) * 1_000


def _date(day: int) -> date:
    return date.fromordinal(day + _EPOCH)
