"""Rows of grants, of their uses, and of requests."""

from typing import Annotated, Final

import msgspec

from access.identity.idot import KemKeyField
from access.threshold.feldman import MAX_THRESHOLD
from access.vaults.vault import Index
from tangle.address import Address, AddressField
from tangle.codec import Decoder, encode
from tangle.cohorts import MAX_NODES
from tangle.hashing import digest, domain
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField

GRANT_PREFIX: Final = b"access/grant/"
USES_PREFIX: Final = b"access/uses/"
REQUEST_PREFIX: Final = b"access/request/"
HOUR_MS: Final = 3_600_000
MAX_CHUNKS: Final = 128
"""Of one request: a day of quarter hours, and some."""

_MAX_ROW_SIZE: Final = 4_096
_GRANT: Final = domain("access.grant")
_SALT: Final = domain("access.salt")

ChunkNumbers = Annotated[tuple[Counter, ...], msgspec.Meta(min_length=1, max_length=MAX_CHUNKS)]
"""Strictly ascending."""

NonceField = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Revocation(msgspec.Struct, frozen=True, array_like=True):
    """That a grant was taken back, and which nodes know."""

    at_ms: Counter
    acknowledged: Annotated[tuple[Index, ...], msgspec.Meta(max_length=MAX_NODES)]
    """Ascending."""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """A row: that the owner of a vault grants something, to nobody knows whom."""

    commitment: HashField
    """Salted hash of the document."""

    registrar: AddressField
    """Who registered it: the owner, or who passes a grant on."""

    vault: HashField
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_THRESHOLD)]
    """Receipts that an activation needs: at least the vault's threshold."""

    not_after_ms: Counter
    revoker: AddressField
    """Who may revoke it beside registrar and owner."""

    parent: HashField | None
    revocation: Revocation | None


class Uses(msgspec.Struct, frozen=True, array_like=True):
    """A row: how often one requester asked under one grant, in the order of the ledger."""

    requests: Counter
    chunks: Counter
    hour: Counter
    """Ledger hours since the epoch, of the last request."""

    in_hour: Counter


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A row: who asks for what; and once k nodes agreed, that they did."""

    grant: HashField
    requester: AddressField
    stream: HashField
    chunks: ChunkNumbers
    evidence: HashField
    """Hash of action, purpose and presence, shown to the nodes alone."""

    kem_key: KemKeyField
    """Ephemeral: all answers are sealed to it."""

    nonce: NonceField
    requested_at_ms: Counter
    """Of the milestone: what the requester's clock says counts nowhere."""

    before: Uses
    """Of this requester under this grant, before this request; `in_hour` of this hour."""

    activated_at_ms: Counter | None


_grants: Final = Decoder(Grant, "grant row", _MAX_ROW_SIZE)
_uses: Final = Decoder(Uses, "uses row", _MAX_ROW_SIZE)
_requests: Final = Decoder(Request, "request row", _MAX_ROW_SIZE)


def salt_hash(salt: bytes) -> bytes:
    """Return what the ledger learns of a grant's salt."""
    return digest(_SALT + salt)


def grant_id(registrar: bytes, hashed_salt: bytes) -> bytes:
    """Return the id of a grant: nobody else can take it, for the registrar is part of it."""
    return digest(_GRANT + encode([registrar, hashed_salt]))


def grant_key(identifier: bytes) -> bytes:
    """Return the key of a grant's row."""
    return GRANT_PREFIX + identifier


def grant(rows: RowReader, identifier: bytes) -> Grant | None:
    """Return a grant."""
    value = rows.get(grant_key(identifier))
    return None if value is None else _grants.read(value)


def uses_key(of_grant: bytes, requester: Address) -> bytes:
    """Return the key of a requester's uses of a grant."""
    return USES_PREFIX + of_grant + b"/" + requester


def uses(rows: RowReader, of_grant: bytes, requester: Address, now_ms: int) -> Uses:
    """Return what a requester used until now; of the hour, what it used within it."""
    value, hour = rows.get(uses_key(of_grant, requester)), now_ms // HOUR_MS
    if value is None:
        return Uses(0, 0, hour, 0)
    held = _uses.read(value)
    return held if held.hour == hour else Uses(held.requests, held.chunks, hour, 0)


def request_key(identifier: bytes) -> bytes:
    """Return the key of a request's row."""
    return REQUEST_PREFIX + identifier


def request(rows: RowReader, identifier: bytes) -> Request | None:
    """Return a request."""
    value = rows.get(request_key(identifier))
    return None if value is None else _requests.read(value)


def acknowledgements_to_revoke(k: int, n: int) -> int:
    """Return how many nodes must know of a revocation before k others cannot open any more."""
    return n - k + 1


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key.startswith(GRANT_PREFIX):
        return _grants.decode(value)
    if key.startswith(USES_PREFIX):
        return _uses.decode(value)
    if key.startswith(REQUEST_PREFIX):
        return _requests.decode(value)
    return None
