"""Settled days, as a bill computes with them."""

from energy.bills.covered import NetDay, OwnerDay, merged
from energy.bills.days import stretch
from energy.bills.settled import net_day, owner_day
from energy.bills.sums import DaySum, missing_days
from energy.settlement.records import MemberDay, UnitDay
from energy.settlement.regimes import Ctt, Grid, Storage
from tests.energy.bills.billing import CUSTOMER, ISSUER


def test_a_settled_day_is_what_a_home_exchanged() -> None:
    names = []
    for regime in (Storage(ISSUER), Ctt(), Grid()):
        found = net_day(MemberDay(CUSTOMER, regime, 5, 1, 2, 3, 4, 1))
        names.append(found.regime)
        assert found == NetDay(5, found.regime, 3, 4, True, 1, 2)

    assert names == ["storage", "ctt", "grid"]


def test_of_a_unit_what_no_member_has_is_its_owners() -> None:
    assert owner_day(UnitDay(ISSUER, CUSTOMER, 5, 1, 2, 3, 4, 6, 0)) == OwnerDay(5, 3, 4, 6)


def test_days_without_a_sum_are_missing_and_not_0() -> None:
    week = stretch("2026-10-22", "2026-10-28")
    known = [DaySum(day, "grid") for day in list(week.days)[:5]]

    assert missing_days(known, week) == list(week.days)[5:]


def test_several_metering_points_of_a_member_are_billed_as_one() -> None:
    own = [DaySum(1, "grid", from_grid_wh=1, load_wh=1, produced_wh=0), DaySum(2, "grid")]
    unit = [DaySum(1, "grid", from_grid_wh=2, feed_in_wh=3, is_estimated=True)]
    other = [DaySum(1, "storage", from_storage_wh=9)]
    more = [DaySum(2, "grid", load_wh=3), DaySum(3, "grid", load_wh=4)]

    sums = merged(own, unit, other, more)

    assert sums == [
        DaySum(1, "grid", from_grid_wh=3, feed_in_wh=3, is_estimated=True),
        DaySum(1, "storage", from_storage_wh=9),
        DaySum(2, "grid"),
        DaySum(3, "grid", load_wh=4),
    ]
    assert merged([DaySum(1, "grid", load_wh=4)], [DaySum(1, "grid", load_wh=5)]) == [
        DaySum(1, "grid", load_wh=9)
    ]
