"""The minute of the local day, without a database of time zones.

Zones are those of the European Union, whose clocks change at 01:00 UTC on the last Sundays of
March and October (Directive 2000/84/EC). Should the rule change, a new zone is a new name: what a
grant meant stays what it was.
"""

from datetime import date
from typing import Annotated, Final

import msgspec

MINUTE_MS: Final = 60_000
MINUTES_OF_DAY: Final = 1_440
_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_LAST_MS: Final = (date(9999, 1, 1).toordinal() - _EPOCH) * _DAY_MS
_SUNDAY: Final = 7

Zone = Annotated[str, msgspec.Meta(pattern=r"^(UTC|WET|CET|EET)\Z")]
"""Universal, western, central or eastern European time, the last three with summer time."""

_OFFSET_HOURS: Final = {"UTC": 0, "WET": 0, "CET": 1, "EET": 2}


def minute_of_day(at_ms: int, zone: Zone) -> int:
    """Return the minute that clocks on the wall show, 0 to 1,439."""
    hours = _OFFSET_HOURS[zone] + (zone != "UTC" and is_summer(at_ms))
    return (at_ms + hours * _HOUR_MS) % _DAY_MS // MINUTE_MS


def is_summer(at_ms: int) -> bool:
    """Return whether summer time holds. After the year 9998 nothing is known of it."""
    if at_ms >= _LAST_MS:
        return False
    year = date.fromordinal(_EPOCH + at_ms // _DAY_MS).year
    return _change_ms(year, 3) <= at_ms < _change_ms(year, 10)


def _change_ms(year: int, month: int) -> int:
    """Return 01:00 UTC of the last Sunday of a month of 31 days."""
    last = date(year, month, 31)
    sunday = last.toordinal() - last.isoweekday() % _SUNDAY
    return (sunday - _EPOCH) * _DAY_MS + _HOUR_MS
