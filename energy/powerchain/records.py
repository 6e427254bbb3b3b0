"""The rows of PowerChain: storage units, sessions, connections, reporters, and the rate."""

from collections.abc import Iterator
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
REPORTER_PREFIX: Final = b"energy/reporter/"
RATE_KEY: Final = b"energy/rate"

_MAX_ROW_SIZE: Final = 1_024
_TIME_SIZE: Final = 8


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
    """Who may report for it beside itself; `NO_ADDRESS` for nobody."""


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Energy of one unit set aside for one member, and the tokens that pay for it."""

    energy_wh: Counter
    amount_uent: Counter
    """Locked; never less than par for the energy."""

    rate_ppm: Counter
    """Of the opening; kept."""

    expires_at_ms: Counter
    """Ledger time from which consumption no longer counts."""

    returns_at_ms: Counter
    """Ledger time from which what is left goes back: until then late reports find it."""


class Connection(msgspec.Struct, frozen=True, array_like=True):
    """What a member signed for one unit."""

    edge: AddressField
    """The node that settles for the unit and receives the member's slot sums."""

    limit_uent: Counter
    """Of free ENT, what may still be taken for over-consumption at this unit."""


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """The cost rate of the moment. The row is gone when the gap is closed."""

    rate_ppm: Counter


class Reporter(msgspec.Struct, frozen=True, array_like=True):
    """For which unit a delegated key reports."""

    unit: AddressField


class Due(msgspec.Struct, frozen=True, array_like=True):
    """Says nothing: the key says when what ends."""


_units: Final = Decoder(StorageUnit, "storage unit row", _MAX_ROW_SIZE)
_sessions: Final = Decoder(Session, "session row", _MAX_ROW_SIZE)
_connections: Final = Decoder(Connection, "connection row", _MAX_ROW_SIZE)
_reporters: Final = Decoder(Reporter, "reporter row", _MAX_ROW_SIZE)
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


def reported_unit(rows: RowReader, reporter: Address) -> Address:
    """Return for which unit `reporter` reports: by delegation, or itself."""
    value = rows.get(REPORTER_PREFIX + reporter)
    return reporter if value is None else Address(_reporters.read(value).unit)


def put_reporter(draft: Draft, reporter: Address, unit: Address | None) -> None:
    """Write for which unit a delegated key reports; `None` ends it."""
    row = None if unit is None else encode(Reporter(unit))
    draft.put({REPORTER_PREFIX + reporter: row})


def session_at(rows: RowReader, unit: Address, member: Address) -> Session | None:
    """Return the session of a member at a unit, or `None`."""
    value = rows.get(SESSION_PREFIX + unit + member)
    return None if value is None else _sessions.read(value)


def sessions_of(rows: RowReader, unit: Address) -> Iterator[tuple[Address, Session]]:
    """Yield the sessions of a unit by member, in ascending order of address."""
    prefix = SESSION_PREFIX + unit
    for key, value in rows.scan(prefix):
        yield Address(key.removeprefix(prefix)), _sessions.read(value)


def put_session(draft: Draft, unit: Address, member: Address, session: Session) -> None:
    """Write a session that stays, opened before."""
    draft.put({SESSION_PREFIX + unit + member: encode(session)})


def add_session(draft: Draft, unit: Address, member: Address, session: Session) -> None:
    """Write a new session, and when it ends."""
    put_session(draft, unit, member, session)
    draft.put({_expiry_key(unit, member, session): _DUE})


def drop_session(draft: Draft, unit: Address, member: Address, session: Session) -> None:
    """Delete a session, and its end."""
    draft.put({SESSION_PREFIX + unit + member: None, _expiry_key(unit, member, session): None})


def due_sessions(rows: RowReader, timestamp_ms: int) -> list[tuple[Address, Address]]:
    """Return unit and member of the sessions that end by then, the earliest first."""
    due = []
    for key, _ in rows.scan(EXPIRY_PREFIX):
        rest = key.removeprefix(EXPIRY_PREFIX)
        if int.from_bytes(rest[:_TIME_SIZE], "big") > timestamp_ms:
            break
        pair = rest[_TIME_SIZE:]
        due.append((Address(pair[:HASH_SIZE]), Address(pair[HASH_SIZE:])))
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
    if key.startswith(REPORTER_PREFIX):
        return _reporters.decode(value)
    return None


def _expiry_key(unit: Address, member: Address, session: Session) -> bytes:
    return EXPIRY_PREFIX + session.returns_at_ms.to_bytes(_TIME_SIZE, "big") + unit + member
