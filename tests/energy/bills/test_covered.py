"""What storage and accounts cover comes from applied reports; the rest is the grid's."""

from hypothesis import given
from hypothesis import strategies as st

from energy.bills.covered import Covered, NetDay, OwnerDay, covered_sums
from energy.bills.own_days import OwnPoints, own_days
from energy.bills.reported import AppliedReport, ReportKind
from energy.bills.sums import DaySum, verify_sums
from energy.settlement.registers import Registers, Series
from energy.settlement.slots import SLOT_MS
from energy.units import DAY_MS
from tangle.address import Address

FIRST = 20_000
STARTS = [FIRST * DAY_MS + at * DAY_MS for at in range(4)]
METER = Address(b"m" * 32)


def report(
    kind: ReportKind, wh: int, day: int, *, at_ms: int = DAY_MS, rest: int = 0
) -> AppliedReport:
    """Return a report of a day: its interval ends at the midnight after it."""
    return AppliedReport(bytes([day]) * 32, kind, wh, STARTS[0] + day * DAY_MS + at_ms, rest)


def covered(days: list[NetDay], *reports: AppliedReport, own: tuple[OwnerDay, ...] = ()) -> Covered:
    return covered_sums(days, reports, own, STARTS, FIRST)


def test_grid_is_what_no_report_covers() -> None:
    days = [NetDay(FIRST, "storage", 1_000, 700, produced_wh=5, load_wh=305)]

    found = covered(days, report("consumed", 400, 0), report("produced", 600, 0))

    assert found.sums == [
        DaySum(FIRST, "storage", 400, 0, 600, 600, 100, produced_wh=5, load_wh=305)
    ]
    assert found.beyond_wh == {}


def test_accounts_cover_what_they_gave_and_took_and_no_more() -> None:
    days = [NetDay(FIRST, "ctt", 1_000, 700)]

    found = covered(days, report("depleted", 400, 0, rest=600), report("recharged", 100, 0, rest=9))

    assert found.sums == [DaySum(FIRST, "ctt", 0, 400, 600, 100, 600)]


def test_an_interval_that_ends_at_midnight_is_of_the_day_before() -> None:
    days = [NetDay(FIRST + at, "storage", 1_000, 0) for at in range(2)]

    found = covered(days, report("consumed", 10, 0), report("consumed", 20, 0, at_ms=DAY_MS + 1))

    assert [one.from_storage_wh for one in found.sums] == [10, 20]


def test_reports_of_other_times_count_nothing() -> None:
    days = [NetDay(FIRST, "storage", 1_000, 0)]

    found = covered(days, report("consumed", 10, 0, at_ms=0), report("consumed", 20, 3))

    assert found.sums[0].from_storage_wh == 0


def test_what_is_beyond_a_day_is_of_the_days_before_the_latest_first() -> None:
    days = [NetDay(FIRST + at, "ctt", 100, 0) for at in range(3)]

    found = covered(days, report("depleted", 250, 2), report("depleted", 10, 0))

    assert [one.from_ctt_wh for one in found.sums] == [60, 100, 100]
    assert found.beyond_wh == {}


def test_what_was_never_metered_is_said() -> None:
    days = [NetDay(FIRST + 1, "storage", 100, 0)]

    found = covered(days, report("consumed", 130, 1))

    assert found.sums[0].from_storage_wh == 100
    assert found.beyond_wh == {"consumed": 30}


def test_a_unit_is_its_owners_and_no_homes() -> None:
    days = [NetDay(FIRST, "storage", 1_000, 50)]
    own = OwnerDay(FIRST, charge_wh=300, grid_wh=350, feed_in_wh=70)

    found = covered(days, report("consumed", 170, 0), report("produced", 340, 0), own=(own,))

    assert found.sums == [
        DaySum(FIRST, "grid", from_grid_wh=350, feed_in_wh=70),
        DaySum(FIRST, "storage", 100, 0, 900, 40, 10),
    ]


def test_a_grid_home_of_an_owner_takes_nothing_from_storage() -> None:
    days = [NetDay(FIRST, "grid", 1_000, 50)]
    own = OwnerDay(FIRST, charge_wh=300, grid_wh=350, feed_in_wh=70)

    found = covered(days, report("consumed", 70, 0), report("produced", 300, 0), own=(own,))

    assert found.sums == [DaySum(FIRST, "grid", from_grid_wh=1_350, feed_in_wh=120)]


def test_a_day_in_several_periods_is_one_day() -> None:
    days = [NetDay(FIRST, "grid", 100, 0), NetDay(FIRST, "grid", 20, 3, True)]

    assert covered(days).sums == [DaySum(FIRST, "grid", 0, 0, 120, 0, 3, is_estimated=True)]


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=3, max_size=3),
    st.lists(
        st.tuples(st.sampled_from(["consumed", "produced"]), st.integers(0, 900), st.integers(0, 2))
    ),
)
def test_no_watt_hour_is_lost_or_doubled(
    net: list[tuple[int, int]], reported: list[tuple[ReportKind, int, int]]
) -> None:
    days = [NetDay(FIRST + at, "storage", *one) for at, one in enumerate(net)]
    reports = [
        AppliedReport(bytes([at]) * 32, kind, wh, STARTS[day + 1])
        for at, (kind, wh, day) in enumerate(reported)
    ]

    found = covered(days, *reports)

    verify_sums(found.sums)
    for day, one in zip(days, found.sums, strict=True):
        assert one.from_storage_wh + one.from_grid_wh == day.import_wh
        assert one.charged_wh + one.feed_in_wh == day.export_wh
    for kind, name in (("consumed", "from_storage_wh"), ("produced", "charged_wh")):
        whole = sum(wh for it, wh, _ in reported if it == kind)
        assert sum(getattr(one, name) for one in found.sums) + found.beyond_wh.get(kind, 0) == whole  # type: ignore[call-overload]


# Own registers.


def series(*registers: tuple[int, int, int], device: Address = METER) -> Series:
    """Return readings: after how many slots, import, export."""
    return Series(
        device,
        tuple(Registers(STARTS[0] + at * SLOT_MS, wh, back) for at, wh, back in registers),
    )


def test_days_are_differences_of_registers_netted_by_slot() -> None:
    meter = series(*((at, 10 * at, 3 * at) for at in range(193)))

    found = own_days([OwnPoints("grid", ((meter,),))], STARTS[:3], FIRST, SLOT_MS)

    assert found == [NetDay(FIRST + at, "grid", 672, 0, False, 0, 672) for at in range(2)]


def test_production_is_behind_the_meter() -> None:
    meter = series((0, 0, 0), *((at, 0, 5 * at) for at in range(1, 97)))
    pv = series(*((at, 0, 8 * at) for at in range(97)), device=Address(b"p" * 32))

    (found,) = own_days([OwnPoints("storage", ((meter,),), ((pv,),))], STARTS[:2], FIRST, SLOT_MS)

    assert found == NetDay(FIRST, "storage", 0, 480, False, 768, 288)


def test_a_missing_reading_makes_a_day_estimated() -> None:
    meter = series(*((at, 10 * at, 0) for at in range(97) if at != 5))

    (found,) = own_days([OwnPoints("grid", ((meter,),))], STARTS[:2], FIRST, SLOT_MS)

    assert (found.import_wh, found.is_estimated) == (960, True)


def test_a_replaced_meter_is_the_same_point() -> None:
    old = series(*((at, 1_000 + 10 * at, 0) for at in range(41)))
    new = series(*((at, 10 * (at - 40), 0) for at in range(40, 97)), device=Address(b"n" * 32))

    (found,) = own_days([OwnPoints("grid", ((old, new),))], STARTS[:2], FIRST, SLOT_MS)

    assert found.import_wh == 960
