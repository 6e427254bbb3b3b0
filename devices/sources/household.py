"""When in a year a household uses its energy: the standard profile, as integers.

Computed once (`profile.household_profile`) and stored; a meter reads it without the libraries
it was computed with.
"""

from datetime import date
from typing import Annotated, Final

import msgspec

from tangle.codec import Decoder, encode

QUARTER_MS: Final = 900_000
DAY_MS: Final = 86_400_000
QUARTERS_PER_DAY: Final = 96
DAYS: Final = 365
PROFILE_YEAR: Final = 2018
"""A common year that begins on a Monday, so that a day's number tells its weekday."""

WHOLE_PPB: Final = 10**9
MAX_PROFILE_SIZE: Final = 256 * 2**10

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_CALENDAR_DAYS: Final = 146_097
"""After 400 years the calendar begins anew; a scaled clock may pass the last year of `date`."""


class HouseholdProfile(msgspec.Struct, frozen=True, array_like=True):
    """The shares of one year's energy that a household uses in each quarter hour."""

    shares_ppb: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=0, le=WHOLE_PPB)], ...],
        msgspec.Meta(min_length=DAYS * QUARTERS_PER_DAY, max_length=DAYS * QUARTERS_PER_DAY),
    ]
    """Parts per billion of the year, in local standard time from 1 January; they add up to 10^9."""


_decoder: Final = Decoder(HouseholdProfile, "household profile", MAX_PROFILE_SIZE)


def encode_profile(profile: HouseholdProfile) -> bytes:
    """Return the canonical bytes of a profile, some 160 kB."""
    return encode(profile)


def decode_profile(data: bytes) -> HouseholdProfile:
    """Parse canonical bytes. Raises `MalformedBytesError`."""
    return _decoder.decode(data)


def share_ppb(profile: HouseholdProfile, local_start_ms: int, local_end_ms: int) -> float:
    """Return which part of a year's energy the profile puts into an interval.

    Args:
        profile: Constant within each quarter hour.
        local_start_ms: Local standard time, as ms since 1970-01-01 00:00 of that time.
        local_end_ms: End of the half-open interval.

    Returns:
        Parts per billion.
    """
    share = 0.0
    for quarter in range(local_start_ms // QUARTER_MS, -(-local_end_ms // QUARTER_MS)):
        begins_ms = quarter * QUARTER_MS
        overlap_ms = min(local_end_ms, begins_ms + QUARTER_MS) - max(local_start_ms, begins_ms)
        day, within_day = divmod(quarter, QUARTERS_PER_DAY)
        index = _profile_day(day) * QUARTERS_PER_DAY + within_day
        share += profile.shares_ppb[index] * overlap_ms / QUARTER_MS
    return share


def _profile_day(days_since_epoch: int) -> int:
    """Return the day of the profile's year with the same weekday, at most six days off."""
    day = date.fromordinal(_EPOCH_ORDINAL + days_since_epoch % _CALENDAR_DAYS)
    of_year = day.timetuple().tm_yday - 1
    off = (day.weekday() - of_year + 3) % 7 - 3
    nearest = of_year + off
    if nearest < 0:
        return nearest + 7
    return nearest - 7 if nearest >= DAYS else nearest
