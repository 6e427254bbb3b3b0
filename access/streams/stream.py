"""Rows of streams and chunks.

Each resolution of a device is a stream of its own with chunks of its own: who is granted day
totals gets keys that open nothing finer.
"""

from typing import Annotated, Final

import msgspec

from access.threshold.tdh2 import CapsuleField
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.hashing import digest, domain
from tangle.rows import RowReader
from tangle.transaction import Counter, HashField

STREAM_PREFIX: Final = b"access/stream/"
CHUNK_PREFIX: Final = b"access/chunk/"
MAX_SEALED_ADDRESSES: Final = 256
"""Bytes: two addresses, their frame and the tag take 85."""

_MAX_ROW_SIZE: Final = 2_048
_NUMBER_SIZE: Final = 8
_STREAM: Final = domain("access.stream")

Resolution = Annotated[str, msgspec.Meta(pattern=r"^(raw|15min|day)\Z")]
SealedAddresses = Annotated[bytes, msgspec.Meta(min_length=16, max_length=MAX_SEALED_ADDRESSES)]


class Stream(msgspec.Struct, frozen=True, array_like=True):
    """A row: readings of one device in one resolution."""

    device: AddressField
    owner: AddressField
    resolution: Resolution
    chunk_ms: Counter
    """At most so long is one chunk."""

    vault: HashField
    """That new chunks are sealed for."""

    previous_vault: HashField | None
    """The vault before: a device that was offline seals for it."""

    previous_until_ms: Counter
    """Until then the ledger takes such chunks."""


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A row: a capsule and what it seals, never where that lies nor what it says."""

    from_ms: Counter
    to_ms: Counter
    """Of the readings; half open."""

    vault: HashField
    capsule: CapsuleField
    key_commitment: HashField
    """Hash of the key in the capsule: AEADs do not commit to their keys."""

    root: HashField
    """Merkle root over the sealed records, in order."""

    sealed_addresses: SealedAddresses
    """Hash addresses of the data and of the owner's privacy record, sealed."""

    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
    """The device's, over the call: who reads checks it again."""

    device_key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    """Which of the device's keys signed."""


class Erased(msgspec.Struct, frozen=True, array_like=True):
    """Stands where a chunk was: nobody can enter a copy again."""


_streams: Final = Decoder(Stream, "stream row", _MAX_ROW_SIZE)
_chunks: Final = Decoder(Chunk, "chunk row", _MAX_ROW_SIZE)

ERASED_ROW: Final = encode(Erased())
"""Value of the row of a chunk that its owner erased."""


def stream_id(genesis_hash: bytes, device: bytes, resolution: str) -> bytes:
    """Return the id of a stream: one per device and resolution."""
    return digest(_STREAM + encode([genesis_hash, device, resolution]))


def stream_key(identifier: bytes) -> bytes:
    """Return the key of a stream's row."""
    return STREAM_PREFIX + identifier


def stream(rows: RowReader, identifier: bytes) -> Stream | None:
    """Return a stream."""
    value = rows.get(stream_key(identifier))
    return None if value is None else _streams.read(value)


def chunk_key(of_stream: bytes, number: int) -> bytes:
    """Return the key of a chunk's row."""
    return CHUNK_PREFIX + of_stream + b"/" + number.to_bytes(_NUMBER_SIZE)


def chunk(rows: RowReader, of_stream: bytes, number: int) -> Chunk | None:
    """Return a chunk; `None` if there is none, or it was erased."""
    value = rows.get(chunk_key(of_stream, number))
    return None if value is None or value == ERASED_ROW else _chunks.read(value)


def decode_row(key: bytes, value: bytes) -> msgspec.Struct | None:
    """Return what a row of this module says; `None` for a row of another kind.

    Raises:
        MalformedBytesError: The value is none of that key.
    """
    if key.startswith(STREAM_PREFIX):
        return _streams.decode(value)
    if key.startswith(CHUNK_PREFIX) and value == ERASED_ROW:
        return Erased()
    if key.startswith(CHUNK_PREFIX):
        return _chunks.decode(value)
    return None
