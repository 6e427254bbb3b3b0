"""The lines of a bill. Each is rounded by itself, and the total is their sum: nothing else.

A line's signed amount is rounded down to a whole µEUR, so a charge is never more and a credit never
less than its exact value. At last the discount takes the fraction of a cent off.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, get_args

import msgspec

from energy.bills.days import Day, Stretch, months
from energy.bills.sums import DaySum, verify_sums, within
from energy.bills.tariffs import Tariff, tariff_parts
from energy.units import PPM, WH_PER_KWH
from tangle.errors import InvalidError
from tangle.transaction import MAX_INTEGER, Counter

UEUR_PER_CENT: Final = 10_000

LineKind = Literal[
    "from_ctt", "from_storage", "grid", "feed_in", "delivery", "rental", "tax", "discount"
]
_ENERGY: Final = ("from_ctt", "from_storage", "grid", "feed_in")
"""Lines that are said at any price: a fee of nothing is not."""

_ORDER: Final[dict[LineKind, int]] = {kind: at for at, kind in enumerate(get_args(LineKind))}

Amount = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
"""µEUR; negative in the customer's favour."""

Part = tuple[Tariff, Stretch]


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line: so much, at such a price, makes that amount."""

    kind: LineKind
    first_day: Day
    after_day: Day
    quantity: Counter
    """Wh of energy; days of a fee; µEUR of what is taxed; 1 of a discount."""

    price: Counter
    """µEUR per kWh; µEUR per calendar month; ppm of a tax; 0 of a discount."""

    amount_ueur: Amount
    month_days: Counter = 0
    """Of a fee: how many days the month has of which `quantity` count."""

    estimated_wh: Counter = 0
    """Of energy, what was used on days on which some of it was not measured."""


def bill_lines(
    sums: Sequence[DaySum], tariffs: Sequence[Tariff], period: Stretch
) -> tuple[Line, ...]:
    """Return the lines of a bill, grouped by kind, then by time.

    Args:
        sums: Of one metering point, ascending by day and regime; those of other days are left out.
        tariffs: Ascending by their first day.
        period: What is billed. Days without sums have their fees, and no energy.

    Raises:
        InvalidError: Sums or tariffs break their rules, or an amount leaves the range of integers.
    """
    verify_sums(sums)
    lines = [
        line
        for part in tariff_parts(tariffs, period)
        for line in _lines_of_part(within(sums, part[1]), part)
        if line.quantity and (line.price or line.kind in _ENERGY)
    ]
    lines.sort(key=lambda line: _ORDER[line.kind])  # keeps the order of time within a kind
    over = sum(line.amount_ueur for line in lines) % UEUR_PER_CENT
    if over:
        lines.append(_line("discount", period, 1, 0, -over))
    total_ueur(lines)
    return tuple(lines)


def total_ueur(lines: Sequence[Line]) -> int:
    """Return what is due, negative if it is due to the customer. Raises `InvalidError`."""
    total = sum(line.amount_ueur for line in lines)
    if abs(total) > MAX_INTEGER:
        raise InvalidError(f"a bill of {total} µEUR: at most {MAX_INTEGER}")
    return total


def _lines_of_part(sums: Sequence[DaySum], part: Part) -> list[Line]:
    tariff, days = part
    lines = [*_energy(sums, part), *_fees(part)]
    charged = sum(line.amount_ueur for line in lines if line.amount_ueur > 0)
    tax = _line("tax", days, charged, tariff.tax_ppm, charged * tariff.tax_ppm // PPM)
    return [*lines, tax]


def _energy(sums: Sequence[DaySum], part: Part) -> list[Line]:
    tariff, days = part
    kinds: tuple[tuple[LineKind, list[int], int], ...] = (
        ("from_ctt", [one.from_ctt_wh for one in sums], 0),
        ("from_storage", [one.from_storage_wh for one in sums], 0),
        ("grid", [one.from_grid_wh for one in sums], tariff.residual_ueur),
        ("feed_in", [one.feed_in_wh for one in sums], tariff.feed_in_ueur),
    )
    estimated = [one.is_estimated for one in sums]
    return [
        _energy_line(kind, days, list(zip(used, estimated, strict=True)), price)
        for kind, used, price in kinds
    ]


def _energy_line(
    kind: LineKind, days: Stretch, parts: Sequence[tuple[int, bool]], price_ueur: int
) -> Line:
    energy_wh = sum(wh for wh, _ in parts)
    sign = -1 if kind == "feed_in" else 1
    amount = sign * energy_wh * price_ueur // WH_PER_KWH
    line = _line(kind, days, energy_wh, price_ueur, amount)
    estimated_wh = sum(wh for wh, is_estimated in parts if is_estimated)
    return msgspec.structs.replace(line, estimated_wh=estimated_wh)


def _fees(part: Part) -> list[Line]:
    tariff, days = part
    fees: list[Line] = []
    for stretch, length in months(days):
        count = len(stretch.days)
        fees += [
            msgspec.structs.replace(
                _line(kind, stretch, count, price, count * price // length), month_days=length
            )
            for kind, price in _priced(tariff)
        ]
    return fees


def _priced(tariff: Tariff) -> tuple[tuple[LineKind, int], ...]:
    return ("delivery", tariff.delivery_ueur), ("rental", tariff.rental_ueur)


def _line(kind: LineKind, days: Stretch, quantity: int, price: int, amount: int) -> Line:
    for what, value in (("quantity", quantity), ("amount", abs(amount))):
        if value > MAX_INTEGER:
            raise InvalidError(f"line {kind}: a {what} of {value}, at most {MAX_INTEGER}")
    return Line(kind, days.first_day, days.after_day, quantity, price, amount)
