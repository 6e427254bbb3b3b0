"""What settling starts from, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

import msgspec

from energy.powerchain.calls import Actual, Consumed, EnergyCall, Produced, Reported
from energy.settlement.regimes import Regime
from energy.settlement.registers import Series
from tangle.address import Address, AddressField
from tangle.transaction import Counter


@dataclass(frozen=True, slots=True)
class Home:
    """The metering points of one member in one regime."""

    member: Address
    regime: Regime
    points: tuple[tuple[Series, ...], ...]
    """Where it meets the grid; of each its devices, a replaced one first."""

    pv: tuple[tuple[Series, ...], ...] = ()
    """Behind those: what the export register counts there is production."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a member's session still covers."""

    energy_wh: int
    expires_at_ms: int
    """Ledger time; a slot counts for it that ends before."""

    opened_at_ms: int = 0
    """And not before this: the slot in which it was opened counts."""


@dataclass(frozen=True, slots=True)
class UnitTerms:
    """One storage unit as the ledger holds it, all earlier reports applied."""

    unit: Address
    owner: Address
    capacity_wh: int
    efficiency_ppm: int
    stored_wh: int
    sessions: Mapping[Address, tuple[SessionTerms, ...]]
    """By member: those that wait for reports as well, in order of opening."""

    held_wh: int | None = None
    """What it says it really holds at the end of the period, if it says so."""


class SlotBalance(msgspec.Struct, frozen=True, array_like=True):
    """One member in one regime in one slot; Wh.

    PV + grid + session + over + tokens out = load + feed-in + charge + tokens in.
    """

    start_ms: Counter
    member: AddressField
    regime: Regime
    pv_wh: Counter
    load_wh: int
    """What balances; below 0 only if its meters contradict each other."""

    grid_wh: Counter
    """Residual energy: nothing of the community covered it."""

    session_wh: Counter
    over_wh: Counter
    feed_in_wh: Counter
    charge_wh: Counter
    tokens_out_wh: Counter
    """For the energy accounts of the member to be depleted by."""

    tokens_in_wh: Counter
    is_substitute: bool


class UnitBalance(msgspec.Struct, frozen=True, array_like=True):
    """One storage unit in one slot; Wh. What no member has is its owner's.

    Own grid + members' charge = charge metered; members' draw + own feed-in = discharge metered.
    """

    start_ms: Counter
    unit: AddressField
    member_charge_wh: Counter
    member_draw_wh: Counter
    own_charge_wh: Counter
    """Of what it took from the grid, what fits within its capacity."""

    own_grid_wh: Counter
    own_feed_in_wh: Counter
    is_substitute: bool


class MemberDay(msgspec.Struct, frozen=True, array_like=True):
    """One member in one regime on one local day, as metered at its home edge; Wh.

    PV + import = load + export. In each slot of it, of import and export one is 0.
    """

    member: AddressField
    regime: Regime
    day: Counter
    """Days since 1970-01-01 in the calendar of the place."""

    pv_wh: Counter = 0
    load_wh: int = 0
    import_wh: Counter = 0
    export_wh: Counter = 0
    substitute_slots: Counter = 0


class SharedDay(msgspec.Struct, frozen=True, array_like=True):
    """One member of one unit on one local day, as shared by who settles; Wh.

    Of its import, session + over came from the unit, the rest is the grid's; of its export,
    the charge went to the unit, the rest is fed in.
    """

    member: AddressField
    day: Counter
    """In which it was counted: what came late is in a later day than at the home edge."""

    import_wh: Counter = 0
    export_wh: Counter = 0
    session_wh: Counter = 0
    over_wh: Counter = 0
    charge_wh: Counter = 0
    substitute_slots: Counter = 0


class UnitDay(msgspec.Struct, frozen=True, array_like=True):
    """One unit on one local day; Wh, as in `UnitBalance`."""

    unit: AddressField
    owner: AddressField
    day: Counter
    member_charge_wh: Counter = 0
    member_draw_wh: Counter = 0
    own_charge_wh: Counter = 0
    own_grid_wh: Counter = 0
    own_feed_in_wh: Counter = 0
    substitute_slots: Counter = 0


class Report(msgspec.Struct, frozen=True, array_like=True):
    """One operation that a period comes to."""

    unit: AddressField
    stage: Counter
    """Of one unit, all of a stage are applied before the next one is issued."""

    kind: Literal["produced", "consumed", "actual", "reported"]
    member: AddressField
    energy_wh: Counter
    interval_end_ms: Counter
    number: Counter | None
    """Its number among the reports of the unit: a repeat cannot count. `None` for what the unit
    holds, and for up to when all is reported: repeated, they say the same."""


def call_of(report: Report) -> EnergyCall:
    """Return what the ledger is asked for by a report."""
    member, wh = report.member, report.energy_wh
    match report.kind:
        case "produced":
            return Produced(member, wh, report.number, report.interval_end_ms, report.unit)
        case "consumed":
            return Consumed(member, wh, report.number, report.interval_end_ms, report.unit)
        case "actual":
            return Actual(wh)
        case "reported":
            return Reported(report.interval_end_ms, report.unit)
        case _:
            assert_never(report.kind)
