"""Stretches of time that are settled: half-open, in UTC, cut into slots.

A local day has 92, 96 or 100 quarter-hours. Which moments its midnights are, time zone data say,
and those the shell reads: here a day is only a period that ends where the next one begins.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from energy.units import QUARTER_MS

SLOT_MS: Final = QUARTER_MS
"""In which netting and sharing happen, unless the settlement period is shorter."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of ledger time, ms since the Unix epoch, half open, in whole slots."""

    start_ms: int
    end_ms: int
    slot_ms: int = SLOT_MS

    def __post_init__(self) -> None:
        """Refuse a period that is no whole number of slots, or none."""
        length_ms = self.end_ms - self.start_ms
        if length_ms <= 0 or length_ms % self.slot_ms:
            raise ValueError(
                f"a period of {length_ms} ms is no whole number of slots of {self.slot_ms} ms"
            )

    @property
    def slots(self) -> range:
        """When its slots start."""
        return range(self.start_ms, self.end_ms, self.slot_ms)

    @property
    def bounds(self) -> range:
        """When its slots start, and when the last one ends."""
        return range(self.start_ms, self.end_ms + 1, self.slot_ms)


@dataclass(frozen=True, slots=True)
class LocalDays:
    """Some local days of a place, one after the other."""

    first_day: int
    """Days since 1970-01-01 in the calendar of the place."""

    starts: tuple[int, ...]
    """When each begins, ms since the Unix epoch, ascending."""

    def day_of(self, at_ms: int) -> int:
        """Return the day of a moment; what is after the last start is of the last day."""
        place = bisect_right(self.starts, at_ms)
        if not place:
            raise ValueError(
                f"{at_ms} ms is before the first day, which begins at {self.starts[0]}"
            )
        return self.first_day + place - 1
