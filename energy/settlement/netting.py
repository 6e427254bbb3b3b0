"""What homes exchange with the world around them, slot by slot: a home nets its own production.

Needs nothing but readings: this is what the home edge of a meter reckons, whoever settles.
Source: ENERGY §7.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from energy.settlement.records import Home, MemberDay
from energy.settlement.regimes import Regime
from energy.settlement.registers import Counted, Registers, Series, SlotEnergy, slot_energies
from energy.settlement.slots import LocalDays, Period
from tangle.address import Address
from tangle.codec import encode


@dataclass(frozen=True, slots=True)
class NetHome:
    """One member in one regime, slot by slot."""

    member: Address
    regime: Regime
    slots: tuple[SlotEnergy, ...]
    """In each, of import and export one is 0."""

    pv_wh: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Netted:
    """One period of all metering points of a node."""

    homes: tuple[NetHome, ...]
    """Ascending by member, then regime."""

    units: Mapping[Address, tuple[SlotEnergy, ...]]
    """What storage units were charged with (import) and gave (export)."""

    counted: Counted
    """What the next period starts from."""


def net(
    period: Period,
    homes: Iterable[Home],
    units: Mapping[Address, Sequence[Series]],
    counted: Counted,
) -> Netted:
    """Net one period.

    Args:
        period: Which; of what follows after it nothing is counted.
        homes: Each member once per regime.
        units: The metering points of storage units, by unit.
        counted: What the period before left.

    Returns:
        The same for the same readings, in whatever order they are given.
    """
    metered = _Metered(period, counted)
    ordered = sorted(homes, key=lambda one: (one.member, encode(one.regime)))
    netted = tuple([_net(metered, home) for home in ordered])
    by_unit = {unit: tuple(metered.energies([point])) for unit, point in sorted(units.items())}
    return Netted(netted, by_unit, metered.counted)


def member_days(homes: Iterable[NetHome], period: Period, days: LocalDays) -> tuple[MemberDay, ...]:
    """Return the sums of a period by member, regime and local day."""
    found = []
    for home in homes:
        by_day: dict[int, list[int]] = {}
        for at, start_ms in enumerate(period.slots):
            by_day.setdefault(days.day_of(start_ms), []).append(at)
        found += [_day_of(home, day, places) for day, places in by_day.items()]
    return tuple(found)


def _day_of(home: NetHome, day: int, places: Sequence[int]) -> MemberDay:
    slots = [home.slots[at] for at in places]
    pv_wh = sum(home.pv_wh[at] for at in places)
    import_wh = sum(one.import_wh for one in slots)
    export_wh = sum(one.export_wh for one in slots)
    substitutes = sum(one.is_substitute for one in slots)
    load_wh = pv_wh + import_wh - export_wh
    return MemberDay(
        home.member, home.regime, day, pv_wh, load_wh, import_wh, export_wh, substitutes
    )


class _Metered:
    """The metering points of a period, each read once."""

    def __init__(self, period: Period, counted: Counted) -> None:
        self.period = period
        self._before = counted
        self.counted: dict[Address, Registers] = dict(counted)

    def energies(self, points: Sequence[Sequence[Series]]) -> list[SlotEnergy]:
        """Return the sum of some metering points in each slot."""
        columns = []
        for point in points:
            energies, counted = slot_energies(point, self._before, self.period)
            self.counted |= counted
            columns.append(energies)
        return [
            SlotEnergy(
                sum(one.import_wh for one in slot),
                sum(one.export_wh for one in slot),
                any(one.is_substitute for one in slot),
            )
            for slot in (zip(*columns, strict=True) if columns else ())
        ] or [SlotEnergy() for _ in self.period.slots]


def _net(metered: _Metered, home: Home) -> NetHome:
    production = metered.energies(home.pv)
    slots = []
    for grid, pv in zip(metered.energies(home.points), production, strict=True):
        surplus_wh = grid.export_wh - grid.import_wh
        is_substitute = grid.is_substitute or pv.is_substitute
        slots.append(SlotEnergy(max(0, -surplus_wh), max(0, surplus_wh), is_substitute))
    pv_wh = tuple([one.export_wh for one in production])
    return NetHome(home.member, home.regime, tuple(slots), pv_wh)
