"""A member's own registers make the same days as settlement, however late they were."""

from hypothesis import given
from hypothesis import strategies as st

from energy.bills.own_days import Late, OwnPoints, own_days
from energy.settlement.netting import member_days, net
from energy.settlement.records import Home
from energy.settlement.regimes import Grid
from energy.settlement.registers import Registers, Series
from energy.settlement.slots import SLOT_MS, LocalDays, Period
from energy.units import DAY_MS
from tangle.address import Address

FIRST = 20_000
START = FIRST * DAY_MS
DAYS = LocalDays(FIRST, tuple(START + at * DAY_MS for at in range(4)))
METER, PLANT = Address(b"m" * 32), Address(b"p" * 32)
MEMBER = Address(b"a" * 32)
SLOTS = 3 * 96


@st.composite
def registers(draw: st.DrawFn, device: Address) -> Series:
    """Return a meter's readings: from before the first day to after the last, with gaps."""
    places = draw(st.sets(st.integers(1, SLOTS - 1), min_size=2, max_size=25))
    import_wh = export_wh = 0
    found = []
    for at in (-1, 0, *sorted(places), SLOTS, SLOTS + 1):
        import_wh += draw(st.integers(0, 300))
        export_wh += draw(st.integers(0, 300))
        found.append(Registers(START + at * SLOT_MS, import_wh, export_wh))
    return Series(device, tuple(found))


@given(
    registers(METER),
    registers(PLANT),
    st.sampled_from([6, 12, 24]),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=12, max_size=12),
)
def test_own_days_are_the_settled_ones(
    meter: Series, plant: Series, hours: int, behind: list[tuple[int, int]]
) -> None:
    length_ms = hours * 3_600_000
    late: dict[Address, list[Late]] = {}
    settled: dict[int, tuple[int, int, int, int]] = {}
    counted: dict[Address, Registers] = {}
    told_ms = {METER: START, PLANT: START}  # what is first heard of a meter is in time
    for at, slots in zip(range(3 * 24 // hours), behind, strict=False):
        period = Period(START + at * length_ms, START + (at + 1) * length_ms)
        known = []
        for series, missing in zip((meter, plant), slots, strict=True):
            until_ms = max(told_ms[series.device], period.end_ms + 2 * SLOT_MS - missing * SLOT_MS)
            told_ms[series.device] = until_ms
            # a reading after the end is known as well, unless the meter is late
            told = tuple(one for one in series.readings if one.at_ms <= until_ms)
            nothing_new = not told or told[-1].at_ms < period.end_ms
            beyond = series.readings[len(told) : len(told) + 1]
            known.append(Series(series.device, told if nothing_new else (*told, *beyond)))
        home = Home(MEMBER, Grid(), ((known[0],),), ((known[1],),))
        netted = net(period, [home], {}, counted)
        counted = dict(netted.counted)
        for device, one in counted.items():
            if one.at_ms < period.end_ms:
                late.setdefault(device, []).append(Late(period.end_ms, one.at_ms))
        for day in member_days(netted.homes, period, DAYS):
            before = settled.get(day.day, (0, 0, 0, 0))
            parts = (day.import_wh, day.export_wh, day.pv_wh, day.load_wh)
            settled[day.day] = tuple(map(sum, zip(before, parts, strict=True)))  # type: ignore[assignment] # four and four

    own = own_days([OwnPoints("grid", ((meter,),), ((plant,),))], DAYS.starts, FIRST, SLOT_MS, late)

    found = {one.day: (one.import_wh, one.export_wh, one.produced_wh, one.load_wh) for one in own}
    assert found == settled
