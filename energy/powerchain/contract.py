"""The `energy` contract: what members do with storage units, and what these report."""

from typing import Final, assert_never

import msgspec

from energy.locked import SHORTAGE, lock
from energy.members import is_member
from energy.parameters import parameters
from energy.powerchain.calls import (
    NAME,
    Actual,
    CloseSession,
    Connect,
    Consumed,
    Delegate,
    EnergyCall,
    OpenSession,
    Produced,
    decoder,
)
from energy.powerchain.gap import energy_for, opening_rate
from energy.powerchain.records import (
    Connection,
    Session,
    StorageUnit,
    add_session,
    gap_of,
    put_connection,
    put_reporter,
    put_unit,
    reported_unit,
    session_at,
    unit_at,
)
from energy.powerchain.reports import apply_actual, apply_consumed, apply_produced
from energy.powerchain.sessions import end_due_sessions, end_session, with_free
from tangle.accounts import NO_ADDRESS, Token, identity
from tangle.address import Address
from tangle.contracts import Changed, Context, Contract
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader


def apply_energy(rows: RowReader, call: EnergyCall, context: Context) -> Changed | Reason:
    """Decide one call of the `energy` contract."""
    match call:
        case Produced():
            decided = apply_produced(rows, call, context)
        case Consumed():
            decided = apply_consumed(rows, call, context)
        case Actual():
            decided = apply_actual(rows, call, context)
        case Connect():
            decided = _connect(rows, call, context)
        case OpenSession():
            decided = _open_session(rows, call, context)
        case CloseSession():
            decided = _close_session(rows, call, context)
        case Delegate():
            decided = _delegate(rows, call, context)
        case _:
            assert_never(call)
    return decided


def _connect(rows: RowReader, call: Connect, context: Context) -> Changed | Reason:
    """Join a unit; or `UNKNOWN_MEMBER` (the issuer, or the edge node named), `NOT_A_UNIT`."""
    if not is_member(rows, context.address) or identity(rows, call.edge) is None:
        return Reason.UNKNOWN_MEMBER
    if unit_at(rows, call.unit) is None:
        return Reason.NOT_A_UNIT
    draft = Draft(rows)
    put_connection(draft, call.unit, context.address, Connection(call.edge, call.limit_uent))
    event = Event(
        "energy.connected",
        (
            ("unit", call.unit),
            ("member", context.address),
            ("edge", call.edge),
            ("limit_uent", call.limit_uent),
        ),
    )
    return Changed(draft.changes, (event,))


def _open_session(rows: RowReader, call: OpenSession, context: Context) -> Changed | Reason:
    """Lock tokens and the energy they buy.

    A session that has expired and only waits for late reports never stands in the way: it ends,
    and the new one takes its place, also for those reports.

    Returns:
        The changed rows; or `UNKNOWN_MEMBER`, `NOT_A_UNIT`, `SESSION_EXISTS`, `TOO_SMALL` (less
        than a watt-hour), `INSUFFICIENT_ENT`, `INSUFFICIENT_ENERGY`.
    """
    member, unit = context.address, unit_at(rows, call.unit)
    if not is_member(rows, member):
        return Reason.UNKNOWN_MEMBER
    if unit is None:
        return Reason.NOT_A_UNIT
    draft = Draft(rows)
    events = []
    old = session_at(draft, call.unit, member)
    if old is not None:
        if context.timestamp_ms < old.expires_at_ms:
            return Reason.SESSION_EXISTS
        events.append(end_session(draft, call.unit, member, old, "replaced"))
        unit = with_free(unit, old.energy_wh)
    session = _new_session(draft, call.amount_uent, context.timestamp_ms)
    reason = _lock_for(draft, unit, member, session)
    if reason is not None:
        return reason
    add_session(draft, call.unit, member, session)
    free_wh = unit.free_wh - session.energy_wh
    put_unit(draft, call.unit, msgspec.structs.replace(unit, free_wh=free_wh))
    fields = (
        ("unit", call.unit),
        ("member", member),
        ("amount_uent", session.amount_uent),
        ("energy_wh", session.energy_wh),
        ("rate_ppm", session.rate_ppm),
        ("expires_at_ms", session.expires_at_ms),
    )
    return Changed(draft.changes, (*events, Event("energy.session_opened", fields)))


def _new_session(rows: RowReader, amount_uent: int, timestamp_ms: int) -> Session:
    rules = parameters(rows)
    rate_ppm = opening_rate(gap_of(rows), rules)
    expires_at_ms = timestamp_ms + rules.session_ms
    return Session(
        energy_for(amount_uent, rate_ppm),
        amount_uent,
        rate_ppm,
        expires_at_ms,
        expires_at_ms + rules.grace_ms,
    )


def _lock_for(draft: Draft, unit: StorageUnit, member: Address, session: Session) -> Reason | None:
    """Lock the tokens of a new session; or `TOO_SMALL`, or what there is too little of."""
    if session.energy_wh == 0:
        return Reason.TOO_SMALL
    if not lock(draft, Token.ENT, member, session.amount_uent):
        return SHORTAGE[Token.ENT]
    if unit.free_wh < session.energy_wh:
        return Reason.INSUFFICIENT_ENERGY
    return None


def _close_session(rows: RowReader, call: CloseSession, context: Context) -> Changed | Reason:
    """End the issuer's own session; or `NOT_A_UNIT`, `NO_SESSION`."""
    unit = unit_at(rows, call.unit)
    if unit is None:
        return Reason.NOT_A_UNIT
    session = session_at(rows, call.unit, context.address)
    if session is None:
        return Reason.NO_SESSION
    draft = Draft(rows)
    event = end_session(draft, call.unit, context.address, session, "closed")
    put_unit(draft, call.unit, with_free(unit, session.energy_wh))
    return Changed(draft.changes, (event,))


def _delegate(rows: RowReader, call: Delegate, context: Context) -> Changed | Reason:
    """Name who reports for the issuing unit.

    Returns:
        The changed rows; or `NOT_ALLOWED` (the issuer is no unit, or the key named is a unit or
        reports for another), `SELF`.
    """
    unit = unit_at(rows, context.address)
    if unit is None:
        return Reason.NOT_ALLOWED
    if call.to == context.address:
        return Reason.SELF
    if call.to is not None:
        reports_for = reported_unit(rows, call.to)
        is_taken = reports_for not in (call.to, context.address)
        if is_taken or unit_at(rows, call.to) is not None or call.to == NO_ADDRESS:
            return Reason.NOT_ALLOWED
    draft = Draft(rows)
    if unit.reporter != NO_ADDRESS:
        put_reporter(draft, unit.reporter, None)
    if call.to is not None:
        put_reporter(draft, call.to, context.address)
    reporter = NO_ADDRESS if call.to is None else call.to
    put_unit(draft, context.address, msgspec.structs.replace(unit, reporter=reporter))
    event = Event("energy.delegated", (("unit", context.address), ("to", reporter)))
    return Changed(draft.changes, (event,))


CONTRACT: Final = Contract(NAME, decoder.decode, apply_energy, end_due_sessions)
"""What a network runs under the name `energy`."""
