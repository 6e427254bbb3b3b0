from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.sources.household import QUARTER_MS
from devices.sources.profile import household_profile
from devices.sources.rows import ZERO, Position, Registers
from devices.sources.solar import Panel, sun_at
from devices.sources.synthetic import (
    MAX_DEMAND_KWH,
    MIN_DEMAND_KWH,
    Home,
    SyntheticHome,
    first_slot_ms,
    home_of,
    load_wh,
    pv_wh,
)
from tests.devices.homes import flat_profile

SEED = 2024
START_MS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000
YEAR = [START_MS + slot * QUARTER_MS for slot in range(365 * 96)]
FLAT = SyntheticHome(SEED, home_of(SEED, 1), flat_profile(), START_MS)


def after(slots: int, registers: Registers = ZERO) -> Position:
    """Return the position of a meter that has read `slots` quarter hours."""
    return Position(slots, START_MS + slots * QUARTER_MS, registers)


@pytest.mark.parametrize("number", [0, 7])
def test_a_year_adds_up_to_the_set_demand(number: int) -> None:
    source = SyntheticHome(SEED, home_of(SEED, number), household_profile(), START_MS)

    used_wh = sum(load_wh(source, start, start + QUARTER_MS) for start in YEAR)

    assert used_wh == pytest.approx(source.home.annual_demand_wh, rel=0.03)


def test_a_southern_roof_yields_what_roofs_there_do() -> None:
    source = SyntheticHome(
        SEED, Home(0, 3_000_000, Panel(1_000, 35, 180)), flat_profile(), START_MS
    )

    yields_wh = [pv_wh(source, start, start + QUARTER_MS) for start in YEAR]

    june, december = sum(yields_wh[152 * 96 : 182 * 96]), sum(yields_wh[335 * 96 :])
    assert 850_000 < sum(yields_wh) < 1_150_000
    assert june > 2 * december
    assert max(yields_wh) <= 1_000 // 4


def test_no_roof_gives_power_while_the_sun_is_down() -> None:
    dark = [start for start in YEAR if sun_at(start + QUARTER_MS // 2, FLAT.site).up <= 0]

    given_wh = [pv_wh(FLAT, start, start + QUARTER_MS) for start in dark]

    assert len(dark) > len(YEAR) // 3
    assert set(given_wh) == {0}


def test_days_differ_by_their_clouds() -> None:
    source = SyntheticHome(
        SEED, Home(0, 3_000_000, Panel(1_000, 35, 180)), flat_profile(), START_MS
    )
    june = [
        sum(pv_wh(source, start, start + QUARTER_MS) for start in YEAR[day * 96 : day * 96 + 96])
        for day in range(152, 182)
    ]

    assert max(june) > 3 * min(june)


@given(
    st.integers(0, 2**64 - 1), st.integers(0, 5_000), st.integers(0, 10**9), st.integers(0, 10**9)
)
def test_a_row_adds_load_and_pv_of_its_slot_to_the_registers(
    seed: int, number: int, import_wh: int, export_wh: int
) -> None:
    source = SyntheticHome(seed, home_of(seed, 2), FLAT.profile, START_MS)

    row = source.row(after(number, Registers(import_wh, export_wh)))

    used_wh = load_wh(source, row.interval_start_ms, row.interval_end_ms)
    made_wh = pv_wh(source, row.interval_start_ms, row.interval_end_ms)
    imported_wh, exported_wh = (
        row.registers.import_wh - import_wh,
        row.registers.export_wh - export_wh,
    )
    assert row.interval_start_ms == START_MS + number * QUARTER_MS
    assert row.interval_end_ms == row.interval_start_ms + QUARTER_MS
    assert min(imported_wh, exported_wh) == 0
    assert imported_wh - exported_wh == used_wh - made_wh


def test_the_same_slot_reads_the_same_whatever_was_read_before() -> None:
    forwards = [FLAT.row(after(number)) for number in range(50)]
    backwards = [FLAT.row(after(number)) for number in reversed(range(50))]

    again = SyntheticHome(SEED, home_of(SEED, 1), flat_profile(), START_MS)

    assert forwards == backwards[::-1] == [again.row(after(number)) for number in range(50)]


def test_another_seed_another_home_and_another_slot_read_otherwise() -> None:
    def loads(seed: int, number: int) -> list[int]:
        home = Home(number, 4_000_000, Panel(0, 0, 0))
        source = SyntheticHome(seed, home, FLAT.profile, START_MS)
        return [load_wh(source, start, start + QUARTER_MS) for start in YEAR[:20]]

    def spread(ours: list[int], theirs: list[int]) -> float:
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        return max(ratios) / min(ratios)

    assert spread(loads(1, 1), loads(2, 1)) > 1.5
    assert spread(loads(2, 1), loads(2, 2)) > 1.5, "neighbours differ by more than a factor"
    assert len(set(loads(1, 1))) > 10


def test_hours_hold_what_their_quarters_would_on_average() -> None:
    hourly = SyntheticHome(SEED, FLAT.home, FLAT.profile, START_MS, slot_ms=4 * QUARTER_MS)

    row = hourly.row(after(12))

    assert row.interval_end_ms - row.interval_start_ms == 3_600_000
    used_wh = sum(load_wh(hourly, start, start + 3_600_000) for start in YEAR[: 365 * 96 : 4])
    assert used_wh == pytest.approx(FLAT.home.annual_demand_wh, rel=0.03)


def test_ten_homes_of_one_community_differ() -> None:
    homes = [home_of(SEED, number) for number in range(10)]

    assert homes == [home_of(SEED, number) for number in range(10)]
    assert len({home.annual_demand_wh for home in homes}) == 10
    assert len({(home.panel.peak_w, home.panel.azimuth_deg) for home in homes}) >= 9
    assert [home.number for home in homes if home.panel.peak_w == 0] == [4, 9]
    assert all(
        MIN_DEMAND_KWH * 1_000 <= home.annual_demand_wh <= MAX_DEMAND_KWH * 1_000 for home in homes
    )


def test_a_bare_roof_gives_nothing() -> None:
    source = SyntheticHome(SEED, home_of(SEED, 4), FLAT.profile, START_MS)

    assert pv_wh(source, YEAR[152 * 96 + 44], YEAR[152 * 96 + 45]) == 0


def test_the_first_slot_is_the_first_whole_one() -> None:
    assert first_slot_ms(START_MS) == START_MS
    assert first_slot_ms(START_MS + 1) == START_MS + QUARTER_MS
    assert first_slot_ms(START_MS + 1, slot_ms=2) == START_MS + 2


def test_the_meter_of_a_roof_counts_all_that_it_gives() -> None:
    roof = SyntheticHome(SEED, home_of(SEED, 1), flat_profile(), START_MS, is_roof=True)
    june = START_MS + 150 * 96 * QUARTER_MS
    slots = [june + slot * QUARTER_MS for slot in range(96)]

    position = Position(1, june, ZERO)
    for _ in slots:
        row = roof.row(position)
        position = Position(position.rows + 1, row.interval_end_ms, row.registers)

    given_wh = sum(pv_wh(roof, start, start + QUARTER_MS) for start in slots)
    assert position.registers == Registers(0, given_wh)
    assert given_wh > 0
