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
    Reported,
    decoder,
)
from energy.powerchain.gap import energy_for, opening_rate
from energy.powerchain.limits import fallen, signed_anew
from energy.powerchain.records import (
    Connection,
    Session,
    StorageUnit,
    add_session,
    connection_at,
    gap_of,
    put_connection,
    put_unit,
    sessions_at,
    unit_at,
)
from energy.powerchain.reports import apply_actual, apply_consumed, apply_produced
from energy.powerchain.sessions import (
    MAX_SESSIONS,
    close,
    end_due_sessions,
    open_session_of,
    return_reported,
)
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
        case Reported():
            decided = _reported(rows, call, context)
        case Delegate():
            decided = _delegate(rows, call, context)
        case _:
            assert_never(call)
    return decided


def _connect(rows: RowReader, call: Connect, context: Context) -> Changed | Reason:
    """Join a unit, or sign anew what was signed for it.

    A higher limit holds at once. A lower one holds when nothing can come any more of what was
    drawn until now: else a member could take its word back before the sum arrives.

    Returns:
        The changed rows; or `UNKNOWN_MEMBER` (the issuer, or the edge node named), `NOT_A_UNIT`.
    """
    if not is_member(rows, context.address) or identity(rows, call.edge) is None:
        return Reason.UNKNOWN_MEMBER
    if unit_at(rows, call.unit) is None:
        return Reason.NOT_A_UNIT
    draft, now_ms, rules = Draft(rows), context.timestamp_ms, parameters(rows)
    old = connection_at(rows, call.unit, context.address)
    signed = Connection(call.edge, call.limit_uent, 0, None, now_ms)
    if old is not None:
        falls_at_ms = rules.slot_end_ms(now_ms) + rules.grace_ms
        signed = signed_anew(fallen(old, now_ms), signed, falls_at_ms)
    put_connection(draft, call.unit, context.address, signed)
    event = Event(
        "energy.connected",
        (
            ("unit", call.unit),
            ("member", context.address),
            ("edge", call.edge),
            ("limit_uent", call.limit_uent),
            ("from_ms", now_ms if signed.falls_at_ms is None else signed.falls_at_ms),
        ),
    )
    return Changed(draft.changes, (event,))


def _open_session(rows: RowReader, call: OpenSession, context: Context) -> Changed | Reason:
    """Lock tokens and the energy they buy.

    A session that has run out and only waits for late reports does not stand in the way, and
    keeps what it holds for them.

    Returns:
        The changed rows; or `UNKNOWN_MEMBER`, `NOT_A_UNIT`, `SESSION_EXISTS` (one is open, or too
        many wait), `TOO_SMALL` (less than a watt-hour), `INSUFFICIENT_ENT`,
        `INSUFFICIENT_ENERGY`.
    """
    member, unit = context.address, unit_at(rows, call.unit)
    if not is_member(rows, member):
        return Reason.UNKNOWN_MEMBER
    if unit is None:
        return Reason.NOT_A_UNIT
    others = sessions_at(rows, call.unit, member)
    is_open = open_session_of(others, parameters(rows), context.timestamp_ms) is not None
    if is_open or len(others) >= MAX_SESSIONS:
        return Reason.SESSION_EXISTS
    draft = Draft(rows)
    number = others[-1].number + 1 if others else 0
    session = _new_session(draft, call.amount_uent, context.timestamp_ms, number)
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
    return Changed(draft.changes, (Event("energy.session_opened", fields),))


def _new_session(rows: RowReader, amount_uent: int, timestamp_ms: int, number: int) -> Session:
    rules = parameters(rows)
    rate_ppm = opening_rate(gap_of(rows), rules)
    expires_at_ms = timestamp_ms + rules.session_ms
    return Session(
        energy_for(amount_uent, rate_ppm),
        amount_uent,
        rate_ppm,
        timestamp_ms,
        expires_at_ms,
        expires_at_ms + rules.grace_ms,
        number,
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
    """Let the issuer's own session run out; or `NOT_A_UNIT`, `NO_SESSION` (none is open)."""
    if unit_at(rows, call.unit) is None:
        return Reason.NOT_A_UNIT
    member, rules = context.address, parameters(rows)
    held = sessions_at(rows, call.unit, member)
    session = open_session_of(held, rules, context.timestamp_ms)
    if session is None:
        return Reason.NO_SESSION
    draft, ends_ms = Draft(rows), rules.slot_end_ms(context.timestamp_ms)
    event = close(draft, call.unit, member, session, ends_ms, rules.grace_ms)
    return Changed(draft.changes, (event,))


def _reported(rows: RowReader, call: Reported, context: Context) -> Changed | Reason:
    """Return what was set aside for reports that cannot come any more.

    Returns:
        The changed rows; or `NOT_ALLOWED` (neither a unit nor its delegated key), `OUT_OF_RANGE`
        (a time to come).
    """
    address = Address(context.address if call.unit is None else call.unit)
    unit = unit_at(rows, address)
    if unit is None or context.address not in (address, unit.reporter):
        return Reason.NOT_ALLOWED
    if call.through_ms > context.timestamp_ms:
        return Reason.OUT_OF_RANGE
    draft = Draft(rows)
    through_ms = max(call.through_ms, unit.reported_ms)
    events = return_reported(draft, address, through_ms)
    unit = unit_at(draft, address) or unit
    put_unit(draft, address, msgspec.structs.replace(unit, reported_ms=through_ms))
    event = Event("energy.reported", (("unit", address), ("through_ms", through_ms)))
    return Changed(draft.changes, (event, *events))


def _delegate(rows: RowReader, call: Delegate, context: Context) -> Changed | Reason:
    """Name who reports for the issuing unit beside itself.

    The key named is not asked, and need not be: a report says for which unit it is, so whoever
    else names the same key takes nothing from it.

    Returns:
        The changed rows; or `NOT_ALLOWED` (the issuer is no unit, or no key has that address),
        `SELF`.
    """
    unit = unit_at(rows, context.address)
    if unit is None:
        return Reason.NOT_ALLOWED
    if call.to == context.address:
        return Reason.SELF
    if call.to == NO_ADDRESS:
        return Reason.NOT_ALLOWED
    draft = Draft(rows)
    reporter = NO_ADDRESS if call.to is None else call.to
    put_unit(draft, context.address, msgspec.structs.replace(unit, reporter=reporter))
    event = Event("energy.delegated", (("unit", context.address), ("to", reporter)))
    return Changed(draft.changes, (event,))


CONTRACT: Final = Contract(NAME, decoder.decode, apply_energy, end_due_sessions)
"""What a network runs under the name `energy`."""
