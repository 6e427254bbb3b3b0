from hypothesis import given
from hypothesis import strategies as st

from devices.sources.battery import PPM, Battery, Rating, followed, stored_wh
from devices.sources.household import QUARTER_MS
from devices.sources.recorded import Recording
from devices.sources.rows import ZERO, Position, Registers, SourceRow
from devices.sources.street import RecordedStreet, SyntheticStreet
from devices.sources.synthetic import MAX_MISSED_SLOTS, SyntheticHome, home_of
from tests.devices.homes import flat_profile

SEED = 7
START_MS = 1_780_272_000_000  # 2026-06-01T00:00Z
HOMES = tuple(SyntheticHome(SEED, home_of(SEED, at), flat_profile(), START_MS) for at in range(5))
STREET = SyntheticStreet(HOMES)
RATING = Rating(20_000, 8_000, 6_000, 900_000, 500)
BATTERY = Battery(STREET, RATING, START_MS)


def played(battery: Battery, slots: int, position: Position | None = None) -> list[SourceRow]:
    position = position or Position()
    rows = []
    for _ in range(slots):
        row = battery.row(position)
        assert row is not None
        rows.append(row)
        position = Position(position.rows + 1, row.interval_end_ms, row.registers)
    return rows


def test_over_a_summer_day_it_charges_and_discharges() -> None:
    last = played(BATTERY, 96)[-1].registers

    assert last.import_wh > 5_000
    assert last.export_wh > 5_000


def test_it_only_takes_what_the_street_leaves_over_and_gives_what_it_lacks() -> None:
    before = ZERO
    for row in played(BATTERY, 200):
        net_wh = STREET.net_wh(row.interval_start_ms, row.interval_end_ms)
        charged_wh = row.registers.import_wh - before.import_wh
        given_wh = row.registers.export_wh - before.export_wh

        assert 0 <= charged_wh <= min(max(-net_wh, 0), RATING.charge_w // 4)
        assert 0 <= given_wh <= min(max(net_wh, 0), RATING.discharge_w // 4)
        before = row.registers


def test_a_restart_reads_the_very_same_registers() -> None:
    whole = played(BATTERY, 80)

    at = whole[29]
    rest = played(BATTERY, 50, Position(30, at.interval_end_ms, at.registers))

    assert rest == whole[30:]


def test_a_controller_that_was_off_for_long_did_nothing() -> None:
    at = played(BATTERY, 40)[-1]
    position = Position(40, at.interval_end_ms, at.registers)
    soon_ms = at.interval_end_ms + MAX_MISSED_SLOTS * QUARTER_MS

    row = BATTERY.bridge(position, soon_ms + QUARTER_MS)

    assert BATTERY.bridge(position, soon_ms) is None
    assert row == SourceRow(at.interval_end_ms, soon_ms + QUARTER_MS, at.registers, "measured")


@given(
    st.lists(st.integers(-10_000, 10_000), max_size=60),
    st.integers(1, PPM),
    st.integers(0, 2_000),
)
def test_it_never_holds_more_than_its_capacity_nor_gives_its_reserve(
    flows_wh: list[int], efficiency_ppm: int, reserve_wh: int
) -> None:
    rating = Rating(9_000, 12_000, 12_000, efficiency_ppm, reserve_wh)
    registers = ZERO
    for net_wh in flows_wh:
        after = followed(rating, registers, net_wh, QUARTER_MS)

        assert 0 <= stored_wh(rating, after) <= rating.capacity_wh
        if after.export_wh > registers.export_wh:
            assert stored_wh(rating, after) >= reserve_wh
        registers = after


def recording(*nets_wh: int) -> Recording:
    """Return a recording of quarter hours, above 0 import, below 0 export."""
    rows, import_wh, export_wh = [], 0, 0
    for at, net_wh in enumerate((0, *nets_wh)):
        import_wh, export_wh = import_wh + max(net_wh, 0), export_wh + max(-net_wh, 0)
        end_ms = START_MS + at * QUARTER_MS
        rows.append(
            SourceRow(end_ms - QUARTER_MS, end_ms, Registers(import_wh, export_wh), "measured")
        )
    return Recording(tuple(rows))


def test_beside_recorded_homes_it_follows_their_registers_and_ends_with_them() -> None:
    street = RecordedStreet((recording(-800, -400, 900, 100), recording(300, -300, 200)))
    battery = Battery(street, Rating(10_000, 4_000, 4_000), START_MS, is_replayed=True)

    rows = played(battery, 4)

    registers = [(row.registers.import_wh, row.registers.export_wh) for row in rows]
    assert registers == [(500, 0), (1_200, 0), (1_200, 1_000), (1_200, 1_100)]
    assert battery.row(Position(4, rows[-1].interval_end_ms, rows[-1].registers)) is None
    assert battery.bridge(Position(), START_MS + 10**12) is None


def test_a_slot_between_two_rows_of_a_recording_has_its_part() -> None:
    street = RecordedStreet((recording(-800, 400),))
    half_ms = QUARTER_MS // 2

    parts = [
        street.net_wh(START_MS + at * half_ms, START_MS + (at + 1) * half_ms) for at in range(5)
    ]

    assert parts == [-400, -400, 200, 200, None]
