"""Which settlement period a moment belongs to: where time zone data are read."""

from datetime import date, datetime, time
from math import gcd
from typing import Final
from zoneinfo import ZoneInfo

from energy.settlement.slots import SLOT_MS, LocalDays, Period
from energy.units import DAY_MS

_SECOND_MS: Final = 1_000
_EPOCH: Final = date(1970, 1, 1).toordinal()


def period_at(start_ms: int, period_ms: int, zone: ZoneInfo) -> Period:
    """Return the period that begins at `start_ms` and ends with the one it lies in.

    Whole days are local days, which have 92, 96 or 100 quarter-hours; several are counted from
    the first of January of the year 1. Anything else is counted in UTC from the Unix epoch.

    Args:
        start_ms: Ledger time up to which all is settled.
        period_ms: The community's settlement period.
        zone: Of the community.
    """
    if period_ms % DAY_MS:
        end_ms = (start_ms // period_ms + 1) * period_ms
    else:
        days = period_ms // DAY_MS
        today = datetime.fromtimestamp(start_ms // _SECOND_MS, zone).toordinal()
        end_ms = _midnight_ms((today // days + 1) * days, zone)
    return Period(start_ms, end_ms, gcd(SLOT_MS, end_ms - start_ms))


def period_start_ms(moment_ms: int, period_ms: int, zone: ZoneInfo) -> int:
    """Return when the period began that `moment_ms` lies in."""
    if period_ms % DAY_MS:
        return moment_ms // period_ms * period_ms
    days = period_ms // DAY_MS
    today = datetime.fromtimestamp(moment_ms // _SECOND_MS, zone).toordinal()
    return _midnight_ms(today // days * days, zone)


def until_midnight(period: Period, zone: ZoneInfo) -> Period:
    """Return the part of a period before the first local midnight after its start."""
    today = datetime.fromtimestamp(period.start_ms // _SECOND_MS, zone).toordinal()
    end_ms = min(period.end_ms, _midnight_ms(today + 1, zone))
    return Period(period.start_ms, end_ms, gcd(SLOT_MS, end_ms - period.start_ms))


def days_in(period: Period, zone: ZoneInfo) -> LocalDays:
    """Return the local days that a period has a part in."""
    first, last = (
        datetime.fromtimestamp(at_ms // _SECOND_MS, zone).toordinal()
        for at_ms in (period.start_ms, period.end_ms)
    )
    starts = tuple(_midnight_ms(ordinal, zone) for ordinal in range(first, last + 1))
    return LocalDays(first - _EPOCH, starts)


def _midnight_ms(ordinal: int, zone: ZoneInfo) -> int:
    midnight = datetime.combine(date.fromordinal(ordinal), time(), zone)
    return int(midnight.timestamp()) * _SECOND_MS
