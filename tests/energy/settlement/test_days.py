"""Sums by local day: the same watt-hours as the slots, each in its day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.settlement.netting import member_days, net
from energy.settlement.period import share_period, shared_days, unit_days
from energy.settlement.records import MemberDay, SharedDay, UnitDay
from energy.settlement.regimes import Storage
from energy.settlement.slots import SLOT_MS, LocalDays
from tests.energy.settlement.metered import (
    START_MS,
    World,
    meter,
    period,
    settle,
    storage_terms,
    worlds,
)
from tests.energy.town import WHO

U1 = WHO["U1"]


def days_split(*at: int) -> LocalDays:
    """Return days of which the first begins with the period, the others at some slots."""
    return LocalDays(20_000, (START_MS, *(START_MS + one * SLOT_MS for one in at)))


def test_a_moment_belongs_to_the_day_that_began_last() -> None:
    days = days_split(4)

    assert days.day_of(START_MS) == 20_000
    assert days.day_of(START_MS + 4 * SLOT_MS - 1) == 20_000
    assert days.day_of(START_MS + 4 * SLOT_MS) == 20_001
    assert days.day_of(START_MS + 400 * SLOT_MS) == 20_001
    with pytest.raises(ValueError, match="is before the first day"):
        days.day_of(START_MS - 1)


@given(worlds(), st.integers(1, 8))
def test_days_hold_what_the_slots_hold(world: World, split_at: int) -> None:
    days, over = days_split(split_at), period(world.slots)
    settled = settle(over, world.all_homes(), (world.terms, world.unit))
    members = {one.member: one.slots for one in settled.homes}
    own = net(over, (), {U1: (meter(1, world.unit),)}, {}).units[U1]
    shared = share_period(over, world.terms, own, members, 0)

    metered = member_days(settled.homes, over, days)
    by_member = shared_days(over, members, shared, days)
    of_unit = unit_days(world.terms, shared, days)

    for name, _, _ in world.homes:
        mine = [one for one in metered if one.member == WHO[name]]
        parts = [one for one in by_member if one.member == WHO[name]]
        slots = [one for one in settled.balances if one.member == WHO[name]]
        assert sum(one.pv_wh for one in mine) == sum(one.pv_wh for one in slots)
        assert all(one.pv_wh + one.import_wh == one.load_wh + one.export_wh for one in mine)
        assert [(one.day, one.import_wh, one.export_wh) for one in mine] == [
            (one.day, one.import_wh, one.export_wh) for one in parts
        ]
        for field in ("session_wh", "over_wh", "charge_wh"):
            assert sum(getattr(one, field) for one in parts) == sum(
                getattr(one, field) for one in slots
            )
    for field in UnitDay.__struct_fields__[3:-1]:
        assert sum(getattr(one, field) for one in of_unit) == settled.of_unit(field)
    assert len(of_unit) == (2 if split_at < world.slots else 1)


def test_each_slot_counts_in_its_own_day() -> None:
    over, days = period(3), days_split(1)
    unit = [(0, 100), (0, 0), (500, 0)]
    world = World(
        3,
        (("B", Storage(U1), ((0, 300), (700, 0), (900, 200))),),
        tuple(unit),
        storage_terms(stored_wh=1_000),
    )
    settled = settle(over, world.all_homes(), (world.terms, unit))
    own = net(over, (), {U1: (meter(1, unit),)}, {}).units[U1]
    members = {one.member: one.slots for one in settled.homes}
    shared = share_period(over, world.terms, own, members, 0)

    assert member_days(settled.homes, over, days) == (
        MemberDay(WHO["B"], Storage(U1), 20_000, 0, 300, 300, 0),
        MemberDay(WHO["B"], Storage(U1), 20_001, 1_600, 200, 0, 1_400),
    )
    assert shared_days(over, members, shared, days) == (
        SharedDay(WHO["B"], 20_000, 300, 0, 0, 100, 0),
        SharedDay(WHO["B"], 20_001, 0, 1_400, 0, 0, 500),
    )
    assert unit_days(world.terms, shared, days) == (
        UnitDay(U1, WHO["C"], 20_000, 0, 100),
        UnitDay(U1, WHO["C"], 20_001, 500),
    )
