"""What a meter makes of a long absence: one reading over the gap, then slot by slot again."""

import random
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.meter import Forget, MeterCore, MeterLimits, MeterState, Store
from devices.reading import Reading, decode_reading, verify_successor
from devices.sources.household import DAY_MS, QUARTER_MS, HouseholdProfile
from devices.sources.profile import household_profile
from devices.sources.rows import Position, ReadingSource, Registers
from devices.sources.solar import sun_at
from devices.sources.synthetic import (
    EXACT_SLOTS,
    MAX_MISSED_SLOTS,
    YEAR_MS,
    SyntheticHome,
    gap_wh,
    home_of,
)
from tangle.effects import Instant
from tests.devices.homes import IDENTITY, SLOT_MS, flat_profile, receipt_bytes, recording

SEED: Final = 2024
START_MS: Final = 19_723 * DAY_MS
"""1 January 2024."""

SUNNY: Final = SyntheticHome(SEED, home_of(SEED, 1), flat_profile(), START_MS)
BARE: Final = SyntheticHome(SEED, home_of(SEED, 4), flat_profile(), START_MS)
LIMITS: Final = MeterLimits(max_kept=100_000)

PAUSES: Final = st.lists(
    st.one_of(st.integers(0, 3), st.integers(150, 250), st.integers(0, 4_000)), max_size=6
)
"""In slots."""


def moment(slots: int) -> Instant:
    return Instant(0, START_MS + slots * QUARTER_MS)


class Meter:
    """A meter and its disk, without an edge: everything is kept."""

    def __init__(self, source: ReadingSource, limits: MeterLimits = LIMITS) -> None:
        self.source = source
        self.limits = limits
        self.state = MeterState()
        self.kept: list[bytes] = []
        self.made: list[bytes] = []
        self.restart()

    def restart(self) -> None:
        self.core = MeterCore(IDENTITY, self.source, self.state, self.kept, self.limits)

    def tick(self, now: Instant) -> list[Reading]:
        """Return the readings made, all of them stored."""
        stores = [effect for effect in self.core.tick(now) if isinstance(effect, Store)]
        data = [reading.data for store in stores for reading in store.readings]
        for store in stores:
            self.state = store.state
        self.kept += data
        self.made += data
        return [decode_reading(one).reading for one in data]

    def catch_up(self, now: Instant) -> list[Reading]:
        """Tick until nothing more is made."""
        readings: list[Reading] = []
        while more := self.tick(now):
            readings += more
        return readings

    def readings(self) -> list[Reading]:
        return [decode_reading(data).reading for data in self.made]


def slot_by_slot(source: SyntheticHome, start_ms: int, end_ms: int) -> Registers:
    position = Position(0, start_ms)
    while position.interval_end_ms < end_ms:
        row = source.row(position)
        position = Position(position.rows + 1, row.interval_end_ms, row.registers)
    return position.registers


@given(pauses=PAUSES)
def test_registers_never_fall_and_intervals_adjoin_whatever_the_pauses(pauses: list[int]) -> None:
    meter, slots = Meter(BARE), 0

    for pause in pauses:
        slots += pause
        made = meter.catch_up(moment(slots))
        meter.restart()
        assert len(made) == (1 if pause > MAX_MISSED_SLOTS else pause)

    readings = meter.readings()
    assert [reading.sequence for reading in readings] == list(range(len(readings)))
    starts_ms = [reading.interval_start_ms for reading in readings]
    ends_ms = [reading.interval_end_ms for reading in readings]
    assert [*starts_ms, moment(slots).ledger_ms] == [START_MS, *ends_ms]
    for previous, following in pairwise(readings):
        verify_successor(previous, following)
    for reading in readings:
        is_slot = reading.interval_end_ms - reading.interval_start_ms == QUARTER_MS
        assert reading.quality == ("measured" if is_slot else "estimated")


@given(pauses=PAUSES, rows_per_tick=st.integers(20, 300), rng=st.randoms(use_true_random=False))
def test_a_restart_between_any_two_ticks_changes_no_byte(
    pauses: list[int], rows_per_tick: int, rng: random.Random
) -> None:
    limits = MeterLimits(max_kept=100_000, rows_per_tick=rows_per_tick)
    steady, restarted, slots = Meter(BARE, limits), Meter(BARE, limits), 0

    for pause in pauses:
        slots += pause
        for _ in range(rng.randrange(1, 4)):
            steady.tick(moment(slots))
            restarted.tick(moment(slots))
            if rng.random() < 0.5:
                restarted.restart()

    assert restarted.made == steady.made
    assert restarted.state == steady.state


@pytest.mark.parametrize("days", [3, 1_000, 4_500, 170_000, 4_000_000])
def test_however_long_the_pause_one_reading_bridges_it(days: int) -> None:
    meter = Meter(BARE)
    meter.catch_up(moment(5))

    made = meter.catch_up(moment(days * 96))
    following = meter.catch_up(moment(days * 96 + 2))

    assert [(one.interval_start_ms, one.interval_end_ms) for one in made] == [
        (moment(5).ledger_ms, moment(days * 96).ledger_ms)
    ]
    assert [one.quality for one in (*made, *following)] == ["estimated", "measured", "measured"]
    assert following[0].interval_start_ms == made[0].interval_end_ms
    yearly_wh = BARE.home.annual_demand_wh
    assert following[0].import_wh == pytest.approx(yearly_wh * days / 365, rel=0.2)


def test_a_bridge_ends_with_the_last_slot_that_has_ended() -> None:
    now = Instant(0, moment(300).ledger_ms + QUARTER_MS - 1)

    (made,) = Meter(BARE).catch_up(now)

    assert made.interval_end_ms == moment(300).ledger_ms


def test_a_first_start_long_after_the_ledger_began_bridges_too() -> None:
    meter = Meter(BARE)

    (made,) = meter.catch_up(moment(50_000))

    assert (made.sequence, made.interval_start_ms) == (0, START_MS)
    assert made.quality == "estimated"


def test_up_to_two_days_are_read_slot_by_slot() -> None:
    assert len(Meter(BARE).catch_up(moment(MAX_MISSED_SLOTS))) == MAX_MISSED_SLOTS
    assert len(Meter(BARE).catch_up(moment(MAX_MISSED_SLOTS + 1))) == 1


def test_a_meter_killed_for_a_minute_misses_no_slot_at_the_usual_pace() -> None:
    missed_ms = 60_000 * 1_800

    assert missed_ms // QUARTER_MS <= MAX_MISSED_SLOTS


def test_a_meter_that_was_full_bridges_what_it_could_not_keep() -> None:
    meter = Meter(BARE, MeterLimits(max_kept=10))
    assert len(meter.catch_up(moment(180))) == 10
    assert meter.catch_up(moment(1_000)) == []

    (forget,) = meter.core.receive(receipt_bytes(9), Instant(0, 0))
    (made,) = meter.catch_up(moment(1_000))

    assert forget == Forget(9)
    assert (made.sequence, made.quality) == (10, "estimated")
    assert made.interval_start_ms == moment(10).ledger_ms


def test_every_row_of_a_recording_is_delivered_however_late() -> None:
    meter = Meter(recording(1_000))

    made = meter.catch_up(Instant(0, 10**6 * SLOT_MS))

    assert [one.interval_end_ms for one in made] == [at * SLOT_MS for at in range(1, 1_001)]
    assert {one.quality for one in made} == {"measured"}


@given(first=st.integers(0, 100_000), slots=st.integers(0, 300))
def test_a_short_gap_holds_the_very_sum_of_its_slots(first: int, slots: int) -> None:
    start_ms = START_MS + first * QUARTER_MS
    end_ms = start_ms + slots * QUARTER_MS

    assert gap_wh(SUNNY, start_ms, end_ms) == slot_by_slot(SUNNY, start_ms, end_ms)


def test_two_weeks_are_the_longest_gap_that_is_summed_exactly() -> None:
    exact_ms, longer_ms = (START_MS + slots * QUARTER_MS for slots in (EXACT_SLOTS, 5_000))

    assert gap_wh(SUNNY, START_MS, exact_ms) == slot_by_slot(SUNNY, START_MS, exact_ms)
    assert gap_wh(SUNNY, START_MS, longer_ms) != slot_by_slot(SUNNY, START_MS, longer_ms)


@pytest.fixture(scope="module")
def profile() -> HouseholdProfile:
    return household_profile()


@pytest.mark.parametrize(("number", "days"), [(0, 365), (4, 365), (1, 100), (2, 800)])
def test_a_long_gap_holds_what_its_slots_would_within_a_few_per_cent(
    profile: HouseholdProfile, number: int, days: int
) -> None:
    source = SyntheticHome(SEED, home_of(SEED, number), profile, START_MS)
    end_ms = START_MS + days * DAY_MS

    gap, exact = gap_wh(source, START_MS, end_ms), slot_by_slot(source, START_MS, end_ms)

    assert gap.import_wh == pytest.approx(exact.import_wh, rel=0.04)
    assert gap.export_wh == pytest.approx(exact.export_wh, rel=0.06)


def test_many_years_are_as_many_times_one() -> None:
    one, ten = (gap_wh(BARE, START_MS, START_MS + years * YEAR_MS) for years in (1, 10))

    assert ten == Registers(10 * one.import_wh, 10 * one.export_wh)
    assert one.import_wh == pytest.approx(BARE.home.annual_demand_wh, rel=0.03)


def test_the_last_coarse_step_ends_with_the_gap() -> None:
    sums_wh = [
        gap_wh(BARE, START_MS, START_MS + (EXACT_SLOTS + more) * QUARTER_MS).import_wh
        for more in (1, 2, 3, 4)
    ]

    assert sums_wh == sorted(set(sums_wh))


def test_the_calendar_does_not_end_with_the_year_9999() -> None:
    era_ms = 400 * 365 * DAY_MS + 97 * DAY_MS
    start_ms = START_MS + 100 * era_ms + 12 * 3_600_000

    assert sun_at(start_ms, SUNNY.site) == sun_at(start_ms - 100 * era_ms, SUNNY.site)
    assert gap_wh(SUNNY, start_ms, start_ms + DAY_MS).export_wh > 0
