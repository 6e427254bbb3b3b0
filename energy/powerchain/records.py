"""The rows of PowerChain: storage units, sessions, connections, and the rate."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from energy.locked import total, total_energy_wh
from energy.powerchain.gap import Gap
from energy.units import UENT_PER_WH
from tangle.accounts import NO_ADDRESS, Token
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.hashing import HASH_SIZE
from tangle.rows import Draft, RowReader
from tangle.sequences import SequenceWindow
from tangle.transaction import Counter

UNIT_PREFIX: Final = b"energy/unit/"
SESSION_PREFIX: Final = b"energy/session/"
EXPIRY_PREFIX: Final = b"energy/expiry/"
CONNECTION_PREFIX: Final = b"energy/connection/"
RATE_KEY: Final = b"energy/rate"

_MAX_ROW_SIZE: Final = 1_024
_MAX_SESSIONS_SIZE: Final = 2**15
"""Of `energy.powerchain.sessions.MAX_SESSIONS` with the longest integers there are."""

_COUNTER_SIZE: Final = 8


class StorageUnit(msgspec.Struct, frozen=True, array_like=True):
    """A device that stores energy for members. Its address is that of its key."""

    owner: AddressField
    capacity_wh: Counter
    efficiency_ppm: Counter
    """Of a charge, what is booked as stored."""

    stored_wh: Counter = 0
    free_wh: Counter = 0
    """Of it, what no session holds."""

    reports: SequenceWindow = SequenceWindow()
    """Which report numbers are used."""

    reporter: AddressField = NO_ADDRESS
    """Who may report for it beside itself; `NO_ADDRESS` for nobody. It was never asked, and may be
    named by many: so each of its reports says for which unit it is."""

    reported_ms: Counter = 0
    """Ledger time: of intervals that ended by then all is reported."""


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Energy of one unit set aside for one member, and the tokens that pay for it.

    Of a member's sessions at a unit only the newest may be open; those before it wait.
    """

    energy_wh: Counter
    amount_uent: Counter
    """Locked; never less than par for the energy."""

    rate_ppm: Counter
    """Of the opening; kept."""

    opened_at_ms: Counter
    """Ledger time from which consumption counts."""

    expires_at_ms: Counter
    """Ledger time from which consumption no longer counts."""

    returns_at_ms: Counter
    """Ledger time from which what is left goes back: until then late reports find it."""

    number: Counter = 0
    """Among those of the member at the unit, in order of opening; so of expiry as well."""


class Sessions(msgspec.Struct, frozen=True, array_like=True):
    """All of one member at one unit: one row, so that a report looks for none."""

    held: tuple[Session, ...]
    """In order of opening; never empty."""


class Connection(msgspec.Struct, frozen=True, array_like=True):
    """What a member signed for one unit."""

    edge: AddressField
    """The node that settles for the unit and receives the member's slot sums."""

    limit_uent: Counter
    """Of free ENT, what may still be taken for over-consumption at this unit."""

    falls_to_uent: Counter
    """What the limit is at most once it falls; without meaning while it does not."""

    falls_at_ms: Counter | None
    """Ledger time from which it is that; `None` if nothing lower was signed."""

    since_ms: Counter
    """Ledger time at which the member joined, kept when it signs anew."""


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """The cost rate of the moment. The row is gone when the gap is closed."""

    rate_ppm: Counter


class Due(msgspec.Struct, frozen=True, array_like=True):
    """Says nothing: the key says when what ends."""


_units: Final = Decoder(StorageUnit, "storage unit row", _MAX_ROW_SIZE)
_sessions: Final = Decoder(Sessions, "session row", _MAX_SESSIONS_SIZE)
_connections: Final = Decoder(Connection, "connection row", _MAX_ROW_SIZE)
_rates: Final = Decoder(Rate, "rate row", _MAX_ROW_SIZE)
_DUE: Final = encode(Due())


def unit_at(rows: RowReader, address: Address) -> StorageUnit | None:
    """Return the storage unit of that address, or `None`."""
    value = rows.get(UNIT_PREFIX + address)
    return None if value is None else _units.read(value)


def put_unit(draft: Draft, address: Address, unit: StorageUnit | None) -> None:
    """Write a storage unit; `None` deletes it."""
    draft.put({UNIT_PREFIX + address: None if unit is None else encode(unit)})


def storage_units(rows: RowReader) -> Iterator[tuple[Address, StorageUnit]]:
    """Yield all storage units in ascending order of address."""
    for key, value in rows.scan(UNIT_PREFIX):
        yield Address(key.removeprefix(UNIT_PREFIX)), _units.read(value)


def sessions_at(rows: RowReader, unit: Address, member: Address) -> tuple[Session, ...]:
    """Return the sessions of a member at a unit, in order of opening."""
    value = rows.get(SESSION_PREFIX + unit + member)
    return () if value is None else _sessions.read(value).held


def sessions_of(rows: RowReader, unit: Address) -> Iterator[tuple[Address, Session]]:
    """Yield the sessions of a unit, by member in ascending order of address, then as opened."""
    prefix = SESSION_PREFIX + unit
    for key, value in rows.scan(prefix):
        for session in _sessions.read(value).held:
            yield Address(key.removeprefix(prefix)), session


def put_session(draft: Draft, unit: Address, member: Address, session: Session) -> None:
    """Write a session that stays, opened before; when it ends does not change."""
    held = sessions_at(draft, unit, member)
    stay = tuple(session if one.number == session.number else one for one in held)
    draft.put({SESSION_PREFIX + unit + member: encode(Sessions(stay))})


def add_session(draft: Draft, unit: Address, member: Address, session: Session) -> None:
    """Write a new session, of a number above all others, and when it ends."""
    held = (*sessions_at(draft, unit, member), session)
    row = encode(Sessions(held))
    draft.put({SESSION_PREFIX + unit + member: row, _expiry_key(unit, member, session): _DUE})


def move_session(
    draft: Draft, unit: Address, member: Address, session: Session, moved: Session
) -> None:
    """Write a session that stays and ends at another time."""
    put_session(draft, unit, member, moved)
    draft.put({_expiry_key(unit, member, session): None})
    draft.put({_expiry_key(unit, member, moved): _DUE})


def drop_session(draft: Draft, unit: Address, member: Address, session: Session) -> None:
    """Delete a session, and its end."""
    put_held(draft, unit, member, {session.number: None})


def put_held(
    draft: Draft, unit: Address, member: Address, changed: Mapping[int, Session | None]
) -> None:
    """Write sessions of one member that stay, and delete others with their ends, in one go.

    A member may have hundreds, all in one row: writing it for each of them would take as many
    times as long as there are.

    Args:
        draft: Of the operation.
        unit: Where they are.
        member: Whose they are.
        changed: By number, as they are afterwards; `None` for those that end.
    """
    held = sessions_at(draft, unit, member)
    after = [(one, changed.get(one.number, one)) for one in held]
    stay = tuple(one for _, one in after if one is not None)
    row = encode(Sessions(stay)) if stay else None
    ends = [_expiry_key(unit, member, before) for before, one in after if one is None]
    draft.put({SESSION_PREFIX + unit + member: row, **dict.fromkeys(ends)})


def due_sessions(rows: RowReader, timestamp_ms: int) -> list[tuple[Address, Address, Session]]:
    """Return unit, member and session of those that end by then, the earliest first."""
    due = []
    held: dict[tuple[Address, Address], dict[int, Session]] = {}
    for key, _ in rows.scan(EXPIRY_PREFIX):
        rest = key.removeprefix(EXPIRY_PREFIX)
        if int.from_bytes(rest[:_COUNTER_SIZE], "big") > timestamp_ms:
            break
        place = rest[_COUNTER_SIZE:]
        unit, member = Address(place[:HASH_SIZE]), Address(place[HASH_SIZE : 2 * HASH_SIZE])
        number = int.from_bytes(place[2 * HASH_SIZE :], "big")
        if (unit, member) not in held:
            found = sessions_at(rows, unit, member)
            held[unit, member] = {one.number: one for one in found}
        session = held[unit, member].get(number)
        assert session is not None, f"{member.hex()} has an end of session {number} without one"
        due.append((unit, member, session))
    return due


def connection_at(rows: RowReader, unit: Address, member: Address) -> Connection | None:
    """Return what a member signed for a unit, or `None`."""
    value = rows.get(CONNECTION_PREFIX + unit + member)
    return None if value is None else _connections.read(value)


def connections_of(rows: RowReader, unit: Address) -> Iterator[tuple[Address, Connection]]:
    """Yield the connections of a unit by member, in ascending order of address."""
    prefix = CONNECTION_PREFIX + unit
    for key, value in rows.scan(prefix):
        yield Address(key.removeprefix(prefix)), _connections.read(value)


def put_connection(
    draft: Draft, unit: Address, member: Address, connection: Connection | None
) -> None:
    """Write a connection; `None` deletes it."""
    row = None if connection is None else encode(connection)
    draft.put({CONNECTION_PREFIX + unit + member: row})


def gap_of(rows: RowReader) -> Gap:
    """Return where tokens and energy stand: the totals say the gap, a row the rate."""
    gap_uent = total(rows, Token.ENT) - UENT_PER_WH * total_energy_wh(rows)
    value = rows.get(RATE_KEY)
    return Gap(gap_uent, 0 if value is None else _rates.read(value).rate_ppm)


def put_rate(draft: Draft, gap: Gap) -> None:
    """Write the rate of a gap. The gap itself follows from the totals."""
    draft.put({RATE_KEY: encode(Rate(gap.rate_ppm)) if gap.rate_ppm else None})


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key == RATE_KEY:
        return _rates.decode(value)
    if key.startswith(UNIT_PREFIX):
        return _units.decode(value)
    if key.startswith(SESSION_PREFIX):
        return _sessions.decode(value)
    if key.startswith(CONNECTION_PREFIX):
        return _connections.decode(value)
    return None


def _expiry_key(unit: Address, member: Address, session: Session) -> bytes:
    returns_at = session.returns_at_ms.to_bytes(_COUNTER_SIZE, "big")
    number = session.number.to_bytes(_COUNTER_SIZE, "big")
    return EXPIRY_PREFIX + returns_at + unit + member + number
