"""One settlement period: metered energy in, sums and reports out, exact in every slot.

Source: ENERGY §7. A home nets its own production first; the unit's metered discharge goes to
connected members; what it was charged with comes from their surplus; the rest is the grid's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from energy.settlement.records import (
    Home,
    MemberSums,
    Progress,
    Report,
    Settlement,
    SlotBalance,
    UnitBalance,
    UnitSums,
    UnitTerms,
)
from energy.settlement.regimes import Ctt, Regime, Storage
from energy.settlement.registers import Counted, Registers, Series, SlotEnergy, slot_energies
from energy.settlement.reports import Level, UnitSlot, reports_of
from energy.settlement.sharing import Flow, Need, share_slot
from energy.settlement.slots import Period
from tangle.address import Address
from tangle.codec import encode

_NO_FLOW: Final = Flow(0, 0, 0)
_SUMMED: Final = MemberSums.__struct_fields__[2:-1]
_UNIT_SUMMED: Final = UnitSums.__struct_fields__[2:-1]


def settle(
    period: Period, homes: Sequence[Home], units: Sequence[UnitTerms], progress: Progress
) -> Settlement:
    """Settle one period.

    Args:
        period: Which; of what follows after it nothing is counted.
        homes: All members settled here, each once per regime. Those whose unit is not among
            `units` are supplied by the grid.
        units: The storage units settled here.
        progress: What the period before left.

    Returns:
        The same for the same readings, in whatever order they are given.
    """
    metered = _Metered(period, progress.counted)
    net = [
        _net(metered, home)
        for home in sorted(homes, key=lambda one: (one.member, encode(one.regime)))
    ]
    reports: list[Report] = []
    unit_sums, unit_balances = [], []
    numbers = dict(progress.next_reports)
    for terms in sorted(units, key=lambda one: one.unit):
        mine = [one for one in net if one.regime == Storage(terms.unit)]
        slots, balances = _share(terms, mine, metered)
        first = numbers.get(terms.unit, 0)
        made = reports_of(terms, slots, first)
        numbers[terms.unit] = first + sum(one.number is not None for one in made)
        reports += made
        unit_sums.append(_unit_sums(terms, balances))
        unit_balances += balances
    by_home = [(one, _balances(one, period)) for one in net]
    return Settlement(
        tuple(_member_sums(one, balances) for one, balances in by_home),
        tuple(unit_sums),
        tuple(reports),
        Progress(metered.counted, numbers),
        tuple(balance for _, balances in by_home for balance in balances),
        tuple(unit_balances),
    )


@dataclass(frozen=True, slots=True)
class _Net:
    """One home, slot by slot."""

    member: Address
    regime: Regime
    meter: list[SlotEnergy]
    pv_wh: list[int]
    flows: list[Flow]
    """With its unit; grows as slots are shared."""


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


def _net(metered: _Metered, home: Home) -> _Net:
    """Return a home with its own production netted: of import and export one is 0."""
    production = metered.energies(home.pv)
    meter = []
    for grid, pv in zip(metered.energies(home.points), production, strict=True):
        surplus_wh = grid.export_wh - grid.import_wh
        is_substitute = grid.is_substitute or pv.is_substitute
        meter.append(SlotEnergy(max(0, -surplus_wh), max(0, surplus_wh), is_substitute))
    pv_wh = [one.export_wh for one in production]
    return _Net(home.member, home.regime, meter, pv_wh, [])


def _share(
    terms: UnitTerms, homes: Sequence[_Net], metered: _Metered
) -> tuple[list[UnitSlot], list[UnitBalance]]:
    """Share all slots of one unit among its members, whose flows grow by it."""
    sharing, slots, balances = _Sharing(terms), [], []
    for at, own in enumerate(metered.energies([terms.point])):
        start_ms = metered.period.slots[at]
        end_ms = start_ms + metered.period.slot_ms
        needs = [(home.member, home.meter[at]) for home in homes]
        slot, balance, flows = sharing.slot((start_ms, end_ms), own, needs)
        for home, flow in zip(homes, flows, strict=True):
            home.flows.append(flow)
        slots.append(slot)
        balances.append(balance)
    return slots, balances


class _Sharing:
    """What a unit and the sessions of its members still hold, from slot to slot."""

    def __init__(self, terms: UnitTerms) -> None:
        self._terms = terms
        self._level = Level.of(terms)
        self._left_wh = {member: one.energy_wh for member, one in terms.sessions.items()}

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
            if self._is_open(member, span[1]):
                self._left_wh[member] = max(0, self._left_wh[member] - wh)
        members_wh = charge_wh - shared.spare_charge_wh
        return (
            UnitSlot(
                span[1],
                (
                    *((member, flow.charge_wh) for member, flow in pairs),
                    (owner, shared.spare_charge_wh),
                ),
                tuple((member, wh, self._is_open(member, span[1])) for member, wh in drawn),
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

    def _is_open(self, member: Address, end_ms: int) -> bool:
        session = self._terms.sessions.get(member)
        return session is not None and end_ms < session.expires_at_ms

    def _cap_wh(self, member: Address, end_ms: int) -> int:
        return self._left_wh[member] if self._is_open(member, end_ms) else 0


def _balances(home: _Net, period: Period) -> list[SlotBalance]:
    flows = home.flows or [_NO_FLOW] * len(home.meter)
    is_ctt = isinstance(home.regime, Ctt)
    balances = []
    for at, (meter, pv_wh, flow) in enumerate(zip(home.meter, home.pv_wh, flows, strict=True)):
        grid_wh = meter.import_wh - flow.session_wh - flow.over_wh
        feed_in_wh = meter.export_wh - flow.charge_wh
        balances.append(
            SlotBalance(
                period.slots[at],
                home.member,
                home.regime,
                pv_wh,
                pv_wh + meter.import_wh - meter.export_wh,
                0 if is_ctt else grid_wh,
                flow.session_wh,
                flow.over_wh,
                0 if is_ctt else feed_in_wh,
                flow.charge_wh,
                grid_wh if is_ctt else 0,
                feed_in_wh if is_ctt else 0,
                meter.is_substitute,
            )
        )
    return balances


def _member_sums(home: _Net, balances: Sequence[SlotBalance]) -> MemberSums:
    sums = {name: sum(getattr(one, name) for one in balances) for name in _SUMMED}
    substitutes = sum(one.is_substitute for one in balances)
    return MemberSums(home.member, home.regime, **sums, substitute_slots=substitutes)


def _unit_sums(terms: UnitTerms, balances: Sequence[UnitBalance]) -> UnitSums:
    sums = {name: sum(getattr(one, name) for one in balances) for name in _UNIT_SUMMED}
    substitutes = sum(one.is_substitute for one in balances)
    return UnitSums(terms.unit, terms.owner, **sums, substitute_slots=substitutes)
