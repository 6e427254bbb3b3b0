"""What settling starts from, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

import msgspec

from energy.powerchain.calls import Actual, Consumed, EnergyCall, Produced
from energy.settlement.regimes import Regime
from energy.settlement.registers import Counted, Series
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


@dataclass(frozen=True, slots=True)
class UnitTerms:
    """One storage unit as the ledger holds it, all earlier reports applied."""

    unit: Address
    owner: Address
    capacity_wh: int
    efficiency_ppm: int
    stored_wh: int
    point: tuple[Series, ...]
    """Its own meter: import is charge, export is discharge."""

    sessions: Mapping[Address, SessionTerms]
    """By member."""

    held_wh: int | None = None
    """What it says it really holds at the end of the period, if it says so."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far settling has got."""

    counted: Counted
    next_reports: Mapping[Address, int]
    """By unit: number of its next report."""


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


class MemberSums(msgspec.Struct, frozen=True, array_like=True):
    """One member in one regime over a period; Wh, as in `SlotBalance`."""

    member: AddressField
    regime: Regime
    pv_wh: int = 0
    load_wh: int = 0
    grid_wh: int = 0
    session_wh: int = 0
    over_wh: int = 0
    feed_in_wh: int = 0
    charge_wh: int = 0
    tokens_out_wh: int = 0
    tokens_in_wh: int = 0
    substitute_slots: int = 0


class UnitSums(msgspec.Struct, frozen=True, array_like=True):
    """One unit over a period; Wh, as in `UnitBalance`."""

    unit: AddressField
    owner: AddressField
    member_charge_wh: int = 0
    member_draw_wh: int = 0
    own_charge_wh: int = 0
    own_grid_wh: int = 0
    own_feed_in_wh: int = 0
    substitute_slots: int = 0


class Report(msgspec.Struct, frozen=True, array_like=True):
    """One operation that a period comes to."""

    unit: AddressField
    stage: Counter
    """Of one unit, all of a stage are applied before the next one is issued."""

    kind: Literal["produced", "consumed", "actual"]
    member: AddressField
    energy_wh: Counter
    interval_end_ms: Counter
    number: Counter | None
    """Its number among the reports of the unit: a repeat cannot count. `None` for what the unit
    holds: repeated, that says the same."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """All that one period comes to."""

    members: tuple[MemberSums, ...]
    """Ascending by address, then regime."""

    units: tuple[UnitSums, ...]
    reports: tuple[Report, ...]
    """By unit and stage."""

    progress: Progress
    """What the next period starts from."""

    balances: tuple[SlotBalance, ...]
    unit_balances: tuple[UnitBalance, ...]


def call_of(report: Report) -> EnergyCall:
    """Return what the ledger is asked for by a report."""
    member, wh = report.member, report.energy_wh
    match report.kind:
        case "produced":
            return Produced(member, wh, report.number, report.interval_end_ms)
        case "consumed":
            return Consumed(member, wh, report.number, report.interval_end_ms)
        case "actual":
            return Actual(wh)
        case _:
            assert_never(report.kind)
