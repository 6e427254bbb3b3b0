"""Sessions: how one ends, and how a unit loses energy that sessions hold."""

import msgspec

from energy.locked import change_energy, unlock
from energy.powerchain.records import (
    Session,
    StorageUnit,
    drop_session,
    due_sessions,
    put_session,
    put_unit,
    session_at,
    sessions_of,
    unit_at,
)
from energy.shares import split
from tangle.accounts import Token
from tangle.address import Address
from tangle.contracts import Changed
from tangle.outcomes import Event
from tangle.rows import Draft, RowReader


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
        why: `closed`, `used`, `expired`, `replaced`, `lost` or `removed`.
    """
    if session.amount_uent:
        unlock(draft, Token.ENT, member, session.amount_uent)
    drop_session(draft, unit, member, session)
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


def end_due_sessions(rows: RowReader, _index: int, timestamp_ms: int) -> Changed:
    """Return tokens and energy of the sessions whose time for late reports is over."""
    draft = Draft(rows)
    events = []
    for unit_address, member in due_sessions(rows, timestamp_ms):
        unit = unit_at(draft, unit_address)
        session = session_at(draft, unit_address, member)
        assert unit is not None, f"a session at {unit_address.hex()}, which is no unit"
        assert session is not None, f"{member.hex()} has an end of a session without a session"
        events.append(end_session(draft, unit_address, member, session, "expired"))
        put_unit(draft, unit_address, with_free(unit, session.energy_wh))
    return Changed(draft.changes, tuple(events))


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
        first: Whose session, a run-out one, is taken before those of others: who drew it.

    Returns:
        The unit afterwards, and what became of sessions.
    """
    from_free_wh = min(unit.free_wh, lost_wh)
    left_wh = lost_wh - from_free_wh
    events: list[Event] = []
    own = None if first is None or not left_wh else session_at(draft, unit_address, first)
    if first is not None and own is not None:
        own_wh = min(own.energy_wh, left_wh)
        events += _shrink(draft, unit_address, first, own, own_wh)
        left_wh -= own_wh
    if left_wh:
        held = list(sessions_of(draft, unit_address))
        parts = split(left_wh, [session.energy_wh for _, session in held])
        for (member, session), part_wh in zip(held, parts, strict=True):
            events += _shrink(draft, unit_address, member, session, part_wh)
    change_energy(draft, -lost_wh)
    after = msgspec.structs.replace(
        unit, stored_wh=unit.stored_wh - lost_wh, free_wh=unit.free_wh - from_free_wh
    )
    return after, events


def _shrink(
    draft: Draft, unit: Address, member: Address, session: Session, lost_wh: int
) -> list[Event]:
    if not lost_wh:
        return []
    if lost_wh == session.energy_wh:
        whole = msgspec.structs.replace(session, energy_wh=0)
        return [end_session(draft, unit, member, whole, "lost")]
    released_uent = session.amount_uent * lost_wh // session.energy_wh
    if released_uent:
        unlock(draft, Token.ENT, member, released_uent)
    smaller = msgspec.structs.replace(
        session,
        energy_wh=session.energy_wh - lost_wh,
        amount_uent=session.amount_uent - released_uent,
    )
    put_session(draft, unit, member, smaller)
    fields = (
        ("unit", unit),
        ("member", member),
        ("returned_uent", released_uent),
        ("lost_wh", lost_wh),
    )
    return [Event("energy.session_shrunk", fields)]
