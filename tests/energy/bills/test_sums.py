from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.bills.days import parse_day
from energy.bills.files import parse_sums, sums_csv
from energy.bills.sums import DaySum, verify_sums
from tangle.errors import InvalidError
from tangle.transaction import MAX_INTEGER

DAY = parse_day("2026-11-01")
energies = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("sums", "why"),
    [
        ([DaySum(2, "grid"), DaySum(1, "grid")], "must ascend"),
        ([DaySum(1, "grid"), DaySum(1, "grid")], "each pair once"),
        ([DaySum(1, "grid", from_storage_wh=1)], "regime grid"),
        ([DaySum(1, "grid", from_ctt_wh=1)], "regime grid"),
        ([DaySum(1, "grid", charged_wh=1)], "regime grid"),
        ([DaySum(1, "storage", from_ctt_wh=1)], "regime storage"),
        ([DaySum(1, "ctt", from_storage_wh=1)], "regime ctt"),
        ([DaySum(1, "grid", from_grid_wh=MAX_INTEGER, feed_in_wh=1)], "at most"),
    ],
)
def test_sums_that_break_a_rule_are_refused(sums: Sequence[DaySum], why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        verify_sums(sums)


def test_a_change_of_regime_within_a_day_is_two_sums() -> None:
    verify_sums([DaySum(1, "ctt", from_ctt_wh=1), DaySum(1, "storage", from_storage_wh=1)])


@given(
    st.lists(
        st.tuples(energies, energies, energies, st.booleans(), st.none() | energies), max_size=9
    )
)
def test_sums_are_read_back_as_they_are_written(
    days: list[tuple[int, int, int, bool, int | None]],
) -> None:
    sums = [
        DaySum(at, "storage", one, 0, two, three, 0, is_estimated=flag, load_wh=load)
        for at, (one, two, three, flag, load) in enumerate(days)
    ]

    assert parse_sums(sums_csv(sums)) == sums


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "day and regime are needed"),
        ("day\n", "day and regime are needed"),
        ("day,regime,extra\n", "columns"),
        ("day,regime,day\n", "each once"),
        ("day,regime\n2026-11-01\n", "1 cells under 2 columns"),
        ("day,regime\nyesterday,grid\n", "line 1, day"),
        ("day,regime\n2026-11-01,solar\n", "none of storage, ctt, grid"),
        ("day,regime,from_grid_wh\n2026-11-01,grid,-1\n", "no whole number"),
        ("day,regime,from_grid_wh\n2026-11-01,grid,1.5\n", "no whole number"),
        ("day,regime,from_grid_wh\n2026-11-01,grid,\n", "no whole number"),
        (f"day,regime,from_grid_wh\n2026-11-01,grid,{MAX_INTEGER + 1}\n", "at most"),
        ("day,regime,is_estimated\n2026-11-01,grid,yes\n", "neither true nor false"),
        ("day,regime\n2026-11-01,grid\n2026-11-01,grid\n", "each pair once"),
        ("day,regime\n" + "2026-11-01,grid\n" * 100_001, "at most 100000"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_sums(text)


def test_columns_that_are_not_there_are_0_or_unknown() -> None:
    assert parse_sums("day,regime\n2026-11-01,grid\n") == [DaySum(DAY, "grid")]
