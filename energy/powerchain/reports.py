"""What storage units report: energy taken in, energy drawn, and what is really there."""

from dataclasses import dataclass

import msgspec

from energy.locked import MAX_ENERGY_WH, Side, burn, change_energy, mint, total_energy_wh
from energy.members import is_member
from energy.parameters import EnergyParameters, parameters
from energy.powerchain.calls import Actual, Consumed, Produced
from energy.powerchain.gap import (
    Gap,
    burned,
    burned_in_session,
    energy_for,
    gone,
    minted,
    opening_rate,
)
from energy.powerchain.limits import fallen
from energy.powerchain.records import (
    Session,
    StorageUnit,
    connection_at,
    gap_of,
    put_connection,
    put_rate,
    put_session,
    put_unit,
    sessions_at,
    unit_at,
)
from energy.powerchain.sessions import end_session, lose
from energy.shares import split
from energy.units import PPM, UENT_PER_WH
from tangle.accounts import Token, balance
from tangle.address import Address
from tangle.contracts import Changed, Context
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader
from tangle.sequences import SequenceWindow, use


def apply_produced(rows: RowReader, call: Produced, context: Context) -> Changed | Reason:
    """Book a charge and mint for it: F to the unit's owner, the rest to the producer.

    Of the charge, the unit's efficiency is booked, rounded down to whole Wh, and minted for; so
    its normal loss is the producer's and opens no gap.

    Returns:
        The changed rows; or what `_admitted` refuses, `UNIT_FULL`, or `OUT_OF_RANGE` (more
        tokens or energy than the ledger can count).
    """
    admitted = _admitted(rows, call, context)
    if isinstance(admitted, Reason):
        return admitted
    address, unit = admitted
    booked_wh = call.energy_wh * unit.efficiency_ppm // PPM
    if unit.stored_wh + booked_wh > unit.capacity_wh:
        return Reason.UNIT_FULL
    rules, draft = parameters(rows), Draft(rows)
    part = minted(gap_of(rows), booked_wh, rules)
    weights = (PPM - rules.owner_share_ppm, rules.owner_share_ppm)
    producer_uent, owner_uent = split(part.amount_uent, weights)
    shares = ((call.member, producer_uent), (unit.owner, owner_uent))
    if not mint(draft, Token.ENT, shares) or not change_energy(draft, booked_wh):
        return Reason.OUT_OF_RANGE
    fuller = msgspec.structs.replace(
        unit, stored_wh=unit.stored_wh + booked_wh, free_wh=unit.free_wh + booked_wh
    )
    put_unit(draft, address, fuller)
    put_rate(draft, part.gap)
    fields = (
        ("unit", address),
        ("member", call.member),
        ("energy_wh", call.energy_wh),
        ("booked_wh", booked_wh),
        ("producer_uent", producer_uent),
        ("owner_uent", owner_uent),
        ("cost_uent", part.cost_uent),
    )
    return Changed(draft.changes, (Event("energy.produced", fields),))


def apply_consumed(rows: RowReader, call: Consumed, context: Context) -> Changed | Reason:
    """Book energy that a member drew: from its session, then paid, then without tokens.

    Returns:
        The changed rows, with a remark if the unit held less than was drawn; or what
        `_admitted` refuses.
    """
    admitted = _admitted(rows, call, context)
    if isinstance(admitted, Reason):
        return admitted
    address, unit = admitted
    draft, rules = Draft(rows), parameters(rows)
    drawing = _Drawing(address, call.member, rules, call.energy_wh, unit, gap_of(rows), ())
    rate_ppm = opening_rate(drawing.gap, rules)
    for session in sessions_at(rows, address, call.member):
        if counts_for(session, context.timestamp_ms, _interval_end(call, context)):
            drawing = _from_session(draft, drawing, session)
    drawing = _over(draft, drawing, rate_ppm, context.timestamp_ms)
    put_unit(draft, address, drawing.unit)
    put_rate(draft, drawing.gap)
    fields = (("unit", address), ("member", call.member), ("energy_wh", call.energy_wh))
    events = (Event("energy.consumed", fields), *drawing.events)
    if drawing.left_wh:
        remark = ("remark", str(Reason.UNIT_EMPTY))
        missing = (*fields[:2], ("energy_wh", drawing.left_wh), remark)
        events = (*events, Event("energy.remark", missing))
    return Changed(draft.changes, events)


def apply_actual(rows: RowReader, call: Actual, context: Context) -> Changed | Reason:
    """Book what a unit really holds.

    Returns:
        The changed rows; or `NOT_ALLOWED` (the issuer is no unit), `UNIT_FULL` (above its
        capacity), `OUT_OF_RANGE` (more energy than the ledger can count).
    """
    unit = unit_at(rows, context.address)
    if unit is None:
        return Reason.NOT_ALLOWED
    if call.energy_wh > unit.capacity_wh:
        return Reason.UNIT_FULL
    if total_energy_wh(rows) - unit.stored_wh + call.energy_wh > MAX_ENERGY_WH:
        return Reason.OUT_OF_RANGE
    draft = Draft(rows)
    after, events = book_actual(draft, context.address, unit, call.energy_wh)
    put_unit(draft, context.address, after)
    return Changed(draft.changes, tuple(events))


def book_actual(
    draft: Draft, address: Address, unit: StorageUnit, energy_wh: int
) -> tuple[StorageUnit, list[Event]]:
    """Book what a unit really holds, with gap and rate; the unit is the caller's to write."""
    lost_wh = unit.stored_wh - energy_wh
    gap = gone(gap_of(draft), lost_wh, parameters(draft))
    events: list[Event] = []
    if lost_wh > 0:
        unit, events = lose(draft, address, unit, lost_wh)
    elif lost_wh < 0:
        change_energy(draft, -lost_wh)
        unit = msgspec.structs.replace(unit, stored_wh=energy_wh, free_wh=unit.free_wh - lost_wh)
    put_rate(draft, gap)
    fields = (("unit", address), ("energy_wh", energy_wh), ("lost_wh", lost_wh))
    return unit, [Event("energy.actual", fields), *events]


def _admitted(
    rows: RowReader, call: Produced | Consumed, context: Context
) -> tuple[Address, StorageUnit] | Reason:
    """Return the unit that reports, its report number used.

    Returns:
        Address and unit; or `NOT_ALLOWED` (neither a unit nor its delegated key), `TOO_SMALL`
        (no energy), `UNKNOWN_MEMBER`, `DUPLICATE_REPORT`, `OUT_OF_RANGE` (a report number too
        far ahead, or an interval that is not over).
    """
    address = Address(context.address if call.unit is None else call.unit)
    unit = unit_at(rows, address)
    if unit is None or context.address not in (address, unit.reporter):
        return Reason.NOT_ALLOWED
    if call.energy_wh == 0:
        return Reason.TOO_SMALL
    if not is_member(rows, call.member):
        return Reason.UNKNOWN_MEMBER
    if _interval_end(call, context) > context.timestamp_ms:
        return Reason.OUT_OF_RANGE
    number = unit.reports.next if call.report is None else call.report
    used = use(unit.reports, number)
    if isinstance(used, SequenceWindow):
        return address, msgspec.structs.replace(unit, reports=used)
    return Reason.DUPLICATE_REPORT if used is Reason.SEQUENCE_USED else Reason.OUT_OF_RANGE


def counts_for(session: Session, timestamp_ms: int, interval_end_ms: int) -> bool:
    """Return whether a report counts for a session: drawn while it was open, and not too late."""
    is_within = session.opened_at_ms <= interval_end_ms < session.expires_at_ms
    return is_within and timestamp_ms < session.returns_at_ms


def _interval_end(call: Produced | Consumed, context: Context) -> int:
    return context.timestamp_ms if call.interval_end_ms is None else call.interval_end_ms


@dataclass(frozen=True, slots=True)
class _Drawing:
    """How far a report of consumption is booked."""

    address: Address
    member: Address
    rules: EnergyParameters
    left_wh: int
    unit: StorageUnit
    gap: Gap
    events: tuple[Event, ...]


def _from_session(draft: Draft, drawing: _Drawing, session: Session) -> _Drawing:
    """Debit a session of the member, at the rate it was opened at; used up, it ends."""
    address, member = drawing.address, drawing.member
    drawn_wh = min(session.energy_wh, drawing.left_wh)
    if not drawn_wh:
        return drawing
    part = burned_in_session(
        drawing.gap,
        drawn_wh,
        drawing.rules,
        rate_ppm=session.rate_ppm,
        spare_uent=session.amount_uent - UENT_PER_WH * session.energy_wh,
    )
    burn(draft, Token.ENT, member, part.amount_uent, Side.LOCKED)
    change_energy(draft, -drawn_wh)
    left = msgspec.structs.replace(
        session,
        energy_wh=session.energy_wh - drawn_wh,
        amount_uent=session.amount_uent - part.amount_uent,
    )
    fields = (
        ("unit", address),
        ("member", member),
        ("energy_wh", drawn_wh),
        ("burned_uent", part.amount_uent),
        ("cost_uent", part.cost_uent),
    )
    events = [*drawing.events, Event("energy.drawn", fields)]
    if left.energy_wh:
        put_session(draft, address, member, left)
    else:
        events.append(end_session(draft, address, member, left, "used"))
    return _Drawing(
        address,
        member,
        drawing.rules,
        drawing.left_wh - drawn_wh,
        msgspec.structs.replace(drawing.unit, stored_wh=drawing.unit.stored_wh - drawn_wh),
        part.gap,
        tuple(events),
    )


def _over(draft: Draft, drawing: _Drawing, rate_ppm: int, timestamp_ms: int) -> _Drawing:
    """Book what the member drew beyond its session, as far as the unit holds it.

    Paid from the member's free ENT as far as its limit goes; the rest is gone without tokens.

    Args:
        draft: Of the operation.
        drawing: As the session left it.
        rate_ppm: In force before the report: it says how many whole Wh the limit buys.
        timestamp_ms: Of the milestone: it says which limit holds.
    """
    over_wh = min(drawing.left_wh, drawing.unit.stored_wh)
    if not over_wh:
        return drawing
    address, member, rules = drawing.address, drawing.member, drawing.rules
    signed = connection_at(draft, address, member)
    connection = None if signed is None else fallen(signed, timestamp_ms)
    limit_uent = 0 if connection is None else connection.limit_uent
    budget_uent = min(limit_uent, balance(draft, Token.ENT, member))
    paid_wh = min(over_wh, energy_for(budget_uent, rate_ppm))
    part = burned(drawing.gap, paid_wh, rules)
    if connection is not None and part.amount_uent:
        burn(draft, Token.ENT, member, part.amount_uent, Side.FREE)
        less = msgspec.structs.replace(connection, limit_uent=limit_uent - part.amount_uent)
        put_connection(draft, address, member, less)
    unit, events = lose(draft, address, drawing.unit, over_wh, member)
    fields = (
        ("unit", address),
        ("member", member),
        ("paid_wh", paid_wh),
        ("unpaid_wh", over_wh - paid_wh),
        ("burned_uent", part.amount_uent),
        ("cost_uent", part.cost_uent),
    )
    return _Drawing(
        address,
        member,
        rules,
        drawing.left_wh - over_wh,
        unit,
        gone(part.gap, over_wh - paid_wh, rules),
        (*drawing.events, Event("energy.over_consumed", fields), *events),
    )
