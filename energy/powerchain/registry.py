"""Storage units enter and leave by vote: what that does to rows, sessions and the gap."""

from typing import Final

from energy.members import is_member
from energy.parameters import parameters
from energy.powerchain.gap import Gap, gone
from energy.powerchain.records import (
    StorageUnit,
    connections_of,
    gap_of,
    put_connection,
    put_unit,
    sessions_of,
    unit_at,
)
from energy.powerchain.reports import book_actual
from energy.powerchain.sessions import give_back
from energy.units import PPM
from tangle.address import Address
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, RowReader

MAX_CAPACITY_WH: Final = 10**12
"""Of one unit: a terawatt-hour, far beyond any, and far within the ledger's integers."""


def refused_registration(rows: RowReader, address: Address, unit: StorageUnit) -> Reason | None:
    """Return why a unit cannot enter.

    `UNKNOWN_MEMBER` (the owner), `SELF` (it would own itself), `DEVICE_KNOWN` (a unit already),
    `OUT_OF_RANGE` (no capacity, or too much; an efficiency of nothing, or above 1), or `None`.
    """
    if not is_member(rows, unit.owner):
        return Reason.UNKNOWN_MEMBER
    if unit.owner == address:
        return Reason.SELF
    if unit_at(rows, address) is not None:
        return Reason.DEVICE_KNOWN
    is_sound = 1 <= unit.capacity_wh <= MAX_CAPACITY_WH and 1 <= unit.efficiency_ppm <= PPM
    return None if is_sound else Reason.OUT_OF_RANGE


def gap_without(rows: RowReader, address: Address) -> Gap:
    """Return the gap that removing a unit would leave: voters see it before they decide."""
    unit = unit_at(rows, address)
    stored_wh = 0 if unit is None else unit.stored_wh
    return gone(gap_of(rows), stored_wh, parameters(rows))


def remove_unit(draft: Draft, address: Address) -> list[Event]:
    """Return its sessions, report it empty, and delete it with all that hangs on it."""
    unit = unit_at(draft, address)
    assert unit is not None, f"removes {address.hex()}, which is no unit"
    held = [(address, member, session) for member, session in sessions_of(draft, address)]
    events = give_back(draft, held, "removed")
    unit = unit_at(draft, address) or unit
    unit, more = book_actual(draft, address, unit, 0)
    for member, _ in list(connections_of(draft, address)):
        put_connection(draft, address, member, None)
    put_unit(draft, address, None)
    return [*events, *more]
