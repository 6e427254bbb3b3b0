from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.bills.days import Stretch, parse_day, stretch
from energy.bills.files import parse_tariffs
from energy.bills.lines import Line, LineKind, bill_lines, total_ueur
from energy.bills.sums import DaySum
from energy.bills.tariffs import Tariff, tariff_parts, verify_tariffs
from tangle.errors import InvalidError
from tangle.transaction import MAX_INTEGER
from tests.energy.bills.billing import NOVEMBER, SLIDE, days_of, slide_sums

replace = msgspec.structs.replace
MID: int = parse_day("2026-11-11")
prices = st.integers(0, 10**9)


@st.composite
def tariff_lists(draw: st.DrawFn) -> list[Tariff]:
    days = draw(st.lists(st.integers(1, 400), unique=True, max_size=5))
    return [
        Tariff(
            day, draw(prices), draw(prices), draw(prices), draw(prices), draw(st.integers(0, 10**6))
        )
        for day in [0, *sorted(days)]
    ]


@st.composite
def sum_lists(draw: st.DrawFn) -> list[DaySum]:
    days = draw(st.lists(st.integers(0, 400), unique=True, max_size=30))
    wh = st.integers(0, 10**7)
    return [
        DaySum(day, "storage", draw(wh), 0, draw(wh), draw(wh), draw(wh), draw(st.booleans()))
        for day in sorted(days)
    ]


def amounts(lines: Sequence[Line], kind: LineKind) -> list[int]:
    return [line.amount_ueur for line in lines if line.kind == kind]


def test_the_bill_of_the_slide_to_the_cent() -> None:
    lines = bill_lines(slide_sums(), [SLIDE], NOVEMBER)

    assert [(line.kind, line.quantity, line.amount_ueur) for line in lines] == [
        ("from_ctt", 340_000, 0),
        ("grid", 15_130, 756_500),
        ("delivery", 30, 25_000_000),
        ("rental", 30, 5_000_000),
        ("discount", 1, -6_500),
    ]
    assert total_ueur(lines) == 30_750_000


@given(sum_lists(), tariff_lists(), st.integers(0, 300), st.integers(1, 200))
def test_lines_add_up_to_whole_cents_and_cover_every_watt_hour(
    sums: list[DaySum], tariffs: list[Tariff], first: int, days: int
) -> None:
    period = Stretch(first, first + days)

    lines = bill_lines(sums, tariffs, period)

    inside = [one for one in sums if one.day in period.days]
    total = total_ueur(lines)
    assert total == sum(line.amount_ueur for line in lines)
    assert total % 10_000 == 0
    assert 0 <= -sum(amounts(lines, "discount")) < 10_000
    for kind, name in (("grid", "from_grid_wh"), ("feed_in", "feed_in_wh")):
        assert sum(line.quantity for line in lines if line.kind == kind) == sum(
            getattr(one, name) for one in inside
        )


@given(sum_lists(), tariff_lists(), st.integers(0, 300), st.integers(1, 200))
def test_no_line_is_to_the_customers_harm_by_rounding(
    sums: list[DaySum], tariffs: list[Tariff], first: int, days: int
) -> None:
    scale = {"grid": 1_000, "feed_in": 1_000, "tax": 10**6}

    for line in bill_lines(sums, tariffs, Stretch(first, first + days)):
        sign = -1 if line.kind == "feed_in" else 1
        divisor = line.month_days or scale.get(line.kind, 1)
        exact_times_divisor = sign * line.quantity * line.price
        if line.kind != "discount":
            assert 0 <= exact_times_divisor - line.amount_ueur * divisor < divisor


def test_a_change_of_tariff_within_a_period_splits_the_lines() -> None:
    dearer = replace(SLIDE, from_day=MID, residual_ueur=60_000, delivery_ueur=31_000_000)

    lines = bill_lines(
        days_of(NOVEMBER, DaySum(0, "storage", from_grid_wh=1_000)), [SLIDE, dearer], NOVEMBER
    )

    grid = [line for line in lines if line.kind == "grid"]
    assert [(line.quantity, line.price, line.amount_ueur) for line in grid] == [
        (10_000, 50_000, 500_000),
        (20_000, 60_000, 1_200_000),
    ]
    assert amounts(lines, "delivery") == [25_000_000 * 10 // 30, 31_000_000 * 20 // 30]
    assert [(line.first_day, line.after_day) for line in grid] == [
        (NOVEMBER.first_day, MID),
        (MID, NOVEMBER.after_day),
    ]


def test_fees_of_part_of_a_month_count_its_days() -> None:
    period = stretch("2026-01-31", "2026-02-14")

    lines = bill_lines([], [SLIDE], period)

    delivery = [line for line in lines if line.kind == "delivery"]
    assert [(line.quantity, line.month_days, line.amount_ueur) for line in delivery] == [
        (1, 31, 806_451),
        (14, 28, 12_500_000),
    ]


def test_tax_is_of_what_is_charged_and_not_of_what_is_credited() -> None:
    tariff = replace(SLIDE, tax_ppm=190_000)
    sums = [DaySum(NOVEMBER.first_day, "storage", from_grid_wh=15_130, feed_in_wh=1_000_000)]

    lines = bill_lines(sums, [tariff], NOVEMBER)

    (tax,) = (line for line in lines if line.kind == "tax")
    assert tax.quantity == 756_500 + 25_000_000 + 5_000_000
    assert tax.amount_ueur == tax.quantity * 19 // 100
    assert amounts(lines, "feed_in") == [-40_000_000]


def test_tax_follows_the_rate_of_its_days() -> None:
    taxed = replace(SLIDE, from_day=MID, tax_ppm=240_000, rental_ueur=0)

    lines = bill_lines([], [replace(SLIDE, delivery_ueur=0), taxed], NOVEMBER)

    (tax,) = (line for line in lines if line.kind == "tax")
    assert (tax.first_day, tax.quantity) == (MID, 25_000_000 * 20 // 30)


def test_a_credit_is_rounded_in_the_customers_favour() -> None:
    free = Tariff(0, 0, 1, 0, 0)

    lines = bill_lines([DaySum(1, "grid", feed_in_wh=1)], [free], Stretch(1, 2))

    assert amounts(lines, "feed_in") == [-1]
    assert total_ueur(lines) == -10_000


def test_estimated_energy_is_marked_on_its_line() -> None:
    sums = [
        DaySum(NOVEMBER.first_day, "grid", from_grid_wh=700, is_estimated=True),
        DaySum(NOVEMBER.first_day + 1, "grid", from_grid_wh=300),
    ]

    (grid,) = (line for line in bill_lines(sums, [SLIDE], NOVEMBER) if line.kind == "grid")

    assert (grid.quantity, grid.estimated_wh) == (1_000, 700)


def test_charging_is_paid_in_tokens_and_not_billed() -> None:
    lines = bill_lines(days_of(NOVEMBER, DaySum(0, "storage", charged_wh=5_000)), [SLIDE], NOVEMBER)

    assert [line.kind for line in lines] == ["delivery", "rental"]


def test_a_price_of_nothing_still_shows_its_energy() -> None:
    free = Tariff(0, 0, 0, 0, 0)

    lines = bill_lines([DaySum(1, "grid", from_grid_wh=5)], [free], Stretch(1, 2))

    assert [(line.kind, line.amount_ueur) for line in lines] == [("grid", 0)]


def test_a_bill_beyond_the_range_of_integers_is_refused() -> None:
    dear = Tariff(0, MAX_INTEGER, 0, 0, 0)

    with pytest.raises(InvalidError, match="line grid"):
        bill_lines([DaySum(1, "grid", from_grid_wh=2_000)], [dear], Stretch(1, 2))


def test_a_total_beyond_the_range_of_integers_is_refused() -> None:
    generous = [Tariff(day, 0, MAX_INTEGER, 0, 0) for day in (0, 1)]
    sums = [DaySum(day, "grid", feed_in_wh=1_000) for day in (0, 1)]

    with pytest.raises(InvalidError, match="a bill of -"):
        bill_lines(sums, generous, Stretch(0, 2))


def test_days_before_the_first_tariff_cannot_be_billed() -> None:
    with pytest.raises(InvalidError, match="no tariff counts on 2026-11-01"):
        tariff_parts([replace(SLIDE, from_day=MID)], NOVEMBER)
    with pytest.raises(InvalidError, match="no tariff counts"):
        tariff_parts([], NOVEMBER)


def test_tariffs_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(InvalidError, match="must ascend"):
        verify_tariffs([SLIDE, SLIDE])


def test_tariffs_of_other_days_play_no_part() -> None:
    later = replace(SLIDE, from_day=NOVEMBER.after_day)
    earlier = replace(SLIDE, from_day=0, residual_ueur=1)

    assert tariff_parts([earlier, SLIDE, later], NOVEMBER) == [(SLIDE, NOVEMBER)]


def test_tariffs_are_read_from_a_file_in_plain_units() -> None:
    text = """
        [[tariff]]
        from_day = "2026-01-01"
        residual = "0.05 EUR/kWh"
        feed_in = "0.04 EUR/kWh"
        delivery = "25 EUR"
        rental = "5 EUR"

        [[tariff]]
        from_day = "2026-11-11"
        residual = "0.06 EUR/kWh"
        feed_in = "0.04 EUR/kWh"
        delivery = "25 EUR"
        rental = "5 EUR"
        tax = "0.19"
    """

    assert parse_tariffs(text) == [
        SLIDE,
        replace(SLIDE, from_day=MID, residual_ueur=60_000, tax_ppm=190_000),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[tariff", "tariffs:"),
        ("prices = 1", "nothing else"),
        ("tariff = 1", "nothing else"),
        ("tariff = [1]", "nothing else"),
        ('[[tariff]]\nfrom_day = "2026-01-01"', "tariff 1: residual is missing"),
    ],
)
def test_a_tariff_file_that_breaks_a_rule_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_tariffs(text)
