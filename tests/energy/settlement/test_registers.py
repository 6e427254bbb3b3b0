"""Energy of slots, from registers."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.settlement.registers import (
    Registers,
    SlotEnergy,
    series_of,
    slot_energies,
)
from energy.settlement.slots import SLOT_MS, Period
from tangle.errors import InvalidReadingError
from tests.energy.settlement.metered import START_MS, device, period, readings

FLOWS = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)), min_size=2, max_size=12)


def at(minutes: int, import_wh: int, export_wh: int = 0, *, guessed: bool = False) -> Registers:
    return Registers(START_MS + minutes * 60_000, import_wh, export_wh, guessed)


def energies(slots: int, *arrived: Registers) -> list[SlotEnergy]:
    point = [series_of(device(1), arrived)]
    return slot_energies(point, {}, period(slots))[0]


def test_a_slot_holds_the_difference_of_its_registers() -> None:
    found = energies(2, at(0, 100, 7), at(15, 350, 7), at(30, 350, 90))

    assert found == [SlotEnergy(250, 0), SlotEnergy(0, 83)]


def test_a_missing_reading_is_bridged_and_both_slots_are_marked() -> None:
    found = energies(3, at(0, 0), at(30, 101), at(45, 200))

    assert found == [
        SlotEnergy(50, 0, is_substitute=True),
        SlotEnergy(51, 0, is_substitute=True),
        SlotEnergy(99, 0),
    ]


def test_readings_between_the_bounds_are_no_gap() -> None:
    found = energies(1, at(-5, 0), at(5, 100), at(10, 150), at(20, 250))

    assert found == [SlotEnergy(150, 0)]


def test_what_the_meter_estimated_is_marked() -> None:
    found = energies(2, at(0, 0), at(15, 10, guessed=True), at(30, 20))

    assert [one.is_substitute for one in found] == [True, True]


def test_what_is_not_known_yet_counts_nothing_and_is_marked() -> None:
    found = energies(2, at(0, 0), at(15, 10))

    assert found == [SlotEnergy(10, 0), SlotEnergy(0, 0, is_substitute=True)]


def test_a_meter_without_readings_counts_nothing() -> None:
    found, counted = slot_energies([series_of(device(1), [])], {}, period(1))

    assert (found, counted) == ([SlotEnergy(0, 0, is_substitute=True)], {})


def test_a_meter_that_begins_later_is_not_settled_yet() -> None:
    found, counted = slot_energies([series_of(device(1), [at(20, 500)])], {}, period(1))

    assert (found, counted) == ([SlotEnergy(0, 0, is_substitute=True)], {})


def test_a_replaced_meter_begins_a_new_series() -> None:
    old = series_of(device(9), [at(0, 90_000), at(15, 90_100), at(20, 90_140)])
    new = series_of(device(1), [at(22, 3), at(30, 63), at(45, 100)])

    found, counted = slot_energies([old, new], {}, period(3))

    assert found == [SlotEnergy(100, 0), SlotEnergy(100, 0, is_substitute=True), SlotEnergy(37, 0)]
    assert counted == {device(9): at(20, 90_140), device(1): at(45, 100)}


def test_a_meter_replaced_on_a_bound_leaves_nothing_to_mark() -> None:
    old = series_of(device(9), [at(0, 90_000), at(15, 90_100)])
    new = series_of(device(1), [at(15, 0), at(30, 60)])

    found, _ = slot_energies([old, new], {}, period(2))

    assert found == [SlotEnergy(100, 0), SlotEnergy(60, 0)]


def test_what_comes_late_counts_in_the_first_slot_that_is_not_settled() -> None:
    early = series_of(device(1), [at(0, 0), at(15, 10)])
    _, counted = slot_energies([early], {}, period(2))
    late = series_of(device(1), [at(0, 0), at(15, 10), at(30, 70), at(45, 100)])

    found, after = slot_energies([late], counted, period(1, START_MS + 2 * SLOT_MS))

    assert found == [SlotEnergy(90, 0, is_substitute=True)]
    assert after == {device(1): at(45, 100)}


def test_a_reading_below_what_was_bridged_over_it_takes_nothing_back() -> None:
    bridged = series_of(device(1), [at(0, 0), at(45, 90, 90)])
    _, counted = slot_energies([bridged], {}, period(1))
    late = series_of(device(1), [at(0, 0), at(30, 20, 20), at(45, 90, 90)])

    found, _ = slot_energies([late], counted, period(2, START_MS + SLOT_MS))

    assert counted[device(1)] == at(15, 30, 30, guessed=True)
    assert found == [SlotEnergy(0, 0, is_substitute=True), SlotEnergy(60, 60)]


@pytest.mark.parametrize(
    "arrived",
    [
        pytest.param([at(0, 5), at(15, 4)], id="import falls"),
        pytest.param([at(0, 5, 2), at(15, 5, 1)], id="export falls"),
        pytest.param([at(0, 5), at(0, 6)], id="two readings of one moment"),
    ],
)
def test_registers_that_contradict_each_other_are_refused(arrived: list[Registers]) -> None:
    with pytest.raises(InvalidReadingError):
        series_of(device(1), arrived)


@given(FLOWS, st.data())
def test_slots_add_up_whatever_is_missing_between(
    flows: list[tuple[int, int]], data: st.DataObject
) -> None:
    whole = readings(flows)
    kept = [whole[0], *(one for one in whole[1:-1] if data.draw(st.booleans())), whole[-1]]

    found = energies(len(flows), *kept)

    assert sum(one.import_wh for one in found) == sum(one for one, _ in flows)
    assert sum(one.export_wh for one in found) == sum(one for _, one in flows)
    assert min(min(one.import_wh, one.export_wh) for one in found) >= 0


@given(FLOWS, st.data())
def test_every_watt_hour_counts_once_whenever_its_reading_comes(
    flows: list[tuple[int, int]], data: st.DataObject
) -> None:
    whole = readings(flows)
    settled_at = [
        max(data.draw(st.integers(0, len(whole))), place - 1) for place in range(len(whole))
    ]
    settled_at[0], settled_at[-1] = 0, min(settled_at[-1], len(flows))
    counted: dict[bytes, Registers] = {}
    total_wh = 0

    for slot in range(len(flows) + 1):
        here = [one for one, when in zip(whole, settled_at, strict=True) if when <= slot]
        one_slot = period(1, START_MS + slot * SLOT_MS)
        found, counted = slot_energies([series_of(device(1), here)], counted, one_slot)  # type: ignore[arg-type, assignment] # addresses are bytes
        total_wh += found[0].import_wh

    assert total_wh == sum(one for one, _ in flows)


@given(FLOWS, st.randoms(use_true_random=False))
def test_order_and_number_of_arrivals_do_not_matter(
    flows: list[tuple[int, int]], rng: object
) -> None:
    whole = readings(flows)
    shuffled = [*whole, *whole[::2]]
    rng.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random

    assert series_of(device(1), shuffled) == series_of(device(1), whole)


@pytest.mark.parametrize(
    ("day", "slots"), [((2026, 3, 29), 92), ((2026, 6, 1), 96), ((2026, 10, 25), 100)]
)
def test_a_local_day_has_as_many_slots_as_quarter_hours(
    day: tuple[int, int, int], slots: int
) -> None:
    zone = ZoneInfo("Europe/Athens")
    start = datetime(*day, tzinfo=zone)
    bounds = [int(one.timestamp()) * 1_000 for one in (start, start + timedelta(days=1))]

    assert len(Period(*bounds).slots) == slots


@pytest.mark.parametrize("length_ms", [0, -SLOT_MS, SLOT_MS + 1])
def test_a_period_is_a_whole_number_of_slots(length_ms: int) -> None:
    with pytest.raises(ValueError, match="no whole number of slots"):
        Period(START_MS, START_MS + length_ms)
