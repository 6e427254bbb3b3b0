"""From settled days to what a bill computes with."""

from typing import assert_never

from energy.bills.covered import NetDay, OwnerDay
from energy.bills.sums import Regime as RegimeName
from energy.settlement.records import MemberDay, UnitDay
from energy.settlement.regimes import Ctt, Grid, Regime, Storage


def net_day(one: MemberDay) -> NetDay:
    """Return what a home exchanged on a day, or in the part of it that a period covers."""
    return NetDay(
        one.day,
        regime_name(one.regime),
        one.import_wh,
        one.export_wh,
        one.substitute_slots > 0,
        one.pv_wh,
        one.load_wh,
    )


def owner_day(one: UnitDay) -> OwnerDay:
    """Return what of a unit's day is its owner's."""
    return OwnerDay(
        one.day,
        one.own_charge_wh,
        one.own_grid_wh,
        one.own_feed_in_wh,
        one.substitute_slots > 0,
    )


def regime_name(regime: Regime) -> RegimeName:
    """Return how a bill names a regime."""
    match regime:
        case Storage():
            return "storage"
        case Ctt():
            return "ctt"
        case Grid():
            return "grid"
        case _:
            assert_never(regime)
