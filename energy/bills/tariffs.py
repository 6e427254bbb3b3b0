"""Prices from a day on, until others are: what was agreed, and which of it counts when."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import msgspec

from energy.bills.days import Day, Stretch, day_text
from energy.units import PPM
from tangle.errors import InvalidError
from tangle.transaction import Counter


class Tariff(msgspec.Struct, frozen=True, array_like=True):
    """What an issuer of bills charges from a local day on."""

    from_day: Day
    residual_ueur: Counter
    """Per kWh drawn that nothing else covers."""

    feed_in_ueur: Counter
    """Per kWh fed in: credited."""

    delivery_ueur: Counter
    """Per calendar month."""

    rental_ueur: Counter
    """Of the meter, per calendar month."""

    tax_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)] = 0
    """Of what is charged. What is credited bears none here: the customer's own tax is its own."""


def verify_tariffs(tariffs: Sequence[Tariff]) -> None:
    """Check that each tariff begins after the one before it. Raises `InvalidError`."""
    for before, after in pairwise(tariffs):
        if after.from_day <= before.from_day:
            raise InvalidError(
                f"tariffs: one from {day_text(after.from_day)} follows one from"
                f" {day_text(before.from_day)}: they must ascend"
            )


def tariff_parts(tariffs: Sequence[Tariff], period: Stretch) -> list[tuple[Tariff, Stretch]]:
    """Return which tariff counts on which days of a period, ascending, without a gap.

    Raises:
        InvalidError: They do not ascend, or none counts yet on the first day.
    """
    verify_tariffs(tariffs)
    if not tariffs or tariffs[0].from_day > period.first_day:
        raise InvalidError(f"no tariff counts on {day_text(period.first_day)}")
    ends = [*(one.from_day for one in tariffs[1:]), period.after_day]
    parts = [
        (
            tariff,
            Stretch(max(tariff.from_day, period.first_day), min(end, period.after_day)),
        )
        for tariff, end in zip(tariffs, ends, strict=True)
    ]
    return [(tariff, part) for tariff, part in parts if part.days]
