"""Slot sums under a seal: who they are for opens them, nobody else learns anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.mesh.frames import decode_frame
from edge.mesh.slot_sums import MAX_SEALED_SIZE, SumsAnswer
from edge.settlement.sealed_sums import (
    MAX_SLOT_WH,
    PAD_SIZE,
    PART_SIZE,
    SumsPart,
    cut,
    open_part,
    seal_part,
)
from energy.settlement.registers import SlotEnergy
from energy.settlement.slots import SLOT_MS
from energy.settlement.sums import MemberSlots, SlotSums, member_slots
from tangle.address import Address
from tangle.codec import encode
from tangle.errors import MalformedBytesError
from tests.edge.settling_home import ANNA, UNIT_ADDRESS, whose
from tests.edge.settling_village import OTHER, STRANGER, Village
from tests.tangle.cores import EDGE

END_MS = 96 * SLOT_MS
OVERHEAD = 48
"""Of a sealed box."""


def slots(*wh: int, member: Address | None = None) -> MemberSlots:
    return member_slots(member or whose(ANNA), [SlotEnergy(one, 0) for one in wh])


def part(*members: MemberSlots, end_ms: int = END_MS, start_ms: int = 0) -> SumsPart:
    sums = SlotSums(start_ms, SLOT_MS, members)
    return SumsPart(whose(OTHER), whose(EDGE), UNIT_ADDRESS, 0, end_ms, end_ms, 0, 1, sums)


def test_only_the_node_that_asked_opens_them() -> None:
    told = part(slots(*range(96)))

    sealed = seal_part(told, EDGE.public)

    assert open_part(sealed, EDGE) == told
    for other in (OTHER, STRANGER, ANNA):
        with pytest.raises(MalformedBytesError, match="do not open with this node's key"):
            open_part(sealed, other)


@given(st.integers(0, 5_000))
def test_what_was_altered_does_not_open(at: int) -> None:
    sealed = bytearray(seal_part(part(slots(*[1] * 96)), EDGE.public))
    sealed[at % len(sealed)] ^= 1

    with pytest.raises(MalformedBytesError, match="do not open"):
        open_part(bytes(sealed), EDGE)


def test_the_size_does_not_say_how_much_a_home_uses() -> None:
    nothing = SumsPart(whose(OTHER), whose(EDGE), UNIT_ADDRESS, 0, END_MS, 0, 0, 1, None)
    sizes = {
        len(seal_part(one, EDGE.public))
        for one in (nothing, part(slots(*[0] * 96)), part(slots(*[70_000] * 96)))
    }

    assert sizes == {PAD_SIZE + OVERHEAD}


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        (slots(*[1] * 95), "95 slots of 900000 ms from 0 ms: they must end at"),
        (slots(), "0 slots"),
        (slots(*[1] * 95, MAX_SLOT_WH + 1), "1000000001 Wh in one slot: at most 1000000000"),
    ],
)
def test_sums_that_do_not_fit_their_period_are_refused(told: MemberSlots, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        part(told)


@pytest.mark.parametrize(("at", "of"), [(1, 1), (2, 2)])
def test_a_part_beyond_the_last_is_refused(at: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"part {at} of {of}"):
        SumsPart(whose(OTHER), whose(EDGE), UNIT_ADDRESS, 0, 0, 0, at, of, None)


def test_a_period_before_the_one_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="they must ascend"):
        SumsPart(
            whose(OTHER),
            whose(EDGE),
            UNIT_ADDRESS,
            END_MS,
            END_MS,
            END_MS,
            0,
            1,
            SlotSums(0, 1, ()),
        )


def test_slots_of_no_length_do_not_open() -> None:
    """They begin where their period ends: the settling edge would look for a slot after it."""
    sums = SlotSums(END_MS, 0, (slots(5),))
    told = SumsPart(whose(OTHER), whose(EDGE), UNIT_ADDRESS, 0, END_MS, END_MS, 0, 1, sums)

    with pytest.raises(MalformedBytesError, match="`int` >= 1"):
        open_part(seal_part(told, EDGE.public), EDGE)


def test_many_homes_are_cut_into_parts_that_fit_a_frame() -> None:
    homes = [slots(*[60_000] * 2_976, member=Address(at.to_bytes(32))) for at in range(200)]

    parts = list(cut(homes))

    assert [one for members in parts for one in members] == homes
    assert len(parts) > 4
    for members in parts:
        assert sum(len(encode(one)) for one in members) <= PART_SIZE
        assert len(seal_part(part(*members, end_ms=2_976 * SLOT_MS), EDGE.public)) < MAX_SEALED_SIZE


def test_a_home_that_alone_is_more_than_a_part_fits_a_frame() -> None:
    month = slots(*[MAX_SLOT_WH] * 44_640)
    sums = SlotSums(0, 60_000, (month,))
    end_ms = 44_640 * 60_000
    told = SumsPart(whose(OTHER), whose(EDGE), UNIT_ADDRESS, 0, end_ms, end_ms, 0, 1, sums)

    assert list(cut([month, month])) == [(month,), (month,)]
    assert open_part(seal_part(told, EDGE.public), EDGE) == told
    assert len(seal_part(told, EDGE.public)) <= MAX_SEALED_SIZE


def test_of_no_homes_there_is_one_part() -> None:
    assert list(cut([])) == [()]


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    village = Village(tmp_path)
    village.found()
    village.two_hours()
    village.settle(hours=2)
    yield village
    village.close()


def test_what_goes_over_the_wire_says_nothing_to_a_third_node(village: Village) -> None:
    frames = village.wire.overheard
    bodies = [decode_frame(data).frame.body for data in frames]

    assert len(frames) >= 2
    opened = []
    for data, body in zip(frames, bodies, strict=True):
        assert isinstance(body, SumsAnswer)
        assert data.count(whose(ANNA)) == 0
        opened.append(open_part(body.sealed, EDGE))
        for third in (STRANGER, OTHER):
            with pytest.raises(MalformedBytesError):
                open_part(body.sealed, third)
    assert {len(data) for data in frames} == {len(frames[0])}
    assert any(one.sums is not None and sum(one.sums.members[0].export_wh) for one in opened)


def test_an_answer_in_another_nodes_frame_is_refused(village: Village) -> None:
    """A peer that overheard an answer passes it off as its own."""
    body = decode_frame(village.wire.overheard[-1]).frame.body
    asking = village.settler.settling._asking
    asking.ask(UNIT_ADDRESS, {whose(STRANGER): 0}, {}, END_MS)
    before = village.settler.settling.stand().counts["refused"]

    village.gossip_of(STRANGER).send(next(iter(village.nodes)), body)
    village.deliver()

    assert village.settler.settling.stand().counts["refused"] == before + 1
    assert asking.told(UNIT_ADDRESS, whose(STRANGER), END_MS) == (0, [])
