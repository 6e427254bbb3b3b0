"""A metering point, prices and parties for tests of bills."""

from typing import Final

import msgspec

from energy.bills.days import Stretch, parse_day, stretch
from energy.bills.documents import Bill, Parties, Preview, final_bill, preview
from energy.bills.sums import DaySum
from energy.bills.tariffs import Tariff
from tangle.address import address_of
from tests.community import START_MS, key

ISSUER: Final = address_of(key(1).public)
CUSTOMER: Final = address_of(key(2).public)
PARTIES: Final = Parties(bytes(8), ISSUER, CUSTOMER)
SALT: Final = bytes(range(32))
NOVEMBER: Final = stretch("2026-11-01", "2026-11-30")
SLIDE: Final = Tariff(
    from_day=parse_day("2026-01-01"),
    residual_ueur=50_000,
    feed_in_ueur=40_000,
    delivery_ueur=25_000_000,
    rental_ueur=5_000_000,
)
"""The prices of the bill of ENERGY §6."""


def slide_sums() -> list[DaySum]:
    """Return 340.00 kWh from CTT and 15.13 kWh of the grid, spread over a month."""
    sums = [DaySum(day, "ctt", from_ctt_wh=11_333, from_grid_wh=504) for day in NOVEMBER.days]
    first = DaySum(
        NOVEMBER.first_day,
        "ctt",
        from_ctt_wh=340_000 - 29 * 11_333,
        from_grid_wh=15_130 - 29 * 504,
    )
    return [first, *sums[1:]]


def slide_preview() -> Preview:
    return preview(PARTIES, slide_sums(), [SLIDE], NOVEMBER)


def slide_bill(number: int = 1) -> Bill:
    return final_bill(slide_preview(), number, START_MS, SALT)


def days_of(period: Stretch, of: DaySum) -> list[DaySum]:
    """Return the same sums for every day of a period."""
    return [msgspec.structs.replace(of, day=day) for day in period.days]
