"""One settlement period of one storage unit: slot sums in, shares and reports out.

Exact in every slot. Source: ENERGY §7. The unit's metered discharge goes to connected members;
what it was charged with comes from their surplus; the rest is the grid's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from energy.settlement.records import Report, SharedDay, UnitBalance, UnitDay, UnitTerms
from energy.settlement.registers import SlotEnergy
from energy.settlement.reports import Level, UnitSlot, reports_of
from energy.settlement.sharing import Flow, Need, share_slot
from energy.settlement.slots import LocalDays, Period
from tangle.address import Address


@dataclass(frozen=True, slots=True)
class SharedSlots:
    """All that one period of one unit comes to."""

    flows: Mapping[Address, tuple[Flow, ...]]
    """By member, slot by slot."""

    balances: tuple[UnitBalance, ...]
    reports: tuple[Report, ...]
    """By stage."""


def share_period(
    period: Period,
    terms: UnitTerms,
    own: Sequence[SlotEnergy],
    members: Mapping[Address, Sequence[SlotEnergy]],
    number: int,
) -> SharedSlots:
    """Share one period of one unit.

    Args:
        period: Which.
        terms: The unit as the ledger holds it, all earlier reports applied.
        own: What its own meter says, slot by slot: import is charge, export is discharge.
        members: What the homes of each member leave over, slot by slot.
        number: Of the first report.
    """
    sharing, slots, balances = _Sharing(terms), [], []
    ordered = sorted(members)
    flows: dict[Address, list[Flow]] = {member: [] for member in ordered}
    for at, start_ms in enumerate(period.slots):
        needs = [(member, members[member][at]) for member in ordered]
        slot, balance, shared = sharing.slot((start_ms, start_ms + period.slot_ms), own[at], needs)
        for member, flow in zip(ordered, shared, strict=True):
            flows[member].append(flow)
        slots.append(slot)
        balances.append(balance)
    return SharedSlots(
        {member: tuple(found) for member, found in flows.items()},
        tuple(balances),
        tuple(reports_of(terms, slots, number)),
    )


def shared_days(
    period: Period,
    members: Mapping[Address, Sequence[SlotEnergy]],
    shared: SharedSlots,
    days: LocalDays,
) -> tuple[SharedDay, ...]:
    """Return the sums of a period by member and local day."""
    found = []
    for member, flows in sorted(shared.flows.items()):
        by_day: dict[int, list[tuple[SlotEnergy, Flow]]] = {}
        for start_ms, slot, flow in zip(period.slots, members[member], flows, strict=True):
            by_day.setdefault(days.day_of(start_ms), []).append((slot, flow))
        found += [_shared_day(member, day, pairs) for day, pairs in by_day.items()]
    return tuple(found)


def unit_days(terms: UnitTerms, shared: SharedSlots, days: LocalDays) -> tuple[UnitDay, ...]:
    """Return what a unit exchanged over a period by local day."""
    by_day: dict[int, list[UnitBalance]] = {}
    for one in shared.balances:
        by_day.setdefault(days.day_of(one.start_ms), []).append(one)
    return tuple([_unit_day(terms, day, found) for day, found in by_day.items()])


def _shared_day(member: Address, day: int, pairs: Sequence[tuple[SlotEnergy, Flow]]) -> SharedDay:
    return SharedDay(
        member,
        day,
        sum(slot.import_wh for slot, _ in pairs),
        sum(slot.export_wh for slot, _ in pairs),
        sum(flow.session_wh for _, flow in pairs),
        sum(flow.over_wh for _, flow in pairs),
        sum(flow.charge_wh for _, flow in pairs),
        sum(slot.is_substitute for slot, _ in pairs),
    )


def _unit_day(terms: UnitTerms, day: int, found: Sequence[UnitBalance]) -> UnitDay:
    return UnitDay(
        terms.unit,
        terms.owner,
        day,
        sum(one.member_charge_wh for one in found),
        sum(one.member_draw_wh for one in found),
        sum(one.own_charge_wh for one in found),
        sum(one.own_grid_wh for one in found),
        sum(one.own_feed_in_wh for one in found),
        sum(one.is_substitute for one in found),
    )


class _Sharing:
    """What a unit and the sessions of its members still hold, from slot to slot."""

    def __init__(self, terms: UnitTerms) -> None:
        self._terms = terms
        self._level = Level.of(terms)
        self._left_wh = {
            member: [one.energy_wh for one in held] for member, held in terms.sessions.items()
        }

    def slot(
        self, span: tuple[int, int], own: SlotEnergy, needs: Sequence[tuple[Address, SlotEnergy]]
    ) -> tuple[UnitSlot, UnitBalance, tuple[Flow, ...]]:
        """Share one slot, given its start and end, and what each member's home leaves over."""
        owner = self._terms.owner
        charge_wh = min(own.import_wh, self._level.room_wh)
        shared = share_slot(
            [
                Need(one.import_wh, one.export_wh, self._cap_wh(member, span[1]))
                for member, one in needs
            ],
            own.export_wh,
            charge_wh,
        )
        self._level.charge(charge_wh)
        self._level.draw(own.export_wh)
        pairs = [(member, flow) for (member, _), flow in zip(needs, shared.flows, strict=True)]
        drawn = [(member, flow.session_wh + flow.over_wh) for member, flow in pairs]
        drawn.append((owner, shared.unclaimed_wh))
        for member, wh in drawn:
            self._draw(member, span[1], wh)
        members_wh = charge_wh - shared.spare_charge_wh
        return (
            UnitSlot(
                span[1],
                (
                    *((member, flow.charge_wh) for member, flow in pairs),
                    (owner, shared.spare_charge_wh),
                ),
                tuple((member, wh, self._open(member, span[1])) for member, wh in drawn),
            ),
            UnitBalance(
                span[0],
                self._terms.unit,
                members_wh,
                own.export_wh - shared.unclaimed_wh,
                shared.spare_charge_wh,
                own.import_wh - members_wh,
                shared.unclaimed_wh,
                own.is_substitute,
            ),
            shared.flows,
        )

    def _open(self, member: Address, end_ms: int) -> tuple[int, ...]:
        """Return for which sessions of a member a slot counts."""
        held = self._terms.sessions.get(member, ())
        return tuple(
            at for at, one in enumerate(held) if one.opened_at_ms <= end_ms < one.expires_at_ms
        )

    def _cap_wh(self, member: Address, end_ms: int) -> int:
        return sum(self._left_wh[member][at] for at in self._open(member, end_ms))

    def _draw(self, member: Address, end_ms: int, energy_wh: int) -> None:
        """Debit sessions as the ledger will: those opened first before the others."""
        for at in self._open(member, end_ms):
            drawn_wh = min(energy_wh, self._left_wh[member][at])
            self._left_wh[member][at] -= drawn_wh
            energy_wh -= drawn_wh
