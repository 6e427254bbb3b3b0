"""What a bill is made from: energy sums of one metering point, by local day and regime."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from energy.bills.days import Day, Stretch, day_text
from tangle.errors import InvalidError
from tangle.transaction import MAX_INTEGER, Counter

Regime = Literal["storage", "ctt", "grid"]
"""Whose a metering point's energy is: a storage unit's members', energy accounts', or the grid's
alone. No watt-hour enters two."""


class DaySum(msgspec.Struct, frozen=True, array_like=True):
    """What crossed one metering point on one local day, under one regime."""

    day: Day
    regime: Regime
    from_storage_wh: Counter = 0
    """Drawn from the storage unit: paid in ENT."""

    from_ctt_wh: Counter = 0
    """Drawn from energy accounts: paid when they were charged."""

    from_grid_wh: Counter = 0
    """Import that nothing covers: billed at the residual tariff."""

    charged_wh: Counter = 0
    """Surplus that charged the unit, or energy accounts: paid in ENT, or energy on board."""

    feed_in_wh: Counter = 0
    """The rest of the surplus: credited at the feed-in tariff."""

    is_estimated: bool = False
    """Some of it was not measured, but filled in."""

    produced_wh: Counter | None = None
    """By the home's own plant; `None` where no meter of its own says. Not billed."""

    load_wh: int | None = None
    """What the home used in all, below 0 if its meters contradict each other; `None` where it
    cannot be known. Not billed."""


def verify_sums(sums: Sequence[DaySum]) -> None:
    """Check that sums ascend by day, each regime once a day, and that no energy is of two.

    Raises:
        InvalidError: Out of order, twice, energy of another regime, or more than can be counted.
    """
    before: tuple[int, str] | None = None
    for one in sums:
        key = (one.day, one.regime)
        if before is not None and key <= before:
            raise InvalidError(
                f"sums of {day_text(one.day)}, {one.regime}: they must ascend by day and regime,"
                " each pair once"
            )
        before = key
        _verify_regime(one)
    total_wh = sum(
        one.from_storage_wh + one.from_ctt_wh + one.from_grid_wh + one.charged_wh + one.feed_in_wh
        for one in sums
    )
    if total_wh > MAX_INTEGER:
        raise InvalidError(f"sums of {total_wh} Wh in all: at most {MAX_INTEGER}")


def _verify_regime(one: DaySum) -> None:
    foreign = {
        "storage": one.from_ctt_wh,
        "ctt": one.from_storage_wh,
        "grid": one.from_storage_wh + one.from_ctt_wh + one.charged_wh,
    }[one.regime]
    if foreign:
        raise InvalidError(
            f"sums of {day_text(one.day)}: {foreign} Wh that no metering point of regime"
            f" {one.regime} has"
        )


def missing_days(sums: Iterable[DaySum], period: Stretch) -> list[int]:
    """Return the days of a period of which nothing is known, which is not the same as 0."""
    known = {one.day for one in sums}
    return [day for day in period.days if day not in known]


def within(sums: Iterable[DaySum], period: Stretch) -> list[DaySum]:
    """Return the sums of the days of a period."""
    return [one for one in sums if period.first_day <= one.day < period.after_day]
