"""Sessions: how one ends, and how a unit loses energy that sessions hold."""

from collections.abc import Sequence
from typing import Final

import msgspec

from energy.locked import change_energy, unlock
from energy.parameters import EnergyParameters
from energy.powerchain.records import (
    Session,
    StorageUnit,
    drop_session,
    due_sessions,
    move_session,
    put_held,
    put_unit,
    sessions_at,
    sessions_of,
    unit_at,
)
from energy.shares import split
from tangle.accounts import Token
from tangle.address import Address
from tangle.contracts import Changed
from tangle.outcomes import Event
from tangle.rows import Draft, RowReader

MAX_SESSIONS: Final = 256
"""Of one member at one unit, open and waiting together: each is a row that a loss looks at. Two
days of report grace and a session every quarter of an hour stay below."""


def open_session_of(
    sessions: Sequence[Session], rules: EnergyParameters, timestamp_ms: int
) -> Session | None:
    """Return which of a member's sessions at a unit is open; `None` if all have run out.

    One that ends with the slot that is running has run out: nothing but that slot is still in it.
    """
    newest = sessions[-1] if sessions else None
    ends_ms = rules.slot_end_ms(timestamp_ms) + 1
    return None if newest is None or newest.expires_at_ms <= ends_ms else newest


def close(
    draft: Draft, unit: Address, member: Address, session: Session, ends_ms: int, grace_ms: int
) -> Event:
    """Let a session expire with the slot that is running, and wait for its reports as all do.

    If its tokens returned now, the sum of what was drawn until now would find none, and all
    members would pay for it.
    """
    expires_at_ms = ends_ms + 1  # what ends with the slot is still in it
    returns_at_ms = min(session.returns_at_ms, expires_at_ms + grace_ms)
    closed = msgspec.structs.replace(
        session, expires_at_ms=expires_at_ms, returns_at_ms=returns_at_ms
    )
    move_session(draft, unit, member, session, closed)
    fields = (
        ("unit", unit),
        ("member", member),
        ("amount_uent", closed.amount_uent),
        ("energy_wh", closed.energy_wh),
        ("expires_at_ms", expires_at_ms),
        ("returns_at_ms", returns_at_ms),
    )
    return Event("energy.session_closed", fields)


def with_free(unit: StorageUnit, energy_wh: int) -> StorageUnit:
    """Return the unit after a session gave energy back."""
    return msgspec.structs.replace(unit, free_wh=unit.free_wh + energy_wh)


def end_session(draft: Draft, unit: Address, member: Address, session: Session, why: str) -> Event:
    """Delete a session and give its tokens back; its energy is the caller's to set free.

    Args:
        draft: Of the operation.
        unit: Where it was.
        member: Whose it was.
        session: As it is at its end.
        why: `used`, `expired` (closed or not), `lost` or `removed`.
    """
    drop_session(draft, unit, member, session)
    return _ended(draft, unit, member, session, why)


def end_due_sessions(rows: RowReader, _index: int, timestamp_ms: int) -> Changed:
    """Return tokens and energy of the sessions whose time for late reports is over."""
    draft = Draft(rows)
    events = give_back(draft, due_sessions(rows, timestamp_ms), "expired")
    return Changed(draft.changes, tuple(events))


def return_reported(draft: Draft, unit: Address, through_ms: int) -> list[Event]:
    """Return tokens and energy of a unit's sessions for which no report can come any more.

    Args:
        draft: Of the operation.
        unit: Which.
        through_ms: Of intervals that ended by then all is reported.
    """
    over = [
        (unit, member, session)
        for member, session in sessions_of(draft, unit)
        if session.expires_at_ms <= through_ms + 1
    ]
    return give_back(draft, over, "expired")


def give_back(
    draft: Draft, ending: Sequence[tuple[Address, Address, Session]], why: str
) -> list[Event]:
    """End sessions, given with unit and member: tokens are free again, and so is the energy."""
    events, free_wh = [], dict[Address, int]()
    numbers: dict[tuple[Address, Address], dict[int, None]] = {}
    for unit, member, session in ending:
        events.append(_ended(draft, unit, member, session, why))
        free_wh[unit] = free_wh.get(unit, 0) + session.energy_wh
        numbers.setdefault((unit, member), {})[session.number] = None
    for (unit, member), gone in numbers.items():
        put_held(draft, unit, member, gone)
    for address, energy_wh in free_wh.items():
        stored = unit_at(draft, address)
        assert stored is not None, f"sessions at {address.hex()}, which is no unit"
        put_unit(draft, address, with_free(stored, energy_wh))
    return events


def _ended(draft: Draft, unit: Address, member: Address, session: Session, why: str) -> Event:
    """Give the tokens of a session back. Its row is the caller's to write."""
    if session.amount_uent:
        unlock(draft, Token.ENT, member, session.amount_uent)
    return Event(
        "energy.session_ended",
        (
            ("unit", unit),
            ("member", member),
            ("returned_uent", session.amount_uent),
            ("energy_wh", session.energy_wh),
            ("why", why),
        ),
    )


def lose(
    draft: Draft,
    unit_address: Address,
    unit: StorageUnit,
    lost_wh: int,
    first: Address | None = None,
) -> tuple[StorageUnit, list[Event]]:
    """Take energy away that left the unit: free energy first, then that of its sessions.

    Sessions lose in proportion to the energy they hold, by the largest remainder, and of their
    tokens the same part is released, rounded down: what stays is never below par.

    Args:
        draft: Of the operation. The unit itself is the caller's to write.
        unit_address: Whose sessions they are.
        unit: As it is before.
        lost_wh: At most what it stores.
        first: Whose sessions, run-out ones, are taken before those of others: who drew it.

    Returns:
        The unit afterwards, and what became of sessions.
    """
    from_free_wh = min(unit.free_wh, lost_wh)
    left_wh = lost_wh - from_free_wh
    events: list[Event] = []
    own_sessions = sessions_at(draft, unit_address, first) if first and left_wh else ()
    own_parts = []
    for own in own_sessions:
        own_parts.append((own, min(own.energy_wh, left_wh)))
        left_wh -= own_parts[-1][1]
    if first is not None:
        events += _shrink(draft, unit_address, first, own_parts)
    if left_wh:
        held = list(sessions_of(draft, unit_address))
        shares = split(left_wh, [session.energy_wh for _, session in held])
        parts: dict[Address, list[tuple[Session, int]]] = {}
        for (member, session), part_wh in zip(held, shares, strict=True):
            parts.setdefault(member, []).append((session, part_wh))
        for member, of_member in parts.items():
            events += _shrink(draft, unit_address, member, of_member)
    change_energy(draft, -lost_wh)
    after = msgspec.structs.replace(
        unit, stored_wh=unit.stored_wh - lost_wh, free_wh=unit.free_wh - from_free_wh
    )
    return after, events


def _shrink(
    draft: Draft, unit: Address, member: Address, parts: Sequence[tuple[Session, int]]
) -> list[Event]:
    """Take energy off sessions of one member, each with how much of it is lost."""
    changed: dict[int, Session | None] = {}
    events = []
    for session, lost_wh in parts:
        if lost_wh:
            changed[session.number], event = _shrunk(draft, unit, member, session, lost_wh)
            events.append(event)
    if changed:
        put_held(draft, unit, member, changed)
    return events


def _shrunk(
    draft: Draft, unit: Address, member: Address, session: Session, lost_wh: int
) -> tuple[Session | None, Event]:
    """Return what is left of a session, `None` for nothing; its tokens are released."""
    if lost_wh == session.energy_wh:
        whole = msgspec.structs.replace(session, energy_wh=0)
        return None, _ended(draft, unit, member, whole, "lost")
    released_uent = session.amount_uent * lost_wh // session.energy_wh
    if released_uent:
        unlock(draft, Token.ENT, member, released_uent)
    smaller = msgspec.structs.replace(
        session,
        energy_wh=session.energy_wh - lost_wh,
        amount_uent=session.amount_uent - released_uent,
    )
    fields = (
        ("unit", unit),
        ("member", member),
        ("returned_uent", released_uent),
        ("lost_wh", lost_wh),
    )
    return smaller, Event("energy.session_shrunk", fields)
