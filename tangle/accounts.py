"""Rows that several contracts move: balances, identities, sequence windows, coordinator keys."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Final

import msgspec

from tangle.address import Address, address_of
from tangle.codec import Decoder, encode
from tangle.errors import InvalidError
from tangle.genesis import Genesis, Role, genesis_hash
from tangle.keys import KeyField
from tangle.ranges import ReadingRanges
from tangle.rows import RowReader
from tangle.sequences import SequenceWindow
from tangle.transaction import MAX_COORDINATOR_KEYS, MAX_INTEGER, Counter, HashField

_MAX_ROW_SIZE: Final = 65_536

NO_ADDRESS: Final = Address(bytes(32))
"""Stands where an identity has no owner or no edge node."""


class Token(StrEnum):
    """What the ledger counts. Base units: µENT and µEUR."""

    ENT = "ent"
    EEURO = "eeuro"


class Balance(msgspec.Struct, frozen=True, array_like=True):
    """Tokens of one kind that an address holds. The row is gone at zero."""

    amount: Counter


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """A key that may issue in a registered network."""

    key: KeyField
    role: Role
    owner: HashField
    """Address of its owner; `NO_ADDRESS` if it owns itself."""

    edge: HashField
    """Address of the edge node that may batch a meter's readings; else `NO_ADDRESS`."""


class CoordinatorKeys(msgspec.Struct, frozen=True, array_like=True):
    """Who signs the next milestone, and how many must."""

    keys: Annotated[tuple[KeyField, ...], msgspec.Meta(max_length=MAX_COORDINATOR_KEYS)]
    quorum: Counter


NETWORK_KEY: Final = b"network"
"""Row that holds the genesis hash, so that proofs of possession name their network."""

COORDINATORS_KEY: Final = b"coordinators"
IDENTITY_PREFIX: Final = b"identity/"
READINGS_PREFIX: Final = b"readings/"
SEQUENCE_PREFIX: Final = b"sequence/"

_balances: Final = Decoder(Balance, "balance row", _MAX_ROW_SIZE)
_identities: Final = Decoder(Identity, "identity row", _MAX_ROW_SIZE)
_coordinators: Final = Decoder(CoordinatorKeys, "coordinators row", _MAX_ROW_SIZE)
_windows: Final = Decoder(SequenceWindow, "sequence row", _MAX_ROW_SIZE)
_ranges: Final = Decoder(ReadingRanges, "readings row", _MAX_ROW_SIZE)

_BALANCE_PREFIX: Final = b"balance/"
_LOCKED_PREFIX: Final = b"locked/"
_TOTAL_PREFIX: Final = b"total/"
_TOTAL_KEYS: Final[Mapping[str, bytes]] = {
    of: _TOTAL_PREFIX + of.encode("ascii") for of in (*Token, "energy")
}
_BALANCE_PREFIXES: Final = {one: _BALANCE_PREFIX + one.encode("ascii") + b"/" for one in Token}
_LOCKED_PREFIXES: Final = {one: _LOCKED_PREFIX + one.encode("ascii") + b"/" for one in Token}
_BY_PREFIX: Final[tuple[tuple[bytes, Decoder[Any]], ...]] = (
    (_BALANCE_PREFIX, _balances),
    (_LOCKED_PREFIX, _balances),
    (_TOTAL_PREFIX, _balances),
    (IDENTITY_PREFIX, _identities),
    (SEQUENCE_PREFIX, _windows),
    (READINGS_PREFIX, _ranges),
)


def balance_key(token: Token, address: Address) -> bytes:
    """Return the key of a balance row."""
    return _BALANCE_PREFIXES[token] + address


def locked_key(token: Token, address: Address) -> bytes:
    """Return the key of the row that says how much of an address' tokens is bound."""
    return _LOCKED_PREFIXES[token] + address


def total_key(of: str) -> bytes:
    """Return the key of a total: of a `Token`, or of `energy` in Wh."""
    return _TOTAL_KEYS[of]


def amount_at(rows: RowReader, key: bytes) -> int:
    """Return the amount in a row of balance, lock or total, 0 if there is none."""
    value = rows.get(key)
    return 0 if value is None else _balances.read(value).amount


def balance(rows: RowReader, token: Token, address: Address) -> int:
    """Return what `address` holds free, in base units."""
    return amount_at(rows, balance_key(token, address))


def balance_row(amount: int) -> bytes | None:
    """Return the value of a balance row, `None` at zero: an empty account is no row."""
    assert 0 <= amount <= MAX_INTEGER, f"balance of {amount} base units"
    return encode(Balance(amount)) if amount else None


def identity_key(address: Address) -> bytes:
    """Return the key of an identity row."""
    return IDENTITY_PREFIX + address


def identity(rows: RowReader, address: Address) -> Identity | None:
    """Return who `address` is registered as, or `None`."""
    value = rows.get(identity_key(address))
    return None if value is None else _identities.read(value)


def is_registered(rows: RowReader, address: Address) -> bool:
    """Return whether `address` may issue in a registered network."""
    return rows.get(IDENTITY_PREFIX + address) is not None


def decode_identity(value: bytes) -> Identity:
    """Parse the value of an identity row."""
    return _identities.decode(value)


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key == COORDINATORS_KEY:
        return _coordinators.decode(value)
    for prefix, decoder in _BY_PREFIX:
        if key.startswith(prefix):
            row: msgspec.Struct = decoder.decode(value)
            return row
    return None


def sequence_window(rows: RowReader, address: Address) -> SequenceWindow:
    """Return which sequence numbers `address` has used; a fresh window if none."""
    value = rows.get(SEQUENCE_PREFIX + address)
    return SequenceWindow(0, b"") if value is None else _windows.read(value)


def sequence_row(address: Address, window: SequenceWindow) -> tuple[bytes, bytes]:
    """Return key and value of a sequence row. It is never deleted."""
    return SEQUENCE_PREFIX + address, encode(window)


def reading_ranges(rows: RowReader, meter: Address) -> ReadingRanges:
    """Return which readings of a meter are committed to."""
    value = rows.get(READINGS_PREFIX + meter)
    return ReadingRanges(()) if value is None else _ranges.read(value)


def decode_reading_ranges(value: bytes) -> ReadingRanges:
    """Parse the value of a readings row."""
    return _ranges.decode(value)


def reading_ranges_row(meter: Address, ranges: ReadingRanges) -> tuple[bytes, bytes]:
    """Return key and value of a readings row."""
    return READINGS_PREFIX + meter, encode(ranges)


def coordinators(rows: RowReader) -> CoordinatorKeys:
    """Return who signs the next milestone."""
    value = rows.get(COORDINATORS_KEY)
    assert value is not None, "the ledger has no coordinators"
    return _coordinators.decode(value)


def network_hash(rows: RowReader) -> bytes:
    """Return the genesis hash of the network whose rows these are."""
    value = rows.get(NETWORK_KEY)
    assert value is not None, "the ledger has no network row"
    return value


def moved(
    rows: RowReader, token: Token, sender: Address, recipient: Address, amount: int
) -> Mapping[bytes, bytes | None] | None:
    """Return the rows after moving `amount` base units, or `None` if the sender has too little.

    Sender and recipient differ; the sum of both balances is the same before and after.
    """
    assert sender != recipient, "a move to oneself is the caller's to refuse"
    held = balance(rows, token, sender)
    if held < amount:
        return None
    received = balance(rows, token, recipient)
    return {
        balance_key(token, sender): balance_row(held - amount),
        balance_key(token, recipient): balance_row(received + amount),
    }


def genesis_rows(genesis: Genesis) -> dict[bytes, bytes]:
    """Return the state at index 0, snapshot zero.

    Raises:
        InvalidError: Keys or addresses are not strictly ascending, or the quorum is not more
            than half of the coordinator keys, the depths contradict
            each other, or the allocations exceed an amount's range.
    """
    _require_ascending("coordinator keys", list(genesis.coordinator_keys))
    _require_ascending("identities", [one.key for one in genesis.identities])
    _require_ascending("allocations", [one.address for one in genesis.allocations])
    count, quorum = len(genesis.coordinator_keys), genesis.quorum
    if not count < 2 * quorum <= 2 * count:
        raise InvalidError(
            f"genesis: a quorum of {quorum} of {count} coordinator keys is not more than half"
        )
    depths = genesis.parameters.max_depth, genesis.parameters.reference_depth
    if depths[0] >= depths[1]:
        raise InvalidError(
            f"genesis: max_depth {depths[0]} must be less than reference_depth {depths[1]}, "
            "or what is offered as a tip could make a milestone invalid"
        )
    total_ueur = sum(share.amount_ueur for share in genesis.allocations)
    if total_ueur > MAX_INTEGER:
        raise InvalidError(
            f"genesis: allocations of {total_ueur} µEUR in all, the maximum is {MAX_INTEGER}"
        )
    rows = {
        NETWORK_KEY: genesis_hash(genesis),
        COORDINATORS_KEY: encode(CoordinatorKeys(genesis.coordinator_keys, quorum)),
    }
    for one in genesis.identities:
        address = address_of(one.key)
        rows[identity_key(address)] = encode(Identity(one.key, one.role, NO_ADDRESS, NO_ADDRESS))
    for share in genesis.allocations:
        key = balance_key(Token.EEURO, Address(share.address))
        rows[key] = encode(Balance(share.amount_ueur))
    if total_ueur:
        rows[total_key(Token.EEURO)] = encode(Balance(total_ueur))
    return rows


def _require_ascending(what: str, values: list[bytes]) -> None:
    for low, high in pairwise(values):
        if low >= high:
            raise InvalidError(
                f"genesis: {what} must be distinct and ascending, {high.hex()} follows {low.hex()}"
            )
