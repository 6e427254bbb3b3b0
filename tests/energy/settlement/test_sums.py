"""Slot sums on their way from a home edge to a settling edge: each watt-hour once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import SLOT_MS
from energy.settlement.sums import MemberSlots, SlotSums, member_slots, placed
from tests.energy.settlement.metered import START_MS, WH, period
from tests.energy.town import WHO

A, B = WHO["A"], WHO["B"]


def sums(start_slot: int, *members: MemberSlots, slot_ms: int = SLOT_MS) -> SlotSums:
    return SlotSums(START_MS + start_slot * SLOT_MS, slot_ms, members)


def of(member: bytes, *slots: tuple[int, int]) -> MemberSlots:
    return MemberSlots(
        member,  # type: ignore[arg-type] # an address is bytes
        tuple(one for one, _ in slots),
        tuple(one for _, one in slots),
        tuple(False for _ in slots),
    )


def test_what_is_told_of_a_period_is_in_its_slots() -> None:
    slots = [SlotEnergy(5, 0), SlotEnergy(0, 7, is_substitute=True)]

    assert placed(period(2), [sums(0, member_slots(A, slots))]) == {A: slots}


def test_several_homes_of_one_member_are_added_and_not_netted() -> None:
    found = placed(period(1), [sums(0, of(A, (5, 0)), of(B, (1, 0))), sums(0, of(A, (0, 3)))])

    assert found == {A: [SlotEnergy(5, 3)], B: [SlotEnergy(1, 0)]}


def test_what_is_late_falls_into_the_first_slot_as_a_substitute() -> None:
    found = placed(period(2), [sums(-2, of(A, (5, 0), (6, 0), (7, 0)))])

    assert found == {A: [SlotEnergy(18, 0, is_substitute=True), SlotEnergy()]}


def test_a_late_slot_of_nothing_makes_no_substitute() -> None:
    found = placed(period(1), [sums(-1, of(A, (0, 0), (7, 0)))])

    assert found == {A: [SlotEnergy(7, 0)]}


def test_slots_of_another_length_count_where_they_begin() -> None:
    minutes = sums(0, of(A, *[(1, 0)] * 30), slot_ms=SLOT_MS // 15)

    assert placed(period(2), [minutes]) == {A: [SlotEnergy(15, 0), SlotEnergy(15, 0)]}


@given(
    st.lists(
        st.tuples(
            st.integers(-9, 0), st.sampled_from((A, B)), st.lists(st.tuples(WH, WH), max_size=9)
        ),
        max_size=5,
    )
)
def test_no_watt_hour_is_lost_or_doubled(
    told: list[tuple[int, bytes, list[tuple[int, int]]]],
) -> None:
    found = placed(period(9), [sums(start, of(who, *slots)) for start, who, slots in told])

    for who in (A, B):
        mine = [wh for _, whose, slots in told if whose == who for wh in slots]
        slots = found.get(who, [])
        assert sum(one.import_wh for one in slots) == sum(one for one, _ in mine)
        assert sum(one.export_wh for one in slots) == sum(one for _, one in mine)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="columns of \\[1, 2\\] slots"):
        MemberSlots(A, (1,), (1, 2), (False,))
