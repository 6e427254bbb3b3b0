"""What a member's own registers say of its days: computed anew, by slot, as settlement does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from energy.bills.covered import NetDay
from energy.bills.sums import Regime
from energy.settlement.registers import Series, SlotEnergy, slot_energies
from energy.settlement.slots import Period
from tangle.address import Address

Chain = Sequence[Series]
"""The devices of one metering point, a replaced one before the one that replaced it."""


@dataclass(frozen=True, slots=True)
class OwnPoints:
    """The metering points of one member in one regime: one home, netted together."""

    regime: Regime
    points: tuple[Chain, ...]
    """Where it meets the grid."""

    production: tuple[Chain, ...] = ()
    """Behind those: what the export register counts there is production."""


@dataclass(frozen=True, slots=True)
class Late:
    """A meter that told of a period only after it was settled."""

    end_ms: int
    """Of the period."""

    counted_ms: int
    """Up to which reading it was counted then: the rest fell into the first slot after it."""


LateMeters = Mapping[Address, Sequence[Late]]
"""By meter."""

_NONE: Final[LateMeters] = MappingProxyType({})


def own_days(
    homes: Iterable[OwnPoints],
    starts: Sequence[int],
    first_day: int,
    slot_ms: int,
    late: LateMeters = _NONE,
) -> list[NetDay]:
    """Return what each home exchanged on each local day.

    Args:
        homes: Of one member, each regime once.
        starts: When the days begin, and when the last one ends (`energy.bills.days.day_starts`).
        first_day: Which day begins first.
        slot_ms: In which production is netted; it divides every day.
        late: Meters that were late. What was late is of the day in which it was counted.
    """
    cuts = sorted({one.end_ms for found in late.values() for one in found})
    found = []
    for home in homes:
        for day, (start_ms, end_ms) in enumerate(pairwise(starts), first_day):
            bounds = [start_ms, *(at for at in cuts if start_ms < at < end_ms), end_ms]
            periods = [Period(*pair, slot_ms) for pair in pairwise(bounds)]
            found.append(_day(home, periods, day, late))
    return found


def _day(home: OwnPoints, periods: Sequence[Period], day: int, late: LateMeters) -> NetDay:
    grid = [_energies(chain, periods, late) for chain in home.points]
    production = [_energies(chain, periods, late) for chain in home.production]
    surplus = [
        sum(one.export_wh - one.import_wh for one in slot) for slot in zip(*grid, strict=True)
    ]
    produced_wh = sum(one.export_wh for column in production for one in column)
    return NetDay(
        day,
        home.regime,
        import_wh=sum(max(0, -wh) for wh in surplus),
        export_wh=sum(max(0, wh) for wh in surplus),
        is_estimated=any(slot.is_substitute for part in (*grid, *production) for slot in part),
        produced_wh=produced_wh,
        load_wh=produced_wh - sum(surplus),
    )


def _energies(chain: Chain, periods: Iterable[Period], late: LateMeters) -> list[SlotEnergy]:
    """Return what crossed a point in each slot, as it was known when each period was settled."""
    energies: list[SlotEnergy] = []
    for period in periods:
        known, counted = [], {}
        for series in chain:
            readings = series.readings
            for one in late.get(series.device, ()):
                told = tuple(reading for reading in readings if reading.at_ms <= one.counted_ms)
                if one.end_ms == period.start_ms and told:
                    counted[series.device] = told[-1]
                if one.end_ms == period.end_ms:
                    readings = told
            known.append(Series(series.device, readings))
        energies += slot_energies(known, counted, period)[0]
    return energies
