"""What a member's own registers say of its days: computed anew, by slot, as settlement does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from energy.bills.covered import NetDay
from energy.bills.sums import Regime
from energy.settlement.registers import Series, SlotEnergy, slot_energies
from energy.settlement.slots import Period

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


def own_days(
    homes: Iterable[OwnPoints], starts: Sequence[int], first_day: int, slot_ms: int
) -> list[NetDay]:
    """Return what each home exchanged on each local day.

    Args:
        homes: Of one member, each regime once.
        starts: When the days begin, and when the last one ends (`energy.bills.days.day_starts`).
        first_day: Which day begins first.
        slot_ms: In which production is netted; it divides every day.
    """
    found = []
    for home in homes:
        for at in range(len(starts) - 1):
            period = Period(starts[at], starts[at + 1], slot_ms)
            found.append(_day(home, period, first_day + at))
    return found


def _day(home: OwnPoints, period: Period, day: int) -> NetDay:
    grid = [slot_energies(chain, {}, period)[0] for chain in home.points]
    production = [slot_energies(chain, {}, period)[0] for chain in home.production]
    surplus = [sum(one.export_wh - one.import_wh for one in slot) for slot in zip(*grid)]  # noqa: B905 — of one period, all of one length
    produced_wh = sum(one.export_wh for column in production for one in column)
    return NetDay(
        day,
        home.regime,
        import_wh=sum(max(0, -wh) for wh in surplus),
        export_wh=sum(max(0, wh) for wh in surplus),
        is_estimated=_is_estimated([*grid, *production]),
        produced_wh=produced_wh,
        load_wh=produced_wh - sum(surplus),
    )


def _is_estimated(columns: Iterable[Iterable[SlotEnergy]]) -> bool:
    return any(slot.is_substitute for column in columns for slot in column)
