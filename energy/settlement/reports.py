"""What of one unit's slots is reported: sums, in an order in which none of them is refused.

A day's charge may be more than a unit holds at once. So the slots are cut into rounds: within
one, all that was charged fits on top of what the unit held when it began; its charges are
reported first, then what was drawn, and only then comes the next round. Mostly there is one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from energy.settlement.records import Report, UnitTerms
from energy.units import PPM
from tangle.address import Address


@dataclass(frozen=True, slots=True)
class UnitSlot:
    """What one slot adds to the sums of a unit."""

    end_ms: int
    charged: tuple[tuple[Address, int], ...]
    """Wh by member, the owner's own charge from the grid included."""

    drawn: tuple[tuple[Address, int, tuple[int, ...]], ...]
    """Wh by member, and for which of its sessions the slot counts. A sum holds no others: the
    ledger sees of it when it ended, and by that for which sessions it is."""


@dataclass(slots=True)
class _Round:
    charged: dict[Address, tuple[int, int]] = field(default_factory=dict)
    drawn: dict[tuple[Address, tuple[int, ...]], tuple[int, int]] = field(default_factory=dict)
    """Wh and the end of the last slot that added to them."""


@dataclass(slots=True)
class Level:
    """What a unit may hold, in Wh · ppm: never below what the ledger books of the same slots."""

    capacity: int
    efficiency_ppm: int
    stored: int
    """Exact, where the ledger rounds down."""

    @classmethod
    def of(cls, terms: UnitTerms) -> "Level":
        """Return where a unit begins a period."""
        return cls(terms.capacity_wh * PPM, terms.efficiency_ppm, terms.stored_wh * PPM)

    @property
    def room_wh(self) -> int:
        """How much may be charged, its loss not yet taken off."""
        return max(0, self.capacity - self.stored) // self.efficiency_ppm

    def charge(self, energy_wh: int) -> None:
        """Book a charge."""
        self.stored += energy_wh * self.efficiency_ppm

    def draw(self, energy_wh: int) -> None:
        """Book a discharge; more than there is leaves nothing."""
        self.stored = max(0, self.stored - energy_wh * PPM)


def reports_of(terms: UnitTerms, slots: Iterable[UnitSlot], number: int) -> list[Report]:
    """Return the reports of one unit over a period, in order.

    Args:
        terms: As the period began.
        slots: In order of time; each charge fits what the slots before leave room for.
        number: Of the first report.
    """
    rounds, level, begun = [_Round()], Level.of(terms), Level.of(terms)
    end_ms = 0
    for slot in slots:
        charged_wh = sum(wh for _, wh in slot.charged)
        begun.charge(charged_wh)
        if begun.stored > begun.capacity:
            rounds.append(_Round())
            begun.stored = level.stored
            begun.charge(charged_wh)
        level.charge(charged_wh)
        level.draw(sum(wh for _, wh, _ in slot.drawn))
        _add(rounds[-1], slot)
        end_ms = slot.end_ms
    reports: list[Report] = []
    for at, one in enumerate(rounds):
        _report(reports, terms.unit, 2 * at, one, number)
    stage, unit = 2 * len(rounds), terms.unit
    if terms.held_wh is not None:
        reports.append(Report(unit, stage, "actual", unit, terms.held_wh, end_ms, None))
    held = [one for sessions in terms.sessions.values() for one in sessions]
    if any(one.expires_at_ms <= end_ms + 1 for one in held):  # it waits for nothing any more
        reports.append(Report(unit, stage + 1, "reported", unit, 0, end_ms, None))
    return reports


def _add(one: _Round, slot: UnitSlot) -> None:
    for member, wh in slot.charged:
        if wh:
            one.charged[member] = (one.charged.get(member, (0, 0))[0] + wh, slot.end_ms)
    for member, wh, sessions in slot.drawn:
        if wh:
            key = (member, sessions)
            one.drawn[key] = (one.drawn.get(key, (0, 0))[0] + wh, slot.end_ms)


def _report(reports: list[Report], unit: Address, stage: int, one: _Round, number: int) -> None:
    """Add the reports of one round, by member; those before an expiry before those after it.

    They are so in whatever order the ledger applies them: each session is debited by sums that
    ended before it expired, the one opened first before the others.
    """
    sums: list[tuple[int, Literal["produced", "consumed"], Address, tuple[int, int]]] = [
        (stage, "produced", member, one.charged[member]) for member in sorted(one.charged)
    ]
    drawn = sorted(one.drawn, key=lambda key: (key[0], one.drawn[key][1]))
    sums += [(stage + 1, "consumed", key[0], one.drawn[key]) for key in drawn]
    for at, kind, member, (wh, end_ms) in sums:
        reports.append(Report(unit, at, kind, member, wh, end_ms, number + len(reports)))
