"""A thing's keys as the ledger has them.

A thing is named by the address it is registered under, for good: grants, vaults and streams name
that address. What it signs with is the key of its row, which rotates. A thing without a row signs
with its registered key.
"""

from typing import Annotated, Final

import msgspec

from tangle.accounts import identity
from tangle.address import Address
from tangle.codec import Decoder
from tangle.keys import KeyField, PublicKey
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField

IDOT_PREFIX: Final = b"device/idot/"
BOUND_PREFIX: Final = b"device/bound/"
_MAX_ROW_SIZE: Final = 1_024

KemKeyField = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""An X25519 public key, to which others seal by HPKE."""


class Keys(msgspec.Struct, frozen=True, array_like=True):
    """What a thing says of itself: the part of an IDoT that it signs."""

    sign_key: KeyField
    kem_key: KemKeyField
    next_key_hash: HashField
    """BLAKE2b-256 of the next signing key: who steals the present one cannot rotate."""

    not_before_ms: Counter
    not_after_ms: Counter
    """Half open: at this moment the keys hold no more."""

    attestation_hash: HashField | None = None
    """Of a statement by which a hardware key endorses this one."""

    certificate_hash: HashField | None = None
    """SHA-256 of the thing's TLS certificate (x5t#S256, RFC 8705)."""


class Idot(msgspec.Struct, frozen=True, array_like=True):
    """A row: the keys of a thing, and how they came to be."""

    keys: Keys
    rotations: Counter
    previous_key: KeyField | None
    revoked_at_ms: Counter | None


class Bound(msgspec.Struct, frozen=True, array_like=True):
    """A row: how often a device was bound, so that no old binding counts again."""

    times: Counter


_idots: Final = Decoder(Idot, "IDoT row", _MAX_ROW_SIZE)
_bounds: Final = Decoder(Bound, "binding row", _MAX_ROW_SIZE)


def idot_key(thing: Address) -> bytes:
    """Return the key of a thing's row."""
    return IDOT_PREFIX + thing


def bound_key(device: Address) -> bytes:
    """Return the key of the row that counts a device's bindings."""
    return BOUND_PREFIX + device


def idot(rows: RowReader, thing: Address) -> Idot | None:
    """Return the keys of a thing, if it published any."""
    value = rows.get(idot_key(thing))
    return None if value is None else _idots.read(value)


def times_bound(rows: RowReader, device: Address) -> int:
    """Return how often a device was bound to an owner."""
    value = rows.get(bound_key(device))
    return 0 if value is None else _bounds.read(value).times


def signing_key(rows: RowReader, thing: Address) -> PublicKey | None:
    """Return the key whose signatures count for a thing, whatever the time is.

    `None` for what is not registered, and for what was revoked.
    """
    published = idot(rows, thing)
    if published is not None:
        return None if published.revoked_at_ms is not None else published.keys.sign_key
    registered = identity(rows, thing)
    return None if registered is None else registered.key


def are_current(rows: RowReader, thing: Address, from_ms: int, to_ms: int) -> bool:
    """Return whether a thing's keys hold at every moment from `from_ms` to `to_ms`."""
    published = idot(rows, thing)
    if published is None:
        return identity(rows, thing) is not None
    keys = published.keys
    is_alive = published.revoked_at_ms is None
    return is_alive and keys.not_before_ms <= from_ms and to_ms < keys.not_after_ms


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key.startswith(IDOT_PREFIX):
        return _idots.decode(value)
    if key.startswith(BOUND_PREFIX):
        return _bounds.decode(value)
    return None
